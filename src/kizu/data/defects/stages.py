"""Anything that a good part does not show, from three families, for what learns from flaws.

| stage | what | side / shorter side | opacity |
|---|---|---|---|
| texture | grain, Perlin clouds, woven patterns within an outline | 0.05 to 0.4 | 0.2 to 1 |
| structure | circles, rectangles, polygons, lines, scratches, cracks of one colour | 0.03 to 0.4 | 0.3 to 1 |
| context | pieces: of another good image (`blend`), of this one (`cut_paste`, `scar`) | 0.05 to 0.35 | 0.7; 1; 1 |

Sides are drawn from the logarithm's uniform distribution, so that small flaws are as common as large ones for each
doubling; opacities, stages and the kinds of a stage are uniform. The families are DRAEM's (Zavrtanik, Kristan and
Skocaj, ICCV 2021: textures in Perlin outlines), CutPaste's (Li, Sohn, Yoon and Pfister, CVPR 2021: cut-paste and scar)
and shapes; the patterns are drawn here. A flaw that cannot be seen (`SEEN_CHANGE`) is drawn again: it would teach that
what is good is flawed. Only images that are fitted on may be painted, and only they lend pieces: that is the caller's
to keep.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kizu.core.errors import DataError
from kizu.core.randomness import rng_for
from kizu.core.types import F64, U8, Bool
from kizu.data.defects.outlines import OUTLINES, SOLID
from kizu.data.defects.strokes import over, soft
from kizu.data.defects.textures import TEXTURES

SEEN_CHANGE = 8
"""Grey levels that a pixel must change by to be seen."""
SEEN_PART = 0.25
"""Of the mask's pixels, so many must."""
BLEND = 0.7
"""Weight of a piece of another image."""
LEAST_SIDE_PX = 16
"""Of an image that can be painted."""
_LEAST_FLAW_PX = 3.0
_TRIES = 30


@dataclass(frozen=True, slots=True)
class Scene:
    """What a flaw is drawn into."""

    image: U8
    """(H, W, 3)"""
    others: Sequence[U8]
    """Other good images (H', W', 3) that lend pieces; none: this one does."""
    middle: F64
    """(y, x)"""
    side_px: float


Cover = tuple[F64, F64]
"""What lies over the image (H, W, 3), and the signed distance (H, W) to where it ends."""
Draw = Callable[[Scene, np.random.Generator], Cover]


@dataclass(frozen=True, slots=True)
class Stage:
    """One family."""

    kinds: Mapping[str, Draw]
    sides: tuple[float, float]
    """Least and greatest side, of the image's shorter one."""
    opacities: Mapping[str, tuple[float, float]]
    """By kind, least and greatest."""


@dataclass(frozen=True, slots=True)
class Painted:
    """A good image with a flaw in it."""

    image: U8
    """(H, W, 3)"""
    mask: Bool
    """(H, W), True where the flaw is; at least one pixel"""
    stage: str
    kind: str
    side_px: float
    opacity: float


def _textured(name: str) -> Draw:
    def draw(scene: Scene, rng: np.random.Generator) -> Cover:
        hw = scene.image.shape[:2]
        outline = OUTLINES[SOLID[int(rng.integers(len(SOLID)))]]
        return TEXTURES[name](hw, rng), outline(hw, scene.middle, scene.side_px, rng)

    return draw


def _shaped(name: str) -> Draw:
    def draw(scene: Scene, rng: np.random.Generator) -> Cover:
        hw = scene.image.shape[:2]
        distance = OUTLINES[name](hw, scene.middle, scene.side_px, rng)
        colour = rng.uniform(0, 255, 3) if rng.random() < 0.5 else np.full(3, rng.uniform(0, 255))
        return np.broadcast_to(colour, (*hw, 3)), distance

    return draw


def _blend(scene: Scene, rng: np.random.Generator) -> Cover:
    lender = scene.others[int(rng.integers(len(scene.others)))] if len(scene.others) else scene.image
    outline = OUTLINES[SOLID[int(rng.integers(len(SOLID)))]]
    hw = scene.image.shape[:2]
    return _piece(lender, scene.image, rng), outline(hw, scene.middle, scene.side_px, rng)


def _cut_paste(scene: Scene, rng: np.random.Generator) -> Cover:
    distance = OUTLINES["rectangle"](scene.image.shape[:2], scene.middle, scene.side_px, rng)
    return _piece(scene.image, scene.image, rng) * rng.uniform(0.85, 1.15), distance


