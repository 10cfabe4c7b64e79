"""Methods that search a bank say the same through integers as through floats, on whatever processor this runs."""

from typing import Any

import numpy as np
import pytest
from tests.support import PairwiseProduct, PlainProduct, embed, fit

from kizu.core.types import U8
from kizu.detectors.base import Updatable
from kizu.detectors.registry import detector_config, make_detector
from kizu.scoring import neighbours

SETTINGS: dict[str, dict[str, Any]] = {
    "patchcore": {"kind": "patchcore", "coreset": 0.3},
    "patchcore reweighted": {"kind": "patchcore", "coreset": 0.3, "image_score": "reweighted_max"},
    "patch k-NN": {"kind": "patch_knn"},
    "patch k-NN, l2": {"kind": "patch_knn", "metric": "l2"},
}
PRODUCTS = {"floats": None, "8 bits": PlainProduct(127), "7 bits": PairwiseProduct(64)}


@pytest.fixture
def by(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Chooses by what banks are searched from here on: a name of `PRODUCTS`."""

    def choose(what: str) -> None:
        for room in ("bank", "patchcore", "patch_knn"):
            monkeypatch.setattr(
                f"kizu.detectors.{room}.exact_integer_product",
                lambda: PRODUCTS[what],
            )

    return choose


@pytest.mark.parametrize("name", SETTINGS)
def test_integers_and_floats_find_the_same(good_pictures: U8, by: Any, name: str) -> None:
    images = good_pictures[12:18]
    found = {}
    for what in PRODUCTS:
        by(what)
        found[what] = fit(make_detector(detector_config(SETTINGS[name])), good_pictures[:12]).score(images)
    for what in ("8 bits", "7 bits"):  # to the last bit
        assert np.array_equal(found[what].image, found["floats"].image)
        assert np.array_equal(found[what].maps, found["floats"].maps)


@pytest.mark.parametrize("name", ["patchcore", "patch k-NN"])
def test_the_integers_are_really_asked(
    good_pictures: U8, by: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    by("7 bits")
    asked: list[int] = []
    possible = neighbours.possible
    monkeypatch.setattr(neighbours, "possible", lambda *given: asked.append(1) or possible(*given))
    fit(make_detector(detector_config(SETTINGS[name])), good_pictures[:6]).score(good_pictures[6:8])
    assert asked


@pytest.mark.parametrize("name", ["patchcore", "patch k-NN"])
def test_a_bank_that_was_stored_or_extended_is_searched_the_same(
    good_pictures: U8, by: Any, name: str
) -> None:
    detector = make_detector(detector_config(SETTINGS[name]))
    scores = {}
    for what in PRODUCTS:
        by(what)
        pipeline = fit(detector, good_pictures[:8])
        probe = pipeline.embed(good_pictures[16:18])
        restored = detector.restore(pipeline.fitted.state())
        assert isinstance(restored, Updatable)
        updated = restored.update(embed(pipeline, good_pictures[8:12]))
        scores[what] = [f.score(probe, (64, 64)).image for f in (restored, updated)]
    for what in ("8 bits", "7 bits"):
        assert np.array_equal(scores[what], scores["floats"])
