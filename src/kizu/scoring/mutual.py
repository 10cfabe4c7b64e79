"""Images of one batch judge each other: no good image is known, but most patches of most images are good.

The mutual scoring of MuSc (Li, Huang, Xue & Zhou, "MuSc: Zero-Shot Industrial Anomaly Classification and Segmentation
with Mutual Scoring of the Unlabeled Images", ICLR 2024, equations 4 and 5), without its several neighbourhood sizes and
without its re-scoring of images.
"""

import numpy as np

from kizu.core.errors import ConfigError, ScoreError
from kizu.core.threads import spread
from kizu.core.types import F32
from kizu.core.work import Progress
from kizu.scoring.neighbours import build_bank, nearest

NEAREST_PART = 0.3
"""Of the other images: those that come nearest to a patch say how usual it is."""


def mutual_scores(features: F32, *, part: float = NEAREST_PART, on_progress: Progress | None = None) -> F32:
    """`features` (N, P, D) -> the score of each patch (N, P), in L2 distance.

    For a patch, the distance to the nearest patch of each other image; of these N - 1 distances the mean of the lowest
    `part` (at least one). A flaw that most images have at the same place is usual, and not found. Takes time with
    N^2 P^2 D; each block of distances is dropped when its minimum is known, so memory is N x P x N floats.
    Raises `ConfigError` for fewer than two images or a `part` outside (0, 1], `ScoreError` if not finite.
    """
    count, patches, _ = features.shape
    if count < 2:
        raise ConfigError(f"{count} image(s) cannot judge each other", hint="give a batch of at least 2")
    if not 0 < part <= 1:
        raise ConfigError(f"part must be in (0, 1], got {part}")
    if not np.isfinite(features).all():
        raise ScoreError("a feature is not finite")
    banks = [build_bank(image) for image in features]
    lowest = max(1, int(part * (count - 1)))
    scores = np.empty((count, patches), np.float32)
    done = 0

    def judge(index: int) -> None:
        nonlocal done
        others = np.empty((count - 1, patches), np.float32)
        for row, other in enumerate(j for j in range(count) if j != index):
            others[row] = nearest(features[index], banks[other], 1)[0][:, 0]
        scores[index] = np.partition(others, lowest - 1, axis=0)[:lowest].mean(axis=0)
        done += 1
        if on_progress is not None:
            on_progress("images", done, count)

    spread(judge, range(count))
    return scores
