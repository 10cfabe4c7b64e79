"""What every method in the table must do, whatever it is."""

import pickle
from dataclasses import replace
from threading import Event

import numpy as np
import pytest
from tests.support import ALL, fit, part_picture, unfitted, with_flaw

from kizu.backbones.graph import Embedder, build_embedder
from kizu.backbones.store import load_backbone
from kizu.core.errors import CancelledError, ConfigError, DataError, ScoreError
from kizu.core.randomness import rng_for
from kizu.core.types import U8
from kizu.core.work import Work
from kizu.detectors.base import Detector, Embeddings
from kizu.detectors.registry import detector_config, make_detector
from kizu.pipeline.opened import Pipeline, PlacedImages

PATCH = 8
"""Pixels from one patch to the next: a flaw is found to the patch."""
MERGED = {"mahalanobis", "mahalanobis of patches", "padim updatable", "padim diagonal updatable"}
WHOLE = {"patch_knn", "patch_knn l2", "patchcore of all"}
"""An update gives what a fit on all images gives, by moments or because all patches are kept."""
COVERING = {
    "patchcore",
    "patchcore reweighted",
    "patchcore of a fixed size",
    "patchcore by angle",
    "patchcore whitened",
}
"""An update covers what is new."""


@pytest.fixture(params=ALL)
def detector(request: pytest.FixtureRequest) -> Detector:
    return make_detector(detector_config(ALL[request.param]))


def test_score_does_not_depend_on_the_batch(detector: Detector, good_pictures: U8) -> None:
    fitted = fit(detector, good_pictures[:10])
    together = fitted.score(good_pictures[10:16])
    for index, image in enumerate(good_pictures[10:16]):
        alone = fitted.score(image[None])
        assert alone.image[0] == pytest.approx(together.image[index], rel=1e-4)
        assert alone.maps[0] == pytest.approx(together.maps[index], rel=1e-3, abs=1e-4)


def test_scores_have_the_shapes_and_types_that_are_promised(detector: Detector, good_pictures: U8) -> None:
    scores = fit(detector, good_pictures[:6]).score(good_pictures[:3])
    assert scores.image.shape == (3,)
    assert scores.maps.shape == (3, 64, 64)
    assert scores.image.dtype == scores.maps.dtype == np.float32
    assert np.isfinite(scores.image).all()
    assert (scores.maps >= 0).all()


def test_images_are_left_as_they_are(detector: Detector, good_pictures: U8) -> None:
    images = good_pictures[:6].copy()
    fit(detector, images).score(images)
    assert (images == good_pictures[:6]).all()


def test_same_seed_same_state(detector: Detector, good_pictures: U8) -> None:
    one, two = (fit(detector, good_pictures[:8], seed=3).fitted.state() for _ in range(2))
    assert one.keys() == two.keys()
    for name in one:
        assert (one[name] == two[name]).all()


def test_state_round_trip_gives_the_same_scores(detector: Detector, good_pictures: U8) -> None:
    fitted = fit(detector, good_pictures[:8])
    arrays = {name: array.copy() for name, array in fitted.fitted.state().items()}
    restored = replace(fitted, fitted=detector.restore(arrays))
    before, after = fitted.score(good_pictures[8:12]), restored.score(good_pictures[8:12])
    # not to the last bit: matrix products may round otherwise where arrays lie otherwise in memory
    assert after.image == pytest.approx(before.image, rel=1e-5)
    assert after.maps == pytest.approx(before.maps, rel=1e-5)


def test_a_pickled_pipeline_is_opened_where_it_arrives_and_scores_the_same(
    detector: Detector, good_pictures: U8
) -> None:
    fitted = fit(detector, good_pictures[:8], work=Work(on_progress=lambda *_: None))
    arrived = pickle.loads(pickle.dumps(fitted))  # noqa: S301 - made a line above
    before, after = fitted.score(good_pictures[8:12]), arrived.score(good_pictures[8:12])
    assert after.image == pytest.approx(before.image, rel=1e-5)
    assert after.maps == pytest.approx(before.maps, rel=1e-5)


@pytest.mark.parametrize(("top", "left"), [(4, 8), (44, 40), (24, 26)])
def test_a_painted_defect_raises_the_score_and_is_found_where_it_is(
    detector: Detector, good_pictures: U8, top: int, left: int
) -> None:
    fitted = fit(detector, good_pictures)
    good = part_picture(99)
    scores = fitted.score(np.stack([good, with_flaw(good, top, left)]))
    assert scores.image[1] > scores.image[0]
    y, x = np.unravel_index(int(scores.maps[1].argmax()), scores.maps[1].shape)
    assert top - PATCH <= y < top + 12 + PATCH
    assert left - PATCH <= x < left + 12 + PATCH


@pytest.mark.parametrize("count", [1, 2, 10])
def test_few_good_images_are_enough_to_run(detector: Detector, good_pictures: U8, count: int) -> None:
    scores = fit(detector, good_pictures[:count]).score(good_pictures[:12])
    assert np.isfinite(scores.image).all()


def test_constant_and_repeated_images_do_not_break_it(detector: Detector) -> None:
    grey = np.full((6, 64, 64, 3), 128, dtype=np.uint8)
    scores = fit(detector, grey).score(np.concatenate([grey[:1], np.zeros((1, 64, 64, 3), dtype=np.uint8)]))
    assert np.isfinite(scores.image).all()
    assert scores.image[1] > scores.image[0]


