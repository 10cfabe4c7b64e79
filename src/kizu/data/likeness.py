"""How much of their detail two pictures share: measured on arrays, whatever they show.

Parts of one product look alike, and so do features that a network makes of them: what tells two photographs of one
part from photographs of two parts is that the finest marks lie in the same places. Phase correlation asks just that
(Kuglin and Hines, The phase correlation image alignment method, 1975), with the band limited so that noise has no say
(Ito et al., A fingerprint matching algorithm using phase-only correlation, IEICE Trans. 2004). Exposure does not matter
to it, nor does where the part lies in the picture.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from kizu.core.types import F32, F64, HW, I64, U8
from kizu.imaging.detail import grey, rescale, shrink

DETAIL_PX = 320
"""The longer side at which pictures are compared: what a network sees of them is hardly finer."""
_STEPS = 8
"""Scales for each halving."""
HASH_SIDE = 16
"""dHash (Krawetz 2013): is each of 16 x 16 spots darker than the one beside it, and than the one below."""
COARSE = 4
"""How much smaller pictures are when a shift is looked for."""
CANVAS, BAND = 128, 64
"""Pixels of a side that is looked at then; the lowest frequencies of which so many are kept."""
OUTLINE = (0.0, 0.1)
FINE = (0.1, 0.3)
"""Frequencies, in cycles per pixel of the detail: shapes and shades; texture, scratches, grain."""
LEAST_PX, LEAST_AREA, LEAST_PART = 24, 48 * 48, 0.25
"""What two pictures must have in common: of a side, in all, and of the smaller one. Of less there are too few phases
for chance to have no say."""
LEAST_OUTLINE = 0.4
"""Pictures that share less of the coarse detail are not looked at more closely."""
SLOPES = (0.04, 0.1, 0.2)
"""Frequencies up to which the slope of the phases is read, one after the other: none may have gone round by then."""
NEAR_PX = 4
"""A shift that was so much off is corrected, and the two are cut and compared again."""
_BLOCK = 512
"""Rows of a product, or pairs, at a time."""
Complex = NDArray[np.complex64]


class Shift(NamedTuple):
    """Where the second picture of a pair lies best on the first."""

    peak: float
    """0..1: the part of the coarse phases that agree there"""
    dy: float
    dx: float
    """Pixels of the detail"""


class Shared(NamedTuple):
    """The part of the phases that agree when one picture lies on the other; 0 for pictures that share nothing."""

    outline: float
    fine: float

    def beyond(self, common: float) -> "Shared":
        """The same, of the fine detail only what is left where any two pictures share the part `common`."""
        return Shared(self.outline, max(0.0, (self.fine - common) / (1 - common)))


class Detail(NamedTuple):
    """A picture as it is compared."""

    grey: U8
    """(h, w)"""
    scale: float
    """Its pixels for one of the original's"""


def detail_of(image: U8) -> Detail:
    """Of a picture (H, W, 3) or (H, W): its longer side at most `DETAIL_PX`, never enlarged.

    Scales come in steps, so that pictures of nearly one size (cut out by hand, or by a program) have one scale.
    """
    steps = math.floor(_STEPS * math.log2(min(1.0, DETAIL_PX / max(image.shape[:2]))) + 1e-9)
    scale = 2 ** (steps / _STEPS)
    return Detail(rescale(grey(image), scale), scale)


def difference_hash(small: U8) -> F32:
    """(h, w) grey -> (2 * 16 * 16,) of -1 and 1."""
    spots = shrink(small, (HASH_SIDE + 1, HASH_SIDE + 1)).astype(np.int16)
    right, below = spots[:-1, 1:] > spots[:-1, :-1], spots[1:, :-1] > spots[:-1, :-1]
    return np.where(np.concatenate([right.ravel(), below.ravel()]), 1, -1).astype(np.float32)


def nearest(rows: F32, count: int) -> list[tuple[int, int, float]]:
    """(i, j, cosine) with i < j: of each row the `count` most similar, after what all rows have in common is taken out.

    `rows`: (N, D). Of equally similar ones the first. A block of rows at a time: N * 512 numbers are held.
    """
    centred = rows - rows.mean(axis=0)
    centred /= np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)
    found: dict[tuple[int, int], float] = {}
    for start in range(0, len(rows), _BLOCK):
        block = np.round(centred[start : start + _BLOCK] @ centred.T, 5)
        places = np.arange(len(block))
        block[places, start + places] = -np.inf
        best = np.argsort(-block, axis=1, kind="stable")[:, : min(count, len(rows) - 1)]
        for place, others in enumerate(best):
            i = start + place
            for j in others.tolist():
                found[min(i, j), max(i, j)] = float(block[place, j])
    return sorted((i, j, value) for (i, j), value in found.items())


