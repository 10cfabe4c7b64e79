"""Verdicts made again from scores are those of an inspection with that threshold; no more is told than scores tell."""

import csv
import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from tests.support import part_picture, with_flaw

from kizu.bundles.store import load
from kizu.core import locks
from kizu.core.errors import ConfigError, DataError, KizuError, OutputError
from kizu.data.listing import list_images
from kizu.imaging.codec import encode_png
from kizu.imaging.roi import read_roi
from kizu.inspection.folder import FolderRunner
from kizu.inspection.inspector import Inspector
from kizu.inspection.journal import lines_of
from kizu.inspection.options import FolderOptions
from kizu.inspection.records import Prediction, schema
from kizu.inspection.redecide import LOG, Redecision
from kizu.lab.threshold import set_by_rule, set_by_value
from kizu.lab.update import update_run
from kizu.lab.versions import roll_back
from kizu.runs.folder import RunFolder
from kizu.tasks.redecide import redecide
from kizu.tasks.threshold_options import RedecideOptions

PLAIN, FLAWED = 6, 3


@pytest.fixture
def out(run: RunFolder, tmp_path: Path) -> Path:
    """What `kizu inspect` wrote of plain, of flawed and of broken pictures."""
    for number in range(PLAIN + FLAWED):
        picture = part_picture(300 + number)
        encode_png(
            tmp_path / "in" / f"{number}.png", picture if number < PLAIN else with_flaw(picture, 20, 20)
        )
    (tmp_path / "in" / "broken.png").write_bytes(b"nothing")
    os.utime(tmp_path / "in" / "broken.png", (0, 0))  # nobody is still writing it
    inspect(run, tmp_path)
    return tmp_path / "out"


def inspect(run: RunFolder, root: Path, **options: Any) -> int:
    """How many pictures were looked at."""
    runner = FolderRunner(Inspector.open(run.path), root / "out", FolderOptions(save_csv=True, **options))
    result = runner.run(list_images(root / "in"))
    return len(list_images(root / "in")) - result.skipped


def standing(out: Path) -> dict[str, Prediction]:
    found = {Path(r.image_path).name: r for r in lines_of(out / "preds.jsonl") if isinstance(r, Prediction)}
    assert len(found) == PLAIN + FLAWED
    return found


def labels(out: Path) -> dict[str, str]:
    return {name: record.label for name, record in standing(out).items()}


def by_run(run: RunFolder, out: Path, **more: Any) -> Redecision:
    return redecide(RedecideOptions(results=out, run_dir=run.path, **more))


def between(out: Path, rank: int) -> float:
    """A value above the `rank` lowest scores."""
    scores = sorted(record.pred_score for record in standing(out).values())
    return (scores[rank - 1] + scores[rank]) / 2


def pictures(out: Path) -> set[str]:
    return {str(p.relative_to(out)) for place in ("masks", "overlays") for p in (out / place).iterdir()}


def named(out: Path) -> set[str]:
    paths = [p for r in standing(out).values() for p in (r.mask_path, r.overlay_path) if p is not None]
    return {str(Path(path).relative_to(out)) for path in paths}


@pytest.mark.parametrize("rank", [1, 3, 6, 8])
def test_verdicts_are_those_of_a_fresh_inspection(
    run: RunFolder, out: Path, rank: int, tmp_path: Path
) -> None:
    before = labels(out)
    set_by_value(run, image=between(out, rank), reason="the line says so")
    counts = by_run(run, out).counts
    after = labels(out)
    inspector = Inspector.open(run.path)
    for sample in list_images(tmp_path / "in"):
        if sample.path.name == "broken.png":
            continue
        fresh, line = inspector.inspect(sample.path), standing(out)[sample.path.name]
        assert (line.label, line.reason) == (fresh.label, fresh.reason)
        assert (line.image_threshold, line.bundle_sha256) == (fresh.threshold, inspector.bundle_sha256)
        assert line.redecided is not None
        assert line.redecided.reason == "the line says so"
        if line.redecided.flaws_known:
            assert line.num_defects == len(fresh.regions)
    changed = [(before[name], after[name]) for name in before]
    assert counts.ok_to_ng == changed.count(("OK", "NG"))
    assert counts.ng_to_ok == changed.count(("NG", "OK"))
    assert counts.stayed == len(changed) - counts.ok_to_ng - counts.ng_to_ok
    assert counts.not_decided == 1


