"""The nearest patch in a bank by FAISS and by Kizu's `nearest`: `python -m peers.faiss_side KIZU_JOB_FOLDER`.

It runs in the peers' environment with Kizu's sources on the path, so that both take turns in one process.
"""

import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import faiss
import numpy as np
from measuring import least_ms
from numpy.typing import NDArray

from kizu.core.provenance import usable_cores
from kizu.scoring.neighbours import build_bank, nearest

PATCHES = 32 * 32
"""Of one image: so many are asked for at a time."""
LINKS, BUILD_EFFORT, EFFORTS = 32, 100, (32, 128)
"""Of the HNSW graph."""
SECONDS = 2.0
TOLERANCE = 1e-3
"""A distance is the true one when it is not farther by more than this part of it."""

F32 = NDArray[np.float32]
Search = Callable[[F32], F32]


def searches(vectors: F32) -> dict[str, Search]:
    """By name: queries (Q, D) to the L2 distances (Q,) of their nearest."""
    bank = build_bank(vectors)
    flat = faiss.IndexFlatL2(vectors.shape[1])
    flat.add(vectors)
    found: dict[str, Search] = {
        "kizu": lambda queries: nearest(queries, bank, 1)[0][:, 0],
        "FAISS flat": lambda queries: np.sqrt(flat.search(queries, 1)[0][:, 0]),
    }
    graph = faiss.IndexHNSWFlat(vectors.shape[1], LINKS)
    graph.hnsw.efConstruction = BUILD_EFFORT
    graph.add(vectors)
    for effort in EFFORTS:
        found[f"FAISS HNSW {effort}"] = partial(search_graph, graph, effort)
    return found


def search_graph(graph: faiss.IndexHNSWFlat, effort: int, queries: F32) -> F32:
    """Approximate distances (Q,)."""
    graph.hnsw.efSearch = effort
    return np.sqrt(graph.search(queries, 1)[0][:, 0])


def exact(queries: F32, vectors: F32) -> F32:
    """The true distances (Q,), in double precision."""
    rows = vectors.astype(np.float64)
    norms = (rows**2).sum(axis=1)
    parts = []
    for block in np.array_split(queries.astype(np.float64), max(1, len(queries) // 256)):
        nearest_row = (norms - 2 * block @ rows.T).argmin(axis=1)
        parts.append(np.linalg.norm(block - rows[nearest_row], axis=1))
    return np.concatenate(parts)


def main() -> None:
    faiss.omp_set_num_threads(usable_cores())
    folder = Path(sys.argv[1])
    vectors, queries = np.load(folder / "bundle" / "arrays" / "bank.npy"), np.load(folder / "queries.npy")
    truth = exact(queries, vectors)
    methods = searches(vectors)
    ms = least_ms(
        {name: partial(search, queries[:PATCHES]) for name, search in methods.items()}, seconds=SECONDS
    )
    rows = [
        {
            "method": name,
            "bank": len(vectors),
            "ms_per_image": ms[name],
            "recall": float(np.mean(search(queries) <= truth * (1 + TOLERANCE) + 1e-6)),
        }
        for name, search in methods.items()
    ]
    (folder / "nearest.json").write_text(json.dumps(rows))


if __name__ == "__main__":
    main()
