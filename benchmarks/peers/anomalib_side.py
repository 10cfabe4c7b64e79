"""One job in anomalib, through its own Engine: `python -m peers.anomalib_side JOB_FOLDER`.

It runs in the peers' environment with Kizu's sources on the path.
"""

import logging
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from anomalib.data import PredictDataset
from anomalib.data.utils import read_image
from anomalib.deploy import ExportType
from anomalib.engine import Engine
from anomalib.models import Padim, Patchcore
from anomalib.models.components import AnomalibModule, KCenterGreedy
from anomalib.pre_processing import PreProcessor
from measuring import least_ms, least_seconds, peak_mb, resident_mb, seconds_of
from peers import lite0
from peers.job import REPEATS, SECONDS, Job, Outcome, per_image_ms, write_found
from torch.utils.data import DataLoader
from torchvision.transforms.v2 import Compose, Normalize, Resize

from kizu.scoring.coreset import greedy_k_centre

FIT_BATCH, PREDICT_BATCH, WORKERS = 32, 8, 2
"""anomalib's own batch to fit; one decoding process per core (its default of 8 is slower here)."""


class SomeSteps(Patchcore):
    """PatchCore whose coreset is timed over its first steps, which all cost the same, and extrapolated.

    The bank is then picked by Kizu's greedy k-centre from the peer's own projected features, beginning with the same
    patch: what the peer's loop would have picked, ties aside, so that speed and accuracy are those of its own bank.
    """

    measured_steps: int
    whole_seconds: float

    def fit(self) -> None:
        """In place of the whole selection."""
        embedding = torch.vstack(self.model.embedding_store)
        self.model.embedding_store.clear()
        sampler = KCenterGreedy(embedding, self.coreset_sampling_ratio)
        size, sampler.coreset_size = sampler.coreset_size, 1
        chance = torch.get_rng_state(), np.random.get_state()  # noqa: NPY002 - the peer's own generators
        projecting = seconds_of(sampler.select_coreset_idxs)
        torch.set_rng_state(chance[0])
        np.random.set_state(chance[1])  # noqa: NPY002 - so that the whole loop's projection is the one that counts
        sampler.coreset_size = self.measured_steps
        picks: list[int] = []
        picking = seconds_of(lambda: picks.extend(sampler.select_coreset_idxs())) - projecting
        self.whole_seconds = projecting + picking / (self.measured_steps - 1) * (size - 1)
        kept = greedy_k_centre(sampler.features.numpy(), size, first=picks[0])
        self.model.memory_bank = embedding[torch.from_numpy(kept)]


def build(job: Job) -> AnomalibModule:
    """The job's method with the shared weights, its raw scores left alone."""
    size = (job.side_px, job.side_px)
    common = {
        "backbone": lite0.NAME,
        "layers": list(job.layers),
        "pre_trained": False,
        "pre_processor": PreProcessor(
            Compose([Resize(size, antialias=True), Normalize(lite0.MEAN, lite0.STD)])
        ),
        "post_processor": False,
        "evaluator": False,
        "visualizer": False,
    }
    if job.method == "padim":
        model: AnomalibModule = Padim(n_features=job.features, **common)
    else:
        kind = Patchcore if job.measured_steps is None else SomeSteps
        model = kind(coreset_sampling_ratio=job.coreset, num_neighbors=job.neighbours, **common)
        if isinstance(model, SomeSteps):
            model.measured_steps = job.measured_steps
    lite0.load_into(model.model.feature_extractor.feature_extractor)
    return model


def loader(files: Sequence[str], side_px: int, batch: int) -> DataLoader:
    """Files in their order, resized where they are decoded, since batches need one size."""
    dataset = PredictDataset(files[0], transform=Resize((side_px, side_px), antialias=True))
    dataset.image_filenames = [Path(file) for file in files]
    return DataLoader(dataset, batch_size=batch, num_workers=WORKERS, collate_fn=dataset.collate_fn)


def fit(job: Job, engine: Engine) -> tuple[AnomalibModule, dict[str, float]]:
    """The fitted model, and seconds by stage; the extrapolated ones where the job says so.

    Its features and its first pick come from PyTorch's generator, its projection from NumPy's, which no option of its
    own seeds.
    """
    torch.manual_seed(job.seed)
    np.random.seed(job.seed)  # noqa: NPY002 - the peer's own generator
    start = time.perf_counter()
    model = build(job)
    own_fit, own_seconds = model.fit, []
    model.fit = lambda: own_seconds.append(seconds_of(own_fit))
    engine.fit(model, train_dataloaders=loader(job.fit, job.side_px, FIT_BATCH))
    total = time.perf_counter() - start
    del model.fit  # a model with a function of ours in it cannot be saved
    features = total - own_seconds[0]
    whole = model.whole_seconds if isinstance(model, SomeSteps) else own_seconds[0]
    return model.eval(), {"features": features, "model": whole, "total": features + whole}


