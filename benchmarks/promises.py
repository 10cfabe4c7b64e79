"""Is what a threshold promises kept? The good pictures of a set are parted anew again and again, groups whole: on some
the default pipeline is fitted and its threshold set, on the others false alarms are counted. Each is embedded once.

    python benchmarks/promises.py --resplits 200 --only elpv --method padim

`--data`: the folder with magnetic_tile, mvtec_ad and deeppcb; the solar cells come with `pip install elpv-dataset`.
Writes `benchmarks/results/promises.json`, a row for each set, method and number of good pictures, as it goes.
"""

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from fitting import data_set

from kizu.core.randomness import rng_for
from kizu.core.types import F32, I64
from kizu.core.work import BATCH, Work
from kizu.data.batches import stream
from kizu.data.splits import blocks_of
from kizu.decision.calibration import DEFAULT_RATE
from kizu.decision.conformal import conformal, usual_rate
from kizu.decision.good_scores import GoodScores
from kizu.decision.thresholds import Threshold
from kizu.detectors.base import NEVER_LEFT_OUT, Embeddings, Fitted, LeavesOut
from kizu.detectors.registry import make_detector
from kizu.lab.grouping import find_good_siblings
from kizu.lab.scheme import held_fraction, leaves_out, mark_anchors, whole_groups
from kizu.pipeline.config import PipelineConfig
from kizu.pipeline.fitting import UnfittedPipeline

SETS = ("magnetic_tile/tile", "deeppcb/board_92000", "elpv/mono", "mvtec_ad/hazelnut")
METHODS = ("patchcore", "padim")
FEW = (10, 20, 40, 80)
MOST_COUNTED, MOST_OF_ONE = 60, 2
"""Groups of new pictures that are counted in one resplit, at random, and pictures of each."""
RESULTS = Path(__file__).parent / "results" / "promises.json"


