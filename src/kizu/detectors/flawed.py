"""What flawed images have become, for methods that learn from them."""

from dataclasses import dataclass, replace

import numpy as np

from kizu.core.types import F32, I64

REAL = -1
"""In place of the number of a good image: a labelled defect."""


@dataclass(frozen=True, slots=True)
class FlawedBatch:
    """What flawed images have become."""

    embedding: F32
    """(N, h, w, D)"""
    share: F32
    """(N, h, w) the part of each patch that is flawed; NaN: the image is flawed somewhere, and nobody drew where"""
    rows: I64
    """(N,) the number of the good image that it was painted into, as they came; `REAL`"""

    def without(self, rows: set[int]) -> "FlawedBatch":
        """The batch without what was painted into the good images of these numbers."""
        kept = np.array([int(row) not in rows for row in self.rows], bool)
        return replace(self, embedding=self.embedding[kept], share=self.share[kept], rows=self.rows[kept])