def test_what_it_writes_fits_schema_report_and_table(run: RunFolder, out: Path) -> None:
    first = [json.loads(line) for line in (out / "preds.jsonl").read_text().splitlines()]
    set_by_value(run, image=between(out, 3))
    by_run(run, out)
    lines = [json.loads(line) for line in (out / "preds.jsonl").read_text().splitlines()]
    validator = Draft202012Validator(schema("preds"))
    for line in lines:
        validator.validate(line)
    old = [line for line in lines if line["superseded"]]
    assert [{**line, "superseded": False} for line in old] == [x for x in first if "error" not in x]
    report = json.loads((out / "report.json").read_text())
    Draft202012Validator(schema("report")).validate(report)
    count = list(labels(out).values()).count("NG")
    assert (report["num_ng"], report["num_images"], report["num_errors"]) == (count, 9, 1)
    assert report["thresholds"]["rule"] == "set by hand"
    assert (report["thresholds"]["count"], report["thresholds"]["false_alarm_rate"]) == (0, None)
    table = csv.DictReader((out / "preds.csv").read_text().splitlines())
    rows = {row["image_path"]: row["label"] for row in table}
    assert {Path(name).name: label for name, label in rows.items() if label} == labels(out)


def test_flaws_that_were_never_cut_are_not_told_and_looked_at_by_the_next_call(
    run: RunFolder, out: Path, tmp_path: Path
) -> None:
    set_by_value(run, image=between(out, 3))
    done = by_run(run, out)
    lines = standing(out)
    opened = [n for n, r in lines.items() if r.redecided is not None and not r.redecided.flaws_known]
    assert len(opened) == done.counts.flaws_unknown == done.counts.ok_to_ng > 0
    for name in opened:
        line = lines[name]
        assert (line.label, line.defects, line.mask_path, line.overlay_path) == ("NG", (), None, None)
    assert pictures(out) == named(out)  # none shows another verdict
    assert inspect(run, tmp_path) == len(opened)
    fresh = standing(out)
    assert all(fresh[name].redecided is None and fresh[name].mask_path for name in opened)
    assert labels(out) == {name: line.label for name, line in lines.items()}
    assert inspect(run, tmp_path) == 0


def test_ng_that_becomes_ok_lists_and_shows_no_flaw(run: RunFolder, out: Path) -> None:
    assert list(labels(out).values()).count("NG") >= FLAWED
    set_by_value(run, image=1e6)
    done = by_run(run, out)
    assert done.counts.ng_to_ok >= FLAWED
    assert set(labels(out).values()) == {"OK"}
    assert all(r.num_defects == 0 and r.highest_spot is None for r in standing(out).values())
    assert pictures(out) == named(out)


def test_another_pixel_threshold_cuts_other_flaws(run: RunFolder, out: Path, tmp_path: Path) -> None:
    ng = {name for name, label in labels(out).items() if label == "NG"}
    pixel = load(run.bundle).manifest.thresholds.pixel.value
    set_by_value(run, pixel=pixel * 1.5)
    done = by_run(run, out)
    assert (done.counts.ok_to_ng, done.counts.ng_to_ok, done.counts.flaws_unknown) == (0, 0, len(ng))
    lines = standing(out)
    assert {n for n, r in lines.items() if r.redecided is not None and not r.redecided.flaws_known} == ng
    assert {r.pixel_threshold for r in lines.values()} == {pixel * 1.5}
    assert inspect(run, tmp_path) == len(ng)


def test_back_and_forth_ends_where_it_began(run: RunFolder, out: Path, tmp_path: Path) -> None:
    before = labels(out)
    set_by_value(run, image=between(out, 2))
    by_run(run, out)
    roll_back(run)
    by_run(run, out, reason="too many")
    assert labels(out) == before
    log = [json.loads(line) for line in (out / LOG).read_text().splitlines()]
    assert [row["reason"] for row in log][1:] == ["too many"]
    assert log[0]["ok_to_ng"] == log[1]["ng_to_ok"] > 0
    assert log[1]["bundle_sha256"] == load(run.bundle).bundle_sha256
    inspect(run, tmp_path)  # the very settings of the run in force
    assert labels(out) == before


def test_a_value_of_no_run_decides_and_no_inspection_goes_on_with_it(
    run: RunFolder, out: Path, tmp_path: Path
) -> None:
    value, bundle = between(out, 2), load(run.bundle).bundle_sha256
    done = redecide(RedecideOptions(results=out, threshold=value))
    assert list(labels(out).values()).count("NG") == PLAIN + FLAWED - 2
    assert {(r.image_threshold, r.bundle_sha256) for r in standing(out).values()} == {(value, bundle)}
    assert done.counts.ok_to_ng > 0
    with pytest.raises(OutputError, match="other options"):
        inspect(run, tmp_path)
    report = json.loads((out / "report.json").read_text())["thresholds"]
    assert (report["image_threshold"], report["rule"], report["false_alarm_rate"]) == (
        value,
        "set by hand",
        None,
    )
    by_run(run, out)
    inspect(run, tmp_path)


