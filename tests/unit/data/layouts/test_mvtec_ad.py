"""MVTec AD's folders: what lies where, what is passed over, and what is said when it is not there."""

import re
import shutil
from pathlib import Path

import pytest
from tests.support import laid_out, noise, noise_mask

from kizu.core.errors import DataError
from kizu.core.split import Split
from kizu.data.layouts import LAYOUTS, mvtec_ad
from kizu.data.manifest import Sample
from kizu.imaging.codec import encode_png


def by_id(root: Path) -> dict[str, Sample]:
    return {s.id: s for s in mvtec_ad.scan(root).samples}


def test_splits_kinds_and_masks_come_from_the_folders(tmp_path: Path) -> None:
    samples = by_id(laid_out(tmp_path, mvtec_ad.EXAMPLE))
    assert len(samples) == 9
    assert samples["train/good/100.JPG"].split == Split.TRAIN
    dent, scratch = samples["test/dent/000.png"], samples["test/scratch/000.png"]
    assert (dent.label, dent.defect, dent.split) == ("defect", "dent", Split.TEST)
    assert dent.mask_path is not None
    assert dent.mask_path.name == "000_mask.png"
    assert scratch.mask_path is not None
    assert scratch.mask_path.name == "000.png"


def test_a_validation_folder_is_for_validation(tmp_path: Path) -> None:
    laid_out(tmp_path, mvtec_ad.EXAMPLE)
    encode_png(tmp_path / "part/validation/dent/7.png", noise(7))
    assert [s.id for s in mvtec_ad.scan(tmp_path).validation()] == ["validation/dent/7.png"]


def test_missing_masks_are_no_error(tmp_path: Path) -> None:
    laid_out(tmp_path, mvtec_ad.EXAMPLE)
    shutil.rmtree(tmp_path / "part/ground_truth")
    assert all(s.mask_path is None for s in mvtec_ad.scan(tmp_path).samples)


def test_the_root_may_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(mvtec_ad.ROOT_VARIABLE, str(laid_out(tmp_path, mvtec_ad.EXAMPLE)))
    assert mvtec_ad.scan(category="part").category == "part"


def test_the_root_may_be_the_category_itself(tmp_path: Path) -> None:
    laid_out(tmp_path, mvtec_ad.EXAMPLE)
    whole = mvtec_ad.scan(tmp_path, "part")
    assert mvtec_ad.scan(tmp_path / "part") == whole
    assert mvtec_ad.scan(tmp_path / "part", "part") == whole
    with pytest.raises(DataError, match="no other/train") as caught:
        mvtec_ad.scan(tmp_path / "part", "other")
    assert "itself the category 'part'" in (caught.value.hint or "")


def test_one_of_several_categories_must_be_chosen(tmp_path: Path) -> None:
    laid_out(tmp_path, mvtec_ad.EXAMPLE)
    shutil.copytree(tmp_path / "part", tmp_path / "nut")
    with pytest.raises(DataError, match="several categories") as caught:
        mvtec_ad.scan(tmp_path)
    assert caught.value.hint == "choose one of: nut, part"
    with pytest.raises(DataError, match="no prat/train") as caught:
        mvtec_ad.scan(tmp_path, "prat")
    assert "nut, part" in (caught.value.hint or "")


def test_hidden_and_other_files_are_passed_over_and_noted(tmp_path: Path) -> None:
    laid_out(tmp_path, mvtec_ad.EXAMPLE)
    for name in (".DS_Store", "._000.png", "readme.txt"):
        (tmp_path / "part/train/good" / name).touch()
    (tmp_path / "part/test/.thumbs").mkdir()
    manifest = mvtec_ad.scan(tmp_path)
    assert len(manifest) == 9
    assert manifest.notes == (
        "hidden files and folders passed over: 3 (train/good/.DS_Store, train/good/._000.png, test/.thumbs)",
        "files that are no pictures passed over: 1 (train/good/readme.txt)",
    )


def test_lots_below_good_are_learned(tmp_path: Path) -> None:
    for number in range(28):
        encode_png(tmp_path / f"train/good/{('.', 'lot 1', 'lot 2')[number % 3]}/{number}.png", noise(number))
    assert len(mvtec_ad.scan(tmp_path).train_good()) == 28


def test_images_elsewhere_in_the_category_are_named(tmp_path: Path) -> None:
    laid_out(tmp_path, mvtec_ad.EXAMPLE)
    part = tmp_path / "part"
    for name in ("test_public/good/0.png", "test_public/bad/1.png", "0.png", "test/1.png", "new/a/2.png"):
        encode_png(part / name, noise(0))
    manifest = mvtec_ad.scan(tmp_path)
    assert len(manifest) == 9
    (note,) = manifest.notes
    assert "pictures outside the folders of the layout passed over: 5" in note
    for named in ("test_public: 2", "new: 1", "0.png", "test/1.png"):
        assert named in note


@pytest.mark.parametrize("kind", ["ok", "Good", "normal", "OK_2", "good_light"])
def test_good_images_under_another_name_are_no_defects(tmp_path: Path, kind: str) -> None:
    laid_out(tmp_path, mvtec_ad.EXAMPLE)
    encode_png(tmp_path / "part/test" / kind / "0.png", noise(0))
    with pytest.raises(DataError, match=f"test/{kind} holds 1 images, good ones by its name") as caught:
        mvtec_ad.scan(tmp_path)
    assert "layout 'folder'" in (caught.value.hint or "")


