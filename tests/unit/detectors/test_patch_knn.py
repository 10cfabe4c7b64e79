"""What patch k-NN keeps, and how its aids change it."""

from dataclasses import replace

import numpy as np
import pytest
from tests.support import fit, part_picture, with_flaw

from kizu.core.errors import ConfigError
from kizu.core.types import U8
from kizu.detectors.registry import detector_config, make_detector


def detector(**settings: object):
    return make_detector(detector_config({"kind": "patch_knn", **settings}))


def test_all_patches_are_kept_unless_a_coreset_is_asked_for(good_pictures: U8) -> None:
    images = good_pictures[:3]
    whole = fit(detector(), images).fitted.state()["bank"]
    assert len(whole) == 3 * 8 * 8
    assert len(fit(detector(coreset=0.25), images).fitted.state()["bank"]) == 48
    assert len(fit(detector(coreset_size=10), images).fitted.state()["bank"]) == 10
    assert len(fit(detector(coreset_size=10, projection=4), images).fitted.state()["bank"]) == 10
    assert (
        len(fit(detector(coreset_size=9999, coreset_method="random"), images).fitted.state()["bank"]) == 192
    )


@pytest.mark.parametrize(("count", "times"), [(2, 4), (3, 1)])
def test_few_images_are_learned_turned(good_pictures: U8, count: int, times: int) -> None:
    fitted = fit(detector(turn_up_to=2), good_pictures[:count])
    assert len(fitted.fitted.state()["bank"]) == times * count * 64
    turned = np.rot90(good_pictures[:1], axes=(1, 2)).copy()
    plain = fit(detector(), good_pictures[:count])
    if times == 4:
        assert fitted.score(turned).image[0] == pytest.approx(0, abs=1e-5)
        assert plain.score(turned).image[0] > 1e-4


@pytest.mark.parametrize("metric", ["cosine", "l2"])
def test_a_learned_image_has_distance_zero_and_a_flaw_has_not(good_pictures: U8, metric: str) -> None:
    fitted = fit(detector(metric=metric), good_pictures[:6])
    scores = fitted.score(np.stack([good_pictures[0], with_flaw(part_picture(99), 20, 24)]))
    assert scores.image[0] == pytest.approx(0, abs=1e-4)
    assert scores.image[1] > 100 * max(float(scores.image[0]), 1e-6)


def test_the_foreground_travels_with_the_state(good_pictures: U8) -> None:
    chosen = detector(foreground=True)
    fitted = fit(chosen, good_pictures[:6])
    assert {"foreground_axis", "foreground_threshold"} <= fitted.fitted.state().keys()
    restored = replace(fitted, fitted=chosen.restore(fitted.fitted.state()))
    expected = fitted.score(good_pictures[6:8])
    assert restored.score(good_pictures[6:8]).maps == pytest.approx(expected.maps, rel=1e-5, abs=1e-7)


def test_a_bank_without_room_is_refused_before_the_fit(
    good_pictures: U8, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KIZU_MEMORY_MB", "1")
    many = np.repeat(good_pictures, 40, axis=0)
    with pytest.raises(ConfigError, match="would hold about") as refused:
        fit(detector(), many)
    assert "coreset" in (refused.value.hint or "")
