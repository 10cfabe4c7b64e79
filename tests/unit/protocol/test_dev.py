"""A category that choices were made on is known by name, by content, and picture by picture."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.support import category

from kizu.core.split import Split
from kizu.data.layouts.mvtec_ad import scan
from kizu.data.manifest import Manifest
from kizu.data.marks import mark_images
from kizu.imaging.codec import decode, encode_jpeg, encode_png
from kizu.protocol.dev import DevSet, Looked, dev_set, look_for_dev, name_unchecked


@pytest.fixture(scope="module")
def plate(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return category(tmp_path_factory.mktemp("dev"), "plate", 0)


@pytest.fixture(scope="module")
def known(plate: Manifest) -> DevSet:
    return dev_set(plate)


@pytest.fixture
def disc(tmp_path: Path) -> Manifest:
    return category(tmp_path, "disc", 500)


def look(known: DevSet, manifest: Manifest) -> Looked:
    hashed = manifest.with_hashes()
    return look_for_dev([known], hashed, mark_images(hashed.samples))


def copied(plate: Manifest, root: Path) -> Path:
    shutil.copytree(plate.root, root / "copy")
    return root / "copy"


def test_by_name_and_by_whole_content(known: DevSet, plate: Manifest, disc: Manifest) -> None:
    assert look(known, disc) == Looked(None, ())
    named = replace(disc, dataset=known.dataset, category="plate")
    assert "designed on" in (look(known, named).leak or "")
    without = known.model_copy(update={"images": None})
    renamed = replace(plate, dataset="x", category="y")
    assert (look(without, renamed).leak or "").startswith(f"x/y is {known.name}, a category")


def test_one_image_less_other_names_and_other_labels_hide_nothing(
    known: DevSet, plate: Manifest, tmp_path: Path
) -> None:
    folder = copied(plate, tmp_path)
    (folder / "train/good/3.png").unlink()
    for path in sorted((folder / "test/checks").iterdir()):
        path.rename(folder / "train/good" / f"was-{path.name}")
    found = look(known, scan(tmp_path, "copy"))
    assert found.leak is not None
    assert f"copy has 19 of its images from {known.name}" in found.leak
    assert "train/good/10.png is its train/good/10.png" in found.leak
    assert "and 16 more" in found.leak


def test_pixels_packed_anew_hide_nothing(plate: Manifest, tmp_path: Path) -> None:
    """A set of JPEGs, some of them stored as PNG afterwards."""
    root = tmp_path / "jpeg"
    for sample in plate.samples:
        encode_jpeg((root / "dev" / sample.id).with_suffix(".jpg"), decode(sample.path))
    known = dev_set(scan(root, "dev"))
    shutil.copytree(root / "dev", root / "copy")
    for path in sorted((root / "copy").rglob("*.jpg")):
        encode_png(path.with_suffix(".png"), decode(path))
        path.unlink()
    assert "copy has 20 of its images" in (look(known, scan(root, "copy")).leak or "")


def test_a_few_of_many_images_are_enough_when_they_are_tests(
    known: DevSet, plate: Manifest, disc: Manifest, tmp_path: Path
) -> None:
    """One in twenty of all would do; of eight test images it is one."""
    target = tmp_path / "disc"
    for number in range(100):
        rng = np.random.default_rng(7000 + number)
        encode_png(
            target / "train/good" / f"n{number}.png", rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)
        )
    one = next(s for s in plate.samples if s.split == Split.TEST)
    shutil.copy(one.path, target / "test/good/new.png")
    found = look(known, scan(tmp_path, "disc"))
    assert f"has 1 of its images from {known.name}" in (found.leak or "")
    (target / "test/good/new.png").rename(target / "train/good/new.png")
    assert look(known, scan(tmp_path, "disc")).leak is None


def test_fewer_than_the_part_are_a_caveat(
    known: DevSet, disc: Manifest, plate: Manifest, tmp_path: Path
) -> None:
    """One picture of twenty: not more than one in twenty."""
    target = tmp_path / "disc"
    shutil.copy(plate.samples[0].path, target / "train/good/new.png")
    found = look(known, scan(tmp_path, "disc"))
    assert found.leak is None
    (caveat,) = found.caveats
    assert f"shares 1 image(s) with {known.name}" in caveat
    assert "train/good/new.png is its" in caveat


def test_a_frame_of_one_colour_is_not_shared(plate: Manifest, disc: Manifest, tmp_path: Path) -> None:
    black = np.zeros((64, 64, 3), np.uint8)
    folder = copied(plate, tmp_path)
    for target in (folder, tmp_path / "disc"):
        for number in range(6):
            encode_png(target / "test/good" / f"black{number}.png", black)
    assert look(dev_set(scan(tmp_path, "copy")), scan(tmp_path, "disc")) == Looked(None, ())


def test_what_was_noted_without_images_is_named(known: DevSet) -> None:
    assert name_unchecked([known]) == ()
    (told,) = name_unchecked([known, known.model_copy(update={"images": None})])
    assert told.startswith(f"{known.name} was noted without its images")
    assert "images" not in known.model_copy(update={"images": None}).model_dump()
    assert DevSet.parse(known.model_dump(mode="json"), where="test") == known
