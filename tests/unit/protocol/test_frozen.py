"""What is frozen cannot change unseen, is not evaluated on what it was designed on, and gives its numbers again."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support import BASE, category

from kizu.core.errors import ConfigError, LeakageError
from kizu.core.work import Work
from kizu.data.manifest import Manifest
from kizu.decision.standard import StandardThreshold
from kizu.protocol.design import design
from kizu.protocol.dev import name_unchecked
from kizu.protocol.freeze import (
    FrozenPipeline,
    Origin,
    freeze,
    read_frozen,
    write_frozen,
)
from kizu.protocol.frozen import evaluate_frozen, pipeline_folder
from kizu.report.portfolio import write_portfolio

FROZEN_BEFORE = {
    "format": 1,
    "created_at": "2026-11-26T14:54:34Z",
    "methods": {
        "patchcore": {
            "pipeline": {
                "detector": {
                    "kind": "patchcore",
                    "patch_size": 3,
                    "smoothing": 0.015625,
                    "top_fraction": 0.01,
                    "coreset": 0.2,
                    "coreset_size": None,
                    "coreset_method": "greedy",
                    "projection": None,
                    "neighbours": 9,
                    "image_score": "top_patches",
                },
                "embedding": {"backbone": "tiny", "layers": None, "normalisation": "native"},
                "placement": {
                    "image_size": [64, 64],
                    "resize": None,
                    "tile_overlap": None,
                    "resample": "bilinear",
                },
                "calibration": {
                    "fraction": 0.4,
                    "folds": None,
                    "rule": "conformal",
                    "false_alarm_rate": None,
                    "quantile": 0.995,
                    "sigmas": 3.0,
                    "confidence": 0.95,
                    "escape_cost": 10.0,
                    "overkill_cost": 1.0,
                    "prevalence": None,
                    "pixel_rule": "conformal",
                    "pixel_quantile": 0.999,
                    "zones": None,
                },
            },
            "weights_sha256": "699f687130c042f557d975191c1dcfc6d83ae9a65d30a737492017d80ec3d54f",
            "threshold": {"value": 3.5, "rule": "fpr@0.01 on development categories", "count": 33},
        }
    },
    "seeds": [0, 1, 2],
    "origin": {
        "how": "kizu design",
        "dev": [
            {
                "dataset": "mvtec_ad",
                "category": "plate",
                "manifest_sha256": "0000000000000000000000000000000000000000000000000000000000000000",
            }
        ],
        "evidence": [{"method": "patchcore", "worth": 0.97, "chosen": True}],
    },
    "versions": {
        "kizu": "0.1.0",
        "numpy": "2.4.6",
        "scipy": "1.17.1",
        "onnx": "1.23.2",
        "onnxruntime": "1.31.1",
        "openvino": "2026.4.1",
        "pillow": "13.0.0",
        "pydantic": "2.14.3",
    },
    "sha256": "eb202fce9c7cd7c6c64ed3038ebbd48a2d80c80d264fe05b9f14757eb3679f52",
}
"""A file as it was written when standard thresholds had another room."""


@pytest.fixture(scope="module")
def plate(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return category(tmp_path_factory.mktemp("set"), "plate", 0)


@pytest.fixture(scope="module")
def disc(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return category(tmp_path_factory.mktemp("set"), "disc", 500)


@pytest.fixture(scope="module")
def frozen(plate: Manifest) -> FrozenPipeline:
    found = design(
        [plate],
        candidates={"patchcore": ({"detector": {"coreset": 0.2}},), "padim": ({},)},
        base=BASE,
        seeds=(0,),
    )
    return freeze(found.pipelines, found.origin, thresholds=found.thresholds, seeds=(0, 1))


def test_design_keeps_the_best_and_the_evidence(plate: Manifest) -> None:
    bad = {"detector": {"coreset": 0.2}, "placement": {"image_size": 16}}
    good = {"detector": {"coreset": 0.2}}
    found = design([plate], candidates={"patchcore": (bad, good)}, base=BASE)
    assert found.pipelines["patchcore"].placement.image_size == (64, 64)
    assert [row["chosen"] for row in found.origin.evidence] == [True, False]
    assert found.origin.evidence[0]["worth"] > found.origin.evidence[1]["worth"]
    assert found.thresholds["patchcore"].count == 4


def test_a_frozen_file_reads_back_and_a_change_is_seen(frozen: FrozenPipeline, tmp_path: Path) -> None:
    path = tmp_path / "fixed.json"
    write_frozen(frozen, path)
    assert read_frozen(path) == frozen
    later = frozen.model_copy(update={"created_at": "2099-01-01T00:00:00Z"})
    assert (
        write_frozen(later, path) == frozen
    )  # the same choices: a call that was killed after it can be made again
    before = path.read_bytes()
    for other in ({"seeds": (7,)}, {"origin": frozen.origin.model_copy(update={"how": "otherwise"})}):
        with pytest.raises(ConfigError, match="exists"):
            write_frozen(frozen.model_copy(update=other), path)
    assert path.read_bytes() == before
    content = json.loads(path.read_text())
    content["methods"]["padim"]["pipeline"]["detector"]["epsilon"] = 0.2
    path.write_text(json.dumps(content))
    with pytest.raises(ConfigError, match="changed since it was frozen"):
        read_frozen(path)
    with pytest.raises(ConfigError, match="no frozen pipeline"):
        read_frozen(tmp_path / "none.json")
    path.write_text("{}")
    with pytest.raises(ConfigError, match="has no hash"):
        read_frozen(path)


def test_a_file_that_was_frozen_before_reads_and_keeps_its_hash(tmp_path: Path) -> None:
    path = tmp_path / "fixed.json"
    path.write_text(json.dumps(FROZEN_BEFORE))
    frozen = read_frozen(path)
    assert frozen.sha256 == FROZEN_BEFORE["sha256"]
    carried = StandardThreshold(value=3.5, rule="fpr@0.01 on development categories", count=33)
    assert frozen.methods["patchcore"].threshold == carried
    write_frozen(frozen, tmp_path / "again.json")
    assert json.loads((tmp_path / "again.json").read_text()) == FROZEN_BEFORE


def test_other_weights_are_refused(frozen: FrozenPipeline, tmp_path: Path) -> None:
    method = frozen.methods["padim"].model_copy(update={"weights_sha256": "0" * 64})
    write_frozen(frozen.model_copy(update={"methods": {"padim": method}}), tmp_path / "fixed.json")
    with pytest.raises(ConfigError, match="was frozen with weights"):
        read_frozen(tmp_path / "fixed.json")


def test_what_it_was_designed_on_is_refused_before_anything_is_fitted(
    frozen: FrozenPipeline, plate: Manifest, disc: Manifest, tmp_path: Path
) -> None:
    with pytest.raises(LeakageError, match="designed on"):
        list(evaluate_frozen(frozen, [disc, plate], tmp_path))
    assert not list(tmp_path.iterdir())
    shown = list(evaluate_frozen(frozen, [plate], tmp_path, include_dev=True))
    assert all(result.is_dev and result.metrics["is_dev"] for result in shown)


def test_a_second_run_gives_the_same_file(frozen: FrozenPipeline, disc: Manifest, tmp_path: Path) -> None:
    for folder in ("one", "two"):
        results = list(evaluate_frozen(frozen, [disc], tmp_path / folder))
        assert [result.method for result in results] == list(frozen.methods)
    for method in frozen.methods:
        one, two = (
            pipeline_folder(tmp_path / f, frozen) / "disc" / method / "metrics.json" for f in ("one", "two")
        )
        assert one.read_bytes() == two.read_bytes()
    metrics = json.loads(one.read_text())
    assert metrics["mean"]["image_auroc"] == 1.0
    assert set(metrics["per_seed"]) == {"0", "1"}
    assert metrics["per_seed"]["0"]["at_fpr"]["threshold"] != metrics["per_seed"]["1"]["at_fpr"]["threshold"]


def test_what_was_finished_is_not_done_again(
    frozen: FrozenPipeline, disc: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = [result.metrics for result in evaluate_frozen(frozen, [disc], tmp_path)]
    monkeypatch.setattr("kizu.protocol.frozen.run_trial", None)
    assert [result.metrics for result in evaluate_frozen(frozen, [disc], tmp_path)] == before


def test_each_pipeline_that_meets_a_test_set_is_counted_once(
    frozen: FrozenPipeline, disc: Manifest, tmp_path: Path
) -> None:
    for _ in range(2):
        assert {result.others for result in evaluate_frozen(frozen, [disc], tmp_path)} == {0}
    other = frozen.model_copy(update={"seeds": (5,)})
    assert {result.others for result in evaluate_frozen(other, [disc], tmp_path)} == {1}
    assert len((tmp_path / "encounters.jsonl").read_text().splitlines()) == 2


def test_seeds_must_differ() -> None:
    with pytest.raises(ConfigError, match="differ"):
        freeze({"padim": BASE}, Origin(how="by hand", dev=()), seeds=(1, 1))


def test_a_copy_of_what_it_was_designed_on_is_marked_as_such(
    frozen: FrozenPipeline, plate: Manifest, tmp_path: Path
) -> None:
    """Under another name, and with one image less: it is left out of the averages too."""
    copy = replace(plate, category="stranger", samples=plate.samples[:-1])
    with pytest.raises(LeakageError, match=r"has 19 of its images from .*plate.*train/good/0\.png"):
        list(evaluate_frozen(frozen, [copy], tmp_path))
    shown = list(evaluate_frozen(frozen, [copy], tmp_path, include_dev=True))
    assert all(result.is_dev and result.metrics["is_dev"] for result in shown)


def test_what_was_frozen_without_images_says_what_it_cannot_check(
    frozen: FrozenPipeline, plate: Manifest, tmp_path: Path
) -> None:
    dev = frozen.origin.dev[0].model_copy(update={"images": None})
    old = frozen.model_copy(
        update={"origin": frozen.origin.model_copy(update={"dev": (dev,)}), "seeds": (0,)}
    )
    notes: list[str] = []
    copy = replace(plate, category="stranger", samples=plate.samples[:-1])
    assert not any(
        result.is_dev for result in evaluate_frozen(old, [copy], tmp_path, work=Work(on_note=notes.append))
    )
    assert notes[:1] == list(name_unchecked(old.origin.dev))  # before anything is fitted
    assert "noted without its images" in notes[0]
    whole = replace(plate, category="stranger")
    with pytest.raises(LeakageError, match="designed on"):
        list(evaluate_frozen(old, [whole], tmp_path))


def test_two_pipelines_in_one_folder_do_not_overwrite_each_other(
    frozen: FrozenPipeline, disc: Manifest, tmp_path: Path
) -> None:
    written: dict[Path, bytes] = {}
    for pipeline in (frozen, frozen.model_copy(update={"seeds": (5,)})):
        results = list(evaluate_frozen(pipeline, [disc], tmp_path))
        write_portfolio(tmp_path, pipeline, results)
        home = pipeline_folder(tmp_path, pipeline)
        assert {result.folder.parents[1] for result in results} == {home}
        for path in home.rglob("*"):
            if path.is_file():
                assert path not in written
                written[path] = path.read_bytes()
    assert {path.name for path in written} >= {"report.md", "report.html", "metrics.json", "auroc.png"}
    assert all(path.read_bytes() == content for path, content in written.items())


def test_what_an_older_version_has_finished_is_taken_over_and_left(
    frozen: FrozenPipeline, disc: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It wrote categories into the output folder itself."""
    before = [result.metrics for result in evaluate_frozen(frozen, [disc], tmp_path / "new")]
    old = tmp_path / "old"
    old.mkdir()
    (pipeline_folder(tmp_path / "new", frozen) / "disc").rename(old / "disc")
    there = {path: path.read_bytes() for path in old.rglob("*") if path.is_file()}
    other = frozen.model_copy(update={"seeds": (0, 1, 9)})
    started: list[int] = []
    monkeypatch.setattr(
        "kizu.protocol.frozen.run_trial", lambda config, *_, **__: started.append(config.seed)
    )
    with pytest.raises(TypeError):  # of another pipeline nothing is taken
        list(evaluate_frozen(other, [disc], old))
    assert started == [0]
    assert [result.metrics for result in evaluate_frozen(frozen, [disc], old)] == before
    assert started == [0]
    assert {path: path.read_bytes() for path in there} == there
    copied = pipeline_folder(old, frozen) / "disc/padim/seed-0/preds_test.jsonl"
    assert copied.read_bytes() == (old / "disc/padim/seed-0/preds_test.jsonl").read_bytes()
