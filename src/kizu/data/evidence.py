"""What speaks for two pictures being siblings, and what came of it: values only."""

from dataclasses import dataclass
from typing import Literal

from kizu.data.likeness import Detail

Clue = Literal["detail", "series", "rare"]


@dataclass(frozen=True, slots=True)
class Seen:
    """A picture as it is compared."""

    name: str
    """Unique in its set: an id"""
    detail: Detail
    taken: float | None = None
    """Seconds of the camera's clock"""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two pictures that are alike, and what says so."""

    first: str
    second: str
    fine: float
    outline: float
    """0..1: the part of fine and of coarse detail that they share"""
    hash_bits: int
    """Of 512 bits of their image hashes, how many differ"""
    cosine: float | None = None
    """Of their embeddings, what all have in common taken out; None where there are none"""
    apart: float | None = None
    """Of the numbers in their names"""
    seconds: float | None = None
    """Between them, by the camera's clock"""
    clue: Clue | None = None
    """What joined them; None: nothing did"""

    def told(self) -> str:
        """The evidence in one line."""
        facts = [f"{self.fine:.0%} of fine detail shared", f"hashes {self.hash_bits} of 512 bits apart"]
        facts += [] if self.cosine is None else [f"features {self.cosine:.2f}"]
        facts += [] if self.apart is None else [f"numbers {self.apart:.15g} apart"]
        facts += [] if self.seconds is None else [f"taken {self.seconds:.3g} s apart"]
        return f"{self.first} and {self.second}: {', '.join(facts)}"


@dataclass(frozen=True, slots=True)
class Siblings:
    """What was found in a set."""

    groups: tuple[tuple[str, ...], ...]
    """Names that belong together, two and more in each, in order."""
    joined: tuple[Pair, ...]
    """The evidence: one pair less than its group has members."""
    unsure: tuple[Pair, ...]
    """Alike, and not in one group."""
    common: float = 0.0
    """The part of fine detail that any two of the set share; what pairs share is counted beyond it."""

    def group_of(self) -> dict[str, str]:
        """Name -> its group, which is called like its first member."""
        return {name: group[0] for group in self.groups for name in group}
