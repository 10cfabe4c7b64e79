"""One job in Kizu: `python -m peers.kizu_side JOB_FOLDER` in the project's own environment."""

import sys
import tempfile
from pathlib import Path

import numpy as np
from fitting import BATCH_SIZE, FeatureClock, bank_rows, from_files
from fitting import fit as fit_on
from measuring import folder_mb, least_seconds, peak_mb, resident_mb
from peers.job import REPEATS, Job, Map, Outcome, per_image_ms, write_found

from kizu.bundles.store import save
from kizu.core.provenance import package_versions
from kizu.core.types import U8
from kizu.core.work import Work
from kizu.data.batches import stream
from kizu.data.manifest import Sample
from kizu.imaging.codec import decode
from kizu.imaging.placement import place
from kizu.inspection.folder import FolderOptions, FolderRunner
from kizu.inspection.inspector import Inspector
from kizu.lab.fit import FittedBundle
from kizu.pipeline.config import PipelineConfig
from kizu.pipeline.export import build_model
from kizu.pipeline.opened import open_pipeline


def config_of(job: Job) -> PipelineConfig:
    """The job's settings; PaDiM as the paper and the peer have it, where Kizu's defaults differ."""
    detectors = {
        "patchcore": {"kind": "patchcore", "coreset": job.coreset, "neighbours": job.neighbours},
        "padim": {"kind": "padim", "features": job.features, "epsilon": 0.01, "image_score": "max_map"},
    }
    return PipelineConfig.parse(
        {
            "detector": detectors[job.method],
            "embedding": {"layers": job.layers, "normalisation": "half"},
            "placement": {"image_size": job.side_px},
            "seed": job.seed,
        },
        where="job",
    )


def fit(job: Job, config: PipelineConfig) -> tuple[FittedBundle, dict[str, float]]:
    """The bundle with its thresholds, and seconds by stage."""
    clock = FeatureClock()
    sides = (from_files(list(map(Path, files)), config.placement) for files in (job.fit, job.calibrate))
    fitted = fit_on(config, *sides, Work(on_progress=clock))
    seconds = clock.stages(fitted.seconds)
    return fitted, seconds | {"total": sum(seconds.values())}


def judge_all(fitted: FittedBundle, job: Job, config: PipelineConfig) -> tuple[Map, Map]:
    """Raw scores (N,) and maps (N, H, W) at the network's size."""
    scorer = open_pipeline(fitted.bundle)
    files = [Path(file) for file in job.test]
    found = [scorer.score(batch.images) for batch in stream(files, config.placement, batch_size=BATCH_SIZE)]
    return np.concatenate([scored.image for scored in found]), np.concatenate(
        [scored.maps for scored in found]
    )


def inspect_files(inspector: Inspector, job: Job) -> None:
    """As `kizu inspect` does, without pictures."""
    samples = [Sample(f"{number}/{Path(file).name}", Path(file)) for number, file in enumerate(job.streamed)]
    options = FolderOptions(save_masks=False, save_overlays=False)
    with tempfile.TemporaryDirectory() as folder:
        FolderRunner(inspector, Path(folder), options).run(samples)


def inspect_arrays(inspector: Inspector, images: list[U8]) -> None:
    """Place, score, maps back at the images' own sizes, verdicts: more than the peer is asked for."""
    placed = np.stack([place(image, inspector.manifest.placement) for image in images])
    inspector.inspect_placed(placed, [(image.shape[0], image.shape[1]) for image in images])


def exported_ms(fitted: FittedBundle, job: Job, path: Path) -> float:
    """Milliseconds from one decoded image of the network's size, as the peer's export is given it, to its verdict and
    regions by the exported file, in the quicker runtime."""
    path.write_bytes(build_model(fitted.bundle, fitted.bundle.bundle_sha256).SerializeToString())
    images = [place(decode(file), fitted.bundle.manifest.placement) for file in job.shown]
    found = []
    for runtime in ("onnxruntime", "openvino"):
        inspector = Inspector.open(path, work=Work(runtime))
        found.append(per_image_ms(lambda batch, opened=inspector: inspect_arrays(opened, batch), images)["1"])
    return min(found)


def save_queries(fitted: FittedBundle, job: Job, config: PipelineConfig, path: Path) -> None:
    """The patches (Q, D) of a few test images, for the search of their nearest by others."""
    embedder = open_pipeline(fitted.bundle).embedder
    images = np.stack([place(decode(file), config.placement) for file in job.shown])
    embedding = embedder.embed(images)
    np.save(path, embedding.reshape(-1, embedding.shape[-1]))


def measure(job: Job, folder: Path) -> None:
    """Of the first seed: times, memory, scores."""
    idle = resident_mb()
    config = config_of(job)
    fitted, seconds = fit(job, config)
    fit_peak = peak_mb()
    save(fitted.bundle, folder / "bundle")
    inspector = Inspector.open(folder / "bundle")
    predicting = least_seconds(lambda: inspect_files(inspector, job), REPEATS)
    latency = per_image_ms(
        lambda images: inspect_arrays(inspector, images), [decode(file) for file in job.shown]
    )
    save_queries(fitted, job, config, folder / "queries.npy")
    write_found(folder, job.seed, *judge_all(fitted, job, config))
    Outcome(
        fit_seconds=seconds,
        is_extrapolated=False,
        latency_ms=latency,
        images_per_second=len(job.streamed) / predicting,
        idle_mb=idle,
        fit_peak_mb=fit_peak,
        peak_mb=peak_mb(),
        model_mb=folder_mb(folder / "bundle"),
        versions=package_versions(),
        extra={"bank": bank_rows(fitted), "exported_ms": exported_ms(fitted, job, folder / "model.onnx")},
    ).write(folder)


def main() -> None:
    folder = Path(sys.argv[1])
    job = Job.read(folder / "job.json")
    if job.is_timed:
        measure(job, folder)
    for seed in job.more_seeds if job.is_timed else job.all_seeds():
        other = job.of_seed(seed)
        config = config_of(other)
        write_found(folder, seed, *judge_all(fit(other, config)[0], other, config))


if __name__ == "__main__":
    main()
