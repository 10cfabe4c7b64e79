"""One model of several categories: fitted on all, judged by each one's own thresholds."""

import json
from pathlib import Path

import numpy as np
import pytest
from tests.support import BASE, category

from kizu.bundles.store import load
from kizu.core.errors import BundleError, ConfigError
from kizu.data.manifest import merge_manifests, read_manifest
from kizu.decision.cuts import MARGIN
from kizu.inspection.inspector import Inspector
from kizu.lab.evaluate import evaluate_run
from kizu.lab.parts import evaluate_parts
from kizu.lab.train import RunConfig, train_run
from kizu.lab.tune import tune_on_validation
from kizu.report.model_card import write_model_card
from kizu.runs.folder import RunFolder


def config(root: Path, names: str, **calibration: object) -> RunConfig:
    values = {**BASE.model_dump(mode="json"), "data": {"root": str(root), "category": names}}
    values["calibration"] |= calibration
    return RunConfig.parse(values, where="test")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sets")
    category(folder, "plate", 0)
    category(folder, "disc", 500)
    return folder


@pytest.fixture(scope="module")
def run(root: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return train_run(config(root, "plate,disc"), tmp_path_factory.mktemp("runs")).folder


def test_it_is_fitted_on_all_and_calibrated_on_each(run: RunFolder) -> None:
    manifest = load(run.bundle).manifest
    assert manifest.category == "plate+disc"
    assert (manifest.fitted_on.fit_count, manifest.fitted_on.calibration_count) == (14, 10)
    by_category = manifest.thresholds_by_category
    assert {name: t.image.count for name, t in by_category.items()} == {"plate": 5, "disc": 5}
    assert manifest.thresholds.image.count == 10
    assert manifest.thresholds.image.value == max(t.image.value for t in by_category.values())
    meta = run.read_meta()
    held = np.array(meta.calibration_scores)
    assert by_category["plate"].image.value == pytest.approx(held[:5].max() * (1 + MARGIN), rel=1e-5)
    assert all(name.startswith("plate/") for name in meta.calibration[:5])


def test_each_category_is_measured_with_its_own_thresholds(run: RunFolder) -> None:
    found = evaluate_parts(run).by_category
    assert list(found) == ["plate", "disc"]
    written = json.loads(run.metrics.read_text())
    for name, evaluation in found.items():
        assert evaluation.as_json()["counts"] == {"good": 4, "defect": 4}
        assert evaluation.metrics["image_auroc"] == 1.0
        assert written["categories"][name]["image_f1"] == evaluation.metrics["image_f1"]
        assert json.loads(run.part(name).metrics.read_text())["image_auroc"] == 1.0
    assert written["mean"]["image_auroc"] == 1.0
    card = write_model_card(run).read_text()
    assert "disc, OK or NG" in card
    assert "| mean | 1.0000 |" in card


def test_an_inspector_wants_to_know_which_category(run: RunFolder) -> None:
    with pytest.raises(BundleError, match=r"is of plate, disc, and no category was named"):
        Inspector.open(run.path)
    with pytest.raises(BundleError, match="does not know 'tile'"):
        Inspector.open(run.path, category="tile")
    inspectors = {name: Inspector.open(run.path, category=name) for name in ("plate", "disc")}
    thresholds = load(run.bundle).manifest.thresholds_by_category
    sample = read_manifest(run.manifest).test()[0]
    for name, inspector in inspectors.items():
        assert inspector.manifest.category == name
        assert inspector.inspect(sample.path).threshold == thresholds[name].image.value


def test_what_is_for_one_category_is_refused(run: RunFolder, root: Path, tmp_path: Path) -> None:
    for call in (evaluate_run, tune_on_validation):
        with pytest.raises(BundleError, match="no category was named"):
            call(run)
    with pytest.raises(ConfigError, match="held out of the fit"):
        train_run(config(root, "plate,disc", folds=3), tmp_path)
    with pytest.raises(ConfigError, match="names 'plate' twice"):
        train_run(config(root, "plate,plate"), tmp_path)


def test_categories_may_be_links_to_elsewhere(root: Path, tmp_path: Path) -> None:
    for name in ("plate", "disc"):
        (tmp_path / "sets").mkdir(exist_ok=True)
        (tmp_path / "sets" / name).symlink_to(root / name)
    (tmp_path / "far/away").mkdir(parents=True)
    (tmp_path / "sets/disc").unlink()
    (root / "disc").rename(tmp_path / "far/away/disc")
    (tmp_path / "sets/disc").symlink_to(tmp_path / "far/away/disc")
    trained = train_run(config(tmp_path / "sets", "plate,disc"), tmp_path / "runs").folder
    assert set(evaluate_parts(trained).by_category) == {"plate", "disc"}
    (tmp_path / "far/away/disc").rename(root / "disc")


def test_a_merged_manifest_comes_back_from_its_file(root: Path, tmp_path: Path) -> None:
    both = merge_manifests([category(tmp_path, name, seed) for name, seed in (("a", 1), ("b", 700))])
    both.write(tmp_path / "m.jsonl")
    again = read_manifest(tmp_path / "m.jsonl")
    assert again.parts == ("a", "b")
    assert [s.id for s in again.part("b").samples] == [s.id for s in both.samples if s.id.startswith("b/")]
