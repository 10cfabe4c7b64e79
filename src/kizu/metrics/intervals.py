"""How far a ranking metric would move with other images of the same kinds."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import stdtrit

from kizu.core.errors import ConfigError
from kizu.core.types import I64, Bool
from kizu.metrics.ranking import Ranking, RankingMetric, Reals, rank
from kizu.metrics.undefined import Undefined

COUNTS_AT_ONCE = 1 << 21  # bounds the memory of one block of resamples (16 MB per array of counts)


@dataclass(frozen=True, slots=True)
class Interval:
    """`level` of the resampled values lie in [low, high]."""

    low: float
    high: float
    level: float
    method: str


def bootstrap_interval(
    labels: Bool,
    scores: Reals,
    metric: RankingMetric,
    *,
    rng: np.random.Generator,
    resamples: int = 1000,
    level: float = 0.95,
) -> Interval:
    """Percentile bootstrap over images, stratified: defective and good images are redrawn separately.

    `labels` (N,) True = defective, `scores` (N,) raw. A metric of a ranking sees only counts, and
    redrawing n images with replacement redraws these counts from a multinomial: so all resamples are computed
    together, as the rows of one `Ranking`.
    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
    Raises `Undefined` without both kinds of image, otherwise as `rank`.
    """
    if resamples < 1 or not 0 < level < 1:
        raise ConfigError(f"resamples must be at least 1 and level in (0, 1), got {resamples} and {level}")
    ranking = rank(labels, scores, noun="images")
    ranking.require_both_kinds()
    block = max(1, COUNTS_AT_ONCE // (2 * ranking.scores.size + 1))
    sizes = [min(block, resamples - done) for done in range(0, resamples, block)]
    values = np.concatenate([metric.of(_resample(ranking, size, rng)) for size in sizes])  # (resamples,)
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high), level, f"stratified percentile bootstrap, {resamples} resamples")


def mean_interval(values: Sequence[float], *, level: float = 0.95) -> Interval:
    """Of the mean of independent repetitions (seeds), by Student's t. Raises `Undefined` for fewer than two."""
    if len(values) < 2:
        raise Undefined(f"{len(values)} repetition(s): two are needed")
    error = np.std(values, ddof=1) / np.sqrt(len(values))
    reach = float(stdtrit(len(values) - 1, (1 + level) / 2) * error)
    mean = float(np.mean(values))
    return Interval(mean - reach, mean + reach, level, f"Student's t over {len(values)} repetitions")


def _resample(ranking: Ranking, resamples: int, rng: np.random.Generator) -> Ranking:
    """`resamples` redrawn rankings, counts of shape (resamples, T)."""
    hits = _redraw(ranking.hits, resamples, rng)
    # Good images fall into 2T + 1 bins: above the first defective score, at it, down to the second, ...
    borders = np.stack([ranking.alarms_above, ranking.alarms], axis=1).ravel()  # (2T,)
    bins = np.diff(borders, prepend=0, append=ranking.good)  # (2T + 1,)
    borders = np.cumsum(_redraw(bins, resamples, rng), axis=1)
    return replace(ranking, hits=hits, alarms_above=borders[:, :-1:2], alarms=borders[:, 1::2])


def _redraw(counts: I64, resamples: int, rng: np.random.Generator) -> I64:
    """Draw `counts.sum()` things with replacement from bins filled by `counts` (B,): (resamples, B)."""
    total = int(counts.sum())
    drawn: I64 = rng.multinomial(total, counts / total, size=resamples)
    return drawn
