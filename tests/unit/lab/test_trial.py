"""A trial fits, scores and measures as a run would, by the seed of its settings, and writes nothing."""

from pathlib import Path

import pytest
from tests.support import BASE, category, part_picture

from kizu.core.work import Work
from kizu.data.manifest import Manifest
from kizu.imaging.codec import encode_png
from kizu.lab.evaluate import measure_predictions
from kizu.lab.trial import run_trial


@pytest.fixture
def plate(tmp_path: Path) -> Manifest:
    """With two defects that nobody can see."""
    manifest = category(tmp_path, "plate", 0)
    for number in range(2):
        encode_png(tmp_path / "plate/test/checks" / f"{number}.png", part_picture(900 + number))
    return manifest.with_hashes()


def test_it_is_measured_on_its_test_split_by_its_own_thresholds_and_seed(plate: Manifest) -> None:
    found = []
    for seed in (0, 5):
        config = BASE.changed({"detector": {"coreset": 1.0}}, seed=seed, where="test")
        with run_trial(config, plate, run_id=f"trial {seed}") as trial:
            manifest = trial.fitted.bundle.manifest
            assert (manifest.run_id, manifest.seed, manifest.category) == (f"trial {seed}", seed, "plate")
            assert [s.id for s in trial.found.samples] == [s.id for s in plate.test()]
            again = measure_predictions(trial.found, manifest.thresholds)
            assert trial.evaluation.metrics == again.metrics
            assert trial.evaluation.intervals == again.intervals
            assert trial.evaluation.breakdown == again.breakdown
        found.append([prediction.score for prediction in trial.evaluation.predictions])
    assert found[0] != found[1]


def test_how_long_it_took_and_how_far_it_is_are_told(plate: Manifest) -> None:
    told: list[tuple[str, int, int]] = []
    with run_trial(BASE, plate, work=Work(on_progress=lambda *step: told.append(step))) as trial:
        pass
    assert trial.fitted.bundle.manifest.run_id == ""
    assert list(trial.evaluation.seconds) == ["predict", "measure"]
    assert all(0 < seconds < 600 for seconds in trial.evaluation.seconds.values())
    stages = {stage for stage, done, total in told if done == total}
    assert {"features", "calibration", "test"} <= stages
    assert ("test", 8, 8) in told
