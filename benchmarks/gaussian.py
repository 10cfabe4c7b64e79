"""PaDiM's maths: milliseconds per image to score, and to add to the moments, beside reading the whiteners once.

    python benchmarks/gaussian.py [--json PATH]

Scoring one image reads every whitener (P, D, D) once: memory, not arithmetic, is its limit, and "read" is how long
that takes here (the largest element of it, one part per core). A batch reads them once for all of its images.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from measuring import Figure, command_line, least_ms, table, with_fast_blas, write_result

from kizu.core.provenance import usable_cores
from kizu.scoring.gaussian import RunningMoments, fit_gaussian, mahalanobis

POSITIONS = 1024
CASES = ((100, 1), (100, 8), (152, 1), (152, 8))
"""(features, images in a batch)"""
TARGET_MS = 2.0
"""The target, at 100 features, for one image."""


def main() -> None:
    with_fast_blas()
    parser = command_line(__doc__)
    parser.add_argument("--seconds", type=float, default=1.5, help="of measuring, per case")
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    rows, figures = [], []
    pool = ThreadPoolExecutor(usable_cores())
    for dims, batch in CASES:
        x = rng.normal(size=(batch, POSITIONS, dims)).astype(np.float32)
        moments = RunningMoments(POSITIONS, dims)
        for _ in range(3):
            moments.add(rng.normal(size=(64, POSITIONS, dims)).astype(np.float32))
        gaussian = fit_gaussian(moments, 0.01)
        parts = np.array_split(gaussian.whitener, usable_cores())
        ms = least_ms(
            {
                "read": lambda parts=parts: list(pool.map(np.max, parts)),
                "score": lambda gaussian=gaussian, x=x: mahalanobis(gaussian, x),
                "add": lambda moments=moments, x=x: moments.add(x),
                "fit": lambda moments=moments: fit_gaussian(moments, 0.01),
            },
            seconds=arguments.seconds,
        )
        per_image = {"score": ms["score"] / batch, "add": ms["add"] / batch}
        rows.append({"D": dims, "batch": batch, **ms, **{f"{k}/image": v for k, v in per_image.items()}})
        target = TARGET_MS if (dims, batch) == CASES[0] else None
        name = f"Mahalanobis {POSITIONS} x {dims}, batch {batch}"
        figures.append(
            Figure(name, "ms/image", per_image["score"], target=target, roofline=ms["read"] / batch)
        )
    pool.shutdown()
    print(table(list(rows[0]), [list(row.values()) for row in rows]))
    write_result(arguments.json, {"rows": rows}, figures=figures)


if __name__ == "__main__":
    main()
