"""Where a sample is really flawed."""

import numpy as np

from kizu.core.errors import DataError
from kizu.core.types import HW, Bool
from kizu.data.manifest import Sample
from kizu.imaging.codec import decode_mask


def true_mask(sample: Sample, image_hw: HW) -> Bool | None:
    """(H, W): where the flaw is; nowhere for a good image; None for a defect that nobody drew.

    Raises `DataError` naming both files when their sizes differ, or a defect's mask is empty.
    """
    if sample.mask_path is None:
        return np.zeros(image_hw, dtype=bool) if sample.label == "good" else None
    mask = decode_mask(sample.mask_path)
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
