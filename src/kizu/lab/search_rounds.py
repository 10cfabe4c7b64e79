"""How many pictures contenders meet in each round of a search, how many go on, and how long it takes."""

from dataclasses import dataclass

HELD = 48
"""Good pictures that judge, of as many groups, or of a third of all; then more of each."""


@dataclass(frozen=True, slots=True)
class Round:
    """What part of the pictures contenders meet, and how many of them go on."""

    fit: int
    held: int
    keep: int
    until: float
    """Part of the time after which no more contenders begin it"""


ROUNDS = (Round(24, 12, 8, 0.5), Round(72, 24, 4, 0.8), Round(1_000_000, HELD, 1, 1.0))


class Clock:
    """What things took, to foretell what they will take."""

    def __init__(self) -> None:
        self.pixels = self.seconds = 0.0

    def predict(self, pixels: int, members: int) -> float:
        """Seconds for so many pixels seen by so many methods."""
        return self.seconds / self.pixels * pixels * (1 + members) if self.pixels else 0.0

    def tell(self, pixels: int, members: int, seconds: float) -> None:
        """What it took."""
        self.pixels += pixels * (1 + members)
        self.seconds += seconds


def rounds_for(fit: int, held: int) -> list[Round]:
    """Those that differ: of few pictures the last one is all there is."""
    last = ROUNDS[-1]
    return [step for step in ROUNDS[:-1] if step.fit < fit and step.held < held] + [last]
