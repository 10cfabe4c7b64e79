"""Each picture is judged by what it holds now: never by a name, never twice, never by an earlier content."""

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from tests.support import fitted, part_picture, with_flaw

from kizu.core.errors import OutputError, ScoreError, UnreadableError
from kizu.core.types import U8
from kizu.data.listing import list_images
from kizu.imaging.codec import encode_png, png_bytes
from kizu.imaging.opening import FileContent, read_file
from kizu.imaging.roi import Area, Roi
from kizu.inspection import folder as folder_module
from kizu.inspection import pieces
from kizu.inspection.folder import FolderResult, FolderRunner
from kizu.inspection.inspector import Inspection, Inspector
from kizu.inspection.journal import lines_of
from kizu.inspection.options import FolderOptions
from kizu.inspection.records import Failure, Record, schema


@pytest.fixture(scope="module")
def inspector() -> Inspector:
    import numpy as np

    return Inspector(fitted(np.stack([part_picture(seed) for seed in range(24)])).bundle)


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_module, "PAUSES_S", (0.01, 0.01, 0.01))


GOOD = [part_picture(60 + number) for number in range(5)]
BAD = [with_flaw(part_picture(80 + number), 20, 30) for number in range(5)]


def write(folder: Path, pictures: list[U8]) -> None:
    for number, picture in enumerate(pictures):
        encode_png(folder / f"{number}.png", picture)


def run(inspector: Inspector, images: Path, out: Path) -> FolderResult:
    return FolderRunner(inspector, out).run(list_images(images))


def in_force(out: Path) -> dict[str, Record]:
    """By the picture's name; each has one line."""
    found = list(lines_of(out / "preds.jsonl"))
    named = {Path(record.image_path).name: record for record in found}
    assert len(named) == len(found)
    return named


def written(out: Path) -> list[dict]:
    lines = [json.loads(line) for line in (out / "preds.jsonl").read_text().splitlines()]
    for line in lines:
        Draft202012Validator(schema("preds")).validate(line)
    return lines


def labels(out: Path) -> list[str]:
    return [getattr(record, "label", "--") for _, record in sorted(in_force(out).items())]


