"""A card says what a bundle rests on, what was measured and what was not."""

from pathlib import Path

import pytest
from tests.support import BASE, category

from kizu.bundles.store import bundle_hash
from kizu.decision.calibration import CalibrationConfig
from kizu.lab.evaluate import evaluate_run
from kizu.runs.folder import RunFolder
from kizu.lab.train import RunConfig, train_run
from kizu.lab.tune import compute_thresholds
from kizu.report.model_card import write_model_card


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    category(tmp_path / "data", "plate", 0)
    values = {**BASE.model_dump(mode="json"), "data": {"root": str(tmp_path / "data"), "category": "plate"}}
    return train_run(RunConfig.parse(values, where="test"), tmp_path / "runs").folder


def test_before_and_after_an_evaluation(run: RunFolder) -> None:
    before = write_model_card(run).read_text()
    for said in (
        bundle_hash(run.bundle)[:16],
        "fitted on 7 good images",
        "Nothing yet",
        "5 images set the image",
    ):
        assert said in before
    evaluate_run(run)
    after = write_model_card(run).read_text()
    assert "Nothing yet" not in after
    assert "On 4 good and 4 defective test images" in after
    assert "| image AUROC | 1.0000 | 1.000 to 1.000 |" in after
    told = [line.split("|")[1].strip() for line in after.splitlines() if line.startswith("| ")]
    for title in (
        "image AUPRC",
        "F1 at the image threshold",
        "defective parts passed",
        "good parts rejected",
        "pixel AUROC",
        "AU-PRO@0.30",
        "AU-PRO@0.05",
        "AUPIMO",
        "SegF1",
    ):
        assert title in told


def test_numbers_of_other_thresholds_are_not_shown(run: RunFolder) -> None:
    evaluate_run(run)
    compute_thresholds(run, CalibrationConfig(rule="mean_sigma"))
    assert "Nothing yet" in write_model_card(run).read_text()
