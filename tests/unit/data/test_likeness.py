"""How much detail two pictures share."""

import numpy as np
import pytest
from scipy import ndimage
from tests.support import texture

from kizu.core.types import U8
from kizu.data.likeness import (
    CANVAS,
    COARSE,
    DETAIL_PX,
    Shared,
    Shift,
    detail_of,
    difference_hash,
    nearest,
    shared_detail,
    shifts,
    small_of,
    spectrum,
)


def share(first: U8, second: U8) -> Shared:
    one, other = detail_of(first), detail_of(second)
    scale = one.scale / COARSE
    small = [small_of(detail, scale) for detail in (one, other)]
    shift = shifts(np.stack([spectrum(s.grey) for s in small]), np.array([[0, 1]]))[0]
    corners = small[0].top - small[1].top, small[0].left - small[1].left
    return shared_detail(one, other, Shift(shift.peak, shift.dy + corners[0], shift.dx + corners[1]), scale)


def test_a_picture_shares_all_of_its_detail_with_itself() -> None:
    assert share(texture(1), texture(1)) == pytest.approx((1, 1), abs=1e-5)


def test_strangers_share_next_to_nothing() -> None:
    assert max(share(texture(1), texture(2)).fine for _ in range(1)) < 0.1


def test_exposure_does_not_matter() -> None:
    picture = texture(1).astype(float)
    assert share(texture(1), (picture * 0.4 + 10).astype(np.uint8)).fine > 0.9


@pytest.mark.parametrize(("dy", "dx"), [(0, 7), (13, -21), (-40, 33)])
def test_where_the_part_lies_does_not_matter(dy: int, dx: int) -> None:
    scene = texture(1, (320, 400))
    first, second = scene[60:260, 60:320], scene[60 + dy : 260 + dy, 60 + dx : 320 + dx]
    assert share(first, second).fine > 0.75


def test_a_shift_by_part_of_a_pixel_is_found() -> None:
    picture = ndimage.gaussian_filter(texture(1).astype(float), 1)
    moved = ndimage.shift(picture, (0.4, -0.3), mode="nearest")
    assert share(picture.astype(np.uint8), moved.astype(np.uint8)).outline > 0.95


def test_a_frame_cut_a_little_larger_is_the_same_picture() -> None:
    scene = texture(1, (520, 640))
    assert share(scene[10:510, 8:630], scene[:516, :640]).fine > 0.8


def test_nothing_is_shared_by_pictures_of_one_value_or_without_common_ground() -> None:
    flat = np.full((200, 260), 90, np.uint8)
    assert share(flat, flat) == (0, 0)
    assert share(flat, texture(1)) == (0, 0)
    one = detail_of(texture(1))
    assert shared_detail(one, one, Shift(1.0, 0.0, 300.0), one.scale) == (0, 0)
    assert share(texture(1, (9, 400)), texture(1, (9, 400))) == (0, 0)


def test_what_all_share_counts_for_nothing() -> None:
    assert Shared(0.9, 0.8).beyond(0.0) == Shared(0.9, 0.8)
    assert Shared(0.9, 0.8).beyond(0.6).fine == pytest.approx(0.5)
    assert Shared(0.9, 0.4).beyond(0.6).fine == 0


def test_details_are_small_and_pictures_of_nearly_one_size_have_one_scale() -> None:
    assert detail_of(texture(1, (90, 50))).scale == 1
    scales = {detail_of(texture(1, (600, width))).scale for width in (800, 810, 818)}
    assert len(scales) == 1
    assert max(detail_of(texture(1, (600, 805))).grey.shape) <= DETAIL_PX
    assert max(small_of(detail_of(texture(1, (300, 300))), 1.0).grey.shape) == CANVAS


def test_the_hash_asks_which_of_two_spots_is_darker() -> None:
    ramp = np.tile(np.linspace(0, 255, 85).astype(np.uint8), (85, 1))
    assert (difference_hash(ramp)[:256] == 1).all()
    assert (difference_hash(ramp)[256:] == -1).all()
    assert (difference_hash(ramp) == difference_hash(ramp // 2)).mean() > 0.95


def test_nearest_agrees_with_looking_at_all_pairs() -> None:
    rows = np.random.default_rng(0).normal(size=(700, 12)).astype(np.float32) + 5
    centred = rows - rows.mean(axis=0)
    cosine = (centred @ centred.T) / np.outer(*[np.linalg.norm(centred, axis=1)] * 2)
    np.fill_diagonal(cosine, -2)
    wanted = {tuple(sorted((i, int(j)))) for i in range(700) for j in np.argsort(-cosine[i])[:3]}
    found = nearest(rows, 3)
    assert {(i, j) for i, j, _ in found} == wanted
    assert all(value == pytest.approx(cosine[i, j], abs=1e-4) for i, j, value in found)


def test_of_equal_rows_the_first_are_nearest_and_one_row_has_none() -> None:
    pairs = {(i, j) for i, j, _ in nearest(np.ones((6, 3), np.float32), 2)}
    assert all(min(pair) < 2 for pair in pairs)
    assert {k for pair in pairs for k in pair} == set(range(6))
    assert nearest(np.ones((1, 3), np.float32), 2) == []
