"""How often the printed intervals hold the true value, and how often a comparison is wrong, where the truth is known.

    .venv/bin/python benchmarks/intervals.py            # the tables of docs/intervals.md, some five minutes on one core
    .venv/bin/python benchmarks/intervals.py --only auroc aupro rates paired seeds --simulations 100

Scores are drawn from known distributions, so that the true value is an integral; then the functions that `kizu
evaluate` and `kizu compare` call are asked. Seeded: the same tables each time.
"""

import argparse
from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
from drawn_maps import KINDS, draw_maps
from numpy.typing import NDArray
from scipy.special import ndtri
from score_shapes import F64, SHAPES, Setting

from kizu.core.randomness import rng_for
from kizu.metrics.aupro_interval import aupro_intervals
from kizu.metrics.auroc_interval import auroc_interval, structural_components
from kizu.metrics.compare import delong, exchange_test
from kizu.metrics.decision_intervals import decision_intervals
from kizu.metrics.decisions import Confusion
from kizu.metrics.intervals import Interval, mean_interval
from kizu.metrics.overlap import aupro_of
from kizu.metrics.pixels import rank_pixels
from kizu.metrics.ranking import auprc
from kizu.metrics.undefined import Undefined

SIZES = (
    (6, 17), (10, 20), (12, 30), (20, 10), (20, 63), (26, 141), (36, 36),
    (100, 10), (100, 30), (500, 10), (60, 200), (135, 388), (500, 500),
)  # fmt: skip
"""(good, defective)."""
AUROC_SIZES = tuple({(100, 10): (100, 12), (500, 10): (500, 70)}.get(size, size) for size in SIZES)
"""With fewer defective images none is told."""
AUROCS = {"about .90": (0.85, 0.95), "about .98": (0.96, 0.995), "about 1": (0.99, 0.9995)}


Limits = tuple[float, float]


def holds(limits: Limits, truth: float) -> bool:
    return limits[0] - 1e-12 <= truth <= limits[1] + 1e-12


def wald(labels: NDArray[np.bool_], scores: F64) -> Limits:
    """DeLong's variance as it is, in a symmetric interval: for comparison."""
    parts = structural_components(labels, scores)
    reach = 1.96 * np.sqrt(sum(part.var(ddof=1) / part.size for part in parts))
    return float(parts[0].mean() - reach), float(parts[0].mean() + reach)


def cells(covered: Sequence[float]) -> str:
    """Mean, and least and most, over shapes of scores or over ranges of rates."""
    return f"{np.mean(covered):.3f} ({min(covered):.2f} to {max(covered):.2f})"


def auroc_table(simulations: int) -> None:
    """And beside it DeLong's variance as it is, for every fifth draw about .98."""
    heads = [*AUROCS, "DeLong as it is, about .98"]
    print(f"| good + defective | {' | '.join(heads)} |\n|{'---|' * (len(heads) + 1)}")
    by_shape: dict[str, list[float]] = {shape: [] for shape in SHAPES}
    for good, defective in AUROC_SIZES:
        row, others = [], []
        for name, aurocs in AUROCS.items():
            covered = []
            for shape in SHAPES:
                setting = Setting(shape, good, defective, aurocs)
                rng = rng_for(0, "auroc", shape, str(good), str(defective), name)
                held = []
                for number in range(simulations):
                    scores, truth, _ = setting.draw(rng)
                    found = auroc_interval(setting.labels, scores)
                    held.append(holds((found.low, found.high), truth))
                    if name == "about .98" and number % 5 == 0:
                        others.append(holds(wald(setting.labels, scores), truth))
                covered.append(float(np.mean(held)))
                by_shape[shape].append(covered[-1])
            row.append(cells(covered))
        row.append(f"{np.mean(others):.3f}")
        print(f"| {good} + {defective} | {' | '.join(row)} |", flush=True)
    print("\n| shape of the scores | mean over all of the table | least | most |\n|---|---|---|---|")
    for shape, values in by_shape.items():
        print(f"| {shape} | {np.mean(values):.3f} | {min(values):.2f} | {max(values):.2f} |")


def aupro_table(simulations: int) -> None:
    limits = (0.30, 0.05)
    print("| good + flawed | AU-PRO@0.30 | AU-PRO@0.05 |\n|---|---|---|")
    truths = {}
    for name, kind in KINDS.items():
        pixels = rank_pixels(*draw_maps(kind, 3000, 3000, rng_for(0, "aupro, truth", name)))
        truths[name] = [aupro_of(pixels, limit) for limit in limits]
    for good, flawed in ((20, 10), (20, 20), (20, 63), (36, 36), (100, 10), (60, 200)):
        covered = []
        for name, kind in KINDS.items():
            rng = rng_for(0, "aupro", name, str(good), str(flawed))
            held = []
            for _ in range(simulations):
                maps, masks = draw_maps(kind, good, flawed, rng)
                found = aupro_intervals(rank_pixels(maps, masks), maps, masks, limits)
                held.append(
                    [holds((one.low, one.high), true) for one, true in zip(found, truths[name], strict=True)]
                )
            covered.append(np.mean(held, axis=0))
        print(
            f"| {good} + {flawed} | {' | '.join(cells(list(each)) for each in np.transpose(covered))} |",
            flush=True,
        )
    told = "; ".join(f"{name} {truth[0]:.3f}, {truth[1]:.3f}" for name, truth in truths.items())
    print(f"\nTrue values (simulated with 3000 + 3000): {told}.")


RATES = {
    "recall .5 to 1, overkill 0 to .1": ((0.5, 1.0), (0.0, 0.1)),
    "recall .9 to 1, overkill 0 to .5": ((0.9, 1.0), (0.0, 0.5)),
    "recall .2 to .7, overkill 0 to .05": ((0.2, 0.7), (0.0, 0.05)),
}


