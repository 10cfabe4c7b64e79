"""Six flaws as they look on parts: scratch, crack, stain, dent, fibre, chip. (image, rng, part) -> the flawed image
and the mask of what changed.

For tests, for the demo, for trying out a threshold and for judging fits; real flaws look different, so these never
replace them. Sizes grow with the image; all randomness comes from `rng`.
"""

from collections.abc import Mapping

import numpy as np
from scipy import ndimage

from kizu.core.types import U8, Bool
from kizu.data.defects.strokes import Flawed, Painter, anchor, blob, finish, over, soft, stroke, walk


def scratch(image: U8, rng: np.random.Generator, part: Bool | None = None) -> Flawed:
    """A thin, slightly bent line that fades out at its ends: bare metal beside a dark furrow."""
    side, hw = min(image.shape[:2]), image.shape[:2]
    path = walk(anchor(image, rng, part), rng, length=side * rng.uniform(0.3, 0.55), bend=0.035, steps=20)
    width = side * rng.uniform(0.0022, 0.0036)
    furrow = soft(stroke(hw, path, 2.6 * width), 1.5 * width) * 0.6
    bare = soft(stroke(hw, path, width), width) * rng.uniform(0.75, 0.95)
    painted = over(over(image, furrow, image * 0.4), bare, np.full(3, rng.uniform(225, 250)))
    return finish(image, painted, np.maximum(furrow, bare), part)


def crack(image: U8, rng: np.random.Generator, part: Bool | None = None) -> Flawed:
    """A dark jagged line that thins out, with one or two branches."""
    side, hw = min(image.shape[:2]), image.shape[:2]
    trunk = walk(anchor(image, rng, part), rng, length=side * rng.uniform(0.22, 0.4), bend=0.5, steps=18)
    opacity = soft(stroke(hw, trunk, side * 0.006), side * 0.003)
    for _ in range(rng.integers(1, 3)):
        start = trunk[rng.integers(4, 14)]
        branch = walk(start, rng, length=side * rng.uniform(0.07, 0.14), bend=0.5, steps=8)
        opacity = np.maximum(opacity, soft(stroke(hw, branch + (start - branch[0]), side * 0.003), 1))
    return finish(image, over(image, opacity * 0.92, image * 0.12), opacity, part)


def stain(image: U8, rng: np.random.Generator, part: Bool | None = None) -> Flawed:
    """A soft, uneven, tinted spot: oil, rust, a burn."""
    side = min(image.shape[:2])
    radius = side * rng.uniform(0.045, 0.085)
    cloud = ndimage.gaussian_filter(rng.normal(size=image.shape[:2]), radius / 4) * radius
    depth = blob(image, rng, part, radius=radius) + cloud * 0.35
    opacity = soft(depth, radius * 0.9)
    tint = np.array([(0.5, 0.36, 0.22), (0.3, 0.3, 0.34), (0.62, 0.34, 0.2)][rng.integers(3)])
    return finish(image, over(image, opacity * 0.75, image * tint), opacity, part)


def dent(image: U8, rng: np.random.Generator, part: Bool | None = None) -> Flawed:
    """A shallow hollow: one flank catches the light, the other lies in shadow."""
    radius = min(image.shape[:2]) * rng.uniform(0.03, 0.055)
    centre, angle = anchor(image, rng, part), rng.uniform(0, 2 * np.pi)
    y, x = np.indices(image.shape[:2], dtype=np.float64) - centre[:, None, None]
    hollow = np.exp(-(y**2 + x**2) / radius**2)
    slope = (y * np.sin(angle) + x * np.cos(angle)) / radius * hollow  # (H, W), from -0.43 to 0.43
    return finish(image, image + rng.uniform(150, 210) * slope[:, :, None], hollow, part)


def fibre(image: U8, rng: np.random.Generator, part: Bool | None = None) -> Flawed:
    """A curled thread that lies on the part, with its shadow."""
    side, hw = min(image.shape[:2]), image.shape[:2]
    length = side * rng.uniform(0.25, 0.45)
    path = walk(
        anchor(image, rng, part), rng, length=length, bend=0.2, steps=32, curl=rng.uniform(0.03, 0.16)
    )
    colour = np.array([(196, 52, 60), (48, 92, 190), (236, 232, 214)][rng.integers(3)], dtype=np.float64)
    width = side * 0.0035
    shadow = soft(stroke(hw, path + side * 0.007, width), 2 * width) * 0.5
    thread = soft(stroke(hw, path, width), width) * 0.95
    painted = over(over(image, shadow, image * 0.3), thread, colour)
    return finish(image, painted, np.maximum(shadow, thread), part)


def chip(image: U8, rng: np.random.Generator, part: Bool | None = None) -> Flawed:
    """A piece broken off the part's outer edge, showing what lies behind; without a part, anywhere."""
    side = min(image.shape[:2])
    if part is None or not part.any() or part.all():
        whole, edge, behind = np.ones(image.shape[:2], dtype=bool), None, image.reshape(-1, 3) // 5
    else:
        whole = np.asarray(ndimage.binary_fill_holes(part))
        edge, behind = whole & ~ndimage.binary_erosion(whole), image[~whole]
    depth = blob(image, rng, edge, radius=side * rng.uniform(0.04, 0.075))
    grain = rng.normal(0, 3, (*image.shape[:2], 1))
    broken = soft(depth, 1)
    flank = np.where(whole, soft(np.abs(depth + side * 0.006) - side * 0.004, 1) * 0.7, 0)
    gone = over(image, broken, np.median(behind, axis=0) + grain)
    painted = over(gone, flank, np.full(3, 150) + 4 * grain)
    with_rim = ndimage.binary_dilation(whole, iterations=2)
    return finish(image, painted, np.maximum(broken, flank), with_rim)


PAINTERS: Mapping[str, Painter] = {
    "chip": chip,
    "crack": crack,
    "dent": dent,
    "fibre": fibre,
    "scratch": scratch,
    "stain": stain,
}
