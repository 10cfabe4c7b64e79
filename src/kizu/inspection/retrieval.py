"""Whose picture it is: the nearest of the products that models were trained on, or none of them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from kizu.bundles.references import ProductReferences
from kizu.core.errors import MismatchError
from kizu.core.types import F32, I64
from kizu.data.batches import Source
from kizu.imaging.scale import Scale
from kizu.pipeline.vectors import VectorNetwork
from kizu.scoring.references import vote


@dataclass(frozen=True, slots=True)
class Retrieved:
    """What a picture's vector says."""

    name: str | None
    """Whose picture it is; None: of none of these products."""
    confidence: float
    """The part of the nearest product in the votes of the nearest references, weighted by similarity; 0..1. Of one
    product alone it is 1: that a picture is of none is told by its distance."""
    distance: float
    """1 - cos to the nearest reference of the nearest product; 0..2"""
    limit: float
    """Of that product: what lies farther is none of these."""


@dataclass(frozen=True, slots=True)
class _Known:
    """Products whose pictures become vectors in the same way."""

    scale: Scale | None
    vectors: F32
    """(K, 2 D)"""
    owners: I64
    """(K,) indices of products"""


class Retriever:
    """Knows some products. Safe to share between threads."""

    def __init__(self, products: Mapping[str, ProductReferences], network: VectorNetwork) -> None:
        """`products`: one or more, by name; `network`: what made their references."""
        self._names = list(products)
        self._limits = [product.limit for product in products.values()]
        self._network = network
        self._known = []
        for scale in dict.fromkeys(product.scale for product in products.values()):
            own = [(i, p.array) for i, p in enumerate(products.values()) if p.scale == scale]
            owners = np.concatenate([np.full(len(array), i) for i, array in own])
            self._known.append(_Known(scale, np.concatenate([array for _, array in own]), owners))

    def retrieve(self, picture: Source) -> Retrieved:
        """Whose picture it is. A product whose pictures are deeper is no candidate for one that is not so.

        Raises `ImageError`.
        """
        similar: list[F32] = []
        owners = []
        refused: MismatchError | None = None
        for known in self._known:
            try:
                vector = self._network.vector(picture, known.scale)
            except MismatchError as error:
                refused = error
                continue
            similar.append(known.vectors @ vector)
            owners.append(known.owners)
        if not similar:
            assert refused is not None
            raise refused
        found = vote(np.concatenate(similar), np.concatenate(owners))
        limit = self._limits[found.owner]
        name = self._names[found.owner] if found.distance <= limit else None
        return Retrieved(name, found.confidence, found.distance, limit)
