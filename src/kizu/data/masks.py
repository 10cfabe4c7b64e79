"""Where a sample is really flawed."""

from pathlib import Path

import numpy as np

from kizu.core.errors import DataError
from kizu.core.types import HW, Bool
from kizu.data.manifest import Sample
from kizu.imaging.codec import decode, decode_mask

_COLOURS = 8
"""Masks hold two values, or one for each kind of flaw; a picture has more colours than this."""
_NEARLY = 32
"""So far from black or white a compressed mask may be."""
_MOSTLY = 0.99


def true_mask(sample: Sample, image_hw: HW) -> Bool | None:
    """(H, W): where the flaw is; nowhere for a good image; None for a defect that nobody drew.

    Raises `DataError` naming both files when their sizes differ, or a defect's mask is empty.
    """
    if sample.mask_path is None:
        return np.zeros(image_hw, dtype=bool) if sample.label == "good" else None
    mask = read_masks(sample)
    if mask.shape != image_hw:
        raise DataError(
            f"the mask {sample.mask_path} is {mask.shape[0]} x {mask.shape[1]}, its image {sample.path} is"
            f" {image_hw[0]} x {image_hw[1]} (height x width)",
            hint="make the mask at the size of its image",
        )
    if sample.label == "defect" and not mask.any():
        raise DataError(
            f"the mask {sample.mask_path} has no flawed pixel, and its image {sample.path} is called defective",
            hint="draw the flaw, or remove the mask: the image then counts for the image metrics only",
        )
    return mask


def read_masks(sample: Sample) -> Bool:
    """(H, W) of a sample that has a mask: where any of its masks marks something.

    `true_mask` holds it against the image. Raises `DataError` naming two masks of one image whose sizes differ.
    """
    first, *others = sample.masks
    marked = decode_mask(first)
    for path in others:
        more = decode_mask(path)
        if more.shape != marked.shape:
            raise DataError(
                f"the masks {first} and {path} are of one image, and of different sizes",
                hint="make both at the size of the image",
            )
        marked = marked | more
    return marked


def looks_like_a_mask(path: Path) -> bool:
    """Whether a picture has a handful of colours, or is black and white but for the rims of what is drawn.

    Raises `ImageError`.
    """
    image = decode(path)
    rest = np.ones(image.shape[:2], bool)  # (H, W), in none of the colours so far
    for _ in range(_COLOURS):
        colour = image[np.unravel_index(int(np.argmax(rest)), rest.shape)]
        rest &= (image != colour).any(axis=2)
        if not rest.any():
            return True
    extreme = ((image <= _NEARLY) | (image >= 255 - _NEARLY)).all(axis=2)
    return float(extreme.mean()) >= _MOSTLY