def rates_table(simulations: int) -> None:
    names = ("recall", "overkill_rate", "precision", "f1", "accuracy")
    print(f"| good + defective | {' | '.join(names)} |\n|{'---|' * (len(names) + 1)}")
    for good, defective in SIZES:
        covered: dict[str, list[float]] = {name: [] for name in names}
        for told in RATES:
            for name, held in _decided(good, defective, told, simulations).items():
                covered[name].append(float(np.mean(held)))
        print(f"| {good} + {defective} | {' | '.join(cells(covered[name]) for name in names)} |", flush=True)
    print(f"\nOver {'; '.join(RATES)}.")


def _decided(n: int, m: int, told: str, simulations: int) -> dict[str, list[bool]]:
    """Whether each rate was held, each time."""
    rng = rng_for(0, "rates", str(n), str(m), told)
    held: dict[str, list[bool]] = {}
    known: dict[tuple[int, int], dict[str, Interval]] = {}
    for _ in range(simulations):
        r, o = (rng.uniform(*between) for between in RATES[told])
        tp, fp = int(rng.binomial(m, r)), int(rng.binomial(n, o))
        if (tp, fp) not in known:
            known[tp, fp] = decision_intervals(Confusion(tp, fp, n - fp, m - tp))
        truth = {
            "recall": r,
            "overkill_rate": o,
            "precision": m * r / (m * r + n * o),
            "f1": 2 * m * r / (m * r + m + n * o),
            "accuracy": (m * r + n * (1 - o)) / (m + n),
        }
        for name in truth.keys() & known[tp, fp].keys():
            found = known[tp, fp][name]
            held.setdefault(name, []).append(holds((found.low, found.high), truth[name]))
    return held


def paired_scores(
    labels: NDArray[np.bool_],
    aurocs: tuple[float, float],
    alike: float,
    spread: float,
    rng: np.random.Generator,
) -> tuple[F64, F64]:
    """Two methods with these true AUROCs whose normal scores of an image are correlated by `alike`."""
    shared = rng.normal(size=labels.size)
    wide = np.where(labels, spread, 1.0)
    one, other = (
        wide * (np.sqrt(alike) * shared + np.sqrt(1 - alike) * rng.normal(size=labels.size))
        + labels * np.hypot(1, spread) * ndtri(value)
        for value in aurocs
    )
    return one, other


def paired_table(simulations: int) -> None:
    print(
        "| good + defective | true AUROCs | interval holds | rejected at .05 | AUPRC, ranks exchanged: rejected |"
    )
    print("|---|---|---|---|---|")
    for (n, m), aurocs in product(
        ((6, 17), (20, 10), (36, 36), (100, 10), (135, 388)),
        ((0.9, 0.9), (0.98, 0.98), (0.8, 0.95), (0.9, 0.98)),
    ):
        labels = np.arange(n + m) < m
        held, rejected, exchanged = [], [], []
        for alike, spread in product((0.0, 0.7), (1.0, 2.0)):
            rng = rng_for(0, "paired", str(n), str(m), str(aurocs), str(alike), str(spread))
            for number in range(simulations // 2):
                one, other = paired_scores(labels, aurocs, alike, spread, rng)
                found = delong(labels, one, other)
                limits = float(found.low or 0), float(found.high or 0)
                held.append(holds(limits, aurocs[0] - aurocs[1]))
                rejected.append(found.p_value <= 0.05)
                if number < simulations // 8:
                    exchanged.append(
                        exchange_test(labels, one, other, auprc, rng=rng, exchanges=99).p_value <= 0.05
                    )
        print(
            f"| {n} + {m} | {aurocs[0]} and {aurocs[1]} | {np.mean(held):.3f} | {np.mean(rejected):.3f}"
            f" | {np.mean(exchanged):.3f} |",
            flush=True,
        )


def seeds_table(simulations: int) -> None:
    """Student's t over seeds: of numbers that spread normally, and of numbers that crowd below 1."""
    print("| seeds | numbers | interval holds | not told |\n|---|---|---|---|")
    laws: dict[str, tuple[Callable[[np.random.Generator, int], F64], float]] = {
        "normal": (lambda rng, k: rng.normal(0.9, 0.01, k), 0.9),
        "skewed towards 1": (lambda rng, k: 1 - rng.gamma(2, 0.005, k), 0.99),
        "1 but for one fit in ten": (lambda rng, k: np.where(rng.random(k) < 0.1, 0.95, 1.0), 0.995),
    }
    for count, (told, (draw, truth)) in product((2, 3, 5), laws.items()):
        rng = rng_for(0, "seeds", str(count), told)
        held, missing = [], 0
        for _ in range(10 * simulations):
            try:
                found = mean_interval(draw(rng, count).tolist(), bounds=(0, 1))
                held.append(holds((found.low, found.high), truth))
            except Undefined:
                missing += 1
        print(f"| {count} | {told} | {np.mean(held):.3f} | {missing / (10 * simulations):.2f} |")


TABLES = {
    "auroc": auroc_table,
    "aupro": aupro_table,
    "rates": rates_table,
    "paired": paired_table,
    "seeds": seeds_table,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=TABLES, default=list(TABLES))
    parser.add_argument("--simulations", type=int, default=300, help="per shape of the scores (default 300)")
    asked = parser.parse_args()
    for name in asked.only:
        print(f"\n### {name}\n")
        TABLES[name](asked.simulations * (5 if name == "rates" else 1) // (2 if name == "aupro" else 1))


if __name__ == "__main__":
    main()
