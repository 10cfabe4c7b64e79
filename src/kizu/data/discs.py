"""Draw a turned metal disc, seen from above: bore, hub, groove, six bolt holes, on a dark mat.

No two are alike, as on a line: each stands, is lit and was turned a little differently. Lengths are fractions of the
disc's radius; angles are radians.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from kizu.core.types import F64, U8, Bool

_OVERSAMPLING = 2
_RADIUS = 0.43
"""Of the image's side."""
_BORE, _HUB, _GROOVE, _CHAMFER = 0.2, 0.47, 0.5, 0.955
_HOLES, _HOLE_CIRCLE, _HOLE, _COUNTERSINK = 6, 0.74, 0.072, 0.1
_DIMPLE_AT, _DIMPLE = 0.345, 0.032
_STEEL = np.array([0.975, 1.0, 1.03])
_MAT = np.array([30.0, 37.0, 40.0])


@dataclass(frozen=True, slots=True)
class Disc:
    """A picture of a good part, and where the part is."""

    image: U8
    """(S, S, 3)"""
    part: Bool
    """(S, S), without bore and bolt holes"""


@dataclass(frozen=True, slots=True)
class _Polar:
    """Each pixel as seen from a centre."""

    radius: F64
    angle: F64


def draw_disc(rng: np.random.Generator, side_px: int = 256) -> Disc:
    """One part, drawn from `rng`."""
    fine = side_px * _OVERSAMPLING
    scale = _RADIUS * fine * rng.normal(1, 0.006)
    centre = fine / 2 + rng.normal(0, 0.008 * fine, 2)
    y, x = ((np.indices((fine, fine)) + 0.5) - centre[:, None, None]) / scale
    light = -2.2 + rng.normal(0, 0.1)
    turned = rng.normal(0, 0.05)
    face = _Polar(np.hypot(y, x), np.arctan2(y, x))
    grey = _turned_face(face, light, rng)
    metal = (face.radius < 1) & (face.radius > _BORE)
    for angle in turned + np.arange(_HOLES) * 2 * np.pi / _HOLES:
        hole = _seen_from(y, x, _HOLE_CIRCLE * np.sin(angle), _HOLE_CIRCLE * np.cos(angle))
        grey = _drilled(grey, hole, _HOLE, _COUNTERSINK, light)
        metal &= hole.radius > _HOLE
    dimple = _seen_from(y, x, _DIMPLE_AT * np.sin(turned - 0.52), _DIMPLE_AT * np.cos(turned - 0.52))
    grey = _drilled(grey, dimple, 0.4 * _DIMPLE, _DIMPLE, light)
    image = np.where((face.radius < 1)[..., None], grey[..., None] * _STEEL, _mat(y, x, light, rng))
    vignette = 1 - 0.1 * (y**2 + x**2) / 2.7
    image = _shrunk(image * (vignette * rng.normal(1, 0.025))[..., None])
    image = ndimage.gaussian_filter(image, (0.45, 0.45, 0)) + rng.normal(0, 1.6, image.shape)
    part = _shrunk(metal[..., None].astype(np.float64))[..., 0] > 0.5
    return Disc(np.clip(np.rint(image), 0, 255).astype(np.uint8), part)


def _turned_face(face: _Polar, light: float, rng: np.random.Generator) -> F64:
    """(S, S) grey of the whole disc before it is drilled; the tool's rings reflect the light in two fans."""
    away = face.angle - light
    fans = np.abs(np.cos(away)) ** 3
    rings = _rings(face.radius, rng)
    outer = 118 + 62 * fans + rings * (9 + 16 * fans)
    hub = 148 + 34 * np.abs(np.cos(away)) ** 1.5 + rings * 6
    grey = np.where(face.radius < _HUB, hub, outer)
    groove = np.exp(-(((face.radius - (_HUB + _GROOVE) / 2) / 0.012) ** 2))
    grey = grey * (1 - 0.75 * groove) + 26 * np.exp(-(((face.radius - _GROOVE - 0.014) / 0.008) ** 2))
    chamfer = 128 + 84 * np.cos(away)
    grey = np.where(face.radius > _CHAMFER, chamfer, grey)
    return _drilled(grey, face, _BORE, _BORE + 0.028, light)


def _rings(radius: F64, rng: np.random.Generator) -> F64:
    """(S, S) tool marks: fine and coarse noise along the radius, unit variance, different on each part."""
    fine = rng.normal(size=512)
    coarse = ndimage.gaussian_filter1d(rng.normal(size=512), 6) * 3.5
    profile = ndimage.gaussian_filter1d(fine, 1.2) * 1.6 + coarse * 0.5
    return np.interp(radius, np.linspace(0, 1.05, 512), profile / profile.std())


def _seen_from(y: F64, x: F64, at_y: float, at_x: float) -> _Polar:
    return _Polar(np.hypot(y - at_y, x - at_x), np.arctan2(y - at_y, x - at_x))


def _drilled(grey: F64, hole: _Polar, inner: float, outer: float, light: float) -> F64:
    """A hole with a countersink: its far flank faces the light."""
    away = np.cos(hole.angle - light)
    flank = 112 - 82 * away
    depth = 16 + 20 * np.clip(hole.radius / inner, 0, 1) ** 3 * np.clip(-away, 0, 1)
    return np.where(hole.radius < inner, depth, np.where(hole.radius < outer, flank, grey))


def _mat(y: F64, x: F64, light: float, rng: np.random.Generator) -> F64:
    """(S, S, 3) rubber mat: grain, and the disc's soft shadow on the side away from the light."""
    grain = ndimage.gaussian_filter(rng.normal(size=y.shape), 1.5) * 11
    beyond = np.hypot(y + 0.07 * np.sin(light), x + 0.07 * np.cos(light)) - 1
    shadow = 1 - 0.6 * np.exp(-np.clip(beyond, 0, None) / 0.07)
    return np.asarray((_MAT + grain[..., None]) * shadow[..., None])


def _shrunk(image: F64) -> F64:
    """(2S, 2S, C) -> (S, S, C): the mean of each 2 x 2."""
    side = image.shape[0] // _OVERSAMPLING
    return np.asarray(image.reshape(side, _OVERSAMPLING, side, _OVERSAMPLING, -1).mean(axis=(1, 3)))