@dataclass(frozen=True)
class Pictures:
    """All good pictures of a set."""

    embedding: F32
    """(N, h, w, D)"""
    groups: I64
    """(N,)"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--resplits", type=int, default=200)
    parser.add_argument("--only", nargs="*", default=SETS, help="sets")
    parser.add_argument("--method", nargs="*", default=METHODS)
    parser.add_argument(
        "--sizes", nargs="*", type=int, default=(*FEW, 0), help="good pictures; 0: four in five"
    )
    parser.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args()
    for name in given.only:
        for method in given.method:
            config = PipelineConfig().with_detector(method, {})
            pictures = embed(name, config)
            for size in given.sizes:
                start = time.perf_counter()
                row = measure(config, pictures, size, given.resplits)
                if row is not None:
                    told = {
                        "set": name,
                        "method": method,
                        **row,
                        "seconds": round(time.perf_counter() - start),
                    }
                    keep(given.results, told)
                    print(json.dumps(told), flush=True)


def embed(name: str, config: PipelineConfig) -> Pictures:
    manifest = data_set(name).with_hashes()
    good = [sample for sample in manifest.samples if sample.label == "good"]
    found = find_good_siblings(good, None, Work()).group_of()
    grouped = [replace(sample, group=found.get(sample.id)) for sample in good]
    unfitted = UnfittedPipeline.prepare(config)
    batches = [unfitted.embedder.embed(batch.images) for batch in stream(grouped, config.placement)]
    return Pictures(np.concatenate(batches), np.array(blocks_of(grouped)))


def measure(config: PipelineConfig, pictures: Pictures, size: int, resplits: int) -> dict[str, object] | None:
    """Mean over resplits of the promise, of the part of new good pictures that is rejected (each group counts as one),
    and how many single thresholds reject more than was promised. None where too few pictures are left to count on."""
    total = len(pictures.groups)
    wanted = size or round(0.8 * total)
    if wanted > 0.85 * total:
        return None
    rows = []
    for number in range(resplits):
        rng = rng_for(number, "resplit")
        inside = draw(pictures.groups, wanted, rng)
        threshold, fitted = fit(config, pictures, np.flatnonzero(inside), number)
        outside = rng.permutation(np.unique(pictures.groups[~inside]))[:MOST_COUNTED]
        new = counted(pictures.groups, outside, rng)
        above = score(fitted, config, pictures.embedding[new]) > threshold.value
        sizes = np.bincount(pictures.groups[new])
        parts = np.bincount(pictures.groups[new], weights=above)[sizes > 0] / sizes[sizes > 0]
        rows.append(
            (inside.sum(), threshold.groups or threshold.count, threshold.false_alarm_rate, parts.mean())
        )
    table = np.array(rows, float)
    rates = table[:, 3]
    return {
        "good": float(table[:, 0].mean()),
        "groups": float(table[:, 1].mean()),
        "scheme": "left out" if threshold.rule.folds else "held out",
        "promised": float(table[:, 2].mean()),
        "measured": float(rates.mean()),
        "error": float(rates.std(ddof=1) / np.sqrt(len(rates))),
        "over": float(np.mean(rates > table[:, 2])),
        "nine_in_ten": float(np.quantile(rates, 0.9)),
        "resplits": resplits,
    }


def counted(groups: I64, outside: I64, rng: np.random.Generator) -> I64:
    """Rows of a few pictures, at random, of each of the groups `outside`."""
    rows = rng.permutation(len(groups))
    chosen = [rows[groups[rows] == group][:MOST_OF_ONE] for group in outside]
    return np.sort(np.concatenate(chosen))


def draw(groups: I64, wanted: int, rng: np.random.Generator) -> np.ndarray:
    """Whole groups at random, two at least, until `wanted` pictures are in."""
    inside = np.zeros(len(groups), bool)
    for number, group in enumerate(rng.permutation(groups.max() + 1)):
        if inside.sum() >= wanted and number >= 2:
            break
        inside |= groups == group
    return inside


def fit(config: PipelineConfig, pictures: Pictures, rows: I64, seed: int) -> tuple[Threshold, Fitted]:
    """As `kizu train` does it."""
    detector = make_detector(config.detector)
    groups = np.unique(pictures.groups[rows], return_inverse=True)[1]
    count = int(groups.max()) + 1
    rng = rng_for(seed, "fit")
    if leaves_out(config, count):
        marked = mark_anchors(config, groups.tolist())
        told = Embeddings(batches(pictures.embedding, rows), len(rows), config.placement.image_size, marked)
        fitted = detector.fit(told, rng=rng)
        assert isinstance(fitted, LeavesOut)
        inside = np.array(marked) != NEVER_LEFT_OUT
        rows, groups = rows[inside], groups[inside]
        parts = list(whole_groups(groups))
        scores = []
        for part in parts:
            found = fitted.leave_out(
                pictures.embedding[rows[part]], config.placement.image_size, groups[part]
            )
            scores.append(found.image)
        good = GoodScores.of(
            np.concatenate(scores),
            groups[np.concatenate(parts)],
            left_out=True,
            monotone=config.detector.monotone,
        )
    else:
        names = np.unique(groups)
        held_count = max(1, round(held_fraction(config, count) * count))
        held = np.isin(groups, rng_for(seed, "hold_out").permutation(names)[:held_count])
        fit_rows = rows[~held]
        told = Embeddings(batches(pictures.embedding, fit_rows), len(fit_rows), config.placement.image_size)
        fitted = detector.fit(told, rng=rng)
        good = GoodScores.of(score(fitted, config, pictures.embedding[rows[held]]), groups[held])
    return conformal(good, usual_rate(good, DEFAULT_RATE)), fitted


def batches(embedding: F32, rows: I64) -> Iterator[F32]:
    return (embedding[rows[start : start + BATCH]] for start in range(0, len(rows), BATCH))


def score(fitted: Fitted, config: PipelineConfig, embedding: F32) -> F32:
    rows = np.arange(len(embedding))
    found = [fitted.score(batch, config.placement.image_size).image for batch in batches(embedding, rows)]
    return np.concatenate(found)


def keep(path: Path, row: dict[str, object]) -> None:
    known = json.loads(path.read_text()) if path.exists() else []
    key = ("set", "method", "good")
    others = [one for one in known if any(one[name] != row[name] for name in key)]
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps([*others, row], indent=1) + "\n")


if __name__ == "__main__":
    main()
