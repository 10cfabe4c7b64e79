"""Whose picture it is: how often products are named, and strangers known to be strangers.

    python benchmarks/retrieval.py [--json benchmarks/results/retrieval.json]

References and limits come from each set's good training pictures, as a run keeps them. Named are all test pictures,
good and flawed, with all products on the shelf. Then each product in turn is left off it: its test pictures should be
of none of the others.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from fitting import data_set

from kizu.bundles.references import ProductReferences
from kizu.core.types import F32
from kizu.core.work import Work
from kizu.data.manifest import Manifest, Sample
from kizu.data.scan import DataConfig, scan_data
from kizu.data.splits import blocks_of
from kizu.imaging.placement import PlacementConfig
from kizu.inspection.retrieval import Retrieved, Retriever
from kizu.lab.grouping import group_good
from kizu.lab.references import PICTURES, product_references
from kizu.pipeline.vectors import VectorNetwork
from kizu.report.tables import text_table
from kizu.scoring.references import spread_evenly

SETS = ("deeppcb/board_92000", "magnetic_tile/tile", "mvtec_ad/hazelnut", "elpv/mono", "elpv/poly")
ALIKE = {"elpv/mono": "solar cells", "elpv/poly": "solar cells"}
"""What looks like another product on the shelf."""
TIMED = 40


@dataclass(frozen=True)
class Measured:
    """One set."""

    references: ProductReferences
    good: F32
    """(N, 2 D) vectors of test pictures"""
    flawed: F32


class Vectors:
    """In place of the network: pictures are vectors already."""

    def vector(self, picture: F32, scale: None) -> F32:
        """Itself."""
        return picture


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    work = Work()
    network = VectorNetwork(work)
    with tempfile.TemporaryDirectory() as drawn:
        manifests = {name: data_set(name) for name in SETS}
        manifests["demo/disc"] = scan_data(DataConfig(layout="demo", root=Path(drawn), category="disc"))
        times = _times(network, manifests["deeppcb/board_92000"])
        found = {name: measure(manifest, network, work) for name, manifest in manifests.items()}
    rows = [row(name, found) for name in found]
    result = {
        "sets": rows,
        "all": total(rows),
        "all_but_alike": total([r for r in rows if r["set"] not in ALIKE]),
        "ms_per_picture": times,
    }
    print(text_table(["set", *rows[0]][1:], [[_told(value) for value in r.values()] for r in rows]))
    print(json.dumps({key: value for key, value in result.items() if key != "sets"}, indent=2))
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


def measure(manifest: Manifest, network: VectorNetwork, work: Work) -> Measured:
    """References of the training pictures, and vectors of the test pictures."""
    placement = PlacementConfig()
    manifest = group_good(manifest.with_hashes(work), placement, work=work)
    good = manifest.train_good()
    some = [good[i] for i in spread_evenly(len(good), PICTURES)]
    references = product_references(
        network.vectors(some, None), np.array(blocks_of(some)), where=manifest.category
    )
    of = {label: [s for s in manifest.test() if s.label == label] for label in ("good", "defect")}
    return Measured(references, *(network.vectors(of[label], None) for label in ("good", "defect")))


def row(name: str, found: Mapping[str, Measured]) -> dict[str, Any]:
    """What is said of one set's test pictures."""
    one = found[name]
    known = retrieve({other: m.references for other, m in found.items()}, one)
    strange = retrieve({other: m.references for other, m in found.items() if other != name}, one)
    unlike = {
        o: m.references for o, m in found.items() if o != name and ALIKE.get(o, o) != ALIKE.get(name, name)
    }
    stranger = retrieve(unlike, one)
    flat = known["good"] + known["flawed"]
    return {
        "set": name,
        "references": one.references.count,
        "limit": round(one.references.limit, 4),
        "good": len(known["good"]),
        "flawed": len(known["flawed"]),
        "nearest": sum(r.nearest == name for r in flat),
        "named_another": sum(r.retrieved.name not in (None, name) for r in flat),
        "good_unknown": sum(r.retrieved.name is None for r in known["good"]),
        "flawed_unknown": sum(r.retrieved.name is None for r in known["flawed"]),
        "stranger_unknown": sum(r.retrieved.name is None for r in strange["good"] + strange["flawed"]),
        "unlike_unknown": sum(r.retrieved.name is None for r in stranger["good"] + stranger["flawed"]),
    }


@dataclass(frozen=True)
class Answer:
    """What was retrieved, and which product was the nearest, whatever its distance."""

    retrieved: Retrieved
    nearest: str


def retrieve(products: Mapping[str, ProductReferences], one: Measured) -> dict[str, list[Answer]]:
    """Of each test picture."""
    vectors = cast("VectorNetwork", Vectors())
    retriever = Retriever(products, vectors)
    without_limit = Retriever(
        {name: p.model_copy(update={"limit": 2.0}) for name, p in products.items()}, vectors
    )
    return {
        label: [
            Answer(retriever.retrieve(v), str(without_limit.retrieve(v).name)) for v in getattr(one, label)
        ]
        for label in ("good", "flawed")
    }


def total(rows: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """In parts of all pictures."""
    rows = list(rows)

    def part(*keys: str, of: Sequence[str] = ("good", "flawed")) -> float:
        counted = sum(r[key] for r in rows for key in keys)
        return round(counted / sum(r[key] for r in rows for key in of), 4)

    return {
        "top1": part("nearest"),
        "named_another": part("named_another"),
        "known_unknown": part("good_unknown", "flawed_unknown"),
        "good_unknown": part("good_unknown", of=("good",)),
        "flawed_unknown": part("flawed_unknown", of=("flawed",)),
        "stranger_unknown": part("stranger_unknown"),
        "unlike_unknown": part("unlike_unknown"),
    }


def _times(network: VectorNetwork, manifest: Manifest) -> dict[str, float]:
    """From file to vector, one picture at a time."""
    samples: Sequence[Sample] = manifest.train_good()[:TIMED]
    taken = []
    for sample in samples:
        start = time.perf_counter()
        network.vector(sample, None)
        taken.append((time.perf_counter() - start) * 1000)
    return {"median": round(float(np.median(taken)), 2), "p95": round(float(np.quantile(taken, 0.95)), 2)}


def _told(value: object) -> str:
    return str(value)


if __name__ == "__main__":
    main()
