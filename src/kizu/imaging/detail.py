"""Small grey pictures of large ones, for comparing; and when a picture was taken."""

from datetime import UTC, datetime

import numpy as np
from PIL import ExifTags, Image

from kizu.core.errors import ImageError
from kizu.core.types import HW, U8
from kizu.imaging.formats import open_header
from kizu.imaging.opening import Limits, Source, open_source

_MOMENTS = (
    (ExifTags.Base.DateTimeOriginal, ExifTags.Base.SubsecTimeOriginal),
    (ExifTags.Base.DateTimeDigitized, ExifTags.Base.SubsecTimeDigitized),
)
"""EXIF fields and those with the decimals of their seconds."""


def grey(image: U8) -> U8:
    """(H, W, 3) RGB, or (H, W) as it is -> (H, W) brightness (ITU-R 601, as Pillow weighs it)."""
    return image if image.ndim == 2 else np.asarray(Image.fromarray(image).convert("L"))


def shrink(image: U8, hw: HW) -> U8:
    """(H, W) grey -> `hw`, all of it squeezed in."""
    if image.shape == hw:
        return image
    return np.asarray(Image.fromarray(image).resize((hw[1], hw[0]), Image.Resampling.BOX))


def rescale(image: U8, factor: float) -> U8:
    """(H, W) grey -> (h, w), exactly `factor` times as large; less than a pixel is left out at the far sides.

    Rounding the size instead would change the factor by up to half a pixel in (h, w): enough to shift the far side of
    one picture against another's.
    """
    if factor == 1:
        return image
    height, width = (max(1, int(side * factor + 1e-9)) for side in image.shape)
    box = (0, 0, min(image.shape[1], width / factor), min(image.shape[0], height / factor))
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.LANCZOS, box=box))


def moment_taken(source: Source, *, limits: Limits = Limits()) -> float | None:
    """When the camera says that it took a picture, in seconds of its own clock; None where nothing sensible is said.

    From the header alone. Only differences mean something: cameras do not know their time zone. Never raises: what
    cannot be read says nothing.
    """
    try:
        with open_source(source) as stream:
            fields = Image.Image.getexif(open_header(stream, limits)).get_ifd(ExifTags.IFD.Exif)
            for field, decimals in _MOMENTS:
                if field in fields:
                    return _seconds(str(fields[field]), str(fields.get(decimals, "")))
    except ImageError:
        return None
    return None


def _seconds(text: str, decimals: str) -> float | None:
    try:
        moment = datetime.strptime(text.strip("\0 "), "%Y:%m:%d %H:%M:%S")
    except ValueError:
        return None
    part = decimals.strip("\0 ")
    fraction = float(f"0.{part}") if part.isascii() and part.isdecimal() else 0.0
    return moment.replace(tzinfo=UTC).timestamp() + fraction