def test_names_that_are_used_again_are_judged_again(
    inspector: Inspector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two folders of the same relative name, pictures of the same names: the second are all flawed."""
    out = tmp_path / "out"
    for place, pictures in (("a", GOOD), ("b", BAD)):
        write(tmp_path / place / "new", pictures)
        monkeypatch.chdir(tmp_path / place)
        done = run(inspector, Path("new"), out)
        assert done.skipped == 0
    assert sum(line["label"] == "NG" for line in written(out)) == 5
    assert (done.num_ng, done.num_failed) == (5, 0)


def test_a_folder_that_is_emptied_and_filled_again_is_judged_again(
    inspector: Inspector, tmp_path: Path
) -> None:
    drop, out = tmp_path / "drop", tmp_path / "out"
    write(drop, GOOD)
    run(inspector, drop, out)
    for path in drop.iterdir():
        path.unlink()
    write(drop, BAD)
    done = run(inspector, drop, out)
    assert labels(out) == ["NG"] * 5
    assert (done.report.num_ng, done.report.num_images, done.report.num_superseded) == (5, 5, 5)
    assert [line["superseded"] for line in written(out)] == [True] * 5 + [False] * 5
    assert run(inspector, drop, out).skipped == 5


def test_a_picture_of_the_same_size_and_time_is_judged_by_its_content(
    inspector: Inspector, tmp_path: Path
) -> None:
    """As a camera on a disk with a coarse clock, or a copy that keeps times, leaves it."""
    drop, out = tmp_path / "drop", tmp_path / "out"
    good, bad = png_bytes(GOOD[0]), png_bytes(BAD[0])
    size = max(len(good), len(bad))
    drop.mkdir()
    path = drop / "0.png"
    path.write_bytes(good.ljust(size, b"\0"))
    os.utime(path, ns=(1, 1))
    run(inspector, drop, out)
    before = path.stat()
    with path.open("r+b") as stream:
        stream.write(bad.ljust(size, b"\0"))
    os.utime(path, ns=(1, 1))
    after = path.stat()
    assert (before.st_size, before.st_mtime_ns, before.st_ino) == (
        after.st_size, after.st_mtime_ns, after.st_ino,
    )  # fmt: skip
    run(inspector, drop, out)
    assert labels(out) == ["NG"]


def test_a_picture_that_was_only_touched_keeps_its_line(inspector: Inspector, tmp_path: Path) -> None:
    drop, out = tmp_path / "drop", tmp_path / "out"
    write(drop, GOOD)
    run(inspector, drop, out)
    before = (out / "preds.jsonl").read_bytes()
    for path in drop.iterdir():
        os.utime(path)
    assert run(inspector, drop, out).skipped == 5
    assert (out / "preds.jsonl").read_bytes() == before


def test_what_cannot_have_changed_is_not_read_again(
    inspector: Inspector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop, out = tmp_path / "drop", tmp_path / "out"
    write(drop, GOOD)
    monkeypatch.setattr(
        "kizu.inspection.source.time.time_ns", lambda: 2**62
    )  # read long after it was written
    run(inspector, drop, out)
    monkeypatch.setattr(pieces, "read_file", lambda path: pytest.fail(f"{path} was read"))
    assert run(inspector, drop, out).skipped == 5


def test_one_picture_has_one_line_however_it_is_named(
    inspector: Inspector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "real/new", GOOD)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    monkeypatch.chdir(tmp_path / "real")
    out = tmp_path / "out"
    for images in (
        Path("new"),
        tmp_path / "real/new",
        tmp_path / "link/new",
        Path("../link/new"),
        Path("./new/../new"),
    ):
        done = run(inspector, images, out)
    assert done.skipped == 5
    assert len(written(out)) == 5


def test_a_broken_picture_that_is_made_whole_is_judged(inspector: Inspector, tmp_path: Path) -> None:
    drop, out = tmp_path / "drop", tmp_path / "out"
    drop.mkdir()
    whole = png_bytes(BAD[0])
    (drop / "0.png").write_bytes(whole[: len(whole) // 2])
    os.utime(drop / "0.png", (0, 0))
    first = run(inspector, drop, out)
    assert (in_force(out)["0.png"].outcome, first.num_failed) == ("damaged", 1)
    assert run(inspector, drop, out).num_failed == 1  # still, and it is not decoded again
    (drop / "0.png").write_bytes(whole)
    done = run(inspector, drop, out)
    assert labels(out) == ["NG"]
    assert (done.report.num_errors, done.report.num_superseded) == (0, 1)


def test_a_picture_that_is_broken_later_leaves_no_pictures_of_its_old_content(
    inspector: Inspector, tmp_path: Path
) -> None:
    drop, out = tmp_path / "drop", tmp_path / "out"
    write(drop, BAD[:1])
    run(inspector, drop, out)
    assert (out / "overlays/0.png.jpg").exists()
    (drop / "0.png").write_bytes(b"gone bad")
    os.utime(drop / "0.png", (0, 0))
    run(inspector, drop, out)
    assert labels(out) == ["--"]
    assert not list((out / "overlays").iterdir())
    assert not list((out / "masks").iterdir())


def test_what_is_being_written_is_unfinished_and_tried_by_the_next_call(
    inspector: Inspector, tmp_path: Path
) -> None:
    drop, out = tmp_path / "drop", tmp_path / "out"
    drop.mkdir()
    (drop / "0.png").write_bytes(png_bytes(GOOD[0])[:200])
    done = run(inspector, drop, out)
    assert in_force(out)["0.png"].outcome == "unfinished"
    assert done.report.outcomes == {"inspected": 0, "unfinished": 1}
    os.utime(drop / "0.png", (0, 0))  # nobody has written since
    run(inspector, drop, out)
    assert in_force(out)["0.png"].outcome == "damaged"


def passing(code: int, times: int) -> Callable[[Path], FileContent]:
    """A file that cannot be read so many times."""
    left = [times]

    def read(path: Path) -> FileContent:
        if path.name == "1.png" and left[0]:
            left[0] -= 1
            raise UnreadableError("not now", path=path) from OSError(code, os.strerror(code))
        return read_file(path)

    return read


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENOMEM, errno.EIO, errno.ESTALE])
def test_trouble_that_passes_costs_no_verdict(
    inspector: Inspector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    drop, out = tmp_path / "drop", tmp_path / "out"
    write(drop, GOOD)
    monkeypatch.setattr(pieces, "read_file", passing(code, 3))
    done = run(inspector, drop, out)
    assert done.num_failed == 0
    assert labels(out).count("OK") + labels(out).count("NG") == 5


def test_trouble_that_stays_is_no_damage_and_is_tried_by_the_next_call(
    inspector: Inspector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop, out = tmp_path / "drop", tmp_path / "out"
    write(drop, GOOD)
    monkeypatch.setattr(pieces, "read_file", passing(errno.EIO, 99))
    for _ in range(2):  # the second has nothing new to say
        assert run(inspector, drop, out).num_failed == 1
        assert [line.get("outcome") for line in written(out)].count("unreadable") == 1
    assert in_force(out)["1.png"].outcome == "unreadable"
    monkeypatch.setattr(pieces, "read_file", read_file)
    assert run(inspector, drop, out).num_failed == 0
    assert "--" not in labels(out)


def test_what_goes_wrong_with_one_picture_is_its_line(
    inspector: Inspector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop, out = tmp_path / "drop", tmp_path / "out"
    write(drop, GOOD)
    score = inspector._scorer.score

    def stumble(images: U8) -> object:
        if any((image == GOOD[2]).all() for image in images):
            raise RuntimeError("this one is too much")
        return score(images)

    class Stumbling:
        def __init__(self) -> None:
            self.score = stumble

    monkeypatch.setitem(vars(inspector), "_scorer", Stumbling())
    done = run(inspector, drop, out)
    assert done.num_failed == 1
    found = in_force(out)["2.png"]
    assert isinstance(found, Failure)
    assert found.outcome == "failed"
    assert "RuntimeError: this one is too much" in found.error


def test_a_score_that_is_no_number_is_that_pictures_line(
    inspector: Inspector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop, out = tmp_path / "drop", tmp_path / "out"
    write(drop, GOOD)
    decide = inspector._decide
    calls = []

    def third(score: float, *rest: object) -> Inspection:
        calls.append(score)
        if len(calls) == 3:
            raise ScoreError("the score is nan")
        return decide(score, *rest)

    monkeypatch.setitem(vars(inspector), "_decide", third)
    assert run(inspector, drop, out).num_failed == 1
    assert labels(out).count("--") == 1


def test_a_disk_that_fails_stops_the_run(
    inspector: Inspector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop, out = tmp_path / "drop", tmp_path / "out"
    write(drop, GOOD)

    def full(path: Path, *_: object) -> None:
        raise OutputError(f"cannot write {path}") from OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pieces, "encode_png", full)
    with pytest.raises(OutputError, match="cannot write"):
        run(inspector, drop, out)
    monkeypatch.undo()
    assert run(inspector, drop, out).skipped == 0
    assert len(in_force(out)) == 5


HOSTILE = [
    "x.png",
    "x.png.png/x.png",
    "x.png.jpg/y.png",
    "n" * 246 + ".png",
    "ü" * 120 + ".png",
    "a\nNG  b.png",
    "=1+1.png",
    " \u2028.png",
    os.fsdecode(b"\xff\xfe.png"),
    "folder/" * 20 + "deep.png",
]


def test_hostile_names_get_their_verdicts_and_pictures_of_their_own(
    inspector: Inspector, tmp_path: Path
) -> None:
    drop, out = tmp_path / "drop", tmp_path / "out"
    for number, name in enumerate(HOSTILE):
        encode_png(drop / f"{number}", part_picture(60 + number))
        (drop / name).parent.mkdir(parents=True, exist_ok=True)
        (drop / f"{number}").rename(drop / name)
    done = run(inspector, drop, out)
    assert (done.num_failed, done.report.num_images) == (0, len(HOSTILE))
    found = list(lines_of(out / "preds.jsonl"))
    masks = {record.mask_path for record in found} | {record.overlay_path for record in found}
    assert len(masks) == 2 * len(HOSTILE)
    assert all(Path(mask).is_file() for mask in masks)
    assert run(inspector, drop, out).skipped == len(HOSTILE)
    assert {record.source.path for record in found} == {str(drop / name) for name in HOSTILE}


def test_lines_of_an_earlier_version_count_until_their_pictures_are_judged_again(
    inspector: Inspector, tmp_path: Path
) -> None:
    """They do not say which content they saw: what is still there is judged anew, what is gone keeps its line."""
    drop, out = tmp_path / "drop", tmp_path / "out"
    write(drop, GOOD)
    run(inspector, drop, out)
    new = {"decided_by", "reason", "highest_spot", "outcome", "source", "superseded"}
    old = [{key: value for key, value in line.items() if key not in new} for line in written(out)]
    (out / "preds.jsonl").write_text("".join(json.dumps(line) + "\n" for line in old))
    (drop / "4.png").unlink()
    encode_png(drop / "0.png", BAD[0])
    done = run(inspector, drop, out)
    assert done.skipped == 0
    assert (done.report.num_images, done.report.num_superseded) == (5, 4)
    assert [line["superseded"] for line in written(out)] == [True] * 4 + [False] * 5
    assert in_force(out)["0.png"].label == "NG"


def test_of_two_lines_that_a_kill_left_the_later_counts(inspector: Inspector, tmp_path: Path) -> None:
    """It was killed between the new line and the mark on the old one."""
    drop, out = tmp_path / "drop", tmp_path / "out"
    write(drop, GOOD[:1])
    run(inspector, drop, out)
    write(drop, BAD[:1])
    run(inspector, drop, out)
    lines = (out / "preds.jsonl").read_bytes()
    (out / "preds.jsonl").write_bytes(lines.replace(b'"superseded": true }', b'"superseded": false}'))
    done = run(inspector, drop, out)
    assert (done.skipped, done.report.num_ng, done.report.num_images) == (1, 1, 1)
    assert (out / "preds.jsonl").read_bytes() == lines


def test_results_that_are_deleted_under_the_run_are_missed(
    inspector: Inspector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    drop, out = tmp_path / "drop", tmp_path / "out"
    write(drop, GOOD)
    save = pieces.encode_jpeg

    def delete(path: Path, *rest: object) -> None:
        save(path, *rest)
        shutil.rmtree(out, ignore_errors=True)

    monkeypatch.setattr(pieces, "encode_jpeg", delete)
    with pytest.raises(OutputError, match=r"moved or deleted|No such file|removed or replaced"):
        run(inspector, drop, out)


def test_a_sound_picture_that_is_not_one_of_the_line_is_told_apart(tmp_path: Path) -> None:
    """Beside the region of interest there is nothing to judge; it is neither OK nor damaged."""
    import numpy as np

    corner = Roi(Area(polygons=(((200.0, 200.0), (260.0, 200.0), (260.0, 260.0)),)))
    good = np.stack([part_picture(seed) for seed in range(24)])
    inspector = Inspector(fitted(good).bundle, roi=corner)
    drop, out = tmp_path / "drop", tmp_path / "out"
    write(drop, GOOD[:1])
    encode_png(drop / "large.png", part_picture(1, 300))
    done = run(inspector, drop, out)
    assert (done.num_failed, in_force(out)["0.png"].outcome) == (1, "mismatched")
    assert in_force(out)["large.png"].outcome == "inspected"
    before = (out / "preds.jsonl").read_bytes()
    assert run(inspector, drop, out).num_failed == 1
    assert (out / "preds.jsonl").read_bytes() == before


def test_what_of_a_file_was_not_judged_is_said(inspector: Inspector, tmp_path: Path) -> None:
    from PIL import Image

    drop, out = tmp_path / "drop", tmp_path / "out"
    drop.mkdir()
    pages = [Image.fromarray(picture) for picture in GOOD[:3]]
    pages[0].save(drop / "stack.tif", save_all=True, append_images=pages[1:])
    write(drop, GOOD[:1])
    report = run(inspector, drop, out).report
    assert [in_force(out)[name].pages for name in ("0.png", "stack.tif")] == [None, 3]
    assert (report.num_images, report.num_more_pages) == (2, 1)
    strict = FolderRunner(inspector, tmp_path / "strict", FolderOptions(refuse_pages=True)).run(
        list_images(drop)
    )
    assert (strict.num_failed, in_force(tmp_path / "strict")["stack.tif"].outcome) == (1, "mismatched")
    with pytest.raises(
        OutputError, match="other options"
    ):  # whoever asks for more does not get less strict lines
        FolderRunner(inspector, out, FolderOptions(refuse_pages=True)).run(list_images(drop))