def test_the_same_again_changes_nothing(run: RunFolder, out: Path) -> None:
    set_by_value(run, image=between(out, 3))
    first = by_run(run, out)
    content = {path: path.read_bytes() for path in out.iterdir() if path.suffix in (".jsonl", ".csv")}
    second = by_run(run, out, reason="again")
    assert (first.was_there, second.was_there) == (False, True)
    assert second.counts.flaws_unknown == first.counts.flaws_unknown
    assert {path: path.read_bytes() for path in content} == content


def test_scores_of_another_model_are_not_decided_by(run: RunFolder, out: Path, tmp_path: Path) -> None:
    encode_png(tmp_path / "new/a.png", part_picture(900))
    update_run(run, tmp_path / "new", reason="test")
    content = (out / "preds.jsonl").read_bytes()
    with pytest.raises(DataError, match=r"9 lines of .* are of another model"):
        by_run(run, out)
    assert (out / "preds.jsonl").read_bytes() == content
    roll_back(run)
    set_by_rule(run, {"rule": "maximum"})
    by_run(run, out)


def test_where_the_map_decided_no_score_does(run: RunFolder, out: Path, tmp_path: Path) -> None:
    (tmp_path / "roi.json").write_text(json.dumps({"polygons": [[[0, 0], [40, 0], [40, 40], [0, 40]]]}))
    inspector = Inspector.open(run.path, roi=read_roi(tmp_path / "roi.json", None))
    FolderRunner(inspector, tmp_path / "part").run(list_images(tmp_path / "in"))
    content = (tmp_path / "part/preds.jsonl").read_bytes()
    for options in ({"run_dir": run.path}, {"threshold": 1.0}):
        with pytest.raises(OutputError, match="region of interest"):
            redecide(RedecideOptions(results=tmp_path / "part", **options))
    assert (tmp_path / "part/preds.jsonl").read_bytes() == content
    assert not (tmp_path / "part" / LOG).exists()


def test_what_cannot_be_decided_is_refused(run: RunFolder, out: Path, tmp_path: Path) -> None:
    for options in ({}, {"run_dir": run.path, "threshold": 1.0}):
        with pytest.raises(ConfigError, match="say by what"):
            redecide(RedecideOptions(results=out, **options))
    with pytest.raises(OutputError, match="holds no results"):
        by_run(run, tmp_path / "in")
    assert not (tmp_path / "in" / "settings.json").exists()
    with pytest.raises(KizuError, match="no number"):
        redecide(RedecideOptions(results=out, threshold=float("nan")))


def test_one_command_at_a_time(run: RunFolder, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_by_value(run, image=between(out, 3))
    monkeypatch.setattr(locks, "PATIENCE_S", 0.1)
    with ThreadPoolExecutor(1) as pool, locks.locked(out), pytest.raises(OutputError, match="is in use"):
        pool.submit(by_run, run, out).result()
    monkeypatch.setattr(locks, "PATIENCE_S", 60.0)
    with ThreadPoolExecutor(2) as pool:
        both = [job.result() for job in [pool.submit(by_run, run, out) for _ in range(2)]]
    assert sorted(one.was_there for one in both) == [False, True]
    assert len((out / LOG).read_text().splitlines()) == 1


KILLED = """
import os, signal, sys
from pathlib import Path
import kizu.inspection.redecide as module
from kizu.tasks.redecide import redecide
from kizu.tasks.threshold_options import RedecideOptions

def stop(*_args, **_named):
    os.kill(os.getpid(), signal.SIGKILL)

if sys.argv[1] == "replace":
    module.Journal.replace = stop
else:
    setattr(module, sys.argv[1], stop)
redecide(RedecideOptions(results=Path(sys.argv[2]), run_dir=Path(sys.argv[3])))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("where", ["_log", "replace", "write_settings", "_remove_pictures", "_write_report"])
def test_one_that_is_killed_is_completed_by_the_same_call(
    run: RunFolder, out: Path, tmp_path: Path, where: str
) -> None:
    before = labels(out)
    set_by_value(run, image=between(out, 3))
    arguments = [where, str(out), str(run.path)]
    killed = subprocess.run([sys.executable, "-c", KILLED, *arguments], check=False)
    assert killed.returncode == -signal.SIGKILL
    done_before = where not in ("_log", "replace")
    assert (labels(out) != before) == done_before  # all lines or none
    done = by_run(run, out)
    assert done.was_there == done_before
    assert list(labels(out).values()).count("NG") == PLAIN + FLAWED - 3
    [row] = (out / LOG).read_text().splitlines()
    assert {r.redecided.at for r in standing(out).values() if r.redecided} == {json.loads(row)["at"]}
    assert json.loads((out / "report.json").read_text())["num_ng"] == PLAIN + FLAWED - 3
    assert pictures(out) == named(out)
    assert not list(out.rglob(".kizu*"))
    inspect(run, tmp_path)
