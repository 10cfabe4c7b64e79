"""What every method that says it leaves out must do, and what those may not do that say they cannot."""

from typing import Any

import numpy as np
import pytest
from tests.support import ALL, TINY, fit, unfitted

from kizu.core.errors import CalibrationError, ConfigError
from kizu.core.randomness import rng_for
from kizu.core.types import F32, I64, U8, Scores
from kizu.core.work import Work
from kizu.detectors.base import Detector, Embeddings, Fitted, LeavesOut
from kizu.detectors.registry import detector_config, make_detector
from kizu.lab.scheme import leaves_out
from kizu.pipeline.config import PipelineConfig
from kizu.pipeline.opened import Pipeline, PlacedImages

GRID, DIM, INPUT_HW = (6, 7), 9, (48, 56)
GROUPS = np.array([3, 0, 3, 8, 5, 5, 3, 8, 1, 5, 3, 2])
"""Of twelve images: of one, of two, of three and of four, in no order."""

MORE: dict[str, dict[str, Any]] = {
    "patch_knn of a part": {"kind": "patch_knn", "coreset": 0.1, "neighbours": 3},
    "patch_knn turned": {"kind": "patch_knn", "turn_up_to": 16},
    "patchcore of little": {"kind": "patchcore", "coreset": 0.05, "image_score": "max_map"},
    "patchcore of one patch each": {"kind": "patchcore", "coreset_size": 1},
    "padim of few": {"kind": "padim", "features": 4, "image_score": "max_map"},
    "padim, little added": {"kind": "padim", "epsilon": 0.001},
    "mahalanobis oas": {"kind": "mahalanobis", "shrinkage": "oas", "image_score": "max_map"},
    "subspace of four": {"kind": "subspace", "components": 4},
}
SETTINGS = ALL | MORE
ABLE = sorted(name for name, values in SETTINGS.items() if detector_config(values).leaves_out)
UNABLE = sorted(SETTINGS.keys() - set(ABLE))
WHITENED = [name for name in ABLE if SETTINGS[name].get("whiten")]
"""By all patches together: what is left out of such a bank is not left out of what whitens it."""
BANKS = [
    name for name in ABLE if SETTINGS[name]["kind"] in ("patchcore", "patch_knn") and name not in WHITENED
]
EXACT = [
    name
    for name in ABLE
    if SETTINGS[name]["kind"] in ("mahalanobis", "subspace")
    or (
        (name in BANKS and detector_config(SETTINGS[name]).model_dump()["coreset"] == 1)
        and "coreset_size" not in SETTINGS[name]
    )
]
PADIMS = [name for name in ABLE if SETTINGS[name]["kind"] == "padim"]
MONOTONE = [name for name in ABLE if detector_config(SETTINGS[name]).monotone]


