"""Images in, verdicts out: `kizu train` and inspection on magnetic_tile (320 images to learn from, 523 to judge).

    python benchmarks/end_to_end.py [--seconds 4] [--json PATH]

Each method trains in a process of its own, twice: with the default hold-out (256 images fitted, 64 calibrated) and
with next to none (317 fitted), which is what a library that holds nothing out does. "total" is all of `train_run`:
scan, hashes, fit, thresholds, the bundle on disk. Peak memory is that of the whole process.

With the latter, whose bank is the larger, it then judges the test images from their files, decoding included: as
`kizu inspect` does, without writing pictures ("inspect": verdict and regions in the image's own pixels, a line of
JSON each), and as an evaluation reads them ("score": score and map at the network's size). Latency is one decoded
image to its verdict. "limit" is the time of decoding and of the bare embedder, measured here, plus that of the plain
method's arithmetic at the speed of this machine's best matrix product: a method that avoids work can be faster, one
that does all of it cannot.
"""

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fitting import BATCH_SIZE, METHODS, FeatureClock, bank_rows, data_set, latencies_ms, pipeline
from measuring import (
    Figure,
    command_line,
    folder_mb,
    gemm_gflops,
    in_fresh_process,
    least_seconds,
    peak_mb,
    table,
    with_fast_blas,
    write_result,
)

from kizu.backbones.store import load_backbone
from kizu.core.randomness import rng_for
from kizu.core.work import Work
from kizu.data.batches import stream
from kizu.data.manifest import Sample
from kizu.data.scan import DataConfig
from kizu.detectors.registry import make_detector
from kizu.imaging.codec import decode
from kizu.inspection.folder import FolderOptions, FolderRunner
from kizu.inspection.inspector import Inspector
from kizu.lab.train import RunConfig, train_run
from kizu.pipeline.config import PipelineConfig
from kizu.pipeline.fitting import embedder_for
from kizu.pipeline.opened import open_pipeline

DATA = "magnetic_tile/tile"
HOLD_OUTS = (0.2, 0.01)
LATENCY_IMAGES = 32
REPEATS = 2
PATCHES, DIMS = 32 * 32, 152
"""Of one image of 256 x 256 in blocks.2 + blocks.4."""

Row = dict[str, Any]

FIT_TARGETS: dict[str, tuple[float, float]] = {"PatchCore 10 %": (20, 2113), "PatchCore 1 %": (6, 225)}
"""Seconds: the target, and what anomalib 2.7 took on such a machine when idle."""
INSPECT_TARGETS: dict[str, tuple[float, float]] = {
    "PatchCore 10 %": (50, 7.7),
    "PatchCore 1 %": (200, 37),
    "PaDiM d=100": (250, 54),
}
"""Images/s, likewise."""
MEMORY_TARGET_MB = (800, 2100)


def main() -> None:
    with_fast_blas()
    parser = command_line(__doc__)
    parser.add_argument("--seconds", type=float, default=4, help="of latency measurements, per method")
    options = parser.parse_args()
    costs = in_fresh_process(shared_costs)
    rows = []
    for method in METHODS:
        for hold_out in HOLD_OUTS:
            rows.append(in_fresh_process(measure, method, hold_out, options.seconds, costs))
            print(
                f"{method}: {rows[-1]['fitted']} images fitted in {rows[-1]['seconds']['total']:.1f} s",
                flush=True,
            )
    print(report(rows, costs))
    write_result(options.json, {"data": DATA, "costs": costs, "rows": rows}, figures=figures(rows))


def shared_costs() -> dict[str, float]:
    """What every method pays: milliseconds per image of decoding and of the embedder, and the speed of a product."""
    config = pipeline(METHODS["PatchCore 1 %"])
    samples = data_set(DATA).test()
    images = [batch.images for batch in _stream(samples, config)]
    backbone = load_backbone(config.embedding.backbone)
    embedder = embedder_for(
        make_detector(config.detector), backbone, config.embedding, rng_for(0, "channels")
    )
    decoding = least_seconds(lambda: list(_stream(samples, config)), REPEATS)
    embedding = least_seconds(lambda: [embedder.embed(batch) for batch in images], REPEATS)
    return {
        "decode_ms": decoding / len(samples) * 1e3,
        "embed_ms": embedding / len(samples) * 1e3,
        "gemm_gflops": gemm_gflops(),
    }


def measure(method: str, hold_out: float, seconds: float, costs: dict[str, float]) -> Row:
    """Train once, judge the test images several times."""
    manifest = data_set(DATA)
    settings = pipeline(METHODS[method], hold_out=hold_out).model_dump()
    config = RunConfig.parse({**settings, "data": DataConfig(root=manifest.root)}, where="benchmark")
    with tempfile.TemporaryDirectory() as folder:
        clock = FeatureClock()
        start = time.perf_counter()
        run = train_run(config, Path(folder), work=Work(on_progress=clock))
        total = time.perf_counter() - start
        peak = peak_mb()
        size = folder_mb(run.folder.bundle)
        inspector = Inspector.open(run.folder.path)
    fitted_on = run.fitted.bundle.manifest.fitted_on
    row = {
        "method": method,
        "fitted": fitted_on.fit_count,
        "calibrated": fitted_on.calibration_count,
        "bank": bank_rows(run.fitted),
        "seconds": clock.stages(run.fitted.seconds) | {"total": total},
        "peak_mb": peak,
        "bundle_mb": size,
    }
    if hold_out == min(HOLD_OUTS):
        row |= judge(inspector, manifest.test(), seconds)
    return row | {"limit": limits(row, costs)}