def test_copies_of_one_image_do_not_break_it(detector: Detector, good_pictures: U8) -> None:
    """Covariances are singular, and patches have distance 0 to one another."""
    copies = np.repeat(good_pictures[:1], 6, axis=0)
    scores = fit(detector, copies).score(np.stack([good_pictures[0], with_flaw(good_pictures[0], 24, 26)]))
    assert np.isfinite(scores.image).all()
    assert np.isfinite(scores.maps).all()
    assert scores.image[1] > scores.image[0]


def test_an_embedding_that_is_there_already_gets_the_same_scores(
    detector: Detector, good_pictures: U8
) -> None:
    fitted = fit(detector, good_pictures[:6])
    images = good_pictures[6:9]
    expected = fitted.score(images)
    found = fitted.score_embedding(fitted.embed(images), (images.shape[1], images.shape[2]))
    assert (found.image == expected.image).all()
    assert (found.maps == expected.maps).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_features_that_are_no_numbers_are_refused(
    detector: Detector, good_pictures: U8, value: float
) -> None:
    fitted = fit(detector, good_pictures[:6])
    spoilt = fitted.embed(good_pictures[:2])
    spoilt[-1, -1, -1, :] = value
    with pytest.raises(ScoreError, match="finite"):
        fitted.score_embedding(spoilt, (64, 64))
    with pytest.raises(ScoreError, match="finite"):
        detector.fit(Embeddings([spoilt], 2, (64, 64)), rng=rng_for(0, "fit"))


def test_the_estimate_of_memory_is_positive_and_never_falls_with_the_size(detector: Detector) -> None:
    small, large = (detector.memory_bytes(*size, 1 << 40) for size in ((8, 64, 28), (16, 256, 56)))
    assert 0 < small <= large


def update(pipeline: Pipeline, more: U8) -> Pipeline:
    return pipeline.updated(
        PlacedImages(len(more), (part for part in (more[:3], more[3:]) if len(part))), Work()
    )


@pytest.mark.parametrize("name", sorted(MERGED | WHOLE))
def test_an_update_is_a_fit_on_all_images(name: str, good_pictures: U8) -> None:
    detector = make_detector(detector_config(ALL[name]))
    fitted = fit(detector, good_pictures[:7])
    stored = {name: array.copy() for name, array in fitted.fitted.state().items()}
    updated = update(replace(fitted, fitted=detector.restore(stored)), good_pictures[7:16])
    expected = fit(detector, good_pictures[:16]).score(good_pictures[14:20])
    found = updated.score(good_pictures[14:20])
    assert found.image == pytest.approx(expected.image, rel=1e-5)
    assert found.maps == pytest.approx(expected.maps, rel=1e-5, abs=1e-6)
    assert updated.fitted.state().keys() == fit(detector, good_pictures[:16]).fitted.state().keys()


@pytest.mark.parametrize("name", sorted(MERGED | WHOLE | COVERING))
def test_an_update_learns_what_is_new_and_leaves_the_fitted_as_it_was(name: str, good_pictures: U8) -> None:
    detector = make_detector(detector_config(ALL[name]))
    new = np.stack([with_flaw(image, 40, 10) for image in good_pictures[12:18]])  # good from now on
    fitted = fit(detector, good_pictures[:12])
    before = {key: array.copy() for key, array in fitted.fitted.state().items()}
    one, two = (update(fitted, new) for _ in range(2))
    assert one.score(new).image.max() < fitted.score(new).image.min()
    for key, array in one.fitted.state().items():
        assert (array == two.fitted.state()[key]).all()
    for key, array in fitted.fitted.state().items():
        assert (array == before[key]).all()


@pytest.mark.parametrize("name", sorted(ALL.keys() - MERGED - WHOLE - COVERING))
def test_what_cannot_be_updated_says_so(name: str, good_pictures: U8) -> None:
    fitted = fit(make_detector(detector_config(ALL[name])), good_pictures[:6])
    with pytest.raises(ConfigError) as refused:
        update(fitted, good_pictures[6:8])
    assert "train anew" in (refused.value.hint or "")


def test_a_stream_without_images_is_refused(detector: Detector) -> None:
    with pytest.raises(DataError, match="no good image"):
        detector.fit(Embeddings(iter(()), 0, (64, 64)), rng=rng_for(0, "fit"))


def test_progress_is_told_and_ends(detector: Detector, good_pictures: U8) -> None:
    told: list[tuple[str, int, int]] = []
    fit(detector, good_pictures[:4], work=Work(on_progress=lambda *step: told.append(step)))
    ends = [(done, total) for stage, done, total in told if stage == "features"]
    assert ends[-1][0] == ends[-1][1] > 0


def test_a_fit_that_is_called_off_ends(detector: Detector, good_pictures: U8) -> None:
    called_off = Event()
    called_off.set()
    with pytest.raises(CancelledError, match="features was called off"):
        fit(detector, good_pictures[:4], work=Work(cancelled=called_off))


def test_fewer_images_than_announced_are_fine(detector: Detector, good_pictures: U8) -> None:
    fitted, exact = (
        unfitted(detector).fit(PlacedImages(count, iter([good_pictures[:4]])), "fit", Work())
        for count in (9, 4)
    )
    assert (fitted.score(good_pictures[5:7]).image == exact.score(good_pictures[5:7]).image).all()


def test_the_embedder_keeps_to_known_layers() -> None:
    backbone = load_backbone("tiny")
    names = [layer.name for layer in backbone.spec.layers]
    model = build_embedder(backbone, layers=names[:1], normalisation="native", patch_size=1)
    assert Embedder(model.SerializeToString()).dim == backbone.spec.layers[0].dim
