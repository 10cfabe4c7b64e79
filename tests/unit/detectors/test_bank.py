"""What an extended bank promises."""

import numpy as np
import pytest

from kizu.core.errors import ConfigError
from kizu.core.types import F32
from kizu.detectors.bank import Coverage, coverage_of, extend, restore_coverage
from kizu.detectors.patchcore import PatchcoreConfig
from kizu.scoring.coreset import greedy_k_centre
from kizu.scoring.neighbours import build_bank, nearest


def points(count: int, seed: int = 0, spread: float = 1) -> F32:
    return (spread * np.random.default_rng(seed).normal(size=(count, 6))).astype(np.float32)


def thinned(features: F32, config: PatchcoreConfig) -> tuple[F32, Coverage | None]:
    kept = features[greedy_k_centre(features, config.bank_size(len(features)), first=0)]
    return kept, coverage_of(features, kept, config)


def farthest(features: F32, bank: F32) -> float:
    return float(nearest(features, bank, 1)[0].max())


@pytest.mark.parametrize("spread", [1.0, 4.0])
def test_a_part_of_all_patches_keeps_its_vectors_and_covers_old_and_new(spread: float) -> None:
    config = PatchcoreConfig(coreset=0.1)
    old, new = points(400), points(200, seed=1, spread=spread)
    kept, coverage = thinned(old, config)
    bank, after, _ = extend(build_bank(kept), coverage, config, new)
    assert (bank.vectors[:40] == kept).all()
    assert len(bank.vectors) <= config.bank_size(600) == 60
    assert coverage is not None
    assert after.patches == 600
    assert after.radius >= coverage.radius
    assert farthest(np.concatenate([old, new]), bank.vectors) <= after.radius * (1 + 1e-6)
    if spread > 1:
        assert len(bank.vectors) == 60  # the new ones are far off, and there are many
    else:
        assert len(bank.vectors) < 60


def test_new_patches_within_the_radius_change_nothing() -> None:
    config = PatchcoreConfig(coreset=0.1)
    old = points(400)
    kept, coverage = thinned(old, config)
    bank, after, _ = extend(build_bank(kept), coverage, config, old[:50])
    assert (bank.vectors == kept).all()
    assert coverage is not None
    assert after == Coverage(450, coverage.radius)


def test_a_full_bank_of_a_fixed_size_is_thinned_again_and_covers_both() -> None:
    config = PatchcoreConfig(coreset_size=40)
    old, new = points(400), points(100, seed=1) + np.float32(6)
    kept, coverage = thinned(old, config)
    bank, after, _ = extend(build_bank(kept), coverage, config, new)
    assert len(bank.vectors) == 40
    assert farthest(np.concatenate([old, new]), bank.vectors) <= after.radius * (1 + 1e-6)
    assert farthest(new, bank.vectors) < farthest(new, kept)


def test_a_bank_of_all_takes_all() -> None:
    config = PatchcoreConfig(coreset=1.0)
    old, new = points(30), points(9, seed=1)
    bank, after, _ = extend(build_bank(old), coverage_of(old, old, config), config, new)
    assert (bank.vectors == np.concatenate([old, new])).all()
    assert after == Coverage(39, 0.0)


def test_one_vector_tells_its_radius() -> None:
    features = points(50)
    found = coverage_of(features, features[:1], PatchcoreConfig(coreset_size=1))
    assert found is not None
    assert found.radius == pytest.approx(farthest(features, features[:1]))


@pytest.mark.parametrize("settings", [{"coreset_method": "random"}, {"projection": 3}])
def test_what_does_not_tell_its_radius_is_refused(settings: dict[str, object]) -> None:
    config = PatchcoreConfig.parse({"coreset": 0.1, **settings}, where="test")
    features = points(100)
    coverage = coverage_of(features, features[:10], config)
    assert coverage is None
    with pytest.raises(ConfigError, match="how closely it covers"):
        extend(build_bank(features[:10]), coverage, config, features)


def test_coverage_is_stored_and_missed() -> None:
    coverage = Coverage(7, 0.25)
    assert restore_coverage(coverage.arrays()) == coverage
    assert restore_coverage({"bank": points(3)}) is None
