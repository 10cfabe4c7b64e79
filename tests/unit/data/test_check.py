"""What is wrong with a data set is found before anything is fitted to it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from kizu.core.work import Work
from kizu.data.check import CheckReport, check, first_look
from kizu.data.layouts import mvtec_ad
from kizu.data.sheet import preview_sheet
from kizu.imaging.codec import encode_png

MASK = "ground_truth/scratch/0_mask.png"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """20 good to learn from, 2 good and 2 scratched to test with; nothing wrong."""
    rng = np.random.default_rng(0)
    names = [f"train/good/{n}.png" for n in range(20)]
    names += [f"test/{kind}/{n}.png" for kind in ("good", "scratch") for n in range(2)]
    for name in names:
        encode_png(tmp_path / name, rng.integers(0, 256, (40, 48, 3), dtype=np.uint8))
    flawed = np.zeros((40, 48), bool)
    flawed[4:9, 5:20] = True
    for n in range(2):
        encode_png(tmp_path / f"ground_truth/scratch/{n}_mask.png", flawed)
    return tmp_path


def report(root: Path) -> CheckReport:
    return check(mvtec_ad.scan(root))


def test_a_sound_set_is_counted_and_has_no_problems(root: Path) -> None:
    found = report(root)
    assert [(c.split, c.kind, c.images, c.masks) for c in found.counts] == [
        ("train", "good", 20, 0),
        ("test", "good", 2, 0),
        ("test", "scratch", 2, 2),
    ]
    assert found.sizes == {"40 x 48": 24}
    assert found.modes == {"RGB": 24}
    assert found.problems == ()
    assert not found.has_errors
    assert "no problems found" in found.as_text()


def copy(root: Path, source: str, target: str) -> None:
    (root / target).write_bytes((root / source).read_bytes())


def _write_pages(path: Path) -> None:
    pages = [
        Image.fromarray(np.random.default_rng(n).integers(0, 256, (40, 48, 3), np.uint8)) for n in (1, 2)
    ]
    pages[0].save(path, "TIFF", save_all=True, append_images=pages[1:])


def _write_bands(path: Path) -> None:
    four = np.random.default_rng(1).integers(0, 256, (40, 48, 4), np.uint8)
    tifffile.imwrite(path, four, photometric="rgb", extrasamples=["unspecified"])


TROUBLES: dict[str, tuple[Callable[[Path], object], str, str, str]] = {
    "broken": (lambda r: (r / "train/good/3.png").write_bytes(b""), "error", "is empty", "train/good/3.png"),
    "broken mask": (
        lambda r: (r / MASK).write_bytes(b"no"),
        "error",
        "its mask is not",
        "test/scratch/0.png",
    ),
    "flat": (
        lambda r: encode_png(r / "train/good/3.png", np.full((40, 48, 3), (0, 90, 200), np.uint8)),
        "error",
        "one value",
        "train/good/3.png",
    ),
    "pages": (
        lambda r: _write_pages(r / "train/good/3.png"),
        "warning",
        "further pages",
        "train/good/3.png",
    ),
    "bands": (
        lambda r: _write_bands(r / "train/good/3.png"),
        "warning",
        "further channels",
        "train/good/3.png",
    ),
    "mask size": (
        lambda r: encode_png(r / MASK, np.eye(40, 47, dtype=bool)),
        "error",
        "another size",
        "test/scratch/0.png",
    ),
    "empty mask": (
        lambda r: encode_png(r / MASK, np.zeros((40, 48), bool)),
        "error",
        "without a flawed pixel",
        "test/scratch/0.png",
    ),
    "inverted mask": (
        lambda r: encode_png(r / MASK, np.ones((40, 48), bool)),
        "warning",
        "inverted",
        "test/scratch/0.png",
    ),
    "missing mask": (lambda r: (r / MASK).unlink(), "warning", "without a mask", "test/scratch/0.png"),
    "leak": (
        lambda r: copy(r, "train/good/1.png", "test/good/1.png"),
        "error",
        "two splits",
        "test/good/1.png",
    ),
    "copy": (
        lambda r: copy(r, "train/good/1.png", "train/good/2.png"),
        "warning",
        "more than once",
        "train/good/2.png",
    ),
    "tiny": (
        lambda r: encode_png(r / "train/good/0.png", np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8)),
        "warning",
        "shorter than",
        "train/good/0.png",
    ),
    "few": (lambda r: (r / "train/good/19.png").unlink(), "warning", "fewer than 20", "train/good/0.png"),
    "grey": (
        lambda r: Image.fromarray(np.random.default_rng(1).integers(0, 256, (40, 48), np.uint8)).save(
            r / "train/good/5.png"
        ),
        "warning",
        "saved in grey, where most good images are saved in colour",
        "train/good/5.png",
    ),
    "other depth": (
        lambda r: Image.fromarray(np.linspace(2000, 4000, 40 * 48).reshape(40, 48).astype(np.uint16)).save(
            r / "train/good/5.png"
        ),
        "error",
        "another depth",
        "train/good/5.png",
    ),
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_problem_is_named_with_its_samples(root: Path, trouble: str) -> None:
    make, severity, said, sample_id = TROUBLES[trouble]
    make(root)
    found = report(root)
    (problem,) = [p for p in found.problems if said in p.what]
    assert problem.severity == severity
    assert sample_id in problem.ids
    assert len(found.problems) == 1
    assert found.has_errors == (severity == "error")
    assert problem.what in found.as_text()
    assert found.as_json()["problems"][0]["ids"] == list(problem.ids)


def test_progress_reaches_the_total(root: Path) -> None:
    seen: dict[str, tuple[int, int]] = {}
    check(mvtec_ad.scan(root), Work(on_progress=lambda stage, *done: seen.update({stage: done})))
    assert seen["images"] == seen["pictures"] == (24, 24)
    assert all(done == total for done, total in seen.values())


def test_the_preview_shows_each_kind_even_with_broken_files(root: Path) -> None:
    (root / "train/good/0.png").write_bytes(b"")
    (root / MASK).write_bytes(b"")
    sheet = preview_sheet(mvtec_ad.scan(root), per_kind=4, tile_px=48)
    assert sheet.shape[1] == 4 * 50 + 2
    assert sheet.dtype == np.uint8
    assert (sheet == [226, 44, 52]).all(axis=2).any()  # a mask's outline


@pytest.mark.parametrize(
    "trouble",
    ["mask size", "tiny", "grey", "pages", "leak", "copy", "few", "broken", "broken mask", "missing mask"],
)
def test_a_first_look_knows_what_needs_no_decoding(root: Path, trouble: str) -> None:
    make, severity, said, sample_id = TROUBLES[trouble]
    make(root)
    (problem,) = first_look(mvtec_ad.scan(root).with_hashes())
    assert (problem.severity, said in problem.what, sample_id in problem.ids) == (severity, True, True)


def test_a_first_look_at_a_sound_set_finds_nothing(root: Path) -> None:
    assert first_look(mvtec_ad.scan(root).with_hashes()) == ()
