"""Every file that a run, a frozen evaluation or an inspection reads back: whole it is read, broken it is named."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support import BASE, category, part_picture, run_config

from kizu.core.errors import ConfigError, KizuError
from kizu.core.work import Work
from kizu.data.layouts import demo
from kizu.data.layouts.mvtec_ad import scan
from kizu.data.manifest import Manifest
from kizu.decision.calibration import CalibrationConfig
from kizu.imaging.codec import encode_png
from kizu.inspection.inspector import Inspector
from kizu.lab.evaluate import evaluate_run
from kizu.lab.train import RunConfig, read_run_config, train_run
from kizu.lab.tune import compute_thresholds, tune_on_validation
from kizu.lab.update import update_run
from kizu.lab.versions import roll_back
from kizu.protocol.compare import RunComparison, compare_runs
from kizu.protocol.freeze import Origin, freeze, read_frozen, write_frozen
from kizu.protocol.frozen import evaluate_frozen
from kizu.release.export import export_run
from kizu.release.verify import verify_run
from kizu.report.comparison import write_comparison
from kizu.report.model_card import write_model_card
from kizu.runs.contents import MetricsFile, RunMeta, ThresholdsFile
from kizu.runs.folder import RunFolder, open_run
from kizu.runtimes.model import read_model
from kizu.tasks.evaluate import set_thresholds
from kizu.tasks.lab_options import ThresholdOptions
from kizu.tasks.predict import predict_run


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every file there is: of a run, an export, a comparison, a frozen evaluation."""
    root = tmp_path_factory.mktemp("whole")
    category(root / "data", "plate", 0)
    encode_png(root / "new" / "a.png", part_picture(900))
    run = train_run(run_config(root / "data", "plate"), root / "runs", run_id="r").folder
    update_run(run, root / "new", reason="test")
    compute_thresholds(run, BASE.calibration)
    tune_on_validation(run)
    evaluate_run(run)
    predict_run(run)
    export_run(run, to="openvino")
    demo.scan(root / "demo", None, demo.DemoOptions(train=1, test_good=1, test_defect=1, side_px=32))
    frozen = freeze({"patchcore": BASE}, Origin(how="by hand", dev=()), seeds=(0,))
    write_frozen(frozen, root / "fixed.json")
    list(evaluate_frozen(frozen, [plate(root)], root / "eval"))
    return root


def plate(root: Path) -> Manifest:
    return scan(root / "data", "plate")


def run_of(root: Path) -> RunFolder:
    return open_run(root / "runs" / "patchcore" / "plate" / "r")


def compared(root: Path) -> None:
    compare_runs(run_of(root), run_of(root))


def shown_beside(root: Path) -> None:
    run = run_of(root)
    write_comparison(root / "out", RunComparison(("a", "b"), (run, run), (), None, {}, (), ()))


def computed(root: Path) -> None:
    compute_thresholds(run_of(root), CalibrationConfig(rule="maximum"))


def updated(root: Path) -> None:
    encode_png(root / "newer" / "b.png", part_picture(901))
    update_run(run_of(root), root / "newer", reason="test")


def evaluated_frozen(root: Path) -> None:
    list(evaluate_frozen(read_frozen(root / "fixed.json"), [plate(root)], root / "eval"))


RUN = "runs/patchcore/plate/r"
READERS: dict[str, tuple[Callable[[Path], object], ...]] = {
    f"{RUN}/meta.json": (computed, updated, shown_beside),
    f"{RUN}/manifest.jsonl": (lambda root: evaluate_run(run_of(root)), computed, updated),
    f"{RUN}/study.json": (
        lambda root: evaluate_run(run_of(root)),
        lambda root: tune_on_validation(run_of(root)),
        lambda root: verify_run(run_of(root)),
    ),
    f"{RUN}/probability.json": (lambda root: evaluate_run(run_of(root)),),
    f"{RUN}/thresholds.json": (computed, lambda root: tune_on_validation(run_of(root))),
    f"{RUN}/metrics.json": (lambda root: write_model_card(run_of(root)), compared),
    f"{RUN}/preds_test.jsonl": (compared,),
    f"{RUN}/versions.json": (
        lambda root: Inspector.open(root / RUN),
        lambda root: roll_back(run_of(root)),
        lambda root: evaluate_run(run_of(root)),
    ),
    f"{RUN}/versions/2/added.jsonl": (computed, updated),
    f"{RUN}/versions/3/bundle/bundle.json": (
        lambda root: Inspector.open(root / RUN),
        lambda root: evaluate_run(run_of(root)),
    ),
    f"{RUN}/versions/3/bundle/graph.onnx": (lambda root: Inspector.open(root / RUN),),
    f"{RUN}/export/export_meta.json": (
        lambda root: read_model(root / RUN / "export/model.xml"),
        lambda root: export_run(run_of(root)),
        lambda root: verify_run(run_of(root)),
    ),
    f"{RUN}/predictions/settings.json": (lambda root: predict_run(run_of(root)),),
    f"{RUN}/predictions/preds.jsonl": (shown_beside,),
    "demo/disc/demo.json": (
        lambda root: demo.scan(root / "demo", None, demo.DemoOptions(train=1, test_good=1, test_defect=1)),
    ),
    "fixed.json": (evaluated_frozen,),
    "eval/encounters.jsonl": (evaluated_frozen,),
    "eval/*/plate/patchcore/seed-0/done.json": (evaluated_frozen,),
    "eval/*/plate/patchcore/seed-0/metrics.json": (evaluated_frozen,),
}


