"""PaDiM's variants: which features, which covariance, how much memory."""

import numpy as np
import pytest
from tests.support import embed, fit

from kizu.core.errors import ConfigError, DataError
from kizu.core.types import U8
from kizu.core.work import Work
from kizu.detectors.padim import FittedPadim
from kizu.detectors.registry import detector_config, make_detector
from kizu.pipeline.opened import Pipeline


def fitted(images: U8, **settings: object) -> Pipeline:
    return fit(make_detector(detector_config({"kind": "padim", **settings})), images)


def inside(pipeline: Pipeline) -> FittedPadim:
    assert isinstance(pipeline.fitted, FittedPadim)
    return pipeline.fitted


def test_the_features_of_highest_variance_are_found_and_looked_at(good_pictures: U8) -> None:
    made = fitted(good_pictures, feature_choice="variance", features=10)
    patches = made.embed(good_pictures).reshape(-1, made.embedder.dim).astype(np.float64)
    expected = np.sort(np.argsort(-patches.var(axis=0))[:10])
    assert inside(made).channels is not None
    assert (inside(made).channels == expected).all()
    assert inside(made).gaussian.mean == pytest.approx(
        patches.reshape(len(good_pictures), -1, made.embedder.dim).mean(axis=0)[:, expected],
        rel=1e-5,
        abs=1e-6,
    )


def test_the_variance_is_no_matter_of_chance_and_the_draw_is(good_pictures: U8) -> None:
    one, two = (
        fit(
            make_detector(detector_config({"kind": "padim", "features": 10, "feature_choice": "variance"})),
            good_pictures,
            seed=seed,
        ).fitted.state()
        for seed in (1, 2)
    )
    assert (one["channels"] == two["channels"]).all()
    assert (one["whitener"] == two["whitener"]).all()
    drawn = [
        fit(make_detector(detector_config({"kind": "padim", "features": 10})), good_pictures, seed=seed)
        for seed in (1, 2)
    ]
    assert drawn[0].embedder.model_bytes != drawn[1].embedder.model_bytes


def test_as_many_features_as_there_are_need_no_choice(good_pictures: U8) -> None:
    assert inside(fitted(good_pictures[:4], feature_choice="variance")).channels is None


def test_a_low_rank_that_holds_all_that_varies_scores_as_the_full_covariance(good_pictures: U8) -> None:
    full = fitted(good_pictures[:6]).score(good_pictures[6:12])
    lean = fitted(good_pictures[:6], covariance="low_rank", rank=8).score(good_pictures[6:12])
    assert lean.image == pytest.approx(full.image, rel=1e-3)


def test_lean_covariances_are_small(good_pictures: U8) -> None:
    def size(**settings: object) -> int:
        return sum(array.nbytes for array in fitted(good_pictures[:6], **settings).fitted.state().values())

    full, low, diagonal = size(), size(covariance="low_rank", rank=4), size(covariance="diagonal")
    assert diagonal < low < full / 2


def test_a_rank_that_is_no_reduction_is_refused(good_pictures: U8) -> None:
    with pytest.raises(ConfigError, match="leave nothing to the rest"):
        fitted(good_pictures[:4], covariance="low_rank", rank=500)


def test_what_is_gathered_may_lie_in_a_file(good_pictures: U8, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"feature_choice": "variance", "features": 9, "covariance": "low_rank", "rank": 3}
    images = np.repeat(good_pictures, 10, axis=0)  # their features take more than a megabyte
    in_memory = fitted(images, **settings).fitted.state()
    monkeypatch.setenv("KIZU_MEMORY_MB", "1")
    in_file = fitted(images, **settings).fitted.state()
    for name, array in in_memory.items():
        assert in_file[name] == pytest.approx(array)


def test_more_than_the_machine_has_is_refused_with_advice(
    good_pictures: U8, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KIZU_MEMORY_MB", "0")
    with pytest.raises(ConfigError, match="would hold about") as refused:
        fitted(good_pictures)
    hint = refused.value.hint or ""
    assert "features" in hint
    assert "low_rank" in hint
    assert "smaller image" in hint


def test_the_estimate_falls_with_the_covariance() -> None:
    full, low, diagonal = (
        make_detector(detector_config({"kind": "padim", "covariance": covariance})).memory_bytes(
            1, 1024, 152, 1 << 40
        )
        for covariance in ("full", "low_rank", "diagonal")
    )
    assert diagonal < low < full


def test_moments_of_a_low_rank_fit_cannot_be_kept() -> None:
    with pytest.raises(ConfigError, match="keep_moments cannot be had"):
        detector_config({"kind": "padim", "covariance": "low_rank", "keep_moments": True})


def test_an_update_of_another_size_is_refused(good_pictures: U8) -> None:
    made = fitted(good_pictures[:4], keep_moments=True)
    with pytest.raises(DataError, match="grid"):
        inside(made).update(embed(made, good_pictures[4:6, :32]))


def test_features_chosen_by_variance_stay_when_more_images_come(good_pictures: U8) -> None:
    made = fitted(good_pictures[:8], feature_choice="variance", features=9, keep_moments=True)
    updated = inside(made).update(embed(made, good_pictures[8:16]))
    assert (updated.channels == inside(made).channels).all()
    patches = made.embed(good_pictures[:16]).reshape(16, -1, made.embedder.dim)[..., inside(made).channels]
    assert updated.gaussian.mean == pytest.approx(patches.mean(axis=0, dtype=np.float64), rel=1e-5, abs=1e-6)


def notes_of(images: U8, **settings: object) -> list[str]:
    told: list[str] = []
    fit(make_detector(detector_config({"kind": "padim", **settings})), images, work=Work(on_note=told.append))
    return told


def test_no_more_images_than_features_are_told(good_pictures: U8) -> None:
    [note] = notes_of(good_pictures[:6], features=6)
    assert "6 features from 6 good images" in note
    assert "5 directions" in note
    assert notes_of(good_pictures[:7], features=6) == []
    assert notes_of(good_pictures[:6], covariance="diagonal") == []
    assert notes_of(good_pictures[:6], covariance="low_rank", rank=3) == []


def test_an_update_tells_it_of_all_images_together(good_pictures: U8) -> None:
    made = fitted(good_pictures[:4], features=9, keep_moments=True)
    for more, count in ((5, 1), (6, 0)):
        told: list[str] = []
        inside(made).update(embed(made, good_pictures[4 : 4 + more]), work=Work(on_note=told.append))
        assert len(told) == count


@pytest.mark.parametrize("covariance", ["full", "diagonal", "low_rank"])
def test_an_epsilon_that_float32_cannot_hold_is_refused_by_name(good_pictures: U8, covariance: str) -> None:
    images = np.repeat(good_pictures[:1], 4, axis=0)
    with pytest.raises(ConfigError, match="epsilon 1e-30 is too small"):
        fitted(images, covariance=covariance, epsilon=1e-30, rank=3)


def test_moments_are_kept_as_they_were_summed(good_pictures: U8) -> None:
    """Else a small epsilon that a fit takes would be refused by an update."""
    detector = make_detector(detector_config({"kind": "padim", "keep_moments": True, "epsilon": 1e-6}))
    made = fit(detector, good_pictures[:4])
    restored = detector.restore(made.fitted.state())
    assert isinstance(restored, FittedPadim)
    assert restored.moments is not None
    assert inside(made).moments is not None
    assert (restored.moments.scatter == inside(made).moments.scatter).all()
