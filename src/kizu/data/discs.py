"""Draw a turned metal disc, seen from above: bore, hub, groove, six bolt holes, on a dark mat.

No two are alike, as on a line: each stands, is lit and was turned a little differently. Lengths are fractions
of the disc's radius; angles are radians.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from kizu.core.types import F32, U8, Bool

_OVERSAMPLING = 2
_RADIUS = 0.43
"""Of the image's side."""
_BORE, _HUB, _GROOVE, _CHAMFER = 0.2, 0.47, 0.5, 0.955
_HOLES, _HOLE_CIRCLE, _HOLE, _COUNTERSINK = 6, 0.74, 0.072, 0.1
_DIMPLE_CIRCLE, _DIMPLE, _DIMPLE_EDGE = 0.345, 0.013, 0.032
_RADII = 1024
"""Steps in which what depends on the radius alone is worked out."""
_STEEL = np.array([0.975, 1.0, 1.03], dtype=np.float32)
_MAT = np.array([30.0, 37.0, 40.0], dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Disc:
    """A picture of a good part, and where the part is."""

    image: U8
    """(S, S, 3)"""
    part: Bool
    """(S, S), without bore and bolt holes"""


@dataclass(frozen=True, slots=True)
class _Seen:
    """Pixels as seen from a point on the disc."""

    radius: F32
    facing: F32
    """The cosine of the angle between a pixel's direction and the light's."""


def draw_disc(rng: np.random.Generator, side_px: int = 256) -> Disc:
    """One part, drawn from `rng`."""
    scale = _RADIUS * side_px * rng.normal(1, 0.006)
    cy, cx = (side_px / 2 + rng.normal(0, 0.008 * side_px) for _ in range(2))
    light = -2.2 + rng.normal(0, 0.1)
    turned = rng.normal(0, 0.05)
    y, x = _grid(side_px * _OVERSAMPLING, (cy * _OVERSAMPLING, cx * _OVERSAMPLING), scale * _OVERSAMPLING)
    face = _see(y, x, light)
    grey = _turn_face(face, rng)
    solid = (face.radius < 1) & (face.radius > _BORE)
    for hole in range(_HOLES):
        angle = turned + hole * math.tau / _HOLES
        _drill(grey, solid, (y, x), (_HOLE_CIRCLE, angle), (_HOLE, _COUNTERSINK), light)
    _drill(grey, solid, (y, x), (_DIMPLE_CIRCLE, turned - 0.52), (_DIMPLE, _DIMPLE_EDGE), light)
    disc = face.radius < 1
    cover, metal = _shrink(disc.astype(np.float32)), _shrink(np.where(disc, grey, 0))
    y, x = _grid(side_px, (cy, cx), scale)
    image = metal[..., None] * _STEEL + (1 - cover[..., None]) * _mat(y, x, light, rng)
    gain = (1 - 0.037 * (y**2 + x**2)) * rng.normal(1, 0.025)
    image = ndimage.gaussian_filter(image * gain[..., None], (0.45, 0.45, 0))
    image += 1.6 * _noise(rng, *image.shape)
    return Disc(np.clip(np.rint(image), 0, 255).astype(np.uint8), _shrink(solid.astype(np.float32)) > 0.5)


def _grid(side: int, centre: tuple[float, float], scale: float) -> tuple[F32, F32]:
    """y (S, 1) and x (1, S) of each pixel's middle."""
    along = np.arange(side, dtype=np.float32) + np.float32(0.5)
    return (along[:, None] - centre[0]) / scale, (along[None, :] - centre[1]) / scale


def _see(y: F32, x: F32, light: float) -> _Seen:
    radius = np.hypot(y, x)
    facing = (y * math.sin(light) + x * math.cos(light)) / np.maximum(radius, np.float32(1e-9))
    return _Seen(radius, np.asarray(facing, dtype=np.float32))


def _turn_face(face: _Seen, rng: np.random.Generator) -> F32:
    """(S, S) grey of the whole disc before the bolt holes; the tool's rings reflect the light in two fans."""
    radii = np.linspace(0, 1, _RADII, dtype=np.float32)
    at = np.minimum((face.radius * (_RADII - 1)).astype(np.intp), _RADII - 1)
    rings = _rings(rng)[at]
    fan = np.abs(face.facing)
    sharp = fan * fan * fan
    outer = 118 + 62 * sharp + rings * (9 + 16 * sharp)
    hub = 148 + 34 * fan * np.sqrt(fan) + rings * 6
    grey = np.where(face.radius < _HUB, hub, outer)
    groove = np.exp(-(((radii - (_HUB + _GROOVE) / 2) / 0.012) ** 2))
    ridge = np.exp(-(((radii - _GROOVE - 0.014) / 0.008) ** 2))
    grey = grey * (1 - 0.75 * groove)[at] + 26 * ridge[at]
    grey = np.where(face.radius > _CHAMFER, 128 + 84 * face.facing, grey)
    return _hollow(grey, face, _BORE, _BORE + 0.028)


def _rings(rng: np.random.Generator) -> F32:
    """(_RADII,) tool marks from the middle out, of variance 1: fine and coarse noise, new on each part."""
    fine = ndimage.gaussian_filter1d(_noise(rng, _RADII), 2.4) * 2.3
    coarse = ndimage.gaussian_filter1d(_noise(rng, _RADII), 12) * 2.5
    profile = fine + coarse
    return np.asarray(profile / profile.std())


def _drill(
    grey: F32,
    solid: Bool,
    grid: tuple[F32, F32],
    at: tuple[float, float],
    radii: tuple[float, float],
    light: float,
) -> None:
    """Cut a countersunk hole into `grey` and `solid`, at (radius, angle), of (inner, outer) radii."""
    y, x = grid[0] - at[0] * math.sin(at[1]), grid[1] - at[0] * math.cos(at[1])
    window = np.ix_(np.abs(y[:, 0]) <= radii[1], np.abs(x[0]) <= radii[1])
    hole = _see(y[np.abs(y[:, 0]) <= radii[1]], x[:, np.abs(x[0]) <= radii[1]], light)
    grey[window] = _hollow(grey[window], hole, *radii)
    solid[window] &= hole.radius > radii[0]


def _hollow(grey: F32, hole: _Seen, inner: float, outer: float) -> F32:
    """A hole with a countersink: its far flank faces the light."""
    glow = np.minimum(hole.radius / inner, 1)
    depth = 16 + 20 * glow * glow * glow * np.maximum(-hole.facing, 0)
    sunk = np.where(hole.radius < outer, 112 - 82 * hole.facing, grey)
    return np.where(hole.radius < inner, depth, sunk)


def _mat(y: F32, x: F32, light: float, rng: np.random.Generator) -> F32:
    """(S, S, 3) rubber mat: grain, and the disc's soft shadow on the side away from the light."""
    grain = ndimage.gaussian_filter(_noise(rng, y.size, x.size), 0.8) * 6
    beyond = np.hypot(y + 0.07 * math.sin(light), x + 0.07 * math.cos(light)) - 1
    shadow = 1 - 0.6 * np.exp(-np.clip(beyond, 0, None) / 0.07)
    return np.asarray((_MAT + grain[..., None]) * shadow[..., None])


def _noise(rng: np.random.Generator, *shape: int) -> F32:
    """Normal, of variance 1."""
    return rng.standard_normal(shape, dtype=np.float32)


def _shrink(image: F32) -> F32:
    """(2S, 2S) -> (S, S): the mean of each 2 x 2."""
    side = image.shape[0] // _OVERSAMPLING
    return np.asarray(image.reshape(side, _OVERSAMPLING, side, _OVERSAMPLING).mean(axis=(1, 3)))
