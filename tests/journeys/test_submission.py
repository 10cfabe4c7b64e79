"""MVTec AD 2 from its folders to the file that is uploaded: fit, evaluate in public, write, check."""

import json
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import tifffile
from tests.support import ad2_category

from kizu.core.work import Work
from kizu.data.layouts import mvtec_ad2
from kizu.data.masks import true_mask
from kizu.imaging.codec import decode_grey
from kizu.inspection.inspector import Inspector
from kizu.tasks.set_options import SubmitOptions
from kizu.tasks.submit import write_submission

COUNTS = "can=2,rice=3"
FAST = ["--backbone", "tiny", "--image-size", "64", "--coreset", "0.2"]


def kizu(*arguments: object, ok: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kizu", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == ok, done.stderr + done.stdout
    return done


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`set`, two categories of it, and `runs` on them."""
    root = tmp_path_factory.mktemp("ad2")
    ad2_category(root / "set", "can", 0)
    ad2_category(root / "set", "rice", 500, private=3)
    for category in ("can", "rice"):
        kizu(
            "train", "--layout", "mvtec_ad2", "--data-root", root / "set", "--category", category,
            "--output-dir", root / "runs", "--run-id", "r", *FAST,
        )  # fmt: skip
    return root


def runs(root: Path) -> list[Path]:
    return [root / "runs" / "patchcore" / category / "r" for category in ("can", "rice")]


def flags(root: Path) -> list[object]:
    return [part for run in runs(root) for part in ("--run-dir", run)]


def write(root: Path, output: Path, ok: int = 0) -> subprocess.CompletedProcess[str]:
    return kizu("submit", "write", *flags(root), "--output", output, "--counts", COUNTS, ok=ok)


def test_from_the_set_to_an_archive_that_passes_the_check(trained: Path, tmp_path: Path) -> None:
    done = write(trained, tmp_path / "out")
    archive = Path(done.stdout.strip())
    assert archive == tmp_path / "out" / "submission.tar.gz"
    assert "10 maps; in half precision" in done.stderr
    assert "nothing is wrong" in kizu("submit", "check", archive, "--counts", COUNTS).stdout
    checked = kizu(
        "submit", "check", tmp_path / "out/submission", "--counts", COUNTS, "--data-root", trained / "set"
    )
    assert "nothing is wrong" in checked.stdout
    with tarfile.open(archive) as tar:
        names = {member.name for member in tar}
    assert names == {
        f"submission/{kind}/{category}/{split}/{number:03}_{end}{suffix}"
        for category, count in (("can", 2), ("rice", 3))
        for split, end in (("test_private", "regular"), ("test_private_mixed", "mixed"))
        for number in range(count)
        for kind, suffix in (("anomaly_images", ".tiff"), ("anomaly_images_thresholded", ".png"))
    }


def test_the_maps_are_those_of_an_inspection_and_the_flaw_is_marked(trained: Path, tmp_path: Path) -> None:
    write(trained, tmp_path)
    inspector = Inspector.open(runs(trained)[0])
    image = trained / "set/can/test_private/000_regular.png"
    found = inspector.inspect(image)
    place = "can/test_private/000_regular"
    halves = tifffile.imread(tmp_path / f"submission/anomaly_images/{place}.tiff")
    exponent = json.loads((tmp_path / "submission.json").read_text())["models"]["can"]["exponent"]
    assert halves.dtype == np.float16
    assert halves.astype(float) == pytest.approx(found.map * 2.0**exponent, rel=2**-11)
    marked = decode_grey(tmp_path / f"submission/anomaly_images_thresholded/{place}.png") == 255
    assert np.array_equal(marked, found.mask)
    assert marked[20:32, 24:36].any()


def test_the_public_set_is_measured_on_the_maps_that_would_be_handed_in(trained: Path) -> None:
    """SegF1 of `evaluate` counted anew from the binary maps of an inspection, image by image."""
    for run in runs(trained):
        measured = json.loads(kizu("evaluate", "--run-dir", run, "--json").stdout)
        assert measured["counts"] == {"good": 4, "defect": 4}
        inspector = Inspector.open(run)
        samples = mvtec_ad2.scan(trained / "set", run.parent.name).test()
        hits = false = missed = 0
        for sample in samples:
            mask = inspector.inspect(sample.path).mask
            true = true_mask(sample, mask.shape)
            assert true is not None
            hits += int((mask & true).sum())
            false += int((mask & ~true).sum())
            missed += int((~mask & true).sum())
        assert measured["seg_f1"] == pytest.approx(2 * hits / (2 * hits + false + missed))
        assert hits > 0


def test_a_second_call_writes_nothing_anew_and_packs_the_same_bytes(trained: Path, tmp_path: Path) -> None:
    first = Path(write(trained, tmp_path).stdout.strip()).read_bytes()
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "submission").rglob("*.*")}
    lost = next(path for path in stamps if path.suffix == ".tiff")
    lost.unlink()
    (lost.parent / ".kizu-0123456789abcdef.part").write_bytes(b"of a kill")
    again = write(trained, tmp_path)
    assert "1 maps" in again.stderr
    assert Path(again.stdout.strip()).read_bytes() == first
    now = {path: path.stat().st_mtime_ns for path in (tmp_path / "submission").rglob("*.*")}
    assert now.keys() == stamps.keys()
    assert {p for p in now if now[p] != stamps[p]} <= {
        lost,
        *(p for p in now if p.suffix == ".png" and p.stem == lost.stem),
    }


def test_one_bad_image_costs_neither_the_others_nor_a_wrong_archive(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained, tmp_path / "copy")
    broken = tmp_path / "copy/set/can/test_private/000_regular.png"
    whole = broken.read_bytes()
    broken.write_bytes(whole[:100])
    flagged = [*flags(trained), "--data-root", tmp_path / "copy/set", "--counts", COUNTS]
    done = kizu("submit", "write", *flagged, "--output", tmp_path / "out", ok=3)
    assert str(broken) in done.stderr
    assert not (tmp_path / "out/submission.tar.gz").exists()
    assert len(list((tmp_path / "out").rglob("*.tiff"))) == 9
    told = kizu("submit", "check", tmp_path / "out/submission", "--counts", COUNTS, ok=2)
    assert "anomaly_images/can/test_private/000_regular.tiff: the file is missing" in told.stdout
    broken.write_bytes(whole)
    assert kizu("submit", "write", *flagged, "--output", tmp_path / "out").stdout.strip().endswith(".tar.gz")


def test_category_by_category_is_packed_at_the_last_one(trained: Path, tmp_path: Path) -> None:
    can, rice = runs(trained)
    first = kizu("submit", "write", "--run-dir", can, "--output", tmp_path, "--counts", COUNTS)
    assert first.stdout == ""
    assert "not packed yet, for there are no maps of rice" in first.stderr
    last = kizu("submit", "write", "--run-dir", rice, "--output", tmp_path, "--counts", COUNTS)
    assert last.stdout.strip() == str(tmp_path / "submission.tar.gz")


def test_maps_of_two_models_never_stand_side_by_side(trained: Path, tmp_path: Path) -> None:
    write(trained, tmp_path / "out")
    other = tmp_path / "other"
    shutil.copytree(runs(trained)[0], other)
    kizu("threshold", other, "--value", 5, "--pixel-value", 5, "--reason", "a trial")
    refused = kizu(
        "submit", "write", "--run-dir", other, "--output", tmp_path / "out", "--counts", COUNTS, ok=2
    )
    assert "another model or other thresholds" in refused.stderr


def test_what_cannot_be_handed_in_is_said_at_once(trained: Path, tmp_path: Path) -> None:
    can = runs(trained)[0]
    real = kizu("submit", "write", "--run-dir", can, "--output", tmp_path / "a")
    assert "not packed yet, for there are no maps of fabric, fruit_jelly" in real.stderr
    twice = kizu("submit", "write", "--run-dir", can, "--run-dir", can, "--output", tmp_path / "b", ok=2)
    assert "two runs are of the category can" in twice.stderr
    unknown = kizu(
        "submit", "write", "--run-dir", can, "--output", tmp_path / "b", "--counts", "cans=3", ok=2
    )
    assert "unknown category of MVTec AD 2: 'can'" in unknown.stderr
    zoned = tmp_path / "zoned"
    shutil.copytree(can, zoned)
    kizu("evaluate", "--run-dir", zoned, "--compute-thresholds", "--zones", "2x2")
    refused = kizu("submit", "write", "--run-dir", zoned, "--output", tmp_path / "b", ok=2)
    assert "pixel threshold for each zone" in refused.stderr
    assert not (tmp_path / "b").exists()


def test_a_python_program_gets_the_same(trained: Path, tmp_path: Path) -> None:
    done = write_submission(SubmitOptions(runs(trained), tmp_path, counts=COUNTS), Work())
    assert done.archive == tmp_path / "submission.tar.gz"
    assert done.written.maps == 10
    assert done.faults == ()
