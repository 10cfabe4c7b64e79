from pathlib import Path

import numpy as np
import pytest
from tests.support import fit

from kizu.core.errors import OutputError
from kizu.core.types import U8
from kizu.core.work import MEMORY_VARIABLE, SCRATCH_VARIABLE, Work
from kizu.detectors.registry import detector_config, make_detector


def test_features_beyond_the_budget_lie_in_a_file_that_is_gone_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MEMORY_VARIABLE, "1")
    monkeypatch.setenv(SCRATCH_VARIABLE, str(tmp_path))
    with Work().feature_array(1000, 100) as small:
        assert not isinstance(small, np.memmap)
    with Work().feature_array(10_000, 100) as large:
        assert isinstance(large, np.memmap)
        large[:] = 1
        assert list(tmp_path.iterdir())
    assert not list(tmp_path.iterdir())


def test_a_disk_without_room_is_told_before_anything_is_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MEMORY_VARIABLE, "1")
    monkeypatch.setenv(SCRATCH_VARIABLE, str(tmp_path))
    with pytest.raises(OutputError, match="MB free"), Work().feature_array(1 << 40, 100):
        pass


def test_the_budget_is_part_of_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(MEMORY_VARIABLE, raising=False)
    assert 0 < Work().memory_budget() < 1 << 50


def test_a_fit_from_disk_is_the_same_fit(good_pictures: U8, monkeypatch: pytest.MonkeyPatch) -> None:
    detector = make_detector(detector_config({"kind": "patchcore", "coreset": 0.1}))
    in_memory = fit(detector, good_pictures).fitted.state()["bank"]
    monkeypatch.setenv(MEMORY_VARIABLE, "0")
    assert (fit(detector, good_pictures).fitted.state()["bank"] == in_memory).all()