def spectrum(small: U8) -> Complex:
    """(64, 33): the phases of the lowest frequencies of a small picture, as complex numbers of length 1 or 0."""
    canvas = np.zeros((CANVAS, CANVAS), np.float32)
    canvas[: small.shape[0], : small.shape[1]] = _windowed(small)
    whole = fft.rfft2(canvas)
    half = BAND // 2
    return _phases(np.concatenate([whole[:half], whole[-half:]])[:, : half + 1])


class Small(NamedTuple):
    """The middle of a picture at the scale at which a shift is looked for."""

    grey: U8
    """(h, w), each at most `CANVAS`"""
    top: int
    left: int
    """Where it begins"""


def small_of(detail: Detail, scale: float) -> Small:
    """The picture at `scale`, as much of it as is looked at."""
    whole = rescale(detail.grey, min(1.0, scale / detail.scale))
    height, width = (min(side, CANVAS) for side in whole.shape)
    top, left = (whole.shape[0] - height) // 2, (whole.shape[1] - width) // 2
    return Small(whole[top : top + height, left : left + width], top, left)


def loudness(small: U8) -> F32:
    """How much there is of each of the lowest frequencies: the same wherever the part lies. (64 * 33,)."""
    square = shrink(small, (CANVAS // 2, CANVAS // 2))
    return np.log1p(np.abs(fft.rfft2(_windowed(square)))).astype(np.float32).ravel()


def shifts(spectra: Complex, pairs: I64) -> list[Shift]:
    """For each of `pairs` (M, 2) of `spectra` (N, 64, 33) the best shift, in pixels of their scale."""
    found = []
    for start in range(0, len(pairs), _BLOCK):
        first, second = pairs[start : start + _BLOCK].T
        surfaces = fft.irfft2(spectra[first] * spectra[second].conj(), s=(BAND, BAND))
        for surface in surfaces:
            y, x = divmod(int(surface.argmax()), BAND)
            dy, dx = _signed(y, surface[:, x]), _signed(x, surface[y])
            found.append(Shift(float(surface[y, x]), dy * CANVAS / BAND, dx * CANVAS / BAND))
    return found


def shared_detail(first: Detail, second: Detail, shift: Shift, scale: float) -> Shared:
    """How much detail two pictures share where they overlap. `shift`: about where, in pixels at `scale`; made exact."""
    common = min(first.scale, second.scale)
    one, other = (rescale(detail.grey, common / detail.scale) for detail in (first, second))
    dy, dx = shift.dy * common / scale, shift.dx * common / scale
    shared = Shared(0.0, 0.0)
    for _ in range(3):
        parts = _overlap(one, other, round(dy), round(dx))
        if parts is None:
            break
        plane = _plane(parts[0].shape)
        spectra = [_phases(plane.low(fft.rfft2(_windowed(part)))) for part in parts]
        (down, right), shared = _align(spectra[0] * spectra[1].conj(), plane)
        if shared.outline < LEAST_OUTLINE or max(abs(down), abs(right)) < NEAR_PX:
            break
        dy, dx = round(dy) + down, round(dx) + right
    return shared


@dataclass(frozen=True, slots=True)
class _Plane:
    """The lower frequencies of an (h, w) picture, as `low` orders them, and which belong to which band."""

    fy: F32
    """(k, 1)"""
    fx: F32
    """(1, l)"""
    rows: I64
    outline: F32
    """(k, l): 1 in the band, else 0"""
    fine: F32

    def low(self, spectrum: Complex) -> Complex:
        """What `rfft2` gives, without the frequencies above `FINE`."""
        lowest: Complex = spectrum[self.rows, : self.fx.shape[1]]
        return lowest

    def below(self, phases: Complex, limit: float) -> tuple[F32, F32, Complex]:
        """Frequencies (a, 1) and (1, b) under `limit`, and the phases there (a, b)."""
        rows, columns = np.flatnonzero(np.abs(self.fy[:, 0]) < limit), int((self.fx[0] < limit).sum())
        return self.fy[rows], self.fx[:, :columns], phases[rows, :columns]


@lru_cache(maxsize=64)
def _plane(hw: HW) -> _Plane:
    fy, fx = np.fft.fftfreq(hw[0]).astype(np.float32), np.fft.rfftfreq(hw[1]).astype(np.float32)
    rows = np.flatnonzero(np.abs(fy) < FINE[1])
    fy, fx = fy[rows][:, None], fx[fx < FINE[1]][None]
    radius = np.hypot(fy, fx)
    return _Plane(
        fy,
        fx,
        rows,
        ((radius > OUTLINE[0]) & (radius < OUTLINE[1])).astype(np.float32),
        ((radius >= FINE[0]) & (radius < FINE[1])).astype(np.float32),
    )


def _align(phases: Complex, plane: _Plane) -> tuple[tuple[float, float], Shared]:
    """The shift that is left, as the slope of the phases over ever more frequencies, and what agrees without it."""
    slope = np.zeros(2)
    for limit in SLOPES:
        y, x, part = plane.below(phases, limit)
        angle = np.angle(part * _turn(y * slope[0]) * _turn(x * slope[1]))
        weight = ((np.hypot(y, x) < limit) & (np.abs(angle) < math.pi / 2) & (part != 0)).astype(np.float32)
        angle *= weight
        of_y, of_x = weight.sum(axis=1) @ y**2, x**2 @ weight.sum(axis=0)
        both = float((y.T @ weight @ x.T).item())
        normal = np.array([[of_y.item(), both], [both, of_x.item()]]) + 1e-9 * np.eye(2)
        step = np.array([(y.T @ angle.sum(axis=1)).item(), (x @ angle.sum(axis=0)).item()])
        slope += np.linalg.solve(normal, step) / (2 * np.pi)
    real = (phases * (_turn(plane.fy * slope[0]) * _turn(plane.fx * slope[1]))).real
    shared = Shared(*(_mean(real, band) for band in (plane.outline, plane.fine)))
    return (-float(slope[0]), -float(slope[1])), shared


def _mean(values: F32, band: F32) -> float:
    """Of those in the band, 0 where there is none."""
    return float(np.vdot(values, band) / max(float(band.sum()), 1.0))


def _turn(cycles: F32 | F64) -> Complex:
    turned: Complex = np.exp(-2j * np.pi * cycles).astype(np.complex64)
    return turned


def _overlap(first: U8, second: U8, dy: int, dx: int) -> tuple[U8, U8] | None:
    """The parts that both show, cut to lengths that are quick to transform; None where there is too little."""
    cuts, common = [], 1
    for length, other, shift in zip(first.shape, second.shape, (dy, dx), strict=True):
        start, stop = max(0, shift), min(length, other + shift)
        common *= max(0, stop - start)
        size = _quick_length(stop - start)
        if size < LEAST_PX:
            return None
        start += (stop - start - size) // 2
        cuts.append((slice(start, start + size), slice(start - shift, start - shift + size)))
    if common < max(LEAST_AREA, LEAST_PART * min(first.size, second.size)):
        return None
    (rows, other_rows), (columns, other_columns) = cuts
    return first[rows, columns], second[other_rows, other_columns]


@lru_cache(maxsize=4096)
def _quick_length(length: int) -> int:
    while length > 1 and fft.next_fast_len(length, real=True) != length:
        length -= 1
    return length


def _windowed(part: U8) -> F32:
    """Without its mean, and fading to nothing at the rim."""
    values = part.astype(np.float32)
    values -= values.mean()
    values *= _fade(part.shape)
    return values


@lru_cache(maxsize=64)
def _fade(hw: HW) -> F32:
    """Hann's window in both directions, (h, w)."""
    rows, columns = (np.hanning(length + 2)[1:-1].astype(np.float32) for length in hw)
    return rows[:, None] * columns


def _phases(values: Complex) -> Complex:
    """Numbers of length 1; 0 where there was nothing but the rounding of single precision."""
    size = np.abs(values)
    floor = 1e-6 * max(float(size.max(initial=0.0)), 1e-30)
    phases: Complex = values * np.where(size > floor, 1 / np.maximum(size, floor), 0).astype(np.float32)
    return phases


def _signed(place: int, line: F32) -> float:
    """A place on a ring, exact to a part of a step by a parabola through its neighbours, as a shift to either side."""
    before, here, after = (float(line[(place + step) % BAND]) for step in (-1, 0, 1))
    bend = before - 2 * here + after
    exact = place + (0.5 * (before - after) / bend if bend < 0 else 0.0)
    return exact - BAND if exact > BAND / 2 else exact
