"""MVTec AD's folders: what lies where, what is passed over, and what is said when it is not there."""

import shutil
from pathlib import Path

import pytest
from tests.support import laid_out, noise

from kizu.core.errors import DataError
from kizu.core.split import Split
from kizu.data.layouts import mvtec_ad
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
    assert manifest.notes == ("1 .txt files passed over", "2 hidden files passed over")


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
