"""An AU-PRO is as uncertain as its images are few, however many pixels they have."""

import numpy as np
import pytest

from kizu.core.types import F32, Bool
from kizu.metrics.aupro_interval import aupro_intervals
from kizu.metrics.overlap import aupro, aupro_of
from kizu.metrics.pixels import rank_pixels
from kizu.metrics.suite import evaluate
from kizu.metrics.undefined import Undefined


def drawn(
    good: int, flawed: int, rng: np.random.Generator, *, side: int = 16, shift: float = 4.0
) -> tuple[list[F32], list[Bool]]:
    """Images that differ as a whole, each flaw of its own strength."""
    maps, masks = [], []
    for index in range(good + flawed):
        scores = rng.normal(size=(side, side)) + 0.5 * rng.normal()
        mask = np.zeros((side, side), bool)
        if index < flawed:
            y, x = rng.integers(0, side - side // 4, 2)
            mask[y : y + side // 4, x : x + side // 4] = True
            scores[mask] += shift + rng.normal()
        maps.append(scores.astype(np.float32))
        masks.append(mask)
    return maps, masks


def test_it_holds_the_value_and_narrows_with_images_not_with_pixels() -> None:
    rng = np.random.default_rng(0)
    widths = []
    for good, flawed, side in ((20, 12, 16), (20, 12, 48), (200, 120, 16)):
        maps, masks = drawn(good, flawed, rng, side=side)
        found = aupro_intervals(rank_pixels(maps, masks), maps, masks, (0.3, 0.05))
        for limit, interval in zip((0.3, 0.05), found, strict=True):
            assert 0 <= interval.low < aupro(maps, masks, limit) < interval.high <= 1
            assert interval.method == "variance by images in Wilson's score"
        widths.append(found[0].high - found[0].low)
    assert widths[1] > 0.6 * widths[0]
    assert widths[2] < 0.6 * widths[0]


def test_images_that_are_there_twice_say_nothing_new_of_each_pixel() -> None:
    """The variance is that of redrawn images, by far more than by pixels."""
    rng = np.random.default_rng(1)
    maps, masks = drawn(40, 40, rng)
    found, other = (
        aupro_intervals(rank_pixels(maps, masks), maps, masks, (0.3,), level=v)[0] for v in (0.95, 0.5)
    )
    redrawn = []
    for _ in range(300):
        chosen = [*rng.integers(0, 40, 40), *rng.integers(40, 80, 40)]
        there = [maps[i] for i in chosen], [masks[i] for i in chosen]
        redrawn.append(aupro_of(rank_pixels(*there), 0.3))
    low, high = np.quantile(redrawn, [0.025, 0.975])
    assert found.high - found.low == pytest.approx(high - low, rel=0.35)
    assert other.high - other.low < found.high - found.low


def test_what_is_found_without_a_mistake_has_a_bound() -> None:
    maps, masks = drawn(20, 17, np.random.default_rng(2), shift=1000.0)
    (found,) = aupro_intervals(rank_pixels(maps, masks), maps, masks, (0.3,))
    assert found.high == 1
    assert 0.7 < found.low < 0.95
    assert found.method.endswith("one-sided")


@pytest.mark.parametrize(("good", "flawed"), [(20, 30), (36, 36)])
def test_it_holds_the_true_value_nineteen_times_in_twenty(good: int, flawed: int) -> None:
    rng = np.random.default_rng(3)
    true = aupro(*drawn(1500, 1500, rng), 0.3)
    held = 0
    for _ in range(150):
        maps, masks = drawn(good, flawed, rng)
        (found,) = aupro_intervals(rank_pixels(maps, masks), maps, masks, (0.3,))
        held += found.low <= true <= found.high
    assert 0.9 < held / 150 < 0.995


def test_too_few_images_have_none_and_the_suite_says_why() -> None:
    maps, masks = drawn(9, 12, np.random.default_rng(4))
    with pytest.raises(Undefined, match="12 images with flaws and 9 without: 10 and 20 are needed"):
        aupro_intervals(rank_pixels(maps, masks), maps, masks, (0.3,))
    labels = np.arange(21) < 12
    told = evaluate(labels, labels + 0.0, image_threshold=0.5, maps=maps, masks=masks, pixel_threshold=2.0)
    assert told.values["aupro_030"] is not None
    assert "10 and 20 are needed" in told.without_interval["aupro_030"]
    assert "aupro_030" not in told.intervals
    alone = evaluate(labels, labels + 0.0, image_threshold=0.5)
    assert "aupro_030" not in alone.without_interval
    assert "aupro_030" in alone.reasons
