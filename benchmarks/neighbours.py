"""Nearest patches of one 256 px image in a bank: `kizu.scoring.neighbours` beside the bare matrix product.

    python benchmarks/neighbours.py [--json PATH]

All cases take turns. "product" is queries times bank, written to memory, nothing searched: the limit of plain exact
search. "float" fuses it with the search; "integer" finds candidates by 8-bit products and proves the nearest by true
distances. Both are exact, and are compared here. "measured" is how many vectors a query was measured against.
"""

from typing import Any

import numpy as np
from measuring import Figure, command_line, least_ms, table, with_fast_blas, write_result
from patches import good_patches, unseen_patches

from kizu.backbones.products import integer_product
from kizu.core.types import F32
from kizu.scoring.coreset import greedy_k_centre
from kizu.scoring.neighbours import build_bank, nearest
from kizu.scoring.rounded import possible

TARGETS = {0.01: 3.0, 0.1: 18.0}
"""Fraction of the patches in the bank: milliseconds aimed at."""
PEERS = {0.1: 124.0}


def measure(vectors: F32, images: F32, seconds: float) -> dict[str, Any]:
    """`images`: (N, P, D); the first is timed, all are compared."""
    plain, integer = build_bank(vectors), build_bank(vectors, integer_product)
    queries = images[0]
    products = np.empty((len(queries), len(vectors)), np.float32)
    ms = least_ms(
        {
            "product": lambda: np.matmul(queries, vectors.T, out=products),
            "float": lambda: nearest(queries, plain, 1),
            "integer": lambda: nearest(queries, integer, 1),
            "k=9, one query": lambda: nearest(queries[:1], plain, 9),
        },
        seconds=seconds,
    )
    flat = images.reshape(-1, images.shape[-1])
    by_float, by_integer = nearest(flat, plain, 1)[0], nearest(flat, integer, 1)[0]
    assert integer.rounded is not None
    pairs = possible(
        queries,
        integer.rounded,
        lambda row, index: np.linalg.norm(queries[row] - vectors[index], axis=1),
    )
    return {
        "bank": len(vectors),
        **ms,
        "float_over_product": ms["float"] / ms["product"],
        "integer_over_product": ms["integer"] / ms["product"],
        "largest_difference": float(np.abs(by_float - by_integer).max()),
        "measured": float("nan") if pairs is None else len(pairs[0]) / len(queries),
    }


def main() -> None:
    with_fast_blas()
    parser = command_line(__doc__)
    parser.add_argument("--seconds", type=float, default=4.0, help="of measuring, per case")
    arguments = parser.parse_args()
    features, images = good_patches(), unseen_patches()
    picks = greedy_k_centre(features, round(len(features) * max(TARGETS)), first=0)
    rows, figures = [], []
    for fraction, target in TARGETS.items():
        bank = features[picks[: round(len(features) * fraction)]]
        row = measure(bank, images, arguments.seconds)
        rows.append(row)
        for case in ("float", "integer"):
            name = f"nearest of {len(bank):,}, {case}, one 256 px image"
            figures.append(
                Figure(
                    name, "ms", row[case], target=target, peer=PEERS.get(fraction), roofline=row["product"]
                )
            )
    print(table(list(rows[0]), [list(row.values()) for row in rows]))
    write_result(arguments.json, {"rows": rows}, figures=figures)


if __name__ == "__main__":
    main()
