"""Nearest patches of one 256 px image in a bank: `kizu.scoring.neighbours` beside the bare matrix product.

    python benchmarks/neighbours.py [--json PATH]

All cases take turns. "product" is queries times bank, written to memory, nothing searched: the limit of plain exact
search. "float" fuses it with the search; "8 bits" and "7 bits" find candidates by integer products and prove the
nearest by true distances. 7 bits are what processors without a dot-product instruction multiply exactly; there 8 bits
are left out (`without_vnni.c` makes any processor such a one). All are exact, and are compared here. "measured" is
how many vectors a query was measured against.
"""

from typing import Any

import numpy as np
from measuring import Figure, command_line, least_ms, table, with_fast_blas, write_result
from patches import good_patches, unseen_patches

from kizu.backbones.products import EIGHT_BITS, SEVEN_BITS, exact_integer_product
from kizu.core.types import F32
from kizu.scoring.coreset import greedy_k_centre
from kizu.scoring.neighbours import build_bank, nearest
from kizu.scoring.rounded import possible

TARGETS = {0.01: 3.0, 0.1: 18.0}
"""Fraction of the patches in the bank: milliseconds aimed at."""
PEERS = {0.1: 124.0}


def measure(vectors: F32, images: F32, seconds: float) -> dict[str, Any]:
    """`images`: (N, P, D); the first is timed, all are compared."""
    plain = build_bank(vectors)
    by_bits = {
        name: build_bank(vectors, make)
        for name, make in (("8 bits", EIGHT_BITS), ("7 bits", SEVEN_BITS))
        if make.largest <= widest()
    }
    queries = images[0]
    products = np.empty((len(queries), len(vectors)), np.float32)
    ms = least_ms(
        {
            "product": lambda: np.matmul(queries, vectors.T, out=products),
            "float": lambda: nearest(queries, plain, 1),
            **{name: lambda bank=bank: nearest(queries, bank, 1) for name, bank in by_bits.items()},
            "k=9, one query": lambda: nearest(queries[:1], plain, 9),
        },
        seconds=seconds,
    )
    flat = images.reshape(-1, images.shape[-1])
    by_float = nearest(flat, plain, 1)
    row: dict[str, Any] = {"bank": len(vectors), **ms, "float_over_product": ms["float"] / ms["product"]}
    for name, bank in by_bits.items():
        assert bank.rounded is not None
        same = all(
            np.array_equal(one, other) for one, other in zip(by_float, nearest(flat, bank, 1), strict=True)
        )
        pairs = possible(
            queries,
            bank.rounded,
            lambda row, index: np.linalg.norm(queries[row] - vectors[index], axis=1),
        )
        row |= {
            f"{name}_over_float": ms[name] / ms["float"],
            f"{name}_same_as_float": same,
            f"{name}_measured": float("nan") if pairs is None else len(pairs[0]) / len(queries),
        }
    return row


def widest() -> int:
    """The largest integers that are multiplied exactly here; 0 for none."""
    make = exact_integer_product()
    return 0 if make is None else make.largest


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
        for case in [case for case in ("float", "8 bits", "7 bits") if case in row]:
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