MAY_BE_TORN = frozenset({"preds.jsonl"})
"""Written line by line: a last line without an end is one that a kill has torn, and no error."""


def broken(path: Path) -> list[bytes]:
    content = path.read_bytes()
    n = len(content)
    cuts = [content[:length] for length in (0, 1, n // 3, n // 2, n - 3)]
    if path.name in MAY_BE_TORN:
        cuts = []
    return [
        *cuts,
        b"\0" * n + b"\n",
        b"[]\n",
        b"{}\n",
        b"null\n",
        content.replace(b'"', b"'"),
        b"\xff" + content + b"\n",
    ]


@pytest.mark.parametrize("name", READERS)
def test_a_broken_file_is_one_error_that_names_it(whole: Path, tmp_path: Path, name: str) -> None:
    root = tmp_path / "copy"
    shutil.copytree(whole, root)
    (path,) = root.glob(name)
    content = path.read_bytes()
    for read in READERS[name]:
        path.write_bytes(content)
        for spoilt in broken(path):
            path.write_bytes(spoilt)
            with pytest.raises(KizuError, match=re.escape(path.name)) as refused:
                read(root)
            assert refused.value.hint
            assert path.read_bytes() == spoilt


def test_settings_that_lost_their_end_are_refused_by_name(whole: Path, tmp_path: Path) -> None:
    root = tmp_path / "copy"
    shutil.copytree(whole, root)
    path = run_of(root).config
    content = path.read_bytes()
    last = content.index(b"\ndata:") + 1
    for spoilt in (b"", content[:40], content[: last // 2], content[:last], b"\0" * 99, b"a: [", b"\xff\xfe"):
        path.write_bytes(spoilt)
        with pytest.raises(ConfigError, match=r"config\.yaml") as refused:
            set_thresholds(run_of(root).path, ThresholdOptions(compute_thresholds=True), Work())
        assert refused.value.hint
    path.write_bytes(content)
    assert read_run_config(run_of(root)) == RunConfig.read(path)


@pytest.mark.parametrize("line", ["first", "last"])
def test_a_spoilt_line_is_named_by_its_number(whole: Path, tmp_path: Path, line: str) -> None:
    root = tmp_path / "copy"
    shutil.copytree(whole, root)
    for name, reads in READERS.items():
        path = root / name
        if path.suffix == ".jsonl":
            lines = path.read_text().splitlines(keepends=True)
            number = 1 if line == "first" else len(lines)
            path.write_text("".join([*lines[: number - 1], "\0" * 40 + "\n", *lines[number:]]))
            with pytest.raises(KizuError, match=re.escape(f"{path.name}, line {number}")):
                reads[0](root)
            path.write_text("".join(lines))


def test_what_is_written_is_what_is_read(whole: Path) -> None:
    run = run_of(whole)
    for path, content in ((run.meta, run.read_meta()), (run.probability, run.read_probability())):
        assert content is not None
        assert json.loads(path.read_text()) == content.model_dump(mode="json")
    thresholds = run.read_thresholds()
    assert thresholds is not None
    assert json.loads(run.thresholds.read_text()) == thresholds.as_json()
    assert [one.image.rule.name for one in thresholds.before] == ["conformal"] * 2
    metrics = run.read_metrics()
    assert metrics is not None
    assert metrics.values["image_auroc"] == json.loads(run.metrics.read_text())["image_auroc"]
    assert metrics.bundle_sha256 == thresholds.bundle_sha256 == run.open_bundle().stored_sha256


def test_keys_of_a_later_version_are_passed_over(whole: Path) -> None:
    run = run_of(whole)
    for path, kind in ((run.meta, RunMeta), (run.thresholds, ThresholdsFile)):
        told = json.loads(path.read_text())
        assert kind.parse({**told, "later": [1]}, where="test") == kind.parse(told, where="test")


def test_a_file_of_an_older_version_is_read_without_what_came_later(whole: Path) -> None:
    meta = json.loads(run_of(whole).meta.read_text())
    old = {key: meta[key] for key in ("created_at", "bundle_sha256", "manifest_sha256", "fit", "calibration")}
    assert RunMeta.parse({**old, "thresholds": meta["thresholds"]}, where="test").seconds == {}
    metrics = json.loads(run_of(whole).metrics.read_text())
    del metrics["bundle_sha256"], metrics["pixel_dice"]
    assert MetricsFile.parse(metrics, where="test").bundle_sha256 is None
