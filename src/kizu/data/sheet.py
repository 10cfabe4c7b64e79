"""Contact sheets: of a data set, some of each split and kind; of pairs; of painted flaws. Masks are outlined."""

from collections.abc import Mapping, Sequence

import numpy as np

from kizu.core.errors import DataError, ImageError
from kizu.core.randomness import rng_for
from kizu.core.types import U8
from kizu.data.check import by_kind
from kizu.data.defects import KINDS
from kizu.data.defects.stages import paint_kind
from kizu.data.depth import scale_of
from kizu.data.evidence import Pair
from kizu.data.manifest import Manifest, Sample
from kizu.data.masks import read_masks
from kizu.imaging.codec import decode
from kizu.imaging.overlay import PAPER, contact_sheet, draw_contours
from kizu.imaging.scale import Scale

_MISSING = np.full((96, 96, 3), 224, dtype=np.uint8)
"""The tile of an image that cannot be decoded."""


def preview_sheet(manifest: Manifest, per_kind: int = 8, tile_px: int = 160) -> U8:
    """A contact sheet, (H, W, 3): a row of samples for each split and kind, masks outlined."""
    tiles, captions = [], []
    scale = _scale_of(manifest)
    for samples in by_kind(manifest.samples).values():
        spread = np.linspace(0, len(samples) - 1, min(per_kind, len(samples))).astype(int)
        tiles += [_tile(samples[index], scale) for index in spread]
        captions += [samples[index].id for index in spread]
        empty = -len(spread) % per_kind
        tiles += [np.full((1, 1, 3), PAPER, dtype=np.uint8)] * empty
        captions += [""] * empty
    return contact_sheet(tiles or [_MISSING], per_kind, captions or ["no images"], tile_px=tile_px)


def pair_sheet(manifest: Manifest, pairs: Sequence[Pair], sides: Mapping[str, str], tile_px: int = 220) -> U8:
    """A contact sheet, (H, W, 3), of pairs of images, two pairs in a row; captions say the side of each, by id."""
    samples = {sample.id: sample for sample in manifest.samples}
    scale = _scale_of(manifest)
    tiles, captions = [], []
    for pair in pairs:
        for name, told in ((pair.first, ""), (pair.second, f", {pair.fine:.0%} alike")):
            tiles.append(_tile(samples[name], scale))
            captions.append(f"{name.rpartition('/')[2]} ({sides[name]}{told})")
    return contact_sheet(tiles, 4, captions, tile_px=tile_px)


def stage_sheet(images: Sequence[U8], seed: int, tile_px: int = 160) -> U8:
    """A contact sheet, (H, W, 3), of the flaws that are painted for what learns from them: a row for each kind, in good
    images (H, W, 3), as it is and outlined. Where one does not show, the image is as it was and the caption says so."""
    tiles: list[U8] = []
    captions: list[str] = []
    for stage, kind in KINDS:
        rng = rng_for(seed, "sheet", stage, kind)
        for number, image in enumerate(images):
            found = paint_kind(image, stage, kind, rng, [*images[:number], *images[number + 1 :]])
            shown = (image, image) if found is None else (found.image, draw_contours(found.image, found.mask))
            told = "not seen" if found is None else f"{found.opacity:.2f}, {found.side_px:.0f} px"
            tiles += shown
            captions += [f"{stage}: {kind}", told]
    return contact_sheet(tiles, 2 * len(images), captions, tile_px=tile_px)


def _scale_of(manifest: Manifest) -> Scale | None:
    try:
        chosen = scale_of(manifest.train_good() or manifest.samples)
    except ImageError:  # of several depths; `check` says so
        return None
    return None if chosen is None else chosen.scale


def _tile(sample: Sample, scale: Scale | None) -> U8:
    """The image, flaws outlined; grey when it cannot be shown."""
    try:
        image = decode(sample.path, scale=scale)
        mask = None if sample.mask_path is None else read_masks(sample)
    except DataError:
        return _MISSING
    return image if mask is None or mask.shape != image.shape[:2] else draw_contours(image, mask)


def shift_sheet(clean: Manifest, shifted: Manifest, per_kind: int = 3, tile_px: int = 200) -> U8:
    """A contact sheet, (H, W, 3): pictures and, beside each, the same shifted, some of each split and kind; masks
    outlined."""
    others = {sample.id: sample for sample in shifted.samples}
    tiles, captions = [], []
    scale = _scale_of(clean)
    for samples in by_kind(clean.samples).values():
        there = [sample for sample in samples if sample.id in others]
        spread = np.linspace(0, len(there) - 1, min(per_kind, len(there))).astype(int)
        for index in spread:
            name = there[index].id
            tiles += [_tile(there[index], scale), _tile(others[name], None)]
            captions += [name, "shifted"]
        empty = 2 * (-len(spread) % per_kind)
        tiles += [np.full((1, 1, 3), PAPER, dtype=np.uint8)] * empty
        captions += [""] * empty
    return contact_sheet(tiles or [_MISSING], 2 * per_kind, captions or ["no images"], tile_px=tile_px)
