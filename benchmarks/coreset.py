"""Greedy k-centre: `kizu.scoring.coreset` beside the literal loop and beside the products that a loop in blocks needs.

    python benchmarks/coreset.py [--json PATH]

"literal" is one pass over the features for each pick, at its best (norms known, one matrix-vector product); some steps
are timed and the rest extrapolated. "all products" is every feature times every pick at the speed of this machine's
matrix product: what eager blocks cannot beat.
"""

from functools import partial

import numpy as np
from measuring import (
    Figure,
    command_line,
    gemm_gflops,
    least_seconds,
    table,
    with_fast_blas,
    write_result,
)
from patches import good_patches

from kizu.core.types import F32
from kizu.scoring.coreset import greedy_k_centre

STEPS = 24
TARGETS = {0.01: (2.5, 218.0), 0.1: (12.0, 2100.0)}
"""Fraction: the target, and what anomalib 2.7 takes, in seconds."""


def literal_step_seconds(features: F32) -> float:
    """One pick of the literal loop."""
    norms = np.einsum("md,md->m", features, features)
    bounds = np.full(len(features), np.inf, np.float32)

    def steps() -> None:
        pick = 0
        for _ in range(STEPS):
            distances = features @ (-2 * features[pick])
            distances += norms
            distances += norms[pick]
            np.minimum(bounds, distances, out=bounds)
            pick = int(bounds.argmax())

    return least_seconds(steps, 3) / STEPS


def main() -> None:
    with_fast_blas()
    arguments = command_line(__doc__).parse_args()
    features = good_patches()
    total, dims = features.shape
    step, speed = literal_step_seconds(features), gemm_gflops() * 1e9
    rows, figures = [], []
    for fraction, (target, peer) in TARGETS.items():
        count = round(total * fraction)
        seconds = least_seconds(partial(greedy_k_centre, features, count, first=0), 3)
        products = 2.0 * total * count * dims / speed
        rows.append(
            {
                "picks": count,
                "seconds": seconds,
                "literal": step * count,
                "x_literal": step * count / seconds,
                "all_products": products,
                "x_all_products": products / seconds,
            }
        )
        name = f"coreset {fraction:.0%} of {total:,} x {dims}"
        figures.append(Figure(name, "s", seconds, target=target, peer=peer, roofline=products))
    print(table(list(rows[0]), [list(row.values()) for row in rows]))
    write_result(arguments.json, {"features": [total, dims], "rows": rows}, figures=figures)


if __name__ == "__main__":
    main()
