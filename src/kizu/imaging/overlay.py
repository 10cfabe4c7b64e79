"""Show a verdict: heat, contours, banners, contact sheets. Array in, new array out; never measured.

Images are (H, W, 3) uint8 RGB of any size from 1 x 1; lines and letters grow with the image unless told.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from kizu.core.types import F32, U8, Bool

Colour = tuple[int, int, int]

RED: Colour = (226, 44, 52)
GREEN: Colour = (38, 150, 84)
WHITE: Colour = (255, 255, 255)
INK: Colour = (24, 26, 32)
PAPER: Colour = (244, 244, 246)
FOUND, TRUE = RED, (255, 236, 80)
"""Outlines. They differ to every kind of colour vision, and from the heat (`tests/unit/imaging/test_colours.py`)."""
HEAT_RANGE = (1.0, 2.0)
"""The heat begins at the pixel threshold, so that what is below it stays a photograph, and is full at twice that."""

_BLOCK, _BLOCK_ROWS = 1 << 14, 16
"""Pixels, and rows of them, that are worked on together."""

# Our own anchors, violet - blue - azure - cyan. Parts are grey, yellow, brown or red, and seldom these, so that heat
# stands out on them, to colour-blind eyes too; and more anomalous is lighter, also in a grey print.
_HEAT_ANCHORS = ((48, 18, 120), (40, 70, 220), (0, 140, 255), (0, 200, 250), (120, 240, 255))
_HEAT_STEPS = (0.0, 0.235, 0.539, 0.826, 1.0)
"""Where on the scale each lies: as far from the last as it looks different from it (CIEDE2000)."""


def _heat_table() -> U8:
    anchors = np.array(_HEAT_ANCHORS, dtype=np.float64)
    at = np.linspace(0, 1, 256)
    channels = [np.interp(at, _HEAT_STEPS, anchors[:, channel]) for channel in range(3)]
    return np.rint(np.stack(channels, axis=1)).astype(np.uint8)  # (256, 3)


HEAT_TABLE = _heat_table()
"""(256, 3) uint8: colours from low to high."""


def between(score_map: F32, low: float, high: float) -> F32:
    """Scores -> 0..1 of the same shape: 0 at `low` and below, 1 at `high` and above. For display only."""
    if high <= low:
        return (score_map > low).astype(np.float32)
    part = (score_map - np.float32(low)) / np.float32(high - low)
    return np.asarray(np.clip(part, 0, 1), dtype=np.float32)


def blend(image: U8, over: U8, alpha: F32 | float) -> U8:
    """`over` on top of `image`, both (..., 3); `alpha` 0..1 is one number or (...)."""
    weight = np.asarray(alpha, dtype=np.float32)[..., None]
    mixed = image + (over.astype(np.float32) - image) * weight
    return np.rint(mixed).astype(np.uint8)


def heat_overlay(
    image: U8, score_map: F32, low: float, high: float, *, strength: float = 0.75, least: float = 0.35
) -> U8:
    """The image with heat where the score is above `low`; what is normal stays a clear photograph.

    `score_map` is (H, W), at the image's size. `strength` 0..1 is the opacity at `high` and above, `least` at `low`.
    """
    drawn = image.copy()
    pixels, scores = drawn.reshape(-1, 3), score_map.reshape(-1)
    hot = np.flatnonzero(scores > low)  # as a rule a small part of the image
    for start in range(0, hot.size, _BLOCK):  # what fits the processor's cache takes a fifth of the time
        here = hot[start : start + _BLOCK]
        part = between(scores[here], low, high)
        heat = HEAT_TABLE.take(np.rint(part * 255).astype(np.intp), axis=0)
        pixels[here] = blend(pixels.take(here, axis=0), heat, least + part * np.float32(strength - least))
    return drawn


def heat_layer(score_map: F32, low: float, high: float, *, strength: float = 0.75, least: float = 0.35) -> U8:
    """The heat alone, (H, W, 4), to be laid over the image: clear at `low` and below, else as in `heat_overlay`."""
    part = between(score_map, low, high)
    colours = HEAT_TABLE.take(np.rint(part * 255).astype(np.intp), axis=0)  # (H, W, 3)
    opacity = np.where(score_map > low, least + part * np.float32(strength - least), 0)
    alpha = np.rint(opacity * 255).astype(np.uint8)
    return np.concatenate([colours, alpha[..., None]], axis=2)


def contour_layer(mask: Bool, colour: Colour, width: int = 2) -> U8:
    """The line that `draw_contours` draws, alone, (H, W, 4), clear everywhere else."""
    layer = np.zeros((*mask.shape, 4), np.uint8)
    reach = width + max(1, width // 2)
    window = _around(mask, reach)
    if window is not None:
        squared = _squared_distance(mask[window], reach)
        inside = layer[window]
        inside[(squared > width * width) & (squared <= reach * reach)] = (*INK, 255)
        inside[(squared > 0) & (squared <= width * width)] = (*colour, 255)
    return layer


def draw_contours(image: U8, mask: Bool, colour: Colour = FOUND, width: int | None = None) -> U8:
    """The image with a line of `width` px just outside each region of `mask` (H, W); inside nothing changes.

    A thin dark rim sets the line off from bright surroundings.
    """
    width = width or line_width_px(image)
    reach = width + max(1, width // 2)
    drawn = image.copy()
    window = _around(mask, reach)
    if window is None:
        return drawn
    squared = _squared_distance(mask[window], reach)
    inside = drawn[window]
    inside[(squared > width * width) & (squared <= reach * reach)] = INK
    inside[(squared > 0) & (squared <= width * width)] = colour
    return drawn


def draw_ring(image: U8, centre: tuple[int, int], colour: Colour = FOUND) -> U8:
    """The image with a ring round the pixel `centre` (x, y), dark at its rims; what it surrounds stays as it is."""
    x, y = centre
    width = 2 * line_width_px(image)
    radius = max(6, round(0.06 * min(image.shape[:2])))
    canvas = Image.fromarray(image)
    draw = ImageDraw.Draw(canvas)
    for grown, thick, ink in ((width // 2 + 1, 2 * width, INK), (0, width, colour)):
        reach = radius + grown
        draw.ellipse((x - reach, y - reach, x + reach, y + reach), outline=ink, width=thick)
    return np.array(canvas)


def _around(mask: Bool, reach: int) -> tuple[slice, slice] | None:
    """The rows and columns of `mask` that hold anything, and `reach` more; None: nothing does."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return None
    top, left = max(0, rows[0] - reach), max(0, columns[0] - reach)
    return slice(top, rows[-1] + reach + 1), slice(left, columns[-1] + reach + 1)


