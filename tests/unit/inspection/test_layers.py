"""The layers of a picture show what its overlay shows: nothing found gets lost, and nothing stays that is gone."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.support import part_picture

from kizu.core.types import U8
from kizu.decision.regions import Spot
from kizu.imaging.codec import decode
from kizu.imaging.overlay import FOUND, TRUE
from kizu.inspection.found import Inspection
from kizu.inspection.layers import HEAT_PX, SMALL_PX, Layers, draw_layers, place_of


def found(hw: tuple[int, int] = (64, 64), **changes: object) -> Inspection:
    plain = Inspection(
        label="OK", score=1.0, threshold=2.0, pixel_threshold=2.0, map=np.zeros(hw, np.float32),
        mask=np.zeros(hw, bool), regions=(), by="score", reason="score 1 <= 2",
    )  # fmt: skip
    return replace(plain, **changes)  # type: ignore[arg-type]


def alpha(png: bytes | None) -> U8:
    """(H, W) of a layer; Pillow alone reads it here, as Kizu lays transparency on black."""
    from io import BytesIO

    from PIL import Image

    assert png is not None
    return np.asarray(Image.open(BytesIO(png)).convert("RGBA"))[..., 3]


def test_a_clean_part_has_no_layer_but_itself() -> None:
    layers = draw_layers(found(), part_picture(0), np.zeros((64, 64), bool))
    assert (layers.heat, layers.found, layers.true, layers.faint) == (None,) * 4
    assert decode(layers.picture).shape == (64, 64, 3)


def test_heat_is_there_above_the_threshold_and_only_there() -> None:
    over = np.zeros((64, 64), np.float32)
    over[10:20, 10:20] = 2.5
    shown = alpha(draw_layers(found(map=over), part_picture(0)).heat) > 0
    assert np.array_equal(shown, over > 2)


def test_a_flaw_of_one_pixel_of_a_large_picture_is_outlined() -> None:
    mask = np.zeros((1500, 2000), bool)
    mask[1203, 77] = True
    layers = draw_layers(
        found((1500, 2000), mask=mask, label="NG"), np.zeros((1500, 2000, 3), np.uint8), mask
    )
    small = decode(layers.picture).shape
    assert max(small) == SMALL_PX
    for png, colour in ((layers.found, FOUND), (layers.true, TRUE)):
        assert png is not None
        y, x = np.nonzero((decode(png) == colour).all(axis=2))
        assert abs(y.mean() - 1203 * small[0] / 1500) < 1.5
        assert abs(x.mean() - 77 * small[1] / 2000) < 1.5


def test_the_heat_of_a_large_picture_is_small_and_keeps_its_shape() -> None:
    over = np.full((1500, 3000), 9, np.float32)
    heat = alpha(draw_layers(found((1500, 3000), map=over), np.zeros((1500, 3000, 3), np.uint8)).heat)
    assert max(heat.shape) <= HEAT_PX
    assert heat.shape[1] == pytest.approx(2 * heat.shape[0], abs=2)


def test_a_missed_flaw_has_its_map_on_its_own_scale_and_no_other_picture_has() -> None:
    over = np.linspace(0, 1, 64 * 64, dtype=np.float32).reshape(64, 64)  # all of it below the threshold
    flaw = np.zeros((64, 64), bool)
    flaw[50:, 50:] = True
    missed = draw_layers(found(map=over), part_picture(0), flaw, is_flawed=True)
    assert missed.heat is None
    shown = alpha(missed.faint)
    assert shown[0, 0] == 0
    assert shown[-1, -1] > 150
    assert (
        draw_layers(found(map=over), part_picture(0), is_flawed=True).faint == missed.faint
    )  # nobody drew it
    assert draw_layers(found(map=over, label="NG"), part_picture(0), flaw, is_flawed=True).faint is None
    assert draw_layers(found(map=over), part_picture(0), np.zeros((64, 64), bool)).faint is None
    assert draw_layers(found(map=over), part_picture(0)).faint is None


def test_where_nothing_is_outlined_the_highest_spot_is() -> None:
    layers = draw_layers(found(label="NG", spot=Spot(40, 20, 1.5)), part_picture(0))
    assert layers.found is not None
    y, x = np.nonzero((decode(layers.found) == FOUND).all(axis=2))
    assert (round(y.mean()), round(x.mean())) == (20, 40)


def test_a_layer_of_an_earlier_content_does_not_stay(tmp_path: Path) -> None:
    Layers(b"one", b"heat", b"found", None, None).write(tmp_path, "sub/a.png")
    assert place_of(tmp_path, "heat", "sub/a.png").read_bytes() == b"heat"
    Layers(b"two", None, None, None, None).write(tmp_path, "sub/a.png")
    assert place_of(tmp_path, "picture", "sub/a.png").read_bytes() == b"two"
    assert not place_of(tmp_path, "heat", "sub/a.png").exists()
    assert not place_of(tmp_path, "found", "sub/a.png").exists()
