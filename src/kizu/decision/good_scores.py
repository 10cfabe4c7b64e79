"""Scores of good pictures that a fit had not seen: which of them are independent, and which fits gave them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from kizu.core.errors import CalibrationError
from kizu.core.types import F32, F64, I64


def number_groups(groups: Sequence[int] | Sequence[str] | I64) -> I64:
    """(N,) any names of groups -> (N,) numbers from 0 on, the same for the same."""
    numbers: I64 = np.unique(np.asarray(groups), return_inverse=True)[1].reshape(-1).astype(np.int64)
    return numbers


def usable_scores(scores: F32 | F64) -> F64:
    """(N,) in float64. Raises `CalibrationError` for no score and for one that is not finite."""
    if len(scores) == 0:
        raise CalibrationError("there are no calibration images", hint="hold some good images out of the fit")
    if not np.isfinite(scores).all():
        raise CalibrationError(
            f"calibration score {int(np.flatnonzero(~np.isfinite(scores))[0])} is not finite"
        )
    return scores.astype(np.float64)


@dataclass(frozen=True, slots=True)
class GoodScores:
    """What a conformal rule counts."""

    values: F64
    """(N,)"""
    groups: I64
    """(N,) each one's group, from 0 on: pictures of one part or one lot say little more than one of them"""
    left_out: bool = False
    """The model that runs was fitted on these pictures too; each score is as of a fit without the picture's group."""
    monotone: bool = False
    """Of left-out groups: no good picture that is learned besides can raise a score of theirs."""

    @classmethod
    def of(
        cls,
        scores: "F32 | F64 | GoodScores",
        groups: I64 | None = None,
        *,
        left_out: bool = False,
        monotone: bool = False,
    ) -> Self:
        """`groups`: (N,) any numbers; None: each picture is a group of its own. Raises `CalibrationError` for no score
        and for one that is not finite."""
        if isinstance(scores, GoodScores):
            return cls(scores.values, scores.groups, scores.left_out, scores.monotone)
        values = usable_scores(scores)
        known = np.arange(len(scores)) if groups is None else number_groups(groups)
        return cls(values, known, left_out, monotone)

    @property
    def count(self) -> int:
        """Groups."""
        return int(self.groups.max()) + 1

    @property
    def are_grouped(self) -> bool:
        """Whether any group has more than one picture."""
        return self.count < len(self.values)

    @property
    def factor(self) -> int:
        """What the theory promises, in parts of the level that the scores are cut at. See `conformal`."""
        return 2 if self.left_out and not self.monotone else 1

    def rank_at(self, level: float) -> int | None:
        """How many of the scores, from the lowest, the threshold leaves below it; None: there are too few groups.

        Each group weighs 1 / (n + 1), each of its pictures an equal part of that, and a last part 1 / (n + 1) stands
        for what comes: the least score up to which 1 - level is reached (Lee, Barber & Willett 2023, "Distribution-free
        inference with hierarchical data"). Of single pictures that is the ceil((n + 1)(1 - level))-th smallest.
        """
        weights = 1 / np.bincount(self.groups)[self.groups]  # (N,), a group adds up to 1
        reached = np.cumsum(weights[np.argsort(self.values, kind="stable")])
        enough = np.flatnonzero(reached >= (self.count + 1) * (1 - level) - 1e-9)
        return int(enough[0]) + 1 if enough.size else None
