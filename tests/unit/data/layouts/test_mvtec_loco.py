"""MVTec LOCO's folders: several masks to an image, whose union is the truth."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from tests.support import laid_out, noise

from kizu.core.errors import DataError
from kizu.core.split import Split
from kizu.data.check import check
from kizu.data.layouts import mvtec_loco
from kizu.data.manifest import Sample, read_manifest
from kizu.data.masks import true_mask
from kizu.imaging.codec import encode_png

GROUND = "pushpins/ground_truth/logical_anomalies"


def logical(root: Path, name: str = "000") -> Sample:
    return {s.id: s for s in mvtec_loco.scan(root).samples}[f"test/logical_anomalies/{name}.png"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The first logical anomaly has two flaws, each with a mask of its own, with the defect's number in it."""
    laid_out(tmp_path, mvtec_loco.EXAMPLE)
    for number, (rows, value) in enumerate(((slice(2, 6), 1), (slice(20, 30), 240))):
        mask = np.zeros((32, 40), np.uint8)
        mask[rows, 5:10] = value
        encode_png(tmp_path / GROUND / "000" / f"{number:03}.png", mask)
    return tmp_path


def test_the_union_of_an_images_masks_is_where_it_is_flawed(root: Path) -> None:
    sample = logical(root)
    assert [path.name for path in sample.masks] == ["000.png", "001.png"]
    mask = true_mask(sample, (32, 40))
    assert mask is not None
    assert np.flatnonzero(mask.any(axis=1)).tolist() == [*range(2, 6), *range(20, 30)]
    assert (sample.label, sample.defect, sample.split) == ("defect", "logical_anomalies", Split.TEST)
    assert logical(root, "001").more_masks == ()


def test_good_validation_images_are_for_validation(root: Path) -> None:
    manifest = mvtec_loco.scan(root)
    assert [s.label for s in manifest.validation()] == ["good", "good"]


def test_every_mask_counts_in_the_hash_and_survives_the_disk(root: Path, tmp_path: Path) -> None:
    manifest = mvtec_loco.scan(root).with_hashes()
    manifest.write(tmp_path / "m.jsonl")
    assert read_manifest(tmp_path / "m.jsonl") == manifest
    mask = np.zeros((32, 40), np.uint8)
    mask[0, 0] = 240
    encode_png(root / GROUND / "000/001.png", mask)
    assert mvtec_loco.scan(root).content_hash() != manifest.content_hash()


def test_masks_of_two_sizes_are_named_and_found_by_the_check(root: Path) -> None:
    encode_png(root / GROUND / "000/001.png", np.ones((30, 40), np.uint8))
    with pytest.raises(DataError, match=r"000\.png and .*001\.png are of one image"):
        true_mask(logical(root), (32, 40))
    errors = {p.what: p.ids for p in check(mvtec_loco.scan(root)).problems if p.severity == "error"}
    assert ("test/logical_anomalies/000.png",) in errors.values()


def test_what_is_missing_or_left_over_is_told(root: Path) -> None:
    shutil.rmtree(root / GROUND / "001")
    (root / GROUND / "000").rename(root / GROUND / "007")
    (root / "pushpins/defects_config.json").unlink()
    encode_png(root / GROUND / "stray.png", noise(1))
    notes = "\n".join(mvtec_loco.scan(root).notes)
    assert "defects without a mask: 2" in notes
    assert "masks that no defect claims passed over: 3" in notes
    assert "defects_config.json is missing" in notes


def test_another_kind_of_defect_is_refused(root: Path) -> None:
    encode_png(root / "pushpins/test/bent/000.png", noise(1))
    with pytest.raises(DataError, match="bent is no kind of MVTec LOCO AD") as caught:
        mvtec_loco.scan(root)
    assert "mvtec_ad" in (caught.value.hint or "")
