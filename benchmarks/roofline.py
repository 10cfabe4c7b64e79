"""What this machine can do: float32 products (square, and as thin as ours), integer products, and reading memory.

    python benchmarks/roofline.py [--json PATH]

As NumPy finds it: where OPENBLAS_CORETYPE slows the products, start it without (`make bench` does).
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from measuring import command_line, gemm_gflops, least_seconds, table, write_result

from kizu.backbones.products import integer_product
from kizu.core.provenance import usable_cores
from kizu.core.threads import one_blas_thread

REPEATS = 12


def block_gflops(queries: int, vectors: int, dims: int) -> float:
    """Products of the size that the searches use, one BLAS thread in each of our own."""
    rng = np.random.default_rng(0)
    workers = usable_cores()
    a = rng.random((workers, queries, dims), dtype=np.float32)
    b = rng.random((workers, vectors, dims), dtype=np.float32)
    out = np.empty((workers, queries, vectors), np.float32)
    turns = 50

    def work(worker: int) -> None:
        for _ in range(turns):
            np.matmul(a[worker], b[worker].T, out=out[worker])

    with one_blas_thread(), ThreadPoolExecutor(workers) as pool:
        seconds = least_seconds(lambda: list(pool.map(work, range(workers))), REPEATS)
    return 2 * workers * turns * queries * vectors * dims / seconds / 1e9


def integer_gops(queries: int = 64, vectors: int = 32768, dims: int = 152) -> float:
    """The 8-bit product of ONNX Runtime, one thread in each of our own."""
    rng = np.random.default_rng(0)
    product = integer_product(rng.integers(-127, 128, (dims, vectors)).astype(np.int8))
    rows = rng.integers(0, 256, (queries, dims)).astype(np.uint8)
    workers = usable_cores()
    with ThreadPoolExecutor(workers) as pool:
        seconds = least_seconds(lambda: list(pool.map(product, [rows] * workers)), REPEATS)
    return 2 * workers * queries * vectors * dims / seconds / 1e9


def read_gb_per_s(megabytes: int = 256) -> float:
    """Summing an array that no cache holds, one part per core."""
    parts = np.ones((usable_cores(), megabytes * 2**20 // 4 // usable_cores()), np.float32)
    with ThreadPoolExecutor(len(parts)) as pool:
        seconds = least_seconds(lambda: list(pool.map(np.max, parts)), REPEATS)
    return parts.nbytes / seconds / 1e9


def main() -> None:
    arguments = command_line(__doc__).parse_args()
    measured = {
        "float32 product, 3072 square, GFLOP/s": gemm_gflops(),
        "float32 product, 256 x 1024 x 152, GFLOP/s": block_gflops(256, 1024, 152),
        "float32 product, 128 x 1024 x 152, GFLOP/s": block_gflops(128, 1024, 152),
        "8-bit product, 64 x 32768 x 152, Gop/s": integer_gops(),
        "reading memory, GB/s": read_gb_per_s(),
    }
    print(table(["limit", "measured"], measured.items()))
    write_result(arguments.json, {"rows": measured})


if __name__ == "__main__":
    main()