def _squared_distance(mask: Bool, reach: int) -> NDArray[Any]:
    """(H, W): of each pixel to the nearest of `mask`, squared, exact up to `reach` and larger beyond.

    Felzenszwalb and Huttenlocher, Distance Transforms of Sampled Functions, 2012: down the columns, then along the
    rows; no further than `reach`, so that the time does not depend on what is in the mask.
    """
    far = reach + 1
    down: NDArray[Any] = np.where(mask, 0, far).astype(np.uint16 if 2 * far * far < 1 << 16 else np.uint32)
    for rows in (down, down[::-1]):
        for before, row in pairwise(rows):
            np.minimum(row, before + 1, out=row)
    for start in range(0, len(down), _BLOCK_ROWS):
        block = down[start : start + _BLOCK_ROWS]
        block *= block
        straight, aside = block.copy(), np.empty_like(block)
        for step in range(1, min(reach + 1, mask.shape[1])):
            np.add(straight, step * step, out=aside)
            np.minimum(block[:, step:], aside[:, :-step], out=block[:, step:])
            np.minimum(block[:, :-step], aside[:, step:], out=block[:, :-step])
    return down


def banner(image: U8, text: str, colour: Colour = INK) -> U8:
    """The image with a strip of `colour` above it that says `text`, in letters that fit where they can."""
    height, width = image.shape[:2]
    size = max(10, min(height, width) // 14)
    while size > 8 and _text_width(text, size) > width * 0.96:
        size -= 1
    strip = Image.new("RGB", (width, round(size * 1.7)), colour)
    _write(strip, text, (width / 2, strip.height / 2), size, WHITE)
    return np.concatenate([np.asarray(strip), image])


def scale_bar(width: int, high: float) -> U8:
    """A strip (h, width, 3) that says which heat stands for how many times the threshold, from 1 to `high`."""
    size = max(9, width // 32)
    strip = Image.new("RGB", (width, round(size * 1.7)), PAPER)
    bar = max(1, width // 3)
    ramp = np.rint(np.linspace(0, 255, bar)).astype(np.intp)
    colours = np.broadcast_to(HEAT_TABLE[ramp], (max(1, strip.height // 2), bar, 3))
    left, top = size, strip.height // 4
    strip.paste(Image.fromarray(np.ascontiguousarray(colours)), (left, top))
    text = f"1 to {high:g} x threshold"
    room = width - left - bar - 2 * size
    while size > 8 and _text_width(text, size) > room:
        size -= 1
    if _text_width(text, size) <= room:
        at = left + bar + size + _text_width(text, size) / 2
        _write(strip, text, (at, strip.height / 2), size, INK)
    return np.array(strip)


def contact_sheet(
    tiles: Sequence[U8], columns: int, captions: Sequence[str] = (), *, tile_px: int = 192
) -> U8:
    """Tiles of any sizes on one sheet, `columns` to a row, each fitted into a square, captions beneath.

    Raises `ValueError` when there is no tile, or there are captions but not one for each tile.
    """
    if not tiles or (captions and len(captions) != len(tiles)):
        raise ValueError(f"{len(tiles)} tiles, {len(captions)} captions")
    gap, size = max(2, tile_px // 24), max(9, tile_px // 15)
    line = round(size * 1.6) if captions else 0
    columns = max(1, min(columns, len(tiles)))
    rows = -(-len(tiles) // columns)
    step_x, step_y = tile_px + gap, tile_px + line + gap
    sheet = Image.new("RGB", (columns * step_x + gap, rows * step_y + gap), PAPER)
    for index, tile in enumerate(tiles):
        left, top = gap + index % columns * step_x, gap + index // columns * step_y
        fitted = _fit(tile, tile_px)
        sheet.paste(fitted, (left + (tile_px - fitted.width) // 2, top + (tile_px - fitted.height) // 2))
        if captions:
            text = _shorten(captions[index], tile_px, size)
            _write(sheet, text, (left + tile_px / 2, top + tile_px + line / 2), size, INK)
    return np.array(sheet)


def line_width_px(image: U8) -> int:
    """A line that is seen and hides little: 1/150 of the shorter side, at least 1 px."""
    shorter: int = min(image.shape[:2])
    return max(1, round(shorter / 150))


def _fit(tile: U8, side_px: int) -> Image.Image:
    image = Image.fromarray(tile)
    scale = side_px / max(image.size)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    enlarged = Image.Resampling.NEAREST if scale >= 2 else Image.Resampling.LANCZOS
    return image.resize(size, enlarged)


def _text_width(text: str, size: int) -> float:
    return float(ImageFont.load_default(size).getlength(text))


def _shorten(text: str, width_px: int, size: int) -> str:
    """The end of a path says more than its beginning."""
    if _text_width(text, size) <= width_px:
        return text
    while len(text) > 1 and _text_width("…" + text, size) > width_px:
        text = text[1:]
    return "…" + text


def _write(canvas: Image.Image, text: str, centre: tuple[float, float], size: int, colour: Colour) -> None:
    ImageDraw.Draw(canvas).text(centre, text, fill=colour, font=ImageFont.load_default(size), anchor="mm")
