"""Score the test split once and measure it, at the masks' own resolution, with the thresholds the bundle carries."""

import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kizu.backbones.session import Engine
from kizu.bundles.manifest import Bundle
from kizu.bundles.store import load
from kizu.core.errors import DataError
from kizu.core.files import write_json, write_text
from kizu.core.types import F32, Bool, StageProgress
from kizu.data.batches import PlacedBatch, stream
from kizu.data.manifest import Manifest, Sample, read_manifest
from kizu.detectors.pipeline import open_bundle
from kizu.imaging.codec import decode_mask
from kizu.imaging.placement import map_back
from kizu.lab.runs import RunFolder
from kizu.metrics.suite import evaluate as measure

BATCH_SIZE = 8


@dataclass(frozen=True, slots=True)
class Prediction:
    """What was said of one test image."""

    sample: Sample
    score: float
    is_anomaly: bool

    @property
    def is_wrong(self) -> bool:
        """A passed defect or a rejected good part."""
        return self.is_anomaly != (self.sample.label == "defect")


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Numbers, and what they were counted from."""

    metrics: dict[str, float | None]
    reasons: dict[str, str]
    """Why a metric is None."""
    predictions: tuple[Prediction, ...]
    seconds: dict[str, float]

    def as_json(self) -> dict[str, Any]:
        """`metrics.json`: flat metrics first, then what qualifies them."""
        labels = [p.sample.label for p in self.predictions]
        kinds = sorted({p.sample.defect for p in self.predictions})
        return {
            **self.metrics,
            "reasons": self.reasons,
            "counts": {"good": labels.count("good"), "defect": labels.count("defect")},
            "counts_by_kind": {
                kind: sum(p.sample.defect == kind for p in self.predictions) for kind in kinds
            },
            "seconds": {stage: round(value, 4) for stage, value in self.seconds.items()},
        }


def evaluate(
    bundle: Bundle,
    batches: Iterable[PlacedBatch[Sample]],
    *,
    count: int,
    engine: Engine = Engine(),
    on_progress: StageProgress | None = None,
) -> Evaluation:
    """Score labelled test images and measure. `count`: how many come, at most.

    A defective image without a mask counts for the image metrics only. Raises `DataError` when no image comes or a
    mask has another size than its image, `ScoreError` for scores that are not finite.
    """
    scorer = open_bundle(bundle, engine)
    samples: list[Sample] = []
    scores: list[float] = []
    maps: list[F32] = []
    masks: list[Bool] = []
    start = time.perf_counter()
    for batch in batches:
        scored = scorer.score(batch.images)
        for sample, score, net_map, size in zip(
            batch.samples, scored.image, scored.maps, batch.sizes, strict=True
        ):
            samples.append(sample)
            scores.append(float(score))
            mask = true_mask(sample, size)
            if mask is not None:
                maps.append(map_back(net_map, size, bundle.manifest.placement))
                masks.append(mask)
        if on_progress is not None:
            on_progress("test", len(samples), count)
    if not samples:
        raise DataError(
            "there is no test image to evaluate", hint="the test split is <category>/test/<kind>/"
        )
    predicted = time.perf_counter()
    thresholds = bundle.manifest.thresholds
    defective = np.array([sample.label == "defect" for sample in samples])
    has_masks = any(mask.any() for mask in masks)
    result = measure(
        defective,
        np.array(scores),
        image_threshold=thresholds.image.value,
        maps=maps if has_masks else None,
        masks=masks if has_masks else None,
        pixel_threshold=thresholds.pixel.value,
    )
    return Evaluation(
        metrics=result.values,
        reasons=result.reasons,
        predictions=tuple(
            Prediction(sample, score, thresholds.image.exceeded_by(score))
            for sample, score in zip(samples, scores, strict=True)
        ),
        seconds={"predict": predicted - start, "measure": time.perf_counter() - predicted},
    )


def evaluate_run(
    folder: RunFolder,
    manifest: Manifest | None = None,
    *,
    engine: Engine = Engine(),
    on_progress: StageProgress | None = None,
) -> Evaluation:
    """Evaluate a run on its data set's test split, and write `metrics.json` and `preds_test.jsonl` there.

    `manifest`: another data set to evaluate on; None: the one that the run was trained on.
    """
    bundle = load(folder.bundle)
    samples = (manifest or read_manifest(folder.manifest)).test()
    evaluation = evaluate(
        bundle,
        stream(samples, bundle.manifest.placement, batch_size=BATCH_SIZE),
        count=len(samples),
        engine=engine,
        on_progress=on_progress,
    )
    rows = [
        {
            "id": p.sample.id,
            "defect": p.sample.defect,
            "gt_label": p.sample.label,
            "pred_score": p.score,
            "is_anomaly": p.is_anomaly,
        }
        for p in evaluation.predictions
    ]
    write_text(folder.predictions, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    write_json(folder.metrics, evaluation.as_json())
    return evaluation


def true_mask(sample: Sample, image_hw: tuple[int, int]) -> Bool | None:
    """(H, W): where the flaw is; nowhere for a good image; None for a defect that nobody drew.

    Raises `DataError` naming both files' sizes when they differ.
    """
    if sample.mask_path is None:
        return np.zeros(image_hw, dtype=bool) if sample.label == "good" else None
    mask = decode_mask(sample.mask_path)
    if mask.shape != image_hw:
        raise DataError(
            f"the mask {sample.mask_path} is {mask.shape[0]} x {mask.shape[1]}, its image {sample.path} is"
            f" {image_hw[0]} x {image_hw[1]} (height x width)",
            hint="make the mask at the size of its image",
        )
    return mask


def ranked(
    predictions: Sequence[Prediction], keep: Callable[[Prediction], bool], *, most: int, highest_first: bool
) -> list[Prediction]:
    """At most `most` of the predictions that `keep` accepts, in order of score."""
    return sorted(filter(keep, predictions), key=lambda p: p.score, reverse=highest_first)[:most]
