"""A study runs to its tables, goes on after a kill, repeats to the last digit, and names what cannot be computed."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from tests.support import category, small_study

from kizu.core.errors import CancelledError, DataError, OutputError
from kizu.core.split import Split
from kizu.core.work import Work
from kizu.data.study import read_study
from kizu.metrics.ranking import auroc
from kizu.study import run as run_module
from kizu.study import trials
from kizu.study.conditions import CONDITIONS, Key
from kizu.study.plan import list_keys
from kizu.study.record import read_record, record_path, write_record
from kizu.study.run import Study, measure_study, read_study_folder
from kizu.study.sanity import check_records
from kizu.study.tables import write_tables

TABLES = ("results", "effects", "contrasts")


def tables(folder: Path) -> dict[str, str]:
    return {name: (folder / "tables" / f"{name}.csv").read_text() for name in TABLES}


def test_every_condition_was_measured_for_every_method_category_and_seed(study: Study) -> None:
    assert {key.condition for key in study.records} == set(CONDITIONS)
    assert len(study.records) == len(list_keys(study.config)) == study.computed
    assert not [record.key for record in study.records.values() if record.error]
    for record in study.records.values():
        assert record.metrics["image_auroc"] == pytest.approx(auroc(record.defective, record.raw))
        assert record.metrics["aupro_030"] is not None


def test_the_checks_have_looked_at_something_and_hold(study: Study) -> None:
    assert [check.what.split(",")[0] for check in study.checks] == [
        "severity 0 equals clean",
        "new thresholds alone change no AUROC",
        "every condition met the same parts",
    ]
    assert all(check.trials > 0 and check.failures == () for check in study.checks)


def test_a_check_finds_a_number_that_was_changed(study: Study) -> None:
    for condition, what in (("thresholds", "image_auroc is 0.123"), ("zero", "metrics differ")):
        key = next(key for key in study.records if key.condition == condition)
        record = study.records[key]
        changed = record.model_copy(update={"metrics": {**record.metrics, "image_auroc": 0.123}})
        failures = [f for c in check_records({**study.records, key: changed}) for f in c.failures]
        assert len(failures) == 1
        assert what in failures[0]


def test_test_images_of_one_seed_are_the_same_and_sides_share_nothing(study: Study) -> None:
    for name in ("plate", "disc"):
        split = read_study(study.folder / "splits" / f"{name}-1.json")
        sides = {side: {n for n, s in split.sides.items() if s is side} for side in Split}
        assert len(sides[Split.VALIDATION] & sides[Split.TRAIN]) == 0
        met = {r.ids for r in study.records.values() if r.category == name and r.seed == 1}
        assert len(met) == 1
        assert set(next(iter(met))) == sides[Split.TEST]


def test_what_is_fitted_and_set_on_is_what_the_table_says(study: Study) -> None:
    def of(condition: str) -> list[tuple[int, int]]:
        return [
            (r.fitted, r.validated)
            for k, r in study.records.items()
            if k.condition == condition and k.seed == 1
        ]

    clean = set(of("clean"))
    assert len(clean) == 1
    (fitted, validated) = clean.pop()
    assert set(of("refitted")) == {(fitted, validated)}
    assert set(of("joint")) == {(2 * fitted, 2 * validated)}
    assert set(of("global")) == {(2 * fitted, validated)}
    assert set(of("global_pooled")) == {(2 * fitted, 2 * validated)}
    assert set(of("updated")) == {(fitted + 3, validated)}


def test_thresholds_come_from_where_the_table_says(study: Study) -> None:
    def threshold(condition: str, severity: int = 0) -> float | None:
        return study.records[Key("plate", "padim", 1, condition, severity)].image_threshold

    assert threshold("shifted", 3) == threshold("clean")
    assert threshold("thresholds", 3) != threshold("clean")
    assert threshold("cross", 3) == threshold("refitted", 3)


def test_a_second_call_measures_nothing_and_the_tables_stay(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tables(study.folder)
    monkeypatch.setattr(trials.UnfittedPipeline, "prepare", lambda *_: pytest.fail("fitted again"))
    again = measure_study(study.config, study.folder, Work(cores=1))
    assert again.computed == 0
    assert tables(study.folder) == before
    assert again.records == study.records


def test_a_study_that_was_killed_goes_on_and_ends_in_the_same_tables(
    plates: Path, study: Study, tmp_path: Path
) -> None:
    def stopping(stage: str, done: int, total: int) -> None:
        if stage == "trials" and done == 21:
            raise CancelledError("killed")

    with pytest.raises(CancelledError):
        measure_study(small_study(plates), tmp_path / "out", Work(cores=1, on_progress=stopping))
    torn = record_path(tmp_path / "out", next(iter(study.records)))
    torn.write_text(torn.read_text()[:-30])
    done = measure_study(small_study(plates), tmp_path / "out", Work(cores=1))
    assert done.computed == len(study.records) - 21 + 1
    assert tables(tmp_path / "out") == tables(study.folder)


def test_a_record_that_was_changed_by_hand_is_measured_again(study: Study, tmp_path: Path) -> None:
    key = next(iter(study.records))
    write_record(tmp_path, study.records[key])
    assert read_record(tmp_path, key) == study.records[key]
    path = record_path(tmp_path, key)
    stored = json.loads(path.read_text())
    stored["record"]["metrics"]["image_auroc"] = 0.25
    path.write_text(json.dumps(stored))
    assert read_record(tmp_path, key) is None


def test_another_study_or_another_folder_is_refused(study: Study, plates: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="holds another study"):
        measure_study(small_study(plates, seeds=[1]), study.folder)
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(OutputError, match="holds something else"):
        measure_study(small_study(plates), tmp_path)


def test_pictures_that_changed_since_are_told(study: Study, plates: Path, tmp_path: Path) -> None:
    shutil.copytree(plates, tmp_path / "data")
    config = small_study(
        tmp_path / "data", methods={"mahalanobis": {"kind": "mahalanobis"}}, seeds=[1], conditions=["clean"]
    )
    measure_study(config, tmp_path / "out", Work(cores=1))
    shutil.copy(tmp_path / "data/plate/train/good/1.png", tmp_path / "data/plate/test/good/12.png")
    with pytest.raises(DataError, match="has changed since the study split was drawn"):
        measure_study(config, tmp_path / "out", Work(cores=1))


def test_a_disk_that_fills_up_ends_the_study_and_the_next_call_goes_on(
    plates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small_study(plates, methods={"mahalanobis": {"kind": "mahalanobis"}}, seeds=[1])
    original, written = write_record, []

    def full(folder: Path, record: object) -> None:
        if len(written) == 4:
            raise OutputError("cannot write: No space left on device", hint="make room")
        written.append(record)
        original(folder, record)  # type: ignore[arg-type]

    monkeypatch.setattr(run_module, "write_record", full)
    with pytest.raises(OutputError, match="No space left"):
        measure_study(config, tmp_path / "out", Work(cores=1))
    monkeypatch.setattr(run_module, "write_record", original)
    assert measure_study(config, tmp_path / "out", Work(cores=1)).computed == len(list_keys(config)) - 4


def test_a_category_without_masks_says_what_it_cannot_tell(tmp_path: Path) -> None:
    category(tmp_path / "data", "plate", 0)
    shutil.rmtree(tmp_path / "data/plate/ground_truth")
    config = small_study(
        tmp_path / "data",
        data=[{"name": "plate", "root": str(tmp_path / "data"), "category": "plate"}],
        methods={"mahalanobis": {"kind": "mahalanobis"}},
        seeds=[1],
    )
    done = measure_study(config, tmp_path / "out", Work(cores=1))
    assert done.notes["plate"] == ("there are no masks: nothing can be measured on pixels",)
    record = done.records[Key("plate", "mahalanobis", 1, "clean")]
    assert record.metrics["image_auroc"] is not None
    assert record.metrics["aupro_030"] is None
    assert record.reasons["aupro_030"] == "no maps"


def test_a_category_without_defects_measures_false_alarms_alone(tmp_path: Path) -> None:
    category(tmp_path / "data", "plate", 0)
    shutil.rmtree(tmp_path / "data/plate/ground_truth")
    shutil.rmtree(tmp_path / "data/plate/test/checks")
    config = small_study(
        tmp_path / "data",
        data=[{"name": "plate", "root": str(tmp_path / "data"), "category": "plate"}],
        methods={"mahalanobis": {"kind": "mahalanobis"}},
        seeds=[1],
        conditions=["clean", "shifted", "thresholds"],
    )
    done = measure_study(config, tmp_path / "out", Work(cores=1))
    assert done.notes["plate"] == ("there are no defects: nothing but false alarms can be measured",)
    record = done.records[Key("plate", "mahalanobis", 1, "shifted", 3)]
    assert record.metrics["image_auroc"] is None
    assert record.metrics["image_overkill_rate"] is not None


def test_a_method_that_cannot_be_updated_is_named_and_the_rest_goes_on(plates: Path, tmp_path: Path) -> None:
    config = small_study(
        plates,
        methods={"subspace": {"kind": "subspace"}},
        seeds=[1],
        conditions=["clean", "shifted", "updated"],
    )
    told: list[str] = []
    done = measure_study(config, tmp_path / "out", Work(cores=1, on_note=told.append))
    failed = [record for record in done.records.values() if record.error]
    assert {record.condition for record in failed} == {"updated"}
    assert failed[0].error == "subspace cannot learn more images later"
    assert any("not measured: subspace cannot learn" in line for line in told)


def test_a_bad_picture_is_left_out_of_every_condition(tmp_path: Path) -> None:
    category(tmp_path / "data", "plate", 0)
    (tmp_path / "data/plate/test/good/13.png").write_bytes(b"no picture")
    config = small_study(
        tmp_path / "data",
        data=[{"name": "plate", "root": str(tmp_path / "data"), "category": "plate"}],
        methods={"mahalanobis": {"kind": "mahalanobis"}},
        seeds=[1],
    )
    done = measure_study(config, tmp_path / "out", Work(cores=1))
    assert all("test/good/13.png" not in record.ids for record in done.records.values())
    assert "test/good/13.png is left out everywhere" in done.notes["plate"][0]


def test_a_study_that_is_not_complete_names_what_is_missing(study: Study, tmp_path: Path) -> None:
    shutil.copytree(study.folder, tmp_path / "out")
    assert read_study_folder(tmp_path / "out").records == study.records
    key = list(study.records)[5]
    record_path(tmp_path / "out", key).unlink()
    with pytest.raises(DataError, match="is missing or broken"):
        read_study_folder(tmp_path / "out")


def test_the_cache_of_features_changes_no_number(plates: Path, tmp_path: Path) -> None:
    conditions = ["clean", "shifted", "refitted"]
    found = []
    for megabytes in (0, 50):
        config = small_study(plates, seeds=[1], conditions=conditions, features_mb=megabytes)
        measure_study(config, tmp_path / str(megabytes), Work(cores=1))
        found.append(tables(tmp_path / str(megabytes)))
    assert found[0] == found[1]


def test_the_number_of_cores_changes_no_number(plates: Path, tmp_path: Path) -> None:
    config = small_study(plates, seeds=[1], conditions=["clean", "shifted", "thresholds", "updated"])
    for cores in (1, 2):
        measure_study(config, tmp_path / str(cores), Work(cores=cores))
    assert tables(tmp_path / "1") == tables(tmp_path / "2")


def test_tables_are_written_with_all_digits(study: Study, tmp_path: Path) -> None:
    write_tables(study.records, tmp_path)
    rows = (tmp_path / "results.csv").read_text().splitlines()
    assert len(rows) == 1 + len(study.records)
    key, record = next(iter(study.records.items()))
    cells = dict(zip(rows[0].split(","), rows[1].split(","), strict=True))
    assert cells["condition"] == key.condition
    assert float(cells["image_threshold"]) == record.image_threshold
    assert np.isclose(float(cells["image_auroc"]), record.metrics["image_auroc"] or 0, rtol=0, atol=0)
