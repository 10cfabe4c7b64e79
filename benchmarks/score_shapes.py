"""Scores of good and defective images from known distributions: their true AUROC and AUPRC are integrals."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

F64 = NDArray[np.float64]
MIDDLES = (np.arange(4000) + 0.5) / 4000
"""Where distributions are cut for the integrals."""


def _two_groups(p: F64, part: float, shift: float) -> F64:
    """Quantiles of normal scores of which `part` lies at 0 and the rest at `shift`, in no order."""
    first = p < part
    inside = np.where(first, p / max(part, 1e-12), (p - part) / max(1 - part, 1e-12))
    return ndtri(np.clip(inside, 1e-12, 1 - 1e-12)) + np.where(first, 0.0, shift)


def _normal(u: F64, _: float = 0) -> F64:
    return ndtri(u)


def _heavy(u: F64, _: float = 0) -> F64:
    return stdtrit(3, u)


def _skewed(u: F64, _: float = 0) -> F64:
    return -np.log(-np.log(u))


def _tied(u: F64, _: float = 0) -> F64:
    return np.round(ndtri(u))


Shape = Callable[[F64, float], F64]
SHAPES: dict[str, tuple[Shape, Shape, F64]] = {
    # (defective scores, good scores) of uniform numbers and a parameter, and the parameters to choose from
    "normal": (lambda u, x: ndtri(u) + x, _normal, np.linspace(0.3, 7, 60)),
    "defects vary twice as much": (lambda u, x: 2 * ndtri(u) + x, _normal, np.linspace(0.3, 13, 60)),
    "heavy tails (t, 3 degrees)": (lambda u, x: _heavy(u) + x, _heavy, np.geomspace(0.3, 60, 80)),
    "skewed (Gumbel)": (lambda u, x: _skewed(u) + x, _skewed, np.linspace(0.3, 14, 60)),
    "some flaws unseen": (lambda u, x: _two_groups(u, x, 4), _normal, np.linspace(0.0, 0.5, 80)),
    "ties": (lambda u, x: np.round(ndtri(u) + x), _tied, np.linspace(0.3, 6, 90)),
    "some good parts look bad": (
        lambda u, _: ndtri(u) + 5,
        lambda u, x: _two_groups(u, 1 - x, 5),
        np.linspace(0.0, 0.4, 80),
    ),
}


def true_values(shape: str, parameter: float, defective_part: float) -> tuple[float, float]:
    """AUROC and AUPRC of infinitely many images."""
    of_bad, of_good, _ = SHAPES[shape]
    bad, good = np.sort(of_bad(MIDDLES, parameter)), np.sort(of_good(MIDDLES, parameter))
    below, level = (np.searchsorted(good, bad, side) / good.size for side in ("left", "right"))
    found = 1 - np.searchsorted(bad, bad, "left") / bad.size
    hits, alarms = defective_part * found, (1 - defective_part) * (1 - below)
    return float(((below + level) / 2).mean()), float((hits / (hits + alarms)).mean())


class Setting:
    """Draws test sets of one shape and size, each with a true AUROC from a range."""

    def __init__(self, shape: str, good: int, defective: int, aurocs: tuple[float, float]) -> None:
        self.shape, self.good, self.defective, self.aurocs = shape, good, defective, aurocs
        grid = SHAPES[shape][2]
        part = defective / (good + defective)
        self.known = np.array([[x, *true_values(shape, x, part)] for x in grid])  # (G, 3)
        self.labels = np.arange(good + defective) < defective

    def draw(self, rng: np.random.Generator) -> tuple[F64, float, float]:
        """Scores (N,), defective ones first, and the true AUROC and AUPRC."""
        order = np.argsort(self.known[:, 1], kind="stable")
        x = np.interp(rng.uniform(*self.aurocs), self.known[order, 1], self.known[order, 0])
        rising = self.known[np.argsort(self.known[:, 0])]
        truth = [float(np.interp(x, rising[:, 0], rising[:, column])) for column in (1, 2)]
        of_bad, of_good, _ = SHAPES[self.shape]
        scores = [of_bad(rng.random(self.defective), x), of_good(rng.random(self.good), x)]
        return np.concatenate(scores), truth[0], truth[1]
