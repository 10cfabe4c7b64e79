"""Mutual scoring against its definition, read out loop by loop."""

import numpy as np
import pytest

from kizu.core.errors import ConfigError, ScoreError
from kizu.scoring.mutual import mutual_scores


def by_loops(features: np.ndarray, part: float) -> np.ndarray:
    count, patches, _ = features.shape
    scores = np.empty((count, patches))
    for i in range(count):
        for p in range(patches):
            nearest = [
                np.linalg.norm(features[j].astype(np.float64) - features[i, p], axis=1).min()
                for j in range(count)
                if j != i
            ]
            kept = sorted(nearest)[: max(1, int(part * (count - 1)))]
            scores[i, p] = np.mean(kept)
    return scores


@pytest.mark.parametrize("part", [0.05, 0.3, 1.0])
@pytest.mark.parametrize("count", [2, 3, 9])
def test_it_is_the_mean_of_the_lowest_distances_to_the_other_images(count: int, part: float) -> None:
    features = np.random.default_rng(0).normal(3, 1, (count, 11, 5)).astype(np.float32)
    assert mutual_scores(features, part=part) == pytest.approx(by_loops(features, part), rel=1e-6)


def test_a_patch_that_only_one_image_has_stands_out_whatever_others_have() -> None:
    rng = np.random.default_rng(1)
    features = rng.normal(0, 0.1, (8, 16, 4)).astype(np.float32)
    features[3, 5] += 4
    scores = mutual_scores(features)
    assert np.unravel_index(scores.argmax(), scores.shape) == (3, 5)


def test_equal_images_have_no_flaw() -> None:
    features = np.repeat(np.random.default_rng(2).normal(50, 5, (1, 16, 6)), 4, axis=0).astype(np.float32)
    assert (mutual_scores(features) == 0).all()


def test_what_cannot_be_judged_is_refused() -> None:
    features = np.zeros((3, 4, 2), np.float32)
    with pytest.raises(ConfigError, match="cannot judge each other"):
        mutual_scores(features[:1])
    with pytest.raises(ConfigError, match="part must be"):
        mutual_scores(features, part=0)
    features[1, 2, 0] = np.inf
    with pytest.raises(ScoreError, match="not finite"):
        mutual_scores(features)
