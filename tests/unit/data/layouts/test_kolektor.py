"""Both Kolektor sets: good is what the mask marks nothing of."""

from pathlib import Path

import numpy as np
import pytest
from tests.support import laid_out, noise, noise_mask, save_picture

from kizu.core.errors import DataError
from kizu.core.split import Split
from kizu.data.layouts import LAYOUTS, kolektor


def first_set(root: Path) -> Path:
    """KolektorSDD: three items of four parts, one part of each defective."""
    for item in range(3):
        for part in range(4):
            stem = root / f"kos{item + 1:02}" / f"Part{part}"
            save_picture(stem.with_suffix(".jpg"), noise(10 * item + part))
            mask = noise_mask() if part == item else np.zeros((32, 40), bool)
            save_picture(stem.with_name(f"{stem.name}_label.bmp"), mask.astype(np.uint8) * np.uint8(255))
    return root


def test_the_second_set_keeps_its_splits_and_learns_from_no_defect(tmp_path: Path) -> None:
    manifest = kolektor.scan(laid_out(tmp_path, kolektor.EXAMPLE))
    assert (manifest.dataset, manifest.category) == ("kolektorsdd2", "kolektorsdd2")
    assert len(manifest.train_good()) == 7
    assert [s.label for s in manifest.test()] == ["defect", "defect", "good", "good"]
    flawed = next(s for s in manifest.samples if s.id == "train/10007.png")
    assert (flawed.label, flawed.split) == ("defect", Split.TRAIN)
    assert flawed.mask_path == tmp_path / "train/10007_GT.png"
    assert manifest.notes == ("defects in the training split, which only discriminative learns from: 1",)


def test_the_first_set_tests_with_all_defects_and_a_seeded_part_of_the_good(tmp_path: Path) -> None:
    manifest = kolektor.scan(first_set(tmp_path))
    assert manifest.dataset == "kolektorsdd"
    assert sum(s.label == "defect" for s in manifest.test()) == 3
    assert sum(s.label == "good" for s in manifest.test()) == 2
    assert len(manifest.train_good()) == 7
    scan = LAYOUTS["kolektor"]
    cuts = [{s.id for s in scan(tmp_path, None, {"seed": seed}).test()} for seed in (0, 0, 1)]
    assert cuts[0] == cuts[1] != cuts[2]
    assert {s.mask_path.name for s in manifest.test() if s.mask_path} == {
        "Part0_label.bmp",
        "Part1_label.bmp",
        "Part2_label.bmp",
    }


@pytest.mark.parametrize("name", ["train/10000_GT.png", "test/20003_GT.png"])
def test_an_image_without_its_mask_is_no_good_one(name: str, tmp_path: Path) -> None:
    laid_out(tmp_path, kolektor.EXAMPLE)
    (tmp_path / name).unlink()
    with pytest.raises(DataError, match=r"has no mask .*_GT"):
        kolektor.scan(tmp_path)


def test_a_mask_without_its_image_is_told(tmp_path: Path) -> None:
    laid_out(tmp_path, kolektor.EXAMPLE)
    (tmp_path / "train/10000.png").unlink()
    assert any("masks that no defect claims" in note for note in kolektor.scan(tmp_path).notes)


def test_a_broken_mask_is_named(tmp_path: Path) -> None:
    laid_out(tmp_path, kolektor.EXAMPLE)
    (tmp_path / "test/20000_GT.png").write_bytes(b"broken")
    with pytest.raises(DataError, match=r"20000_GT\.png"):
        kolektor.scan(tmp_path)
