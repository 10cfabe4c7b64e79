"""How closely a bank covers the good patches that it stands for, and what a state keeps of it."""

from dataclasses import dataclass

import numpy as np

from kizu.core.types import I64
from kizu.detectors.base import Arrays


@dataclass(frozen=True, slots=True)
class Coverage:
    """What a bank promises of the good patches that it stands for."""

    patches: int
    """How many there were."""
    radius: float
    """None of them is farther (L2) than this from a vector of the bank; 0: all are in it."""

    def arrays(self) -> Arrays:
        """As a state keeps it."""
        return {"bank_patches": np.array(self.patches), "bank_radius": np.array(self.radius)}


def restore_coverage(arrays: Arrays) -> Coverage | None:
    """What `Coverage.arrays` made; None where the bank has none, or is from before there was any."""
    if "bank_radius" not in arrays:
        return None
    return Coverage(int(arrays["bank_patches"]), float(arrays["bank_radius"]))


def told(coverage: Coverage | None, groups: I64 | None) -> Arrays:
    """What a state keeps beside the bank, as far as it is known: its coverage, and its vectors' groups (M,)."""
    of_groups = {} if groups is None else {"bank_groups": groups}
    return {**({} if coverage is None else coverage.arrays()), **of_groups}
