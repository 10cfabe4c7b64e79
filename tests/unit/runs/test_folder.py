import os
import shutil
from pathlib import Path

import pytest
from tests.support import BASE, part_picture

from kizu.core.errors import ConfigError, DataError, OutputError
from kizu.core.parts import folder_part
from kizu.core.work import Work
from kizu.imaging.codec import encode_png
from kizu.lab.train import RunConfig, train_run
from kizu.runs.folder import RunFolder, make_run, open_run, run_path
from kizu.tasks.lab_options import RankOptions
from kizu.tasks.rank import rank


def test_a_run_folder_lies_where_it_says(tmp_path: Path) -> None:
    assert run_path(tmp_path, "padim", "bottle", "r1") == tmp_path / "padim" / "bottle" / "r1"


def test_runs_without_a_name_do_not_meet(tmp_path: Path) -> None:
    assert len(run_path(tmp_path, "padim", "bottle", None).name) == len("20260101-000000-000")


def test_a_run_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "r1").mkdir()
    with pytest.raises(OutputError, match="exists") as refused, make_run(tmp_path / "r1"):
        pass
    assert "--run-id" in (refused.value.hint or "")


@pytest.mark.parametrize("run_id", ["../x", "a/b", ".."])
def test_a_run_id_cannot_leave_its_folder(tmp_path: Path, run_id: str) -> None:
    with pytest.raises(OutputError, match="cannot be a run id"):
        run_path(tmp_path, "padim", "bottle", run_id)


def test_results_never_go_into_a_bundle(tmp_path: Path) -> None:
    """A bundle that holds a file it does not list is refused from then on."""
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "bundle.json").write_text("{}")
    encode_png(tmp_path / "in" / "a.png", part_picture(1))
    for place in (bundle, bundle / "more" / "below"):
        with pytest.raises(OutputError, match="is inside the bundle"):
            run_path(place, "padim", "bottle", "r")
        with pytest.raises(OutputError, match="is inside the bundle"):
            rank(RankOptions(folder=tmp_path / "in", output_dir=place), Work())
    with pytest.raises(DataError, match="is a bundle, not a run"):
        open_run(bundle)
    assert [path.name for path in bundle.iterdir()] == ["bundle.json"]


def test_an_unfinished_run_is_told_from_a_finished_one(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "padim" / "bottle" / "r1")
    run.path.mkdir(parents=True)
    with pytest.raises(DataError, match="is not a finished run"):
        open_run(run.path)
    run.bundle.mkdir()
    run.meta.write_text("{}")
    half = folder_part(run.path)
    shutil.copytree(run.path, half)
    assert open_run(run.path) == run
    with pytest.raises(DataError) as error:
        open_run(tmp_path)
    assert error.value.hint == f"did you mean {run.path}?"


def test_a_group_pattern_keeps_parts_together_and_one_that_matches_nothing_is_refused(tmp_path: Path) -> None:
    for part in range(6):
        for shot in range(2):
            encode_png(tmp_path / f"plate/train/good/part{part}-{shot}.png", part_picture(10 * part + shot))
    values = {**BASE.model_dump(mode="json"), "data": {"root": str(tmp_path), "category": "plate"}}
    values["data"]["group"] = r"(part\d+)-"
    meta = train_run(RunConfig.parse(values, where="test"), tmp_path / "runs").folder.read_meta()
    sides = [{name.rsplit("-", 1)[0] for name in side} for side in (meta.fit, meta.calibration)]
    assert not sides[0] & sides[1]
    assert len(meta.calibration) >= 2
    values["data"]["group"] = r"^(part\d+)"
    with pytest.raises(ConfigError, match="matches no image of plate") as refused:
        train_run(RunConfig.parse(values, where="test"), tmp_path / "runs")
    assert "train/good/part0-0.png" in (refused.value.hint or "")


@pytest.mark.parametrize("failure", [ConfigError("refused"), KeyboardInterrupt()])
def test_a_run_that_fails_or_is_interrupted_leaves_no_folder(tmp_path: Path, failure: BaseException) -> None:
    def fail() -> None:
        with make_run(tmp_path / "r1") as run:
            run.config.write_text("half")
            raise failure

    with pytest.raises(type(failure)):
        fail()
    assert list(tmp_path.iterdir()) == []
    with make_run(tmp_path / "r1") as run:
        run.config.write_text("whole")
        assert not (tmp_path / "r1").exists()
    assert [path.name for path in tmp_path.rglob("*")] == ["r1", "config.yaml"]


@pytest.mark.skipif(os.name == "nt", reason="folders are not synced there")
def test_a_run_is_on_the_disk_with_all_the_folders_that_were_made_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: set[int] = set()
    monkeypatch.setattr(os, "fsync", lambda handle: synced.add(os.fstat(handle).st_ino))
    path = run_path(tmp_path / "runs", "padim", "bottle", "r1")
    with make_run(path) as run:
        run.config.write_text("whole")
    places = [tmp_path, *(tmp_path / "runs").rglob("*"), tmp_path / "runs"]
    assert len(places) == 6
    assert synced >= {place.stat().st_ino for place in places}
