"""What a product looks like, beside the bundles of its models: vectors of good pictures, and how far others may lie.

It is no part of a bundle, whose hash stands for what judges (docs/decisions/0033). In a run it is a file of its own; an
exported file carries the same text in its metadata.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from kizu.core.config import Config, Stored
from kizu.core.errors import BundleError
from kizu.core.files import read_json, shape_as, write_json
from kizu.core.hashing import hash_value
from kizu.core.types import F32
from kizu.imaging.scale import Scale

FILE = "retrieval.json"
"""In a run folder."""
METADATA = "kizu.retrieval"
"""Metadata of an exported file: the content of `retrieval.json`."""
_AGAIN = "make it again: kizu index RUN"
_NOT_UNIT = 1e-3


class VectorMaker(Config):
    """What made the vectors: those of two makers cannot be compared."""

    backbone: str
    weights_sha256: str
    layers: tuple[str, ...]
    image_size: tuple[int, int]
    """(H, W) that each picture is squashed to."""
    pooling: Literal["mean_std"] = "mean_std"


class ProductReferences(Stored):
    """Of one product."""

    scale: Scale | None = None
    """What numbers deeper than 8 bits mean in its pictures."""
    count: Annotated[int, Field(ge=1)]
    dim: Annotated[int, Field(ge=1)]
    vectors: str
    """(count, dim) float32, little-endian, in base64; of unit length."""
    limit: Annotated[float, Field(ge=0)]
    """1 - cos to the nearest of them: what lies farther is another product. `margin` beyond where the good ones end."""
    margin: Annotated[float, Field(ge=0)]
    """For flawed parts, which look otherwise than good ones."""
    false_rejection_rate: Annotated[float, Field(gt=0, lt=1)]
    """What is promised of good pictures before the margin."""
    images: Annotated[int, Field(ge=1)]
    """Good pictures that the limit rests on, each compared with references that are not of it."""

    @classmethod
    def of(cls, vectors: F32, **facts: object) -> Self:
        """From unit vectors (K, D)."""
        content = base64.b64encode(np.ascontiguousarray(vectors, "<f4").tobytes()).decode()
        values = {"count": len(vectors), "dim": vectors.shape[1], "vectors": content, **facts}
        return cls.parse(values, where="references")

    @property
    def array(self) -> F32:
        """(count, dim)"""
        flat = np.frombuffer(base64.b64decode(self.vectors), "<f4")
        return flat.reshape(self.count, self.dim).astype(np.float32)

    @model_validator(mode="after")
    def _are_unit_vectors(self) -> Self:
        try:
            lengths = np.linalg.norm(self.array.astype(np.float64), axis=1)
        except (ValueError, binascii.Error) as error:
            raise ValueError(f"the vectors are not {self.count} of {self.dim} numbers") from error
        if not (np.abs(lengths - 1) < _NOT_UNIT).all():
            raise ValueError("the vectors are not of length 1")
        return self


class References(Stored):
    """The contents of `retrieval.json`."""

    format: Literal[1] = 1
    run_id: str
    """Of the run whose pictures they are of."""
    maker: VectorMaker
    products: Annotated[dict[str, ProductReferences], Field(min_length=1)]
    """By category."""

    def to_json(self) -> str:
        """What `references_in` takes back."""
        return json.dumps(self.sealed(), allow_nan=False)

    def sealed(self) -> dict[str, object]:
        """All of it, with the hash of what it says."""
        body = self.model_dump(mode="json")
        return {**body, "sha256": hash_value(body)}


def write_references(path: Path, references: References) -> None:
    """As `retrieval.json`, whole or not at all. Raises `OutputError`."""
    write_json(path, references.sealed())


def read_references(path: Path) -> References | None:
    """None: there are none. Raises `BundleError` for a file that is broken or was changed."""
    if not path.exists():
        return None
    return _checked(read_json(path, hint=_AGAIN, raises=BundleError), str(path))


def references_in(metadata: Mapping[str, str], *, where: str) -> References | None:
    """Those that an exported file carries; None: it has none. Raises `BundleError` naming `where`."""
    if METADATA not in metadata:
        return None
    try:
        body = json.loads(metadata[METADATA])
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{METADATA} in {where} is not JSON", hint="export it again") from error
    if not isinstance(body, dict):
        raise BundleError(f"{METADATA} in {where} is no object", hint="export it again")
    return _checked(body, f"{METADATA} in {where}")


def _checked(body: dict[str, object], where: str) -> References:
    digest = body.pop("sha256", None)
    try:
        intact = hash_value(body) == digest
    except ValueError:
        intact = False
    if not intact:
        raise BundleError(f"{where} has changed since it was written", hint=_AGAIN)
    return shape_as(body, References, where, hint=_AGAIN, raises=BundleError)