@pytest.mark.parametrize("name", ["bad", "masks", "lot 1/NG", "defects"])
def test_folders_in_good_that_say_otherwise_are_refused(tmp_path: Path, name: str) -> None:
    laid_out(tmp_path, mvtec_ad.EXAMPLE)
    encode_png(tmp_path / "part/train/good" / name / "0.png", noise(0))
    with pytest.raises(DataError, match=f"good/{name} holds 1 images"):
        mvtec_ad.scan(tmp_path)


def test_masks_lie_in_the_sub_folders_of_their_images_or_directly_in_the_kind(tmp_path: Path) -> None:
    laid_out(tmp_path, mvtec_ad.EXAMPLE)
    for lot in ("a", "b"):
        encode_png(tmp_path / f"part/test/scratch/{lot}/000.png", noise(0))
    encode_png(tmp_path / "part/ground_truth/scratch/a/000_mask.png", noise_mask())
    with pytest.raises(DataError, match=r"ground_truth/scratch/000\.png would be that of"):
        mvtec_ad.scan(tmp_path)
    (tmp_path / "part/ground_truth/scratch/b").mkdir()
    encode_png(tmp_path / "part/ground_truth/scratch/b/000.jpg.png", noise_mask())  # of no image there is
    encode_png(tmp_path / "part/ground_truth/scratch/b/000.png.png", noise_mask())
    samples = by_id(tmp_path)
    assert {name: s.mask_path.relative_to(tmp_path / "part/ground_truth").as_posix()
            for name, s in samples.items() if s.mask_path is not None} == {
        "test/dent/000.png": "dent/000_mask.png",
        "test/scratch/000.png": "scratch/000.png",
        "test/scratch/a/000.png": "scratch/a/000_mask.png",
        "test/scratch/b/000.png": "scratch/b/000.png.png",
    }  # fmt: skip
    assert "masks that no defect claims passed over: 1 (ground_truth/scratch/b/000.jpg.png)" in "".join(
        mvtec_ad.scan(tmp_path).notes
    )


def test_validation_and_test_do_not_share_a_mask(tmp_path: Path) -> None:
    laid_out(tmp_path, mvtec_ad.EXAMPLE)
    encode_png(tmp_path / "part/validation/dent/000.png", noise(7))
    with pytest.raises(
        DataError, match=r"dent/000_mask\.png would be that of .*validation/dent/000.* and of .*test"
    ):
        mvtec_ad.scan(tmp_path)


def test_masks_of_kinds_without_images_are_named(tmp_path: Path) -> None:
    laid_out(tmp_path, mvtec_ad.EXAMPLE)
    shutil.rmtree(tmp_path / "part/test/dent")
    (note,) = mvtec_ad.scan(tmp_path).notes
    assert note == "masks that no defect claims passed over: 1 (ground_truth/dent/000_mask.png)"


def test_a_mask_beside_its_image_is_its_mask_and_no_defect(tmp_path: Path) -> None:
    laid_out(tmp_path, mvtec_ad.EXAMPLE)
    encode_png(tmp_path / "part/test/dent/001.png", noise(3))
    encode_png(tmp_path / "part/test/dent/001_label.bmp", noise_mask())
    sample = by_id(tmp_path)["test/dent/001.png"]
    assert sample.mask_path == tmp_path / "part/test/dent/001_label.bmp"
    assert len(by_id(tmp_path)) == 10


def test_an_empty_train_folder_is_said_to_be_empty(tmp_path: Path) -> None:
    (tmp_path / "part/train/good").mkdir(parents=True)
    with pytest.raises(DataError, match="no image in"):
        mvtec_ad.scan(tmp_path)


@pytest.mark.parametrize(
    ("place", "train", "test", "masks"),
    [
        ("magnetic_tile/tile", 320, 523, 388),
        ("mvtec_ad/hazelnut", 28, 23, 17),
        ("deeppcb/board_92000", 84, 72, 36),
    ],
)
def test_the_real_sets_are_listed_whole(
    shared_data: Path, place: str, train: int, test: int, masks: int
) -> None:
    dataset, category = place.split("/")
    manifest = mvtec_ad.scan(shared_data / dataset, category)
    assert (manifest.dataset, manifest.category) == (dataset, category)
    assert len(manifest.train_good()) == train
    assert len(manifest.test()) == test
    assert sum(s.mask_path is not None for s in manifest.samples) == masks


def test_without_a_root_and_without_the_variable_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(mvtec_ad.ROOT_VARIABLE, raising=False)
    with pytest.raises(DataError, match="no data set was named") as caught:
        mvtec_ad.scan()
    assert mvtec_ad.ROOT_VARIABLE in (caught.value.hint or "")


@pytest.mark.parametrize("name", ["mvtec_ad2", "visa", "btad", "real_iad", "datumaro", "coco"])
def test_folders_of_another_layout_are_recognised(name: str, tmp_path: Path) -> None:
    laid_out(tmp_path, LAYOUTS[name].example)
    try:
        told = " ".join(mvtec_ad.scan(tmp_path).notes)
    except DataError as error:
        told = error.hint or ""
    (suggested,) = re.findall(r"looks like the layout ([\w ]+)", told)
    assert name in suggested.split(" or ")


def test_a_set_without_a_test_split_is_told_and_nothing_is_suggested(tmp_path: Path) -> None:
    encode_png(tmp_path / "part/train/good/000.png", noise(1))
    assert mvtec_ad.scan(tmp_path).notes == ("there is no test split",)
