"""Labelled scores from a file: the truth, never Kizu's own verdict, of this model, of images that measure nothing."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.support import part_picture, with_flaw

from kizu.bundles.store import load
from kizu.core.errors import DataError, LeakageError
from kizu.core.hashing import hash_file
from kizu.core.work import Work
from kizu.data.listing import list_images
from kizu.imaging.codec import encode_png
from kizu.inspection.folder import FolderRunner
from kizu.inspection.inspector import Inspector
from kizu.inspection.options import FolderOptions
from kizu.lab.held_out import read_sides
from kizu.lab.labelled_file import read_labelled
from kizu.lab.measured_set import read_own_manifest
from kizu.lab.threshold import set_by_labels, set_by_value
from kizu.runs.folder import RunFolder


def read(path: Path, run: RunFolder) -> tuple[list[tuple[float, str]], list[str]]:
    notes: list[str] = []
    found = read_labelled(path, run, Work(on_note=notes.append))
    return [(row.score, row.label) for row in found.rows], notes


@pytest.fixture
def inspected(run: RunFolder, tmp_path: Path) -> Path:
    """What `kizu inspect` wrote of four good and two flawed parts."""
    for number in range(6):
        picture = part_picture(300 + number)
        encode_png(tmp_path / "in" / f"{number}.png", picture if number < 4 else with_flaw(picture, 20, 20))
    runner = FolderRunner(Inspector.open(run.path), tmp_path / "out", FolderOptions(save_csv=True))
    runner.run(list_images(tmp_path / "in"))
    return tmp_path / "out"


def review(out: Path, **changes: Any) -> Path:
    """The lines with their truth filled in."""
    path = out.parent / "reviewed.jsonl"
    lines = [json.loads(line) for line in (out / "preds.jsonl").read_text().splitlines()]
    for line in lines:
        line["gt_label"] = "defect" if Path(line["image_path"]).stem in "45" else "good"
        line.update(changes)
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return path


def test_reviewed_lines_are_read_with_their_content(run: RunFolder, inspected: Path, tmp_path: Path) -> None:
    path = review(inspected)
    found = read_labelled(path, run)
    assert [row.label for row in found.rows] == ["good"] * 4 + ["defect"] * 2
    assert [row.sha256 for row in found.rows] == [hash_file(p) for p in sorted((tmp_path / "in").iterdir())]
    set_by_value(run, image=3)  # another threshold is the same model
    assert read(path, run)[1] == []
    done = set_by_labels(run, found, {"rule": "f1_max"})
    assert (
        max(r.score for r in found.rows[:4])
        < done.thresholds.image.value
        < min(r.score for r in found.rows[4:])
    )


def test_the_verdict_of_kizu_is_no_truth(run: RunFolder, inspected: Path) -> None:
    for name in ("preds.jsonl", "preds.csv"):
        with pytest.raises(DataError, match="no score with a truth"):
            read_labelled(inspected / name, run)


def test_lines_that_count_no_more_and_failures_are_passed_over(run: RunFolder, inspected: Path) -> None:
    path = review(inspected)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    failure = {"image_path": "x.png", "error": "broken", "bundle_sha256": "0" * 64, "superseded": False}
    lines += [{**lines[0], "superseded": True, "pred_score": 99}, failure, {**lines[1], "gt_label": None}]
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    found = read_labelled(path, run)
    assert (len(found.rows), found.unlabelled) == (6, 1)
    assert max(row.score for row in found.rows) < 99


def test_scores_of_another_model_are_refused(run: RunFolder, inspected: Path) -> None:
    with pytest.raises(DataError, match="of another model"):
        read_labelled(review(inspected, bundle_sha256="f" * 64), run)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("score,label\n1.5,good\n2.5,defect\n", [(1.5, "good"), (2.5, "defect")]),
        ("\ufeffImage;Score;Label\na.png;1.5;OK\nb.png;2.5;NG\n", [(1.5, "good"), (2.5, "defect")]),
        ("score,truth,other\n1e-7,0,x\n2,1,\n3,,\n", [(1e-7, "good"), (2, "defect")]),
        ("image_path,label,pred_score,gt_label\na,NG,1.5,good\nb,OK,2,\n", [(1.5, "good")]),
    ],
)
def test_tables_are_read_and_what_they_do_not_say_is_noted(
    run: RunFolder, tmp_path: Path, text: str, rows: list[tuple[float, str]]
) -> None:
    path = tmp_path / "scores.csv"
    path.write_text(text, encoding="utf-8")
    found, notes = read(path, run)
    assert found == rows
    assert any("does not say which model" in note for note in notes)
    assert any(f"{len(rows)} of {len(rows)} images" in note and "cannot be told" in note for note in notes)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("score,label\nmany,good\n", "line 2: the score is 'many'"),
        ("score,label\nnan,good\n", "line 2: the score is 'nan'"),
        ("score,label\n1,maybe\n", "line 2: the label is 'maybe'"),
        ("label\ngood\n", "line 2: the score is None"),
        ("", "no score with a truth"),
    ],
)
def test_what_is_no_labelled_score_is_named(run: RunFolder, tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "scores.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=told) as refused:
        read_labelled(path, run)
    assert refused.value.hint
    (tmp_path / "scores.jsonl").write_text('{"score": 1}\n[1]\n')
    with pytest.raises(DataError, match="line 2: this is no JSON object"):
        read_labelled(tmp_path / "scores.jsonl", run)


@pytest.mark.parametrize("how", ["id", "path", "content"])
@pytest.mark.parametrize("side", ["test", "fit"])
def test_images_that_measure_or_were_fitted_on_are_refused(
    run: RunFolder, tmp_path: Path, how: str, side: str
) -> None:
    sample = read_own_manifest(run).test()[0] if side == "test" else read_sides(run)[0][0]
    copy = tmp_path / "line" / "other name.png"
    copy.parent.mkdir()
    copy.write_bytes(sample.path.read_bytes())
    name = {"id": sample.id, "path": str(sample.path), "content": str(copy)}[how]
    path = tmp_path / "scores.csv"
    path.write_text(f"image,score,label\n{name},1,good\nelse.png,2,defect\n")
    told = "measure the run" if side == "test" else "was fitted on"
    with pytest.raises(LeakageError, match=f"has 1 images that .*{told}"):
        read_labelled(path, run)


def test_calibration_images_may_set_it(run: RunFolder, tmp_path: Path) -> None:
    (held, *_) = read_sides(run)[1]
    (tmp_path / "scores.csv").write_text(f"image,score,label\n{held.path},1,good\n")
    [row] = read_labelled(tmp_path / "scores.csv", run).rows
    assert row.sha256 == held.sha256
    assert load(run.bundle).manifest.version == 1