def _scar(scene: Scene, rng: np.random.Generator) -> Cover:
    distance = OUTLINES["line"](scene.image.shape[:2], scene.middle, scene.side_px, rng)
    return _piece(scene.image, scene.image, rng) * rng.uniform(0.85, 1.15), distance


_SHAPES = ("circle", "rectangle", "polygon", "line", "scratch", "crack")
STAGES: Mapping[str, Stage] = {
    "texture": Stage(
        {name: _textured(name) for name in TEXTURES}, (0.05, 0.4), dict.fromkeys(TEXTURES, (0.2, 1.0))
    ),
    "structure": Stage(
        {name: _shaped(name) for name in _SHAPES}, (0.03, 0.4), dict.fromkeys(_SHAPES, (0.3, 1.0))
    ),
    "context": Stage(
        {"blend": _blend, "cut_paste": _cut_paste, "scar": _scar},
        (0.05, 0.35),
        {"blend": (BLEND, BLEND), "cut_paste": (1.0, 1.0), "scar": (1.0, 1.0)},
    ),
}
KINDS = tuple((stage, kind) for stage, family in STAGES.items() for kind in family.kinds)


def paint_stages(
    image: U8,
    image_id: str,
    seed: int,
    others: Sequence[U8] = (),
    *,
    turn: int = 0,
    stages: Sequence[str] = tuple(STAGES),
) -> Painted:
    """One flaw of one of `stages` in a good image (H, W, 3). The same `seed`, `image_id` and `turn` give the same flaw,
    whatever else is painted.

    Raises `DataError` for an image of fewer than 16 pixels a side, and for one in which nothing of these stages shows,
    as a piece of one colour pasted into the same colour.
    """
    if min(image.shape[:2]) < LEAST_SIDE_PX:
        raise DataError(
            f"{image_id} is {image.shape[0]} x {image.shape[1]} pixels: too small to paint a flaw into",
            hint=f"give images of {LEAST_SIDE_PX} x {LEAST_SIDE_PX} pixels and more",
        )
    rng = rng_for(seed, "flaws", image_id, str(turn))
    for _ in range(_TRIES):
        stage = stages[int(rng.integers(len(stages)))]
        kind = list(STAGES[stage].kinds)[rng.integers(len(STAGES[stage].kinds))]
        found = paint_kind(image, stage, kind, rng, others)
        if found is not None:
            return found
    raise DataError(
        f"{image_id}: no flaw of {', '.join(stages)} can be seen in it, in {_TRIES} tries",
        hint="is it of one colour? paint texture or structure",
    )


def paint_kind(
    image: U8, stage: str, kind: str, rng: np.random.Generator, others: Sequence[U8] = ()
) -> Painted | None:
    """One flaw of that kind; None: it would not be seen."""
    family = STAGES[stage]
    low, high = np.log(family.sides)
    side_px = max(_LEAST_FLAW_PX, float(np.exp(rng.uniform(low, high))) * min(image.shape[:2]))
    scene = Scene(image, others, rng.uniform(0.05, 0.95, 2) * image.shape[:2], side_px)
    content, distance = family.kinds[kind](scene, rng)
    opacity = rng.uniform(*family.opacities[kind])
    if (image == image[..., :1]).all():  # a camera without colours sees none
        content = content.mean(axis=2, keepdims=True).repeat(3, axis=2)
    cover = soft(distance, 2.0)
    painted = np.clip(np.rint(over(image, opacity * cover, content)), 0, 255).astype(np.uint8)
    mask = cover >= 0.5
    change = np.abs(painted.astype(np.int16) - image).max(axis=2)
    if not mask.any() or (change[mask] >= SEEN_CHANGE).mean() < SEEN_PART:
        return None
    return Painted(painted, mask, stage, kind, side_px, opacity)


def _piece(lender: U8, image: U8, rng: np.random.Generator) -> F64:
    """(H, W, 3) of `image`'s size out of another or the same, moved at random, mirrored half of the time."""
    down, right = (int(rng.integers(side)) for side in lender.shape[:2])
    rows, columns = (
        (np.arange(side) + start) % length
        for side, start, length in zip(image.shape[:2], (down, right), lender.shape[:2], strict=True)
    )
    moved = lender[np.ix_(rows, columns)].astype(np.float64)
    return moved[:, ::-1] if rng.random() < 0.5 else moved