def judge(inspector: Inspector, samples: Sequence[Sample], seconds: float) -> Row:
    """Images/s from files, and latency from decoded images."""
    images = [decode(sample.path) for sample in samples[:: len(samples) // LATENCY_IMAGES]]
    return {
        "inspect_per_second": len(samples) / least_seconds(lambda: _inspect(inspector, samples), REPEATS),
        "score_per_second": len(samples) / least_seconds(lambda: _score(inspector, samples), REPEATS),
        "latency_ms": latencies_ms(inspector, images, seconds=seconds),
    }


def _inspect(inspector: Inspector, samples: Sequence[Sample]) -> None:
    options = FolderOptions(save_masks=False, save_overlays=False)
    with tempfile.TemporaryDirectory() as folder:
        FolderRunner(inspector, Path(folder), options).run(samples)


def _score(inspector: Inspector, samples: Sequence[Sample]) -> None:
    scorer = open_pipeline(inspector.bundle)
    for batch in _stream(samples, pipeline(inspector.manifest.detector)):
        scorer.score(batch.images)


def _stream(samples: Sequence[Sample], config: PipelineConfig) -> Any:
    return stream(samples, config.placement, batch_size=BATCH_SIZE)


def limits(row: Row, costs: dict[str, float]) -> dict[str, float]:
    """Seconds to train and images/s to judge, if nothing cost more than decoding, the embedder and arithmetic."""
    rows = row["fitted"] * PATCHES
    if row["bank"]:
        fit_flop, score_flop = 2 * rows * row["bank"] * DIMS, 2 * PATCHES * row["bank"] * DIMS
    else:
        dims = METHODS[row["method"]]["features"]
        fit_flop, score_flop = 2 * rows * dims**2 + PATCHES * dims**3, PATCHES * dims**2
    per_flop = 1e-9 / costs["gemm_gflops"]
    per_image = (costs["decode_ms"] + costs["embed_ms"]) / 1e3
    judged = per_image + score_flop * per_flop
    return {
        "fit_seconds": row["fitted"] * per_image + fit_flop * per_flop + row["calibrated"] * judged,
        "images_per_second": 1 / judged,
    }


STAGES = ("features", "model", "calibrate", "total")
LATENCIES = ("least", "median", "p95")


def report(rows: Sequence[Row], costs: dict[str, float]) -> str:
    """Two tables, and what they rest on."""
    rests_on = (
        f"decoding {costs['decode_ms']:.2f} ms and embedder {costs['embed_ms']:.2f} ms per image on all cores,"
        f" matrix product {costs['gemm_gflops']:.0f} GFLOP/s"
    )
    return "\n\n".join([training_table(rows), judging_table(rows), rests_on])


def training_table(rows: Sequence[Row]) -> str:
    """Seconds by stage, and memory."""
    head = [
        "training",
        "images",
        "bank",
        *(f"{stage} s" for stage in STAGES),
        "limit s",
        "peak MB",
        "bundle MB",
    ]
    body = [
        [
            row["method"],
            f"{row['fitted']} + {row['calibrated']}",
            row["bank"],
            *(row["seconds"][stage] for stage in STAGES),
            row["limit"]["fit_seconds"],
            row["peak_mb"],
            row["bundle_mb"],
        ]
        for row in rows
    ]
    return table(head, body)


def judging_table(rows: Sequence[Row]) -> str:
    """Images/s and latency."""
    head = ["judging", "bank", "inspect /s", "score /s", "limit /s", *(f"{which} ms" for which in LATENCIES)]
    body = [
        [
            row["method"],
            row["bank"],
            row["inspect_per_second"],
            row["score_per_second"],
            row["limit"]["images_per_second"],
            *(row["latency_ms"][which] for which in LATENCIES),
        ]
        for row in rows
        if "latency_ms" in row
    ]
    return table(head, body)


def figures(rows: Sequence[Row]) -> list[Figure]:
    """Training with both hold-outs; judging with the larger bank."""
    return [figure for row in rows for figure in [*training_figures(row), *judging_figures(row)]]


def training_figures(row: Row) -> list[Figure]:
    """Seconds and memory."""
    method = row["method"]
    name = f"{method}, {row['fitted']} + {row['calibrated']} images"
    target, peer = FIT_TARGETS.get(method, (None, None))
    limit = row["limit"]["fit_seconds"]
    memory_target, memory_peer = MEMORY_TARGET_MB
    return [
        Figure(f"train {name}", "s", row["seconds"]["total"], target, peer, limit),
        Figure(f"memory {name}", "MB", row["peak_mb"], memory_target, memory_peer),
    ]


def judging_figures(row: Row) -> list[Figure]:
    """Images/s from files, and milliseconds from a decoded image."""
    if "latency_ms" not in row:
        return []
    name = row["method"] + (f", bank {row['bank']:,}" if row["bank"] else "")
    speed, limit = row["inspect_per_second"], row["limit"]["images_per_second"]
    target, peer = INSPECT_TARGETS[row["method"]]
    return [
        Figure(f"inspect {name}", "images/s", speed, target, peer, limit, higher_is_better=True),
        Figure(f"latency {name}", "ms", row["latency_ms"]["least"]),
    ]


if __name__ == "__main__":
    main()
