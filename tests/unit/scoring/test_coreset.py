from pathlib import Path

import numpy as np
import pytest

from kizu.core.errors import ConfigError, ScoreError
from kizu.scoring import coreset
from kizu.scoring.coreset import greedy_k_centre, random_coreset

FEATURES = np.random.default_rng(0).normal(size=(5000, 12)).astype(np.float32)


def test_the_first_pick_belongs_to_the_coreset() -> None:
    assert greedy_k_centre(FEATURES, 10, first=123)[0] == 123
    assert greedy_k_centre(FEATURES, 1, first=4).tolist() == [4]


def test_the_number_of_cores_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = greedy_k_centre(FEATURES, 500, first=0)
    for cores in (1, 3):
        monkeypatch.setattr(coreset, "cores", lambda cores=cores: cores)
        assert greedy_k_centre(FEATURES, 500, first=0).tolist() == expected.tolist()


def test_the_features_are_left_as_they_are() -> None:
    before = FEATURES.copy()
    greedy_k_centre(FEATURES, 50, first=0)
    assert np.array_equal(FEATURES, before)


def test_features_may_lie_in_a_file(tmp_path: Path) -> None:
    on_disk = np.memmap(tmp_path / "features", np.float32, "w+", shape=FEATURES.shape)
    on_disk[:] = FEATURES
    assert greedy_k_centre(on_disk, 50, first=1).tolist() == greedy_k_centre(FEATURES, 50, first=1).tolist()


def test_progress_only_rises_and_ends_at_the_count() -> None:
    calls: list[tuple[int, int]] = []
    greedy_k_centre(
        FEATURES, 700, first=0, on_progress=lambda _stage, done, total: calls.append((done, total))
    )
    done = [call[0] for call in calls]
    assert done == sorted(done)
    assert calls[-1] == (700, 700)


@pytest.mark.parametrize("count", [0, -1, 5001])
def test_a_count_that_cannot_be_is_refused(count: int) -> None:
    with pytest.raises(ConfigError, match=str(count)):
        greedy_k_centre(FEATURES, count, first=0)
    with pytest.raises(ConfigError, match=str(count)):
        random_coreset(5000, count, np.random.default_rng(0))


def test_a_first_pick_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match="5000"):
        greedy_k_centre(FEATURES, 2, first=5000)
    with pytest.raises(ConfigError, match="-1"):
        greedy_k_centre(FEATURES, 2, first=-1)


def test_another_shape_is_refused() -> None:
    for shape in ((4,), (4, 0), (2, 3, 4)):
        with pytest.raises(ConfigError):
            greedy_k_centre(np.zeros(shape, np.float32), 1, first=0)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_feature_that_is_not_finite_is_refused(value: float) -> None:
    features = FEATURES.copy()
    features[4999, 3] = value
    with pytest.raises(ScoreError):
        greedy_k_centre(features, 2, first=0)


def test_a_random_coreset_is_distinct_ascending_and_repeatable() -> None:
    picks = random_coreset(1000, 100, np.random.default_rng(3))
    assert picks.dtype == np.int64
    assert (np.diff(picks) > 0).all()
    assert picks.min() >= 0
    assert picks.max() < 1000
    assert picks.tolist() == random_coreset(1000, 100, np.random.default_rng(3)).tolist()


def test_features_whose_distances_would_not_be_finite_are_refused() -> None:
    features = np.ones((50, 4), np.float32)
    features[7] = 1e19
    with pytest.raises(ScoreError, match="squares of distances"):
        greedy_k_centre(features, 5, first=0)
    features[7] = 1e16
    assert set(greedy_k_centre(features, 2, first=0).tolist()) == {0, 7}
