"""From numbers deeper than 8 bits to 0..255: one scale for all pictures of a product, chosen once from good ones.

Cameras write 12 bits into 16-bit files, and thermal pictures use 40 of 65,536 levels: the high byte of such numbers
says nothing. A range of each picture's own would hide that one is darker than the others.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from kizu.core.config import Config
from kizu.core.errors import ImageError, MismatchError
from kizu.core.types import U8

Depth = Literal["uint8", "uint16", "int16", "uint32", "int32", "float32"]
DEPTHS: dict[str, Depth] = {
    "uint8": "uint8", "bool": "uint8", "uint16": "uint16", "int16": "int16", "uint32": "uint32", "int32": "int32",
    "float32": "float32", "float64": "float32",
}  # fmt: skip
"""Kinds of number, by NumPy's name."""

_DECLARED = (8, 10, 12, 14, 16)
"""Bits that cameras have."""
_FILLED = 0.25
"""Good pictures that use this part of a camera's levels are scaled by its bits, and not by their own range."""
_OUTLIERS = 0.001
"""Of the pixels of a good picture, at either end: dead and hot ones must not set the scale."""


class Scale(Config):
    """`low` and all below become 0, `high` and all above 255. In a file also as `bits`: 12 is uint16, 0 to 4095."""

    depth: Depth
    """What pictures must hold; of another depth they were made in another way, and are refused."""
    low: float
    high: float

    @model_validator(mode="before")
    @classmethod
    def _from_bits(cls, values: Any) -> Any:
        if isinstance(values, dict) and isinstance(bits := values.get("bits"), int) and 8 < bits <= 16:
            rest = {key: value for key, value in values.items() if key != "bits"}
            return {"depth": "uint16", "low": 0, "high": (1 << bits) - 1, **rest}
        return values

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low {self.low} is not below high {self.high}")
        return self

    def check(self, numbers: NDArray[Any]) -> None:
        """Raise `MismatchError` for numbers of another depth."""
        depth = DEPTHS.get(numbers.dtype.name)
        if depth != self.depth:
            raise MismatchError(
                f"holds {depth or numbers.dtype}, and the scale is for {self.depth}",
                hint="inspect what the camera gives in the form that the good pictures had",
            )

    def apply(self, numbers: NDArray[Any]) -> U8:
        """Numbers of any shape -> uint8 of the same.

        Whole numbers by floor, so that 0..65535 gives the high byte; others to the nearest. Not-a-number becomes 0.
        """
        self.check(numbers)
        if self.depth == "uint16":
            return _table(self).take(numbers)
        return _map(numbers, self)

    def beyond(self, numbers: NDArray[Any]) -> float:
        """The part of the numbers that lies outside of the scale, or is no number."""
        return 1 - float(np.mean((numbers >= self.low) & (numbers <= self.high)))


@lru_cache(maxsize=8)
def _table(scale: Scale) -> U8:
    """(65536,): what each number of 16 bits becomes."""
    return _map(np.arange(1 << 16), scale)


def _map(numbers: NDArray[Any], scale: Scale) -> U8:
    above = numbers.astype(np.float64) - scale.low
    span = scale.high - scale.low
    steps = np.rint(above * (255 / span)) if scale.depth == "float32" else np.floor(above * 256 / (span + 1))
    mapped: U8 = np.nan_to_num(np.clip(steps, 0, 255), nan=0).astype(np.uint8)
    return mapped


class Range(NamedTuple):
    """What the numbers of one good picture are like."""

    depth: Depth
    low: float
    high: float
    highest: float
    """Of all, outliers too"""
    values: frozenset[float]
    """Different ones, at most a few thousand"""


def range_of(numbers: NDArray[Any]) -> Range:
    """Raises `ImageError` for numbers that no scale is for, or where none is finite."""
    depth = DEPTHS.get(numbers.dtype.name)
    flat = numbers.reshape(-1)
    finite = flat[np.isfinite(flat)] if flat.dtype.kind == "f" else flat
    if depth is None or not finite.size:
        raise ImageError(
            f"holds {numbers.dtype} without a finite number" if depth else f"holds {numbers.dtype}"
        )
    low, high = np.quantile(finite, (_OUTLIERS, 1 - _OUTLIERS), method="nearest")
    seen = np.unique(finite[:: max(1, finite.size >> 16)])
    return Range(depth, float(low), float(high), float(finite.max()), frozenset(seen[:4096].tolist()))


class Chosen(NamedTuple):
    """A scale, and what of the good pictures survives it."""

    scale: Scale
    values: int
    """Different numbers in a sample of the good pictures' pixels"""
    levels: int
    """What they become"""

    def __str__(self) -> str:
        scale = self.scale
        return f"{scale.depth} from {scale.low:g} to {scale.high:g}: {self.values} values become {self.levels} levels"


def choose_scale(ranges: Iterable[Range]) -> Chosen:
    """One scale for good pictures of one depth. Raises `ImageError` for several depths, and for pictures of one value.

    A camera's bits, where the good pictures fill a good part of them, so that the same scene looks the same in 8 bits
    and more; else half as much again as they use, on either side: a flaw may be colder or hotter than all that is good.
    """
    known = list(ranges)
    depths = {one.depth for one in known}
    if len(depths) != 1:
        raise ImageError(
            f"the good pictures hold {' and '.join(sorted(depths))}", hint="take pictures of one depth only"
        )
    (depth,) = depths
    low, high = min(one.low for one in known), max(one.high for one in known)
    if low == high:
        raise ImageError(
            f"all pixels of the good pictures are {low:g}", hint="check the camera and how it is saved"
        )
    scale = _full(depth, low, high, max(one.highest for one in known)) or _around(depth, low, high)
    values = np.array(sorted(set().union(*(one.values for one in known))))
    typed = values.astype(np.float64 if depth == "float32" else depth)
    return Chosen(scale, values.size, np.unique(scale.apply(typed)).size)


def _full(depth: Depth, low: float, high: float, highest: float) -> Scale | None:
    """The scale of a camera, or of pictures that were made into floats, where they fill it."""
    if low < 0 or depth not in ("uint16", "float32"):
        return None
    tops = [(1 << bits) - 1 for bits in _DECLARED]
    tops = [1, *tops] if depth == "float32" else tops
    top = next((top for top in tops if highest <= top), None)
    if top is None or high - low < _FILLED * top:
        return None
    return Scale(depth=depth, low=0, high=top)


def _around(depth: Depth, low: float, high: float) -> Scale:
    margin = (high - low) / 2
    low, high = low - margin, high + margin
    if depth != "float32":
        limits = np.iinfo(depth)
        low, high = max(np.floor(low), limits.min), min(np.ceil(high), limits.max)
    return Scale(depth=depth, low=float(low), high=float(high))
