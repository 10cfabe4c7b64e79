"""Each way in which a submission can be wrong is found, and told with the file that is."""

import io
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from tests.support import part_picture

from kizu.core.errors import DataError
from kizu.imaging.codec import encode_png
from kizu.release.packing import pack_folder
from kizu.release.submission import COUNTS
from kizu.release.submission_check import Fault, check_submission

SMALL = {"can": 3, "rice": 2}
SPLITS = {"test_private": "regular", "test_private_mixed": "mixed"}
MAPS, MARKED = "anomaly_images", "anomaly_images_thresholded"
ONE_MAP = f"{MAPS}/can/test_private/001_regular.tiff"
ONE_MARKED = f"{MARKED}/can/test_private/001_regular.png"


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """A small submission without a fault."""
    folder = tmp_path / "mine"
    rng = np.random.default_rng(0)
    for category, count in SMALL.items():
        for split, end in SPLITS.items():
            for number in range(count):
                scores = rng.gamma(2, size=(20, 24)).astype(np.float16)
                stem = f"{category}/{split}/{number:03}_{end}"
                (folder / MAPS / stem).parent.mkdir(parents=True, exist_ok=True)
                tifffile.imwrite(folder / MAPS / f"{stem}.tiff", scores)
                encode_png(folder / MARKED / f"{stem}.png", scores > 4)
    return folder


def faults_of(folder: Path, **options: object) -> list[Fault]:
    return list(check_submission(folder, counts=SMALL, **options))  # type: ignore[arg-type]


def test_a_whole_one_has_no_fault(whole: Path) -> None:
    assert faults_of(whole) == []


def test_the_real_counts_are_those_of_the_set() -> None:
    assert sum(COUNTS.values()) == 2045
    assert list(COUNTS) == [
        "can",
        "fabric",
        "fruit_jelly",
        "rice",
        "sheet_metal",
        "vial",
        "wallplugs",
        "walnuts",
    ]


def _write_map(values: np.ndarray) -> Callable[[Path], None]:
    return lambda folder: tifffile.imwrite(folder / ONE_MAP, values, photometric="minisblack")


def _spoil(values: np.ndarray, odd: float) -> np.ndarray:
    values[3, 5] = odd
    return values


def _write_marked(values: np.ndarray) -> Callable[[Path], None]:
    return lambda folder: Image.fromarray(values).save(folder / ONE_MARKED)


def _mark_the_lowest(folder: Path) -> None:
    scores = tifffile.imread(folder / ONE_MAP)
    encode_png(folder / ONE_MARKED, scores < np.median(scores))


def gradient(dtype: type = np.float16, hw: tuple[int, int] = (20, 24)) -> np.ndarray:
    return np.linspace(0, 3, hw[0] * hw[1]).reshape(hw).astype(dtype)


FAULTY: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "a category is missing": (
        lambda f: shutil.rmtree(f / MAPS / "rice"),
        f"{MAPS}/rice",
        "the folder is missing",
    ),
    "a category too many": (
        lambda f: shutil.copytree(f / MARKED / "rice", f / MARKED / "peas"),
        f"{MARKED}/peas",
        "the folder does not belong here",
    ),
    "a private set is missing": (
        lambda f: shutil.rmtree(f / MAPS / "can" / "test_private_mixed"),
        f"{MAPS}/can/test_private_mixed",
        "the folder is missing",
    ),
    "the public set was handed in": (
        lambda f: (f / MAPS / "can" / "test_public").mkdir(),
        f"{MAPS}/can/test_public",
        "the folder does not belong here",
    ),
    "the binary maps are missing": (lambda f: shutil.rmtree(f / MARKED), MARKED, "the folder is missing"),
    "a map is missing": (lambda f: (f / ONE_MAP).unlink(), ONE_MAP, "the file is missing"),
    "a count is wrong": (
        lambda f: (f / ONE_MARKED).unlink(),
        f"{MARKED}/can/test_private",
        "holds 2 files, and 3 are wanted",
    ),
    "a file too many": (
        lambda f: shutil.copy(f / ONE_MAP, f / MAPS / "can/test_private/003_regular.tiff"),
        f"{MAPS}/can/test_private/003_regular.tiff",
        "the file does not belong here",
    ),
    "a wrong name": (
        lambda f: (f / ONE_MAP).rename(f / MAPS / "can/test_private/001_mixed.tiff"),
        f"{MAPS}/can/test_private/001_mixed.tiff",
        "does not belong here: names are NNN_regular.tiff",
    ),
    "a stray file": (lambda f: (f / "notes.txt").touch(), "notes.txt", "the file does not belong here"),
    "a folder in a folder": (
        lambda f: (f / MAPS / "can/test_private/more").mkdir(),
        f"{MAPS}/can/test_private/more",
        "the folder does not belong here",
    ),
    "single precision": (_write_map(gradient(np.float32)), ONE_MAP, "holds float32 of the shape (20, 24)"),
    "integers": (_write_map(gradient(np.uint8)), ONE_MAP, "holds uint8"),
    "three channels": (_write_map(np.stack([gradient()] * 3)), ONE_MAP, "of the shape (3, 20, 24)"),
    "not a number": (_write_map(_spoil(gradient(), np.nan)), ONE_MAP, "1 scores that are NaN or infinite"),
    "infinite": (_write_map(_spoil(gradient(), np.inf)), ONE_MAP, "1 scores that are NaN or infinite"),
    "one value everywhere": (
        _write_map(np.ones((20, 24), np.float16)),
        ONE_MAP,
        "holds one value everywhere (1)",
    ),
    "another size": (_write_map(gradient(hw=(20, 23))), ONE_MARKED, f"is 20 x 24, and {ONE_MAP} is 20 x 23"),
    "no TIFF": (lambda f: (f / ONE_MAP).write_bytes(b"broken"), ONE_MAP, "cannot be read as TIFF"),
    "marks of 1": (
        _write_marked(np.eye(20, 24, dtype=np.uint8)),
        ONE_MARKED,
        "other values than 0 and 255: 1",
    ),
    "marks in between": (
        _write_marked(gradient() .astype(np.uint8) * 60),
        ONE_MARKED,
        "other values than 0 and 255: 60, 120, 180",
    ),
    "marks of one bit": (_write_marked(gradient() > 2), ONE_MARKED, "is PNG of the mode 1"),
    "coloured marks": (
        _write_marked(np.zeros((20, 24, 3), np.uint8)),
        ONE_MARKED,
        "is PNG of the mode RGB",
    ),
    "no PNG": (lambda f: (f / ONE_MARKED).write_bytes(b"broken"), ONE_MARKED, "not an image"),
    "marks that no threshold gives": (_mark_the_lowest, ONE_MARKED, f"does not follow from {ONE_MAP}"),
}  # fmt: skip


