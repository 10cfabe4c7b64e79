"""Every shift of the table meets the same contract."""

from itertools import pairwise

import numpy as np
import pytest
from scipy import ndimage
from skimage import transform

from kizu.core.errors import ConfigError
from kizu.core.randomness import rng_for
from kizu.core.types import F64, U8, Bool
from kizu.data.discs import draw_disc
from kizu.data.shifts import COMPOSITIONS, SEVERITIES, SHIFTS, choose_shifts
from kizu.data.shifts.applied import ATTEMPTS, Plan, shift_picture
from kizu.data.shifts.base import Geometric, Photometric
from kizu.data.shifts.camera import disc, path
from kizu.data.shifts.geometry import part_in_view, sources, warp_mask

GEOMETRIC = [name for name, shift in SHIFTS.items() if isinstance(shift, Geometric)]
PHOTOMETRIC = [name for name, shift in SHIFTS.items() if isinstance(shift, Photometric)]
OF_COLOUR = ("white_balance", "saturation")
"""Of which a grey picture shows nothing."""
NAMES = ("a.png", "b.png", "c.png")


def picture(seed: int = 0, hw: tuple[int, int] = (96, 128)) -> U8:
    """(H, W, 3) with colour, soft gradients and fine detail."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: hw[0], : hw[1]]
    waves = np.stack([np.sin(x / 7 + c) * np.cos(y / (5 + c)) for c in range(3)], axis=2)
    return np.clip(120 + 60 * waves + rng.normal(0, 8, (*hw, 3)), 0, 255).astype(np.uint8)


def blob(hw: tuple[int, int], top: int, left: int, side: int = 14) -> Bool:
    mask = np.zeros(hw, bool)
    mask[top : top + side, left : left + side + 5] = True
    return mask


def matrix_of(name: str, severity: int, picture_name: str, hw: tuple[int, int], seed: int = 0) -> F64:
    shift = SHIFTS[name]
    assert isinstance(shift, Geometric)
    assert shift.draw is not None
    drawn = shift.draw(rng_for(seed, "shift", name, picture_name))
    return shift.matrix(hw, shift.strengths[severity - 1], drawn)


@pytest.mark.parametrize("name", [*SHIFTS, *COMPOSITIONS])
def test_severity_zero_is_the_picture_itself_to_the_last_bit(name: str) -> None:
    image, mask = picture(), blob((96, 128), 40, 50)
    found = shift_picture(image, mask, Plan(name, 0), "a.png")
    assert found.image is image
    assert found.mask is mask
    assert found.done == ()


@pytest.mark.parametrize("name", [*SHIFTS, *COMPOSITIONS])
def test_a_shift_follows_from_seed_and_name_alone(name: str) -> None:
    plan = Plan(name, 3, seed=5)
    first = shift_picture(picture(), None, plan, "a.png")
    shift_picture(picture(1), None, plan, "b.png")
    again = shift_picture(picture(), None, plan, "a.png")
    assert np.array_equal(first.image, again.image)
    assert first.done == again.done
    assert first.image.dtype == np.uint8
    assert first.image.shape == (96, 128, 3)


@pytest.mark.parametrize("name", [n for n, s in SHIFTS.items() if s.draw is not None])
def test_pictures_and_seeds_differ_and_a_lens_does_not(name: str) -> None:
    drawn = [shift_picture(picture(), None, Plan(name, 3, seed=5), n).done for n in ("a.png", "b.png")]
    other = shift_picture(picture(), None, Plan(name, 3, seed=6), "a.png").done
    shift = SHIFTS[name]
    is_of_lens = isinstance(shift, Photometric) and shift.of_lens
    assert (drawn[0] == drawn[1]) == is_of_lens
    assert drawn[0] != other


@pytest.mark.parametrize("name", list(SHIFTS))
def test_what_is_drawn_does_not_depend_on_the_severity(name: str) -> None:
    found = [shift_picture(picture(), None, Plan(name, s), "a.png").done[0] for s in range(1, SEVERITIES + 1)]
    assert len({one.drawn for one in found}) == 1
    assert [one.strength for one in found] == list(SHIFTS[name].strengths)


@pytest.mark.parametrize("name", PHOTOMETRIC)
@pytest.mark.parametrize("picture_name", NAMES)
def test_a_photometric_shift_changes_more_with_each_severity(name: str, picture_name: str) -> None:
    image = picture(3)
    changes = [
        float(
            np.abs(shift_picture(image, None, Plan(name, s), picture_name).image.astype(float) - image).mean()
        )
        for s in range(SEVERITIES + 1)
    ]
    assert changes[0] == 0
    assert all(b > a for a, b in pairwise(changes)), changes


@pytest.mark.parametrize("name", GEOMETRIC)
@pytest.mark.parametrize("picture_name", NAMES)
def test_a_geometric_shift_moves_further_with_each_severity(name: str, picture_name: str) -> None:
    hw = (60, 90)
    here = np.mgrid[: hw[0], : hw[1]]
    moved = [
        float(np.hypot(*(sources(hw, matrix_of(name, s, picture_name, hw)) - here)).mean())
        for s in range(1, SEVERITIES + 1)
    ]
    assert moved[0] > 0.1
    assert all(b > a for a, b in pairwise(moved)), moved


@pytest.mark.parametrize("name", [*GEOMETRIC, "geometry"])
@pytest.mark.parametrize("severity", [1, 5])
def test_the_mask_follows_its_image_to_a_pixel(name: str, severity: int) -> None:
    """A flaw that is painted where its mask is must be, after the shift, where its mask is then."""
    mask = blob((96, 128), 45, 60)
    flat = np.where(mask[..., None], 255, 0).astype(np.uint8).repeat(3, axis=2)
    found = shift_picture(flat, mask, Plan(name, severity), "a.png")
    assert found.mask is not None
    assert found.mask.any()
    assert severity == 1 or (found.mask != mask).any()
    seen = found.image[..., 0] > 127
    assert not ((seen != found.mask) & ~rim_of(seen)).any()


def test_the_mask_of_a_composition_is_that_of_its_moves() -> None:
    mask = blob((96, 128), 45, 60)
    whole = shift_picture(picture(), mask, Plan("shift_a", 5), "a.png")
    here = np.eye(3)
    for name in ("rotation", "translation", "perspective"):
        here = matrix_of(name, 5, "a.png", (96, 128)) @ here
    assert whole.mask is not None
    assert np.array_equal(whole.mask, warp_mask(mask, sources((96, 128), here)))


def rim_of(seen: Bool) -> Bool:
    """Pixels with a neighbour on the other side."""
    return ndimage.binary_dilation(seen) & ~ndimage.binary_erosion(seen)


@pytest.mark.parametrize("name", GEOMETRIC)
def test_the_warp_is_that_of_scikit_image(name: str) -> None:
    """An independent warp, told the same matrix in its own coordinates, gives the same picture and mask."""
    hw = (64, 80)
    smooth = np.rint(127 + 100 * np.sin(np.mgrid[: hw[0], : hw[1]][1] / 9)).astype(np.uint8)
    image = smooth[..., None].repeat(3, axis=2)
    mask = blob(hw, 25, 30)
    found = shift_picture(image, mask, Plan(name, 4), "p.png")
    to_centre = np.array([[1, 0, -(hw[1] - 1) / 2], [0, 1, -(hw[0] - 1) / 2], [0, 0, 1]])
    whole = np.linalg.inv(to_centre) @ matrix_of(name, 4, "p.png", hw) @ to_centre
    expected = transform.warp(
        smooth.astype(float), transform.ProjectiveTransform(np.linalg.inv(whole)), order=1, mode="reflect"
    )
    assert np.abs(found.image[..., 0] - expected).max() <= 0.51
    moved = transform.warp(
        mask.astype(float), transform.ProjectiveTransform(np.linalg.inv(whole)), order=0, mode="reflect"
    )
    assert found.mask is not None
    assert (found.mask != (moved > 0.5)).sum() <= 2  # where a source lies half-way between two pixels


def test_a_point_goes_where_the_formula_says() -> None:
    hw = (101, 101)
    x, y, _ = matrix_of("rotation", 5, "q.png", hw) @ np.array([20.0, 0.0, 1.0])
    assert np.hypot(x, y) == pytest.approx(20)
    assert 5 <= abs(np.degrees(np.arctan2(y, x))) <= 10
    x, y, _ = matrix_of("translation", 5, "q.png", hw) @ np.array([20.0, 0.0, 1.0])
    assert 0.05 * 101 <= abs(x - 20) <= 0.1 * 101
    assert 0.05 * 101 <= abs(y) <= 0.1 * 101


@pytest.mark.parametrize("severity", range(1, SEVERITIES + 1))
def test_a_resized_crop_shows_only_what_was_in_the_picture(severity: int) -> None:
    for name in NAMES:
        where = sources((60, 90), matrix_of("resized_crop", severity, name, (60, 90)))
        assert where[0].min() >= -0.5
        assert where[0].max() <= 59.5
        assert where[1].min() >= -0.5
        assert where[1].max() <= 89.5


def test_perspective_moves_the_corners_by_what_was_drawn() -> None:
    hw = (60, 90)
    shift = SHIFTS["perspective"]
    assert isinstance(shift, Geometric)
    drawn = tuple(np.linspace(-1, 1, 8))
    matrix = shift.matrix(hw, 0.05, drawn)
    for (x, y), (dx, dy) in zip(
        [(-45, -30), (45, -30), (45, 30), (-45, 30)], np.reshape(drawn, (4, 2)), strict=True
    ):
        u, v, w = matrix @ np.array([x, y, 1.0])
        assert (u / w, v / w) == pytest.approx((x + 0.05 * 90 * dx, y + 0.05 * 60 * dy))


@pytest.mark.parametrize("name", PHOTOMETRIC)
def test_a_photometric_shift_leaves_the_mask_alone(name: str) -> None:
    mask = blob((96, 128), 40, 50)
    found = shift_picture(picture(), mask, Plan(name, 5), "a.png")
    assert found.mask is mask


@pytest.mark.parametrize("name", [*PHOTOMETRIC, *COMPOSITIONS])
def test_a_grey_picture_stays_grey(name: str) -> None:
    grey = picture()[..., :1].repeat(3, axis=2)
    found = shift_picture(grey, None, Plan(name, 4), "a.png").image
    assert (found[..., :1] == found).all()
    if name in OF_COLOUR:
        assert np.array_equal(found, grey)


def test_a_flaw_that_would_leave_the_picture_is_drawn_again_or_nothing_is_moved() -> None:
    image = picture()
    corner = np.zeros((96, 128), bool)
    corner[:3, :3] = True
    attempts = []
    for number in range(40):
        found = shift_picture(image, corner, Plan("geometry", 5), f"{number}.png")
        attempts.append(found.attempts)
        assert found.mask is not None
        assert found.mask.any()
        if found.attempts == 0:
            assert np.array_equal(found.image, image)
            assert np.array_equal(found.mask, corner)
    assert max(attempts) > 1
    assert max(attempts) <= ATTEMPTS


def test_part_in_view_is_counted() -> None:
    mask = np.zeros((21, 41), bool)
    mask[10, 30:40] = True
    move = np.array([[1, 0, 5.0], [0, 1, 0], [0, 0, 1]])
    assert part_in_view(mask, np.eye(3)) == 1
    assert part_in_view(mask, move) == pytest.approx(0.6)
    assert part_in_view(np.zeros((3, 3), bool), move) == 1


@pytest.mark.parametrize("diameter", [3, 3.5, 4, 4.5, 5])
def test_kernels_keep_the_mean_and_the_place(diameter: float) -> None:
    for kernel in (disc(diameter), path(diameter, 0.4), path(diameter, 0)):
        assert kernel.sum() == pytest.approx(1)
        steps = np.arange(len(kernel)) - len(kernel) // 2
        assert float((kernel.sum(axis=0) * steps).sum()) == pytest.approx(0, abs=1e-9)
        assert float((kernel.sum(axis=1) * steps).sum()) == pytest.approx(0, abs=1e-9)


def test_a_straight_path_is_as_long_as_it_says() -> None:
    kernel = path(5, 0)
    middle = kernel[len(kernel) // 2]
    assert middle.sum() == pytest.approx(1)
    assert np.count_nonzero(middle > 0.01) == 5


def test_noise_has_the_sigma_that_the_table_says() -> None:
    grey = np.full((200, 200, 3), 128, np.uint8)
    for severity in (1, 3, 5):
        found = shift_picture(grey, None, Plan("gaussian_noise", severity), "a.png").image[..., 0]
        assert found.std() / 255 == pytest.approx(SHIFTS["gaussian_noise"].strengths[severity - 1], rel=0.05)
        shot = shift_picture(grey, None, Plan("shot_noise", severity), "a.png").image[..., 0]
        expected = SHIFTS["shot_noise"].strengths[severity - 1] * np.sqrt(128 / 255)
        assert shot.std() / 255 == pytest.approx(expected, rel=0.05)


def test_exposure_is_in_linear_light() -> None:
    grey = np.full((8, 8, 3), 100, np.uint8)
    found = shift_picture(grey, None, Plan("exposure", 5), "a.png")
    stops = found.done[0].strength * found.done[0].drawn[0]
    linear = ((100 / 255 + 0.055) / 1.055) ** 2.4 * 2**stops
    assert found.image[0, 0, 0] == pytest.approx(255 * (1.055 * linear ** (1 / 2.4) - 0.055), abs=0.6)


def test_an_unknown_shift_and_a_severity_out_of_range_are_refused() -> None:
    with pytest.raises(ConfigError, match="unknown shift: 'rotatoin'"):
        Plan("rotatoin", 1)
    with pytest.raises(ConfigError, match="severity must be 0 to 5, got 6"):
        Plan("rotation", 6)


def test_compositions_are_applied_in_the_order_of_the_table() -> None:
    order = list(SHIFTS)
    for name in COMPOSITIONS:
        chosen = choose_shifts(name)
        assert set(chosen) == set(COMPOSITIONS[name])
        assert [order.index(part) for part in chosen] == sorted(order.index(part) for part in chosen)
    found = shift_picture(picture(), None, Plan("shift_b", 2), "a.png")
    assert tuple(one.shift for one in found.done) == choose_shifts("shift_b")


def test_a_drawn_part_is_still_a_picture_at_the_highest_severity() -> None:
    part = draw_disc(np.random.default_rng(0), 96)
    for name in COMPOSITIONS:
        found = shift_picture(part.image, None, Plan(name, 5), "a.png").image
        assert found.std() > 10
