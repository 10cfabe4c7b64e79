"""An evaluation in pictures: curves, scores, outcomes, and the cases to look at."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from kizu.core.files import write_bytes
from kizu.core.randomness import rng_for
from kizu.core.types import U8
from kizu.data.masks import true_mask
from kizu.imaging.codec import encode_jpeg
from kizu.imaging.overlay import TRUE, contact_sheet, draw_contours
from kizu.inspection.inspector import Inspector
from kizu.lab.evaluate import Evaluation, Prediction
from kizu.metrics.undefined import Undefined
from kizu.report.choosing import SORTS, rank_predictions
from kizu.report.figures import confusion_figure, pr_figure, reliability_figure, roc_figure, score_histogram

CASES, TILE_PX = 4, 200


def write_figures(folder: Path, evaluation: Evaluation, inspector: Inspector) -> list[Path]:
    """`roc.png`, `pr.png`, `scores.png`, `confusion.png`, `gallery.jpg` in `folder`, and `reliability.png` where a
    probability is shown; what cannot be drawn is left out.

    Raises `MissingExtraError` without matplotlib, `OutputError` when the folder cannot be written.
    """
    labels = np.array([p.sample.label == "defect" for p in evaluation.predictions])
    scores = np.array([p.score for p in evaluation.predictions])
    threshold = inspector.policy.thresholds.image.value
    pictures: dict[str, Callable[[], bytes]] = {
        "roc.png": lambda: roc_figure(labels, scores, threshold, rng=rng_for(0, "roc band")),
        "pr.png": lambda: pr_figure(labels, scores, threshold),
        "scores.png": lambda: score_histogram(labels, scores, threshold),
        "confusion.png": lambda: confusion_figure(evaluation.confusion),
    }
    shown = evaluation.shown
    if shown is not None:
        pictures["reliability.png"] = lambda: reliability_figure(shown.reliability, shown.ece, shown.brier)
    written = []
    for name, draw in pictures.items():
        try:
            write_bytes(folder / name, draw())
        except Undefined:
            continue
        written.append(folder / name)
    sheet = failure_gallery(evaluation.predictions, inspector)
    if sheet is not None:
        encode_jpeg(folder / "gallery.jpg", sheet)
        written.append(folder / "gallery.jpg")
    return written


def failure_gallery(predictions: Sequence[Prediction], inspector: Inspector) -> U8 | None:
    """Missed defects, rejected good parts, then the clearest of either kind; None without images.

    Each case is its image and, beside it, the map with the found flaw's outline in red and the true one's in yellow.
    """
    tiles: list[U8] = []
    captions: list[str] = []
    for sort in SORTS:
        for prediction in rank_predictions(predictions, sort, most=CASES):
            image, found = inspector.show(prediction.sample.path)
            mask = true_mask(prediction.sample, image.shape[:2])
            drawn = found.overlay(image, caption=False)
            tiles += [image, drawn if mask is None else draw_contours(drawn, mask, TRUE)]
            mark = "false " if prediction.is_wrong else ""
            captions += [f"{prediction.sample.defect}", f"{mark}{found.label} {found.score:.4g}"]
    return contact_sheet(tiles, 4, captions, tile_px=TILE_PX) if tiles else None