def judge_all(model: AnomalibModule, job: Job) -> tuple[np.ndarray, np.ndarray]:
    """Raw scores (N,) and maps (N, H, W)."""
    scores, maps = [], []
    with torch.inference_mode():
        for batch in loader(job.test, job.side_px, PREDICT_BATCH):
            found = model(batch.image)
            scores.append(found.pred_score.reshape(-1).numpy())
            maps.append(found.anomaly_map.reshape(-1, job.side_px, job.side_px).numpy())
    return np.concatenate(scores), np.concatenate(maps)


def decoded(job: Job) -> list[np.ndarray]:
    """A few test images as (H, W, 3) uint8."""
    return [np.round(read_image(file) * 255).astype(np.uint8) for file in job.shown]


def latencies(model: AnomalibModule, images: list[np.ndarray]) -> dict[str, float]:
    """Milliseconds per image by batch size: to tensors, resize, normalise, score."""

    def judge(some: list[np.ndarray]) -> object:
        with torch.inference_mode():
            placed = [model.pre_processor.transform(_tensor(image)) for image in some]
            return model.model(torch.stack(placed))

    return per_image_ms(judge, images)


def _tensor(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image).permute(2, 0, 1).float().div_(255)


def exported_ms(model: AnomalibModule, engine: Engine, job: Job, image: np.ndarray, folder: Path) -> Any:
    """Milliseconds per image in OpenVINO (float32), as anomalib exports it; why not, where it cannot.

    At batch 1, or at the batch that the export fixed.
    """
    import openvino

    size = (job.side_px, job.side_px)
    try:
        path = engine.export(model, ExportType.OPENVINO, export_root=folder, input_size=size)
    except Exception as error:  # noqa: BLE001 - a foreign exporter; whatever it raises is the result
        return f"{type(error).__name__}: {str(error)[:200]}"
    compiled = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    sides = compiled.input(0).partial_shape
    batch = sides[0].get_length() if sides[0].is_static else 1
    request = compiled.create_infer_request()
    resize = Resize(size, antialias=True)

    def judge() -> object:
        return request.infer([torch.stack([resize(_tensor(image))] * batch).numpy()])

    return least_ms({"openvino": judge}, seconds=SECONDS)["openvino"] / batch


def model_mb(engine: Engine, model: AnomalibModule, folder: Path) -> float:
    """The size of the file that anomalib's inference wants."""
    return engine.export(model, ExportType.TORCH, export_root=folder).stat().st_size / 2**20


def go_first() -> None:
    """Where memory runs out, this process is the one to be ended: on small sets its coreset loop wants much."""
    setting = Path("/proc/self/oom_score_adj")
    if setting.exists():
        setting.write_text("1000")


def new_engine(scratch: str) -> Engine:
    """One without logs and bars."""
    return Engine(
        default_root_dir=scratch,
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def measure(job: Job, folder: Path, scratch: str) -> None:
    """Of the first seed: times, memory, scores."""
    idle = resident_mb()
    engine = new_engine(scratch)
    model, seconds = fit(job, engine)
    fit_peak = peak_mb()
    images = decoded(job)
    streamed = loader(job.streamed, job.side_px, PREDICT_BATCH)
    predicting = least_seconds(
        lambda: engine.predict(model, dataloaders=[streamed], return_predictions=False), REPEATS
    )
    model.eval()
    latency = latencies(model, images)
    write_found(folder, job.seed, *judge_all(model, job))
    peak = peak_mb()
    extra = {"exported_ms": exported_ms(model, engine, job, images[0], Path(scratch, "openvino"))}
    Outcome(
        fit_seconds=seconds,
        is_extrapolated=job.measured_steps is not None,
        latency_ms=latency,
        images_per_second=len(job.streamed) / predicting,
        idle_mb=idle,
        fit_peak_mb=fit_peak,
        peak_mb=peak,
        model_mb=model_mb(engine, model, Path(scratch, "torch")),
        versions={name: version(name) for name in ("anomalib", "torch", "timm", "lightning", "openvino")},
        extra=extra,
    ).write(folder)


def main() -> None:
    go_first()
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    folder = Path(sys.argv[1])
    job = Job.read(folder / "job.json")
    with tempfile.TemporaryDirectory() as scratch:
        if job.is_timed:
            measure(job, folder, scratch)
        for seed in job.more_seeds if job.is_timed else job.all_seeds():
            other = job.of_seed(seed)
            model, _ = fit(other, new_engine(scratch))
            write_found(folder, seed, *judge_all(model, other))


if __name__ == "__main__":
    main()