@pytest.mark.parametrize("kind", FAULTY)
def test_a_fault_is_told_with_its_file(kind: str, whole: Path) -> None:
    spoil, path, what = FAULTY[kind]
    spoil(whole)
    faults = faults_of(whole)
    assert [fault for fault in faults if fault.path == path and what in fault.what], faults
    assert len(faults) <= 3


def test_all_faults_are_told_not_only_the_first(whole: Path) -> None:
    for kind in ("a category is missing", "single precision", "a stray file"):
        FAULTY[kind][0](whole)
    assert {fault.path for fault in faults_of(whole)} == {"notes.txt", f"{MAPS}/rice", ONE_MAP}


def test_an_image_without_marks_and_one_marked_all_over_follow_from_any_map(whole: Path) -> None:
    encode_png(whole / ONE_MARKED, np.zeros((20, 24), np.uint8))
    assert faults_of(whole) == []
    encode_png(whole / ONE_MARKED, np.full((20, 24), 255, np.uint8))
    assert faults_of(whole) == []


def test_sizes_are_held_against_the_images_where_these_are_there(whole: Path, tmp_path: Path) -> None:
    for category, count in SMALL.items():
        for split, end in SPLITS.items():
            for number in range(count):
                encode_png(
                    tmp_path / "set" / category / split / f"{number:03}_{end}.png", part_picture(0)[:20, :24]
                )
    assert faults_of(whole, data_root=tmp_path / "set") == []
    encode_png(tmp_path / "set/can/test_private/001_regular.png", part_picture(0)[:24, :20])
    assert [fault.told() for fault in faults_of(whole, data_root=tmp_path / "set")] == [
        f"{ONE_MAP}: is 20 x 24, and its image is 24 x 20",
        f"{ONE_MARKED}: is 20 x 24, and its image is 24 x 20",
    ]


def test_a_folder_one_too_high_is_told_with_the_right_one(whole: Path) -> None:
    (fault,) = faults_of(whole.parent)
    assert fault.path == "mine"
    assert str(whole) in fault.what


def test_an_archive_is_looked_over_like_its_folder(whole: Path, tmp_path: Path) -> None:
    pack_folder(whole, tmp_path / "good.tar.gz")
    assert faults_of(tmp_path / "good.tar.gz") == []
    FAULTY["not a number"][0](whole)
    pack_folder(whole, tmp_path / "bad.tar.gz")
    assert [fault.path for fault in faults_of(tmp_path / "bad.tar.gz")] == [ONE_MAP]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.tar.gz", "good.tar.gz", "mine"]


def test_an_archive_without_its_folder_is_refused(whole: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "flat.tar.gz", "w:gz") as tar:
        for name in (MAPS, MARKED):
            tar.add(whole / name, name)
    (fault,) = faults_of(tmp_path / "flat.tar.gz")
    assert fault.path == "flat.tar.gz"
    assert "must hold one folder" in fault.what


def test_an_archive_that_leads_out_is_never_unpacked(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "evil.tar.gz", "w:gz") as tar:
        member = tarfile.TarInfo("mine/../../evil.txt")
        member.size = 4
        tar.addfile(member, io.BytesIO(b"evil"))
    with pytest.raises(DataError, match="leads out of the folder"):
        faults_of(tmp_path / "evil.tar.gz")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["evil.tar.gz"]


def test_nothing_to_check_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        faults_of(tmp_path / "no.tar.gz")


def test_the_same_folder_is_packed_to_the_same_bytes(whole: Path, tmp_path: Path) -> None:
    pack_folder(whole, tmp_path / "one.tar.gz")
    for path in whole.rglob("*.png"):
        path.touch()
    pack_folder(whole, tmp_path / "two.tar.gz")
    assert (tmp_path / "one.tar.gz").read_bytes() == (tmp_path / "two.tar.gz").read_bytes()
    with tarfile.open(tmp_path / "one.tar.gz") as tar:
        names = tar.getnames()
    assert names == sorted(names)
    assert f"mine/{ONE_MAP}" in names