@pytest.fixture(autouse=True)
def _few_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Banks of small pictures would keep all otherwise."""
    monkeypatch.setattr("kizu.detectors.bank.LEAST_PICKED", 20)


def detector_of(name: str) -> Detector:
    return make_detector(detector_config(SETTINGS[name]))


def pictures(count: int, seed: int = 0) -> F32:
    """(N, h, w, D): places differ, and so do lots."""
    places, images = np.random.default_rng(7), np.random.default_rng(seed)
    lots = 0.5 * images.normal(size=(9, DIM))[np.resize(GROUPS, count)]
    found = (
        2 * places.normal(size=(*GRID, DIM)) + lots[:, None, None] + images.normal(size=(count, *GRID, DIM))
    )
    return found.astype(np.float32)


def fitted_on(detector: Detector, embedding: F32, groups: I64 | None = GROUPS, batch: int = 5) -> Fitted:
    parts = [embedding[start : start + batch] for start in range(0, len(embedding), batch)]
    told = None if groups is None else groups.tolist()
    return detector.fit(Embeddings(parts, len(embedding), INPUT_HW, told), rng=rng_for(0, "fit"))


def left_out(fitted: Fitted, embedding: F32, groups: I64 = GROUPS) -> Scores:
    assert isinstance(fitted, LeavesOut)
    return fitted.leave_out(embedding, INPUT_HW, groups)


def really_left_out(detector: Detector, embedding: F32) -> Scores:
    """Of each image, by a fit on the images of other groups."""
    image, maps = np.zeros(len(embedding)), np.zeros((len(embedding), *INPUT_HW))
    for group in np.unique(GROUPS):
        others = group != GROUPS
        scored = fitted_on(detector, embedding[others], GROUPS[others]).score(embedding[~others], INPUT_HW)
        image[~others], maps[~others] = scored.image, scored.maps
    return Scores(image.astype(np.float32), maps.astype(np.float32))


def assert_same(found: Scores, expected: Scores, rtol: float) -> None:
    np.testing.assert_allclose(found.image, expected.image, rtol=rtol)
    np.testing.assert_allclose(found.maps, expected.maps, rtol=rtol, atol=rtol * float(expected.maps.max()))


def test_each_sort_is_there() -> None:
    kinds = {SETTINGS[name]["kind"] for name in EXACT}
    assert kinds >= {"mahalanobis", "subspace", "patch_knn", "patchcore"}
    assert len(PADIMS) > 2
    assert set(MONOTONE) == {*BANKS, *PADIMS}
    assert not {name for name in ABLE if SETTINGS[name].get("whiten")} & set(MONOTONE)
    assert len(WHITENED) == 2
    assert len(BANKS) > 5
    assert {"ensemble", "patchcore reweighted", "padim low rank", "padim, little added"} <= set(UNABLE)


@pytest.mark.parametrize("name", EXACT)
def test_it_is_what_a_fit_without_the_group_says(name: str) -> None:
    embedding = pictures(12)
    detector = detector_of(name)
    fitted = fitted_on(detector, embedding)
    found = left_out(fitted, embedding)
    assert_same(found, really_left_out(detector, embedding), 2e-4)
    seen = fitted.score(embedding, INPUT_HW)
    assert found.image.mean() > seen.image.mean() * 1.005  # it is not the score of what was seen


@pytest.mark.parametrize("name", PADIMS)
def test_padim_is_no_nearer_than_a_fit_without_and_little_farther(name: str) -> None:
    """Its scatter is divided by n - 1 and not by n - m - 1; and the mean adds its part, once for each dimension where
    they are apart."""
    embedding = pictures(12)
    detector = detector_of(name)
    found, real = left_out(fitted_on(detector, embedding), embedding), really_left_out(detector, embedding)
    sizes = (GROUPS[:, None] == GROUPS).sum(axis=1)
    means = DIM if SETTINGS[name].get("covariance") == "diagonal" else 1
    added = 11 * (1 / (12 - sizes) - 1 / 12) * means
    assert (found.image >= real.image * 0.999).all()
    assert (found.image**2 <= (real.image**2 * 11 / (11 - sizes) + added) * 1.01).all()
    assert (found.maps >= real.maps * 0.995).all()
    most = np.sqrt(real.maps**2 * (11 / (11 - sizes) * 1.01)[:, None, None]) + np.sqrt(added)[:, None, None]
    assert (found.maps <= most).all()


@pytest.mark.parametrize("name", MONOTONE)
def test_what_monotone_methods_say_of_a_left_out_group_only_falls_when_another_one_is_learned(
    name: str,
) -> None:
    """The seventh group in the place of each of six in turn: the fits that full conformal prediction compares."""
    embedding = np.concatenate([pictures(12), pictures(2, seed=5) * 1.5])
    groups = np.repeat(np.arange(6), 2)
    detector = detector_of(name)
    told = left_out(fitted_on(detector, embedding[:12], groups), embedding[:12], groups)
    for group in range(6):
        rows = np.flatnonzero(groups == group)
        learned = embedding[:12].copy()
        learned[rows] = embedding[12:]
        besides = fitted_on(detector, learned, groups).score(embedding[rows], INPUT_HW)
        assert (besides.image <= told.image[rows] * (1 + 1e-4)).all()
        assert (besides.maps <= told.maps[rows] * (1 + 1e-4) + 1e-5).all()


@pytest.mark.parametrize("name", ABLE)
def test_a_restored_state_leaves_out_the_same(name: str) -> None:
    embedding = pictures(12)
    detector = detector_of(name)
    fitted = fitted_on(detector, embedding)
    restored = detector.restore({key: array.copy() for key, array in fitted.state().items()})
    assert_same(left_out(restored, embedding), left_out(fitted, embedding), 1e-5)


@pytest.mark.parametrize("name", ABLE)
def test_it_does_not_matter_which_whole_groups_come_together_and_in_which_order(name: str) -> None:
    embedding = pictures(12)
    fitted = fitted_on(detector_of(name), embedding)
    together = left_out(fitted, embedding)
    for batch in ([3], [0, 8], [1, 2], [5, 3, 1], [2]):
        rows = np.flatnonzero(np.isin(GROUPS, batch))[::-1]
        found = left_out(fitted, embedding[rows], GROUPS[rows])
        assert_same(found, Scores(together.image[rows], together.maps[rows]), 1e-4)


@pytest.mark.parametrize("name", ABLE)
def test_how_the_fit_was_fed_does_not_matter_where_nothing_is_drawn(name: str) -> None:
    embedding = pictures(12)
    one, two = (fitted_on(detector_of(name), embedding, batch=batch) for batch in (12, 1))
    assert_same(left_out(one, embedding), left_out(two, embedding), 2e-4)


@pytest.mark.parametrize("name", ABLE)
def test_without_the_only_group_nothing_is_left(name: str) -> None:
    embedding, one = pictures(4), np.zeros(4, np.int64)
    fitted = fitted_on(detector_of(name), embedding, one)
    with pytest.raises(CalibrationError, match="nothing is left"):
        left_out(fitted, embedding, one)


@pytest.mark.parametrize("name", BANKS)
def test_no_picture_is_farther_from_the_bank_than_from_the_bank_without_a_group(name: str) -> None:
    """So that what runs raises no more alarms than what set the threshold."""
    embedding, strange = pictures(12), np.concatenate([pictures(6, seed=1), pictures(2, seed=2) * 3])
    detector = detector_of(name)
    fitted = fitted_on(detector, embedding)
    state = fitted.state()
    whose = state["bank_groups"]
    if "coreset_size" in SETTINGS[name] or detector_config(SETTINGS[name]).model_dump()["coreset"] < 1:
        assert len(whose) < 12 * GRID[0] * GRID[1] / 2
    assert set(whose.tolist()) == set(GROUPS.tolist())
    told = left_out(fitted, embedding)
    every = np.concatenate([embedding, strange])
    scored = fitted.score(every, INPUT_HW)
    for group in np.unique(GROUPS):
        less = detector.restore({**state, "bank": state["bank"][whose != group]}).score(every, INPUT_HW)
        assert (scored.image <= less.image * (1 + 1e-5) + 1e-6).all()
        assert (scored.maps <= less.maps * (1 + 1e-5) + 1e-5).all()
        rows = np.flatnonzero(group == GROUPS)
        assert_same(
            Scores(told.image[rows], told.maps[rows]), Scores(less.image[rows], less.maps[rows]), 1e-4
        )


@pytest.mark.parametrize("name", ABLE)
def test_who_is_told_no_groups_scores_as_ever(name: str) -> None:
    embedding = pictures(12)
    told, not_told = (fitted_on(detector_of(name), embedding, groups) for groups in (GROUPS, None))
    assert "bank_groups" not in not_told.state()
    if name in {*BANKS, *WHITENED} - {*EXACT}:
        return  # picked otherwise
    new = pictures(5, seed=3)
    assert_same(told.score(new, INPUT_HW), not_told.score(new, INPUT_HW), 1e-5)


def config_of(name: str, scheme: str) -> PipelineConfig:
    values = {
        "detector": SETTINGS[name],
        "embedding": {"backbone": TINY.backbone},
        "placement": {"image_size": 64},
        "calibration": {"scheme": scheme},
    }
    return PipelineConfig.parse(values, where="test")


@pytest.mark.parametrize("name", UNABLE)
def test_what_cannot_leave_out_holds_out_and_says_why_when_asked(name: str, good_pictures: U8) -> None:
    assert not leaves_out(config_of(name, "auto"), 50)
    with pytest.raises(
        ConfigError, match=f"{SETTINGS[name]['kind']} with these settings cannot tell"
    ) as refused:
        leaves_out(config_of(name, "left_out"), 50)
    assert "held_out" in (refused.value.hint or "")
    fitted = fit(detector_of(name), good_pictures[:6])
    with pytest.raises(ConfigError, match="cannot tell what it would say without"):
        fitted.leave_out(good_pictures[:2], np.arange(2))


@pytest.mark.parametrize("name", ABLE)
def test_a_pipeline_leaves_out_pictures_as_a_fit_on_the_others_or_nearly(
    name: str, good_pictures: U8
) -> None:
    """From pictures on, in the positions in which they are learned, whether their embeddings were kept or not."""
    assert leaves_out(config_of(name, "auto"), 50)
    assert leaves_out(config_of(name, "left_out"), 2)
    images, groups = good_pictures[:8], np.array([0, 0, 1, 2, 2, 2, 3, 1])
    set_up = unfitted(detector_of(name))

    def fit_on(rows: I64) -> Pipeline:
        batches = iter([images[rows]])
        return set_up.fit(PlacedImages(len(rows), batches, groups[rows].tolist()), "fit", Work())

    found = fit_on(np.arange(8)).leave_out(images, groups)
    with set_up.fit_keeping(
        PlacedImages(9, iter([images[:3], images[3:]]), groups.tolist()), "fit", Work()
    ) as (pipeline, kept):
        assert len(kept) == 8  # of nine that were announced
        assert_same(pipeline.leave_out_embedding(kept, (64, 64), groups), found, 1e-3)
    if name in EXACT:
        others = fit_on(np.flatnonzero(groups != 2)).score(images[groups == 2])
        assert_same(Scores(found.image[groups == 2], found.maps[groups == 2]), others, 1e-3)
