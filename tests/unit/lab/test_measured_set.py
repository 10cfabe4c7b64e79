"""A run is measured on what it has not seen, whatever it is called and wherever it lies, and says on what."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support import category, part_picture, run_config, with_flaw

import kizu.lab.evaluate as lab_evaluate
from kizu.core.errors import DataError, LeakageError
from kizu.data.layouts.mvtec_ad import scan
from kizu.data.manifest import Manifest, read_manifest
from kizu.data.study import read_study
from kizu.decision.calibration import CalibrationConfig
from kizu.imaging.codec import encode_png
from kizu.lab.evaluate import evaluate_run, measure_run
from kizu.lab.measured_set import read_own_manifest
from kizu.lab.train import train_run
from kizu.lab.tune import compute_thresholds, tune_on_validation
from kizu.lab.update import update_run
from kizu.lab.versions import roll_back
from kizu.release.export import export_run
from kizu.release.verify import verify_run
from kizu.report.model_card import write_model_card
from kizu.runs.folder import RunFolder
from kizu.runtimes.model import read_model


@pytest.fixture
def strangers(tmp_path: Path) -> Manifest:
    """Another set with other pictures."""
    return category(tmp_path / "other", "disc", 700)


def renamed(manifest: Manifest, to: Path) -> Manifest:
    """The same pictures and masks in another folder, every one under another name."""
    for path in sorted(manifest.root.rglob("*.png")):
        inside = path.relative_to(manifest.root)
        suffix = "_mask.png" if path.stem.endswith("_mask") else ".png"
        stem = path.name.removesuffix(suffix)
        (to / inside).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, (to / inside).with_name(f"was-{stem}{suffix}"))
    return scan(to)


def images_of(run: RunFolder, name: str = "test/checks") -> list[Path]:
    return sorted((run.path.parents[3] / "data" / "plate" / name).glob("*.png"))


def test_what_thresholds_were_chosen_on_is_not_measured_under_another_name_either(
    run: RunFolder, tmp_path: Path
) -> None:
    tune_on_validation(run)
    own = evaluate_run(run)
    told = run.metrics.read_bytes()
    assert own.as_json()["counts"] == {"good": 4, "defect": 3}
    for given in (
        scan(tmp_path / "data", "plate"),
        renamed(scan(tmp_path / "data", "plate"), tmp_path / "moved" / "sheet"),
    ):
        measured = measure_run(run, given)
        assert measured.evaluation.metrics == own.metrics
        assert measured.evaluation.as_json()["counts"] == {"good": 4, "defect": 3}
        assert measured.evaluation.data is not None
        assert measured.evaluation.data.left_out == 1
        assert measured.place == run  # the very same set is the run's own
        assert run.metrics.read_bytes() != told  # names the set that was given


def test_the_own_set_of_a_run_is_cut_as_its_thresholds_were_chosen(run: RunFolder) -> None:
    whole = read_manifest(run.manifest)
    assert read_own_manifest(run) == whole
    tune_on_validation(run)
    cut = read_own_manifest(run)
    assert len(cut.test()) == len(whole.test()) - 1
    assert cut == read_study(run.study).apply(whole)


def test_a_set_that_holds_some_of_what_thresholds_were_chosen_on_is_measured_without_it(
    run: RunFolder, strangers: Manifest
) -> None:
    tune_on_validation(run)
    for path in images_of(run):
        shutil.copy(path, strangers.root / "test" / "checks" / f"borrowed-{path.name}")
    measured = measure_run(run, scan(strangers.root))
    assert measured.evaluation.as_json()["counts"] == {"good": 4, "defect": 4 + 3}
    assert measured.place != run


def test_another_set_has_a_folder_of_its_own_and_is_named(run: RunFolder, strangers: Manifest) -> None:
    own = evaluate_run(run)
    card = write_model_card(run).read_bytes()
    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    measured = measure_run(run, strangers)
    sha256 = strangers.with_hashes().content_hash()
    assert measured.place.path == run.path / "evaluations" / f"other-disc-{sha256[:8]}"
    assert {path: path.read_bytes() for path in before} == before
    assert write_model_card(run).read_bytes() == card
    for folder, name in ((run, ("data", "plate")), (measured.place, ("other", "disc"))):
        metrics = folder.read_metrics()
        assert metrics is not None
        assert metrics.data is not None
        assert (metrics.data.dataset, metrics.data.category) == name
    assert json.loads(measured.place.metrics.read_text())["data"]["manifest_sha256"] == sha256
    assert measured.place.predictions.read_text() != run.predictions.read_text()
    assert own.data is not None
    assert own.data.manifest_sha256 == run.read_meta().manifest_sha256
    assert measure_run(run, strangers).place == measured.place


def test_a_name_cannot_lead_out_of_the_run(run: RunFolder) -> None:
    place = run.elsewhere("../set", "a/../b", "0" * 64).path
    assert place.parent == run.path / "evaluations"


@pytest.mark.parametrize("side", ["fit", "calibration"])
def test_pictures_it_has_learned_or_calibrated_on_are_refused_by_content_and_named(
    run: RunFolder, strangers: Manifest, side: str
) -> None:
    evaluate_run(run)
    before = run.metrics.read_bytes()
    name = getattr(run.read_meta(), side)[0].rpartition("/")[2]
    shutil.copy(images_of(run, "train/good")[0].with_name(name), strangers.root / "test/good/known.png")
    with pytest.raises(LeakageError, match=r"1 test image.* of other/disc: test/good/known\.png") as refused:
        evaluate_run(run, scan(strangers.root))
    assert refused.value.hint
    assert "more" not in str(refused.value)
    assert run.metrics.read_bytes() == before
    assert not (run.path / "evaluations").exists()


def test_what_an_update_added_is_known_as_long_as_that_version_is_in_force(
    run: RunFolder, strangers: Manifest, tmp_path: Path
) -> None:
    encode_png(tmp_path / "new" / "a.png", part_picture(900))
    update_run(run, tmp_path / "new", reason="test")
    shutil.copy(tmp_path / "new" / "a.png", strangers.root / "test/good/added.png")
    with pytest.raises(LeakageError, match=r"added\.png"):
        evaluate_run(run, scan(strangers.root))
    roll_back(run)
    assert evaluate_run(run, scan(strangers.root)).as_json()["counts"] == {"good": 5, "defect": 4}


def test_validation_images_are_known_once_thresholds_were_chosen_on_them(
    run: RunFolder, strangers: Manifest, tmp_path: Path
) -> None:
    plate = tmp_path / "data" / "plate"
    for number in range(3):
        encode_png(plate / f"validation/good/{number}.png", part_picture(300 + number))
        flawed = with_flaw(part_picture(310 + number), 20, 24)
        encode_png(plate / f"validation/checks/v{number}.png", flawed)
    run = train_run(run_config(tmp_path / "data", "plate"), tmp_path / "runs").folder
    shutil.copy(plate / "validation/checks/v0.png", strangers.root / "test/checks/looked_at.png")
    assert evaluate_run(run, scan(strangers.root)).as_json()["counts"]["defect"] == 5
    tune_on_validation(run)
    learned = tmp_path / "data/plate" / run.read_meta().fit[0]
    shutil.copy(learned, strangers.root / "test/good/learned.png")
    with pytest.raises(LeakageError, match=r"looked_at\.png.*learned\.png"):
        evaluate_run(run, scan(strangers.root))
    (strangers.root / "test/good/learned.png").unlink()
    compute_thresholds(run, CalibrationConfig(fraction=0.4))
    assert evaluate_run(run, scan(strangers.root)).as_json()["counts"]["defect"] == 5


def test_many_known_pictures_are_counted_and_some_named(run: RunFolder, strangers: Manifest) -> None:
    for path in images_of(run, "train/good"):
        shutil.copy(path, strangers.root / "test" / "good" / f"k{path.name}")
    with pytest.raises(LeakageError, match=r"on 12 test image.* and 7 more"):
        evaluate_run(run, scan(strangers.root))


def test_a_set_without_test_images_is_refused(run: RunFolder, strangers: Manifest) -> None:
    with pytest.raises(DataError, match="no test image"):
        evaluate_run(run, replace(strangers, samples=strangers.train_good()))


def test_an_update_meanwhile_does_not_put_its_hash_on_other_numbers(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode_png(tmp_path / "new" / "a.png", part_picture(900))
    first = run.open_bundle()
    score = lab_evaluate.evaluate

    def measured_while_it_learns(*args: object, **named: object) -> object:
        if run.open_bundle().manifest.version == 1:
            update_run(run, tmp_path / "new", reason="meanwhile")
        return score(*args, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(lab_evaluate, "evaluate", measured_while_it_learns)
    measured = measure_run(run)
    assert run.open_bundle().manifest.version == 2
    metrics = run.read_metrics()
    assert metrics is not None
    assert metrics.bundle_sha256 == measured.evaluation.bundle_sha256 == first.stored_sha256
    assert measured.bundle.manifest == first.manifest
    assert (
        "Nothing yet: `kizu evaluate` measures it." in write_model_card(run).read_text()
    )  # not the numbers of version 1


def test_an_export_says_of_which_bundle_it_is_though_another_comes_meanwhile(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import kizu.release.export as release

    encode_png(tmp_path / "new" / "a.png", part_picture(900))
    first, build = run.open_bundle(), release.build_model

    def built_while_it_learns(*args: object, **named: object) -> object:
        if run.open_bundle().manifest.version == 1:
            update_run(run, tmp_path / "new", reason="meanwhile")
        return build(*args, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(release, "build_model", built_while_it_learns)
    model = read_model(export_run(run).path)
    assert model.bundle_sha256 == first.stored_sha256
    assert model.manifest == first.manifest
    assert ["stale" in a.failures()[0] for a in verify_run(run, models=[model.path])] == [True]
