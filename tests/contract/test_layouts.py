"""What every layout promises; tests/unit/data/layouts has what each of them promises besides."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from tests.support import BASE, laid_out, part_picture, save_picture

from kizu.core.errors import ConfigError, DataError, MissingExtraError
from kizu.core.split import Split
from kizu.data.layouts import LAYOUTS
from kizu.data.manifest import Manifest, read_manifest
from kizu.data.masks import read_masks
from kizu.data.splits import ensure_apart
from kizu.imaging.codec import image_size
from kizu.lab.evaluate import evaluate_run
from kizu.lab.train import RunConfig, train_run


@pytest.fixture(scope="module", params=LAYOUTS)
def scanned(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path, Manifest]:
    """The name of a layout, a root laid out so, and what was listed there."""
    name: str = request.param
    root = laid_out(tmp_path_factory.mktemp(name) / "root", LAYOUTS[name].example)
    return name, root, LAYOUTS[name](root)


def test_there_are_good_images_to_learn_from_and_others_to_test_with(
    scanned: tuple[str, Path, Manifest],
) -> None:
    manifest = scanned[2]
    assert len(manifest.train_good()) >= 2
    assert {s.label for s in manifest.test()} == {"good", "defect"}


def test_every_sample_is_a_file_with_a_relative_id_and_a_consistent_label(
    scanned: tuple[str, Path, Manifest],
) -> None:
    for sample in scanned[2].samples:
        assert sample.path.is_file()
        assert not sample.id.startswith("/")
        assert "\\" not in sample.id
        assert (sample.label == "good") == (sample.defect == "good")
        assert sample.split in (Split.TRAIN, Split.VALIDATION, Split.TEST)
        assert sample.label == "defect" or sample.mask_path is None


def test_a_mask_has_the_size_of_its_image_and_marks_something(scanned: tuple[str, Path, Manifest]) -> None:
    for sample in scanned[2].samples:
        if sample.mask_path is not None:
            mask = read_masks(sample)
            assert mask.shape == image_size(sample.path)
            assert mask.any()


def test_nothing_leaks_from_training_to_testing(scanned: tuple[str, Path, Manifest]) -> None:
    hashed = scanned[2].with_hashes()
    ensure_apart(hashed.train_good(), hashed.test())


def test_listing_twice_gives_the_same(scanned: tuple[str, Path, Manifest]) -> None:
    name, root, manifest = scanned
    assert LAYOUTS[name](root) == manifest


def test_the_manifest_survives_the_disk(scanned: tuple[str, Path, Manifest], tmp_path: Path) -> None:
    scanned[2].write(tmp_path / "m.jsonl")
    assert read_manifest(tmp_path / "m.jsonl") == scanned[2]


def test_moving_the_data_does_not_change_its_hash(
    scanned: tuple[str, Path, Manifest], tmp_path: Path
) -> None:
    name, root, manifest = scanned
    moved = shutil.copytree(root, tmp_path / "root")
    assert LAYOUTS[name](moved).content_hash() == manifest.content_hash()


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_set_goes_from_its_folders_to_numbers_and_drawn_flaws_are_found(name: str, tmp_path: Path) -> None:
    """Scanned, cut, trained and evaluated: parts in place of noise, with a flaw wherever a mask says so."""
    root = laid_out(tmp_path / "set", LAYOUTS[name].example)
    options = {"side_px": 64, "train": 12, "test_good": 4, "test_defect": 8} if name == "demo" else {}
    for number, sample in enumerate(LAYOUTS[name](root, None, options).samples if name != "demo" else ()):
        height, width = image_size(sample.path)
        image = part_picture(number, 64)[:height, :width]
        if sample.mask_path is not None:
            checks = np.indices((height, width)).sum(axis=0) % 4 < 2
            image = np.where((read_masks(sample) & checks)[..., None], np.uint8(255), image)
            image = np.where((read_masks(sample) & ~checks)[..., None], np.uint8(0), image)
        save_picture(sample.path, image)
    settings = BASE.changed({"placement": {"image_size": 64}, "calibration": {"fraction": 0.3}}, where="test")
    data = {"layout": name, "root": str(root), "options": options}
    config = RunConfig.parse({**settings.model_dump(mode="json"), "data": data}, where="test")
    run = train_run(config, tmp_path / "runs").folder
    found = evaluate_run(run)
    manifest = read_manifest(run.manifest)
    assert len(found.predictions) == len(manifest.test())
    assert found.metrics["image_auroc"] is not None
    if any(sample.mask_path for sample in manifest.test()):
        assert (found.metrics["pixel_auroc"] or 0) > (0.6 if name == "demo" else 0.8)
        assert found.metrics["aupro_030"] is not None
    else:
        assert found.metrics["pixel_auroc"] is None


@pytest.mark.parametrize("name", [name for name, layout in LAYOUTS.items() if layout.example])
def test_a_wrong_folder_is_named_with_what_to_do(name: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    for wrong in (tmp_path / "empty", tmp_path / "file", tmp_path / "missing"):
        with pytest.raises(DataError) as caught:
            LAYOUTS[name](wrong)
        assert str(wrong) in caught.value.message
        assert caught.value.hint


@pytest.mark.parametrize("name", LAYOUTS)
def test_without_a_root_it_has_its_own_or_asks_for_one(name: str) -> None:
    hint, found = None, None
    try:
        found = LAYOUTS[name]()
    except (DataError, MissingExtraError) as error:
        hint = error.hint
    assert hint if found is None else found.train_good()


@pytest.mark.parametrize("name", LAYOUTS)
def test_an_option_that_the_layout_does_not_have_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no_such_option"):
        LAYOUTS[name](tmp_path, None, {"no_such_option": 1})
