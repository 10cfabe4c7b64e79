"""What is fitted on what, thresholds set on what, and what is met: the conditions of the study, in one table.

Every fit serves several conditions, so a trial's `Source` says which fit it wants.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Pictures = Literal["clean", "shifted", "both", "other", "zero"]
"""Clean, shifted by the study's shift, clean and shifted together, shifted by its other shift, or at severity 0."""
Fit = Literal["clean", "shifted", "both", "updated", "global"]
"""`updated`: fitted on clean, then updated with a few shifted; `global`: one model of all categories, on clean."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One line of the table."""

    number: int
    """As the protocol counts them."""
    fit: Fit
    thresholds: Pictures
    """The validation images they are set on, of the very split."""
    met: Pictures
    """The test images"""
    title: str
    pooled: bool = False
    """One threshold, set on the validation images of all categories together."""
    baseline: str | None = None
    """The condition it is compared with, on the same test images."""

    @property
    def has_severity(self) -> bool:
        """Whether anything in it is shifted."""
        return not {self.fit, self.thresholds, self.met} <= {"clean", "global", "zero"}


CONDITIONS: Mapping[str, Condition] = {
    "clean": Condition(1, "clean", "clean", "clean", "clean"),
    "zero": Condition(1, "clean", "clean", "zero", "shifted at severity 0"),
    "shifted": Condition(2, "clean", "clean", "shifted", "shifted, nothing adapted", baseline="clean"),
    "thresholds": Condition(
        3, "clean", "shifted", "shifted", "thresholds set anew on shifted", baseline="shifted"
    ),
    "refitted": Condition(4, "shifted", "shifted", "shifted", "refitted on shifted", baseline="shifted"),
    "joint": Condition(5, "both", "both", "shifted", "fitted on clean and shifted", baseline="shifted"),
    "joint_on_clean": Condition(
        5, "both", "both", "clean", "fitted on clean and shifted, met clean", baseline="clean"
    ),
    "cross": Condition(
        6, "shifted", "shifted", "other", "fitted on the shift, met another", baseline="refitted"
    ),
    "global": Condition(7, "global", "clean", "clean", "one model of all categories", baseline="clean"),
    "global_pooled": Condition(
        7, "global", "clean", "clean", "one model and one threshold for all", pooled=True, baseline="global"
    ),
    "global_shifted": Condition(
        7, "global", "clean", "shifted", "one model of all, shifted", baseline="shifted"
    ),
    "global_shifted_pooled": Condition(
        7,
        "global",
        "clean",
        "shifted",
        "one model and one threshold for all, shifted",
        pooled=True,
        baseline="global_shifted",
    ),
    "updated": Condition(
        8, "updated", "clean", "shifted", "updated with a few shifted images", baseline="shifted"
    ),
}


@dataclass(frozen=True, slots=True, order=True)
class Source:
    """One fit: a trial names the one it wants, and trials of one source share it."""

    fit: Fit
    severity: int = 0
    count: int = 0
    """Of shifted images in an update"""


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """Which trial."""

    category: str
    method: str
    seed: int
    condition: str
    severity: int = 0
    count: int = 0

    @property
    def source(self) -> Source:
        """The fit it wants."""
        fit = CONDITIONS[self.condition].fit
        return Source(fit, self.severity if fit in ("shifted", "both", "updated") else 0, self.count)

    @property
    def name(self) -> str:
        """Of its file."""
        parts = [self.condition]
        if self.severity:
            parts.append(f"s{self.severity}")
        if self.count:
            parts.append(f"n{self.count}")
        return "-".join(parts)

    def beside(self, condition: str) -> "Key":
        """The trial of another condition that it is compared with."""
        severity = self.severity if CONDITIONS[condition].has_severity else 0
        return Key(self.category, self.method, self.seed, condition, severity)
