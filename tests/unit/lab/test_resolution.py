"""The size that is chosen is the quickest that tells the flaws that matter, and what cannot be told is said."""

from pathlib import Path

import numpy as np
import pytest
from tests.support import CONFIG, smooth_surface, texture

from kizu.core.errors import DataError
from kizu.core.work import Work
from kizu.data.layouts.mvtec_ad import scan
from kizu.data.manifest import Manifest
from kizu.imaging.codec import encode_png
from kizu.lab.budget import Budget
from kizu.lab.resolution import show_sizes
from kizu.lab.size_curve import SizeCurve

SQUARES = (32, 64, 256)


@pytest.fixture(scope="module")
def surface(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return smooth_surface(tmp_path_factory.mktemp("set"))


@pytest.fixture(scope="module")
def curve(surface: Manifest) -> SizeCurve:
    return show_sizes(surface, CONFIG, smallest_px=9, squares=SQUARES)


def test_every_size_says_what_it_costs_and_what_it_finds(curve: SizeCurve) -> None:
    assert [point.name for point in curve.points] == ["32x32", "64x64", "256x256"]
    assert curve.sides == (4, 8, 9, 16, 32, 64)
    assert curve.false_alarm_rate == pytest.approx(1 / 11)
    assert [point.patch_px for point in curve.points] == [64, 32, 8]
    for point in curve.points:
        assert point.cost.latency_ms > 0
        assert point.cost.memory_bytes > 1 << 20
        assert all(0 <= point.found[side] <= 1 and 0 <= point.auroc[side] <= 1 for side in curve.sides)
    assert curve.points[0].cost.memory_bytes < curve.points[2].cost.memory_bytes


def test_a_fine_flaw_is_told_by_the_larger_input_alone_and_that_one_is_chosen(curve: SizeCurve) -> None:
    small, _, large = curve.points
    assert large.auroc[9] > 0.9
    assert small.auroc[9] < large.auroc[9] - 0.2
    assert small.auroc[64] > 0.9
    assert curve.chosen is large
    assert "flaws of 9 px" in curve.reason
    assert curve.warnings == ()
    assert curve.config is not None
    assert curve.config.placement.image_size == (256, 256)
    assert curve.config.placement.smallest_flaw_px == 9


def test_a_coarse_flaw_is_left_to_the_quickest(surface: Manifest) -> None:
    curve = show_sizes(surface, CONFIG, smallest_px=64, squares=SQUARES)
    assert curve.chosen is not None
    assert curve.chosen.patch_px > 8
    assert curve.warnings == ()


def test_a_budget_that_refuses_the_larger_input_is_warned_of(surface: Manifest) -> None:
    notes: list[str] = []
    curve = show_sizes(
        surface,
        CONFIG,
        Budget(pixels=64 * 64),
        smallest_px=9,
        squares=SQUARES,
        work=Work(on_note=notes.append),
    )
    assert curve.chosen is curve.points[1]
    assert curve.points[2].exceeds == ("input 65536 pixels of 4096",)
    assert [note for note in notes if "flaw" in note] == list(curve.warnings)
    patch, better = curve.warnings
    assert "a flaw of 9 px becomes 2.2 px of the network's input, and a patch is 8 px" in patch
    assert "size 256x256 has" in better
    assert "beyond the budget: input 65536 pixels of 4096" in better


def test_nothing_within_the_budget_is_no_choice(surface: Manifest) -> None:
    curve = show_sizes(surface, CONFIG, Budget(latency_ms=1e-6), smallest_px=9, squares=SQUARES)
    assert curve.chosen is None
    assert curve.config is None
    assert curve.reason == "no size that was tried fits the budget"
    assert "no size fits the budget" in curve.warnings[-1]


def test_where_nobody_says_which_flaws_matter_the_size_stays(surface: Manifest) -> None:
    curve = show_sizes(surface, CONFIG, squares=SQUARES)
    assert curve.kept == 1
    assert curve.chosen is curve.points[1]
    assert "--smallest-flaw-px" in curve.reason
    beyond = show_sizes(surface, CONFIG, Budget(pixels=32 * 32), squares=SQUARES)
    assert beyond.chosen is beyond.points[0]


def test_the_budget_s_own_pixels_are_tried_at_the_product_s_shape(tmp_path: Path) -> None:
    for number in range(12):
        encode_png(tmp_path / "bar/train/good" / f"{number}.png", np.dstack([texture(number, (60, 180))] * 3))
    encode_png(tmp_path / "bar/test/good/0.png", np.dstack([texture(99, (60, 180))] * 3))
    config = CONFIG.changed({"placement": {"pixels": 48 * 48}}, where="test")
    curve = show_sizes(scan(tmp_path, "bar"), config, Budget(pixels=96 * 96), squares=(64,))
    sizes = [point.config.placement.image_size for point in curve.points]
    assert all(1.8 < width / height < 4.2 for height, width in sizes[-1:])
    assert max(height * width for height, width in sizes if (height, width) in sizes[:3]) <= 96 * 96


def test_larger_pictures_are_tried_in_tiles_too(tmp_path: Path) -> None:
    for number in range(10):
        encode_png(
            tmp_path / "sheet/train/good" / f"{number}.png", np.dstack([texture(number, (384, 384))] * 3)
        )
    encode_png(tmp_path / "sheet/test/good/0.png", np.dstack([texture(99, (384, 384))] * 3))
    curve = show_sizes(scan(tmp_path, "sheet"), CONFIG, squares=(64,))
    tiles = curve.points[-1]
    assert tiles.tiles == 4
    assert tiles.name == "4 tiles 256x256 of 384x384"
    assert tiles.patch_px == 8
    assert curve.points[0].patch_px == 48
    assert tiles.auroc[8] > curve.points[0].auroc[8]


def test_too_few_pictures_are_told(surface: Manifest) -> None:
    from dataclasses import replace

    with pytest.raises(DataError, match="3 good"):
        show_sizes(replace(surface, samples=surface.train_good()[:3]), CONFIG)
