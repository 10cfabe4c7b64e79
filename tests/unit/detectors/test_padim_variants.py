"""What PaDiM keeps: which features, and how much of their covariance; and what it refuses to begin."""

import numpy as np
import pytest

from kizu.backbones.store import load_backbone
from kizu.core.errors import ConfigError
from kizu.core.randomness import rng_for
from kizu.core.types import U8
from kizu.detectors import detector_config, make_detector
from kizu.detectors.base import EmbeddingConfig, embedder_for
from kizu.detectors.padim import FittedPadim


def fitted(images: U8, **settings: object) -> FittedPadim:
    detector = make_detector(detector_config({"kind": "padim", **settings}))
    embedder = embedder_for(
        detector, load_backbone("tiny"), EmbeddingConfig(backbone="tiny"), rng_for(0, "channels")
    )
    made = detector.fit(embedder, iter([images]), count=len(images), rng=rng_for(0, "fit"))
    assert isinstance(made, FittedPadim)
    return made


@pytest.mark.parametrize("covariance", ["full", "diagonal", "low_rank"])
def test_the_features_that_vary_most_are_kept(good_pictures: U8, covariance: str) -> None:
    made = fitted(good_pictures, features=5, choose_by="variance", covariance=covariance)
    every = made.embedder.embed(good_pictures)
    variances = every.reshape(-1, every.shape[-1]).var(axis=0, dtype=np.float64)
    assert made.chosen is not None
    assert made.chosen.tolist() == sorted(np.argsort(-variances)[:5].tolist())
    assert made.gaussian.mean.shape[1] == 5


def test_a_lower_rank_ships_less(good_pictures: U8) -> None:
    sizes = {
        name: sum(array.nbytes for array in fitted(good_pictures, **settings).state().values())
        for name, settings in {
            "full": {},
            "low rank": {"covariance": "low_rank", "rank": 4},
            "diagonal": {"covariance": "diagonal"},
        }.items()
    }
    assert sizes["full"] > 4 * sizes["low rank"] > 8 * sizes["diagonal"]


def test_a_fit_that_memory_cannot_hold_is_refused_with_advice(
    good_pictures: U8, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KIZU_MEMORY_MB", "1")
    with pytest.raises(ConfigError, match=r"would hold about .* MB, and 1 MB are") as refused:
        fitted(np.concatenate([good_pictures] * 2))
    assert "low_rank" in (refused.value.hint or "")
    fitted(good_pictures[:4], features=4)
