"""How closely a few picks cover all points, and more picks for points that came later.

The farthest of all points from its nearest pick is the covering radius. In greedy k-centre (Gonzalez, "Clustering to
Minimize the Maximum Intercluster Distance", 1985) each pick is the point that lay farthest away, so the last one's
distance from the others bounds it: no point was farther, and none is now.
"""

import math

import numpy as np

from kizu.core.errors import ConfigError
from kizu.core.threads import one_blas_thread
from kizu.core.types import F32, I64
from kizu.scoring.neighbours import Bank, nearest
from kizu.scoring.products import central_vector, product_slack, squared_norms


def radius_of_picks(picks: F32) -> float:
    """A bound (L2) of the covering radius, from greedy `picks` (M, D) in their order, M >= 2.

    The greedy choice rests on float32 products, which are off by up to `rounding_of` squared: in tight clusters a point
    that was not picked may lie that much farther than the last pick did.

    Raises `ConfigError` for fewer.
    """
    if len(picks) < 2:
        raise ConfigError(f"{len(picks)} pick(s) do not tell how closely they cover")
    last = float(nearest(picks[-1:], picks[:-1], 1)[0][0, 0])
    lengths = np.linalg.norm(picks.astype(np.float64) - central_vector(picks), axis=1)
    length = float(lengths.max()) + last  # of any point, for it lies near a pick
    return math.hypot(last, rounding_of(picks.shape[1]) * length)


def rounding_of(dims: int) -> float:
    """The root of what products of vectors (D,) may be off by: D * 2^-24 of |x|^2 + 2 |p|^2, in parts of length."""
    return math.sqrt(3 * (dims + 8) * 2.0**-24)


def continue_picks(x: F32, bank: Bank, *, radius: float, most: int) -> tuple[I64, float]:
    """Go on with greedy k-centre: picks from `x` (N, D) beside those in `bank`, until no point is farther than `radius`
    (L2) from a pick, or `most` are picked.

    -> indices of the picks (K,) in their order, and the distance of the point of `x` that is now farthest from its
    nearest pick or bank vector. Among equals the lowest index. A pick is measured against those points only that a
    product cannot tell to be nearer to an earlier one.
    """
    left = nearest(x, bank, 1)[0][:, 0]  # (N,)
    centred = x - bank.centre
    norms = squared_norms(centred)
    picks: list[int] = []
    with one_blas_thread(), np.errstate(over="ignore", invalid="ignore"):  # what overflows is measured
        while len(picks) < min(most, len(x)):
            farthest = int(left.argmax())
            if left[farthest] <= radius:
                break
            picks.append(farthest)
            squared = norms + norms[farthest] - 2 * (centred @ centred[farthest])
            lost = product_slack(norms + norms[farthest] + left * left, x.shape[1])
            near = np.flatnonzero(~(squared - lost > left * left))
            difference = x[near] - x[farthest]
            left[near] = np.minimum(left[near], np.sqrt(squared_norms(difference)))
    return np.array(picks, dtype=np.int64), float(left.max())
