"""The numbers of a frozen evaluation follow from those of its seeds, and these from the predictions on disk."""

import json
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import ttest_1samp
from sklearn.metrics import f1_score, precision_score, recall_score
from tests.support import BASE, category, part_picture

from kizu.data.manifest import Manifest
from kizu.decision.standard import StandardThreshold
from kizu.imaging.codec import encode_png
from kizu.protocol.freeze import Origin, freeze
from kizu.protocol.frozen import MethodResult, SeedResult, evaluate_frozen, pipeline_folder

SEEDS = (0, 1, 5)


@pytest.fixture(scope="module")
def disc(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """With two defects that nobody can see, so that no number is perfect."""
    root = tmp_path_factory.mktemp("set")
    manifest = category(root, "disc", 500)
    for number in range(2):
        encode_png(root / "disc/test/checks" / f"{number}.png", part_picture(900 + number))
    return manifest


@pytest.fixture(scope="module")
def result(disc: Manifest, tmp_path_factory: pytest.TempPathFactory) -> MethodResult:
    pipeline = BASE.with_detector("patchcore", {"coreset": 0.05})
    threshold = StandardThreshold(value=1.0, rule="by hand", count=9)
    frozen = freeze(
        {"patchcore": pipeline},
        Origin(how="by hand", dev=()),
        thresholds={"patchcore": threshold},
        seeds=SEEDS,
    )
    (found,) = evaluate_frozen(frozen, [disc], tmp_path_factory.mktemp("out"))
    return found


@pytest.fixture(scope="module")
def per_seed(result: MethodResult) -> list[dict[str, Any]]:
    assert list(result.metrics["per_seed"]) == [str(seed) for seed in SEEDS]
    return list(result.metrics["per_seed"].values())


def test_means_and_deviations_are_those_of_the_seeds(
    result: MethodResult, per_seed: list[dict[str, Any]]
) -> None:
    metrics = result.metrics
    assert metrics["seeds"] == len(SEEDS)
    measured = [key for key in metrics["mean"] if key != "image_f1_at_fpr"]
    assert {"image_auroc", "aupro_030", "pixel_auroc"} <= set(measured)
    for key in measured:
        values = [seed[key] for seed in per_seed]
        if None in values:
            assert metrics["mean"][key] is metrics["std"][key] is None
            continue
        assert metrics["mean"][key] == pytest.approx(statistics.fmean(values))
        assert metrics["std"][key] == pytest.approx(statistics.stdev(values))
    assert metrics["std"]["pixel_auroc"] > 0


def test_the_interval_over_seeds_is_students_of_their_mean(
    result: MethodResult, per_seed: list[dict[str, Any]]
) -> None:
    told = result.metrics["over_seeds"]
    assert told.keys() == {key for key, spread in result.metrics["std"].items() if spread}
    assert all(0 <= low <= high <= 1 for low, high in told.values())
    for key in ("pixel_auroc", "aupro_030"):
        values = [seed[key] for seed in per_seed]
        low, high = ttest_1samp(values, 0).confidence_interval(0.95)
        assert told[key] == pytest.approx([max(low, 0), min(high, 1)])
        assert told[key][0] < statistics.fmean(values) < told[key][1]


def test_the_interval_over_images_is_the_mean_of_the_seeds_own(
    result: MethodResult, per_seed: list[dict[str, Any]]
) -> None:
    told = {
        "auroc",
        "f1",
        "precision",
        "recall",
        "accuracy",
        "specificity",
        "escape_rate",
        "overkill_rate",
    }
    assert result.metrics["intervals"].keys() == {f"image_{name}" for name in told}
    for key, (low, high) in result.metrics["intervals"].items():
        assert low == pytest.approx(statistics.fmean(seed["intervals"][key]["low"] for seed in per_seed))
        assert high == pytest.approx(statistics.fmean(seed["intervals"][key]["high"] for seed in per_seed))
        assert low < high


def test_the_carried_threshold_decides_what_is_told_of_it(
    result: MethodResult, per_seed: list[dict[str, Any]]
) -> None:
    f1 = []
    for seed, metrics in zip(SEEDS, per_seed, strict=True):
        told = metrics["at_fpr"]
        lines = (result.folder / f"seed-{seed}/preds_test.jsonl").read_text().splitlines()
        rows = [json.loads(line) for line in lines]
        truth = np.array([row["gt_label"] == "defect" for row in rows])
        ng = np.array([row["pred_score"] for row in rows]) > told["threshold"]
        assert told["rule"] == "by hand"
        assert told["f1"] == pytest.approx(f1_score(truth, ng))
        assert told["precision"] == pytest.approx(precision_score(truth, ng))
        assert told["recall"] == pytest.approx(recall_score(truth, ng))
        assert told["overkill_rate"] == pytest.approx(ng[~truth].mean())
        assert told["escape_rate"] == pytest.approx((~ng)[truth].mean())
        f1.append(told["f1"])
    assert result.metrics["mean"]["image_f1_at_fpr"] == pytest.approx(statistics.fmean(f1))


def test_one_seed_has_no_deviation(disc: Manifest, tmp_path: Path) -> None:
    frozen = freeze(
        {"mahalanobis": BASE.with_detector("mahalanobis", {})}, Origin(how="by hand", dev=()), seeds=(3,)
    )
    (found,) = evaluate_frozen(frozen, [disc], tmp_path)
    assert set(found.metrics["std"].values()) == {None}
    assert found.metrics["over_seeds"] == {}
    assert found.metrics["mean"]["image_auroc"] == found.metrics["per_seed"]["3"]["image_auroc"]
    assert found.metrics["mean"]["image_f1_at_fpr"] is None  # no threshold was carried
    assert found.metrics["per_seed"]["3"]["at_fpr"] is None


def test_what_was_met_by_others_is_counted_by_its_images(disc: Manifest, tmp_path: Path) -> None:
    """A set of the same test images is the same set, whatever it is called."""
    pipelines = [
        freeze(
            {"mahalanobis": BASE.with_detector("mahalanobis", {})},
            Origin(how="by hand", dev=()),
            seeds=(seed,),
        )
        for seed in (1, 2, 3)
    ]
    renamed = replace(disc, category="another")
    for frozen, manifest, others in zip(pipelines, (disc, renamed, disc), (0, 1, 2), strict=True):
        (found,) = evaluate_frozen(frozen, [manifest], tmp_path)
        assert found.others == others
    rows = [json.loads(line) for line in (tmp_path / "encounters.jsonl").read_text().splitlines()]
    assert [row["category"] for row in rows] == ["disc", "another", "disc"]
    assert len({row["test_sha256"] for row in rows}) == 1
    assert len({row["frozen_sha256"] for row in rows}) == 3


def test_each_seed_is_shown_with_its_trial_and_its_folder_while_its_maps_are_there(
    disc: Manifest, tmp_path: Path
) -> None:
    frozen = freeze(
        {"mean": BASE.with_detector("mahalanobis", {})}, Origin(how="by hand", dev=()), seeds=(3, 8)
    )
    shown: list[int] = []

    def show(category: str, method: str, result: SeedResult, folder: Path) -> None:
        home = pipeline_folder(tmp_path, frozen)
        assert (category, method, folder) == ("disc", "mean", home / f"disc/mean/seed-{result.seed}")
        assert result.trial.fitted.bundle.manifest.seed == result.seed
        assert len(result.trial.found.net_maps) == len(result.trial.evaluation.predictions) == 8
        assert result.metrics == json.loads((folder / "metrics.json").read_text())
        shown.append(result.seed)

    list(evaluate_frozen(frozen, [disc], tmp_path, on_seed=show))
    assert shown == [3, 8]
    list(evaluate_frozen(frozen, [disc], tmp_path, on_seed=show))
    assert shown == [3, 8]  # what was finished is read, not shown again
