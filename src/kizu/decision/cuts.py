"""Where a threshold lies among the scores that set it: a margin above one of them, before the next.

Were it one of these scores, it would part equals: another runtime computes the same picture a last bit higher, and
calls it NG.
"""

import numpy as np

from kizu.core.types import F64

MARGIN = 1e-4
"""How far beyond the last score a threshold lies, in parts of the largest score's size. Runtimes that run one model in
float32 were seen to differ by up to 2e-6 of it (five methods, two runtimes, scores and maps)."""
LEAST_MARGIN = 1e-5
"""Where good scores lie close together for their size the margin is smaller, down to this: still well above 2e-6."""
SPREAD_PART = 0.1
"""The margin is at most this part of the range of the scores, as long as that is more than `LEAST_MARGIN`: an offset
that all scores share must not hide a flaw that stands out among them."""


def just_above(scores: F64, rank: int) -> float:
    """A threshold that the `rank`-th smallest of `scores` (N,) and its equals do not exceed, and the next larger does.

    It lies by the margin above it, but no farther than midway to the next: that one may be far off, and what stands out
    as it does shall be NG.
    """
    ordered = np.sort(scores)
    score = float(ordered[rank - 1])
    above = score + margin(ordered)
    larger = int(np.searchsorted(ordered, score, side="right"))
    if larger == len(ordered):
        return above
    following = float(ordered[larger])
    between = min(above, score / 2 + following / 2)  # halves first: a sum may overflow
    return (
        between if score <= between < following else score
    )  # neighbours in float64 have nothing between them


def margin(ordered: F64) -> float:
    """How far a threshold lies beyond the first or last of `ordered` (N,), rising. Above 0, in float32 too."""
    size = float(np.abs(ordered[[0, -1]]).max())
    by_spread = SPREAD_PART * float(ordered[-1]) - SPREAD_PART * float(ordered[0])
    wanted = min(max(by_spread, LEAST_MARGIN * size), MARGIN * size)
    return max(wanted, float(np.finfo(np.float32).tiny))
