"""Any folders: their names say what is in them, or the options do."""

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import yaml
from tests.support import laid_out, noise, noise_mask

from kizu.core.errors import ConfigError, DataError
from kizu.core.split import Split
from kizu.data.layouts import LAYOUTS, folder
from kizu.data.manifest import Manifest
from kizu.imaging.codec import encode_jpeg, encode_png


def test_a_folder_of_images_is_a_folder_of_good_images(tmp_path: Path) -> None:
    for n in range(3):
        encode_png(tmp_path / f"{n}.png", noise(n))
    encode_png(tmp_path / "more/9.png", noise(9))
    manifest = folder.scan(tmp_path)
    assert [s.id for s in manifest.train_good()] == ["0.png", "1.png", "2.png", "more/9.png"]
    assert manifest.test() == ()
    assert manifest.category == tmp_path.name


def test_names_of_folders_say_what_is_in_them(tmp_path: Path) -> None:
    (laid_out(tmp_path, folder.EXAMPLE) / "archive").mkdir()
    bad = {s.id: s for s in folder.scan(tmp_path).samples if s.label == "defect"}
    assert bad["NG/1.png"].defect == "defect"
    assert bad["NG/1.png"].mask_path is None
    assert bad["NG/dent/1.png"].defect == "dent"
    assert bad["NG/dent/1.png"].mask_path == (tmp_path / "masks/dent/1_mask.png").resolve()


def test_without_bad_images_all_good_ones_are_for_training(tmp_path: Path) -> None:
    laid_out(tmp_path, folder.EXAMPLE)
    shutil.rmtree(tmp_path / "NG")
    assert len(folder.scan(tmp_path).train_good()) == 9
    assert folder.scan(tmp_path).test() == ()


def test_folders_may_be_named_and_lie_anywhere(tmp_path: Path) -> None:
    for n in range(5):
        encode_png(tmp_path / f"line 1/fine/{n}.png", noise(n))
    encode_png(tmp_path / "elsewhere/7.png", noise(7))
    encode_png(tmp_path / "painted/7.png", noise_mask())
    options = folder.FolderOptions(
        good_dir=Path("fine"),
        bad_dir=tmp_path / "elsewhere",
        mask_dir=Path("../painted"),
        test_fraction=0.4,
    )
    manifest = folder.scan(tmp_path / "line 1", options=options)
    assert len(manifest.train_good()) == 3
    assert len(manifest.test()) == 3
    (bad,) = [s for s in manifest.samples if s.label == "defect"]
    assert bad.mask_path == (tmp_path / "painted/7.png").resolve()


def test_naming_only_bad_images_or_a_missing_folder_is_refused(tmp_path: Path) -> None:
    laid_out(tmp_path, folder.EXAMPLE)
    with pytest.raises(DataError, match="need good_dir"):
        folder.scan(tmp_path, options=folder.FolderOptions(bad_dir=Path("NG")))
    with pytest.raises(DataError, match="fine does not exist") as caught:
        folder.scan(tmp_path, options=folder.FolderOptions(good_dir=Path("fine")))
    assert "NG, good, masks" in (caught.value.hint or "")


def test_one_good_image_is_listed_and_stays_for_training(tmp_path: Path) -> None:
    encode_png(tmp_path / "ok/1.png", noise(1))
    encode_png(tmp_path / "ng/2.png", noise(2))
    assert len(folder.scan(tmp_path).train_good()) == 1


def test_a_category_is_a_folder_below_the_root(tmp_path: Path) -> None:
    laid_out(tmp_path / "part", folder.EXAMPLE)
    manifest = folder.scan(tmp_path, "part")
    assert manifest.category == "part"
    assert len(manifest) == 11


def test_options_reach_the_layout_and_unknown_ones_are_named(tmp_path: Path) -> None:
    for number in range(2):
        encode_png(tmp_path / f"passed/{number}.png", noise(number))
    assert len(LAYOUTS["folder"](tmp_path, None, {"good_dir": "passed"}).train_good()) == 2
    with pytest.raises(ConfigError, match="did you mean 'good_dir'"):
        LAYOUTS["folder"](tmp_path, None, {"good_dirr": "passed"})


def drawn(root: Path, **counts: int) -> Path:
    """So many different pictures in each folder; masks in those that are called so. `__` stands for a slash."""
    for number, (name, count) in enumerate(counts.items()):
        place = root / name.replace("__", "/")
        is_mask = any(word in name.lower() for word in ("mask", "truth", "gt"))
        for image in range(count):
            encode_png(place / f"{image:03}.png", noise_mask() if is_mask else noise(100 * number + image))
    return root


def counts(manifest: Manifest) -> dict[tuple[str, str, str, bool], int]:
    """(split, label, kind, has a mask) -> how many."""
    return dict(
        Counter((str(s.split), str(s.label), s.defect, s.mask_path is not None) for s in manifest.samples)
    )


READ_RIGHTLY: dict[str, tuple[dict[str, int], dict[tuple[str, str, str, bool], int]]] = {
    "words inside names": (
        {"normal_dir": 24, "abnormal_dir": 5, "mask_dir": 5},
        {("train", "good", "good", False): 19, ("test", "good", "good", False): 5,
         ("test", "defect", "defect", True): 5},
    ),
    "words far below": (
        {"Data__Images__Normal": 30, "Data__Images__Anomaly": 6, "Data__Masks__Anomaly": 6},
        {("train", "good", "good", False): 24, ("test", "good", "good", False): 6,
         ("test", "defect", "defect", True): 6},
    ),
    "splits": (
        {"train__ok": 24, "test__ok": 6, "test__ko": 6, "ground_truth__ko": 5},
        {("train", "good", "good", False): 24, ("test", "good", "good", False): 6,
         ("test", "defect", "defect", True): 5, ("test", "defect", "defect", False): 1},
    ),
    "splits in one word with the kind": (
        {"train_good": 4, "test_good": 2, "test_NG": 2},
        {("train", "good", "good", False): 4, ("test", "good", "good", False): 2,
         ("test", "defect", "defect", False): 2},
    ),
    "defects that are not learned": (
        {"train__ok_front": 5, "train__def_front": 3, "val__ok": 1, "val__def": 1, "test__ok": 1, "test__def": 1},
        {("train", "good", "good", False): 5, ("train", "defect", "defect", False): 3,
         ("validation", "good", "good", False): 1, ("validation", "defect", "defect", False): 1,
         ("test", "good", "good", False): 1, ("test", "defect", "defect", False): 1},
    ),
    "kinds of defects by their names and by their masks": (
        {"good": 10, "crack": 3, "colour": 2, "mask__crack": 3, "mask__colour": 2},
        {("train", "good", "good", False): 8, ("test", "good", "good", False): 2,
         ("test", "defect", "crack", True): 3, ("test", "defect", "colour", True): 2},
    ),
    "MVTec's own, with other words": (
        {"train__OK": 5, "test__OK": 2, "test__colour": 2, "ground_truth__colour": 2},
        {("train", "good", "good", False): 5, ("test", "good", "good", False): 2,
         ("test", "defect", "colour", True): 2},
    ),
    "masks below the defects": (
        {"good": 10, "bad": 2, "bad__masks": 2},
        {("train", "good", "good", False): 8, ("test", "good", "good", False): 2,
         ("test", "defect", "defect", True): 2},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", READ_RIGHTLY)
def test_what_folders_are_called_is_what_is_in_them(tmp_path: Path, case: str) -> None:
    given, expected = READ_RIGHTLY[case]
    manifest = folder.scan(drawn(tmp_path / "set", **given))
    assert counts(manifest) == expected
    assert manifest.notes == ()


REFUSED: dict[str, tuple[dict[str, int], tuple[str, ...]]] = {
    "only splits": ({"train": 24, "test": 12}, ("no folder in", "train (24, not said)", "test (12, not said)")),
    "only bad ones are known": ({".": 6, "defects": 3}, (". (6, not said)", "defects (3, bad)")),
    "only masks are known": ({"images": 6, "labels": 3}, ("images (6, not said)", "labels (3, mask)")),
    "good ones to test with only": ({"test__ok": 3, "test__ko": 2}, ("test/ok (3, good)", "test/ko (2, bad)")),
    "bad among good": ({"good__old_defects": 2, "good": 5}, ("contradict", "good/old_defects (2, unclear)")),
    "good among bad": ({"bad__good_light": 2, "good": 5}, ("contradict", "bad/good_light (2, unclear)")),
    "both in one name": ({"ok_and_ng": 7}, ("contradict", "ok_and_ng (7, unclear)")),
    "known flaws without known good": ({"clean": 9, "crack": 2}, ("clean (9, not said)", "crack (2, bad)")),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_told_apart_is_refused_with_counts_and_the_settings_that_tell_it(
    tmp_path: Path, case: str
) -> None:
    given, said = REFUSED[case]
    with pytest.raises(DataError) as caught:
        folder.scan(drawn(tmp_path / "set", **given))
    for text in said:
        assert text in caught.value.message
    settings = yaml.safe_load((caught.value.hint or "").partition("wrong: ")[2])
    assert settings["data"]["root"] == str(tmp_path / "set")
    assert "good_dir" in settings["data"]["options"]


def test_the_settings_of_the_hint_can_be_used(tmp_path: Path) -> None:
    root = drawn(tmp_path / "set", clean=9, crack=2)
    with pytest.raises(DataError) as caught:
        folder.scan(root)
    settings = yaml.safe_load((caught.value.hint or "").partition("wrong: ")[2])["data"]
    manifest = LAYOUTS[settings["layout"]](Path(settings["root"]), None, settings["options"])
    assert counts(manifest)["test", "defect", "defect", False] == 2
    assert sum(counts(manifest).values()) == 11


def test_a_root_that_is_called_bad_is_not_learned(tmp_path: Path) -> None:
    root = drawn(tmp_path, NG=5) / "NG"
    with pytest.raises(DataError, match="called as if its pictures were not good"):
        folder.scan(root)
    assert (
        len(folder.scan(root, options=folder.FolderOptions.parse({"good_dir": "."}, where="t")).samples) == 5
    )


def test_folders_that_nothing_is_said_of_are_named(tmp_path: Path) -> None:
    manifest = folder.scan(drawn(tmp_path, good=4, archive=3, good__monday=2, colour=5))
    assert len(manifest) == 6
    (note,) = manifest.notes
    assert note == (
        "pictures in folders whose names say neither good nor bad passed over: 8 (archive: 3, colour: 5)"
    )


def test_masks_without_a_flaw_do_not_make_a_folder_bad(tmp_path: Path) -> None:
    root = drawn(tmp_path, good=4, monday=2)
    for number in range(2):
        encode_png(root / f"masks/monday/{number:03}.png", np.zeros((32, 40), bool))
    manifest = folder.scan(root)
    assert {s.label for s in manifest.samples} == {"good"}
    assert "monday: 2" in " ".join(manifest.notes)


@pytest.mark.parametrize("mark", ["_mask", "_label", "_GT", "_seg", "-mask"])
def test_masks_beside_pictures_say_which_are_defects(tmp_path: Path, mark: str) -> None:
    for number in range(8):
        place = tmp_path / f"kos{number % 3}"
        encode_png(place / f"Part{number}.png", noise(number))
        flaw = noise_mask() if number < 3 else np.zeros((32, 40), bool)
        encode_png(place / f"Part{number}{mark}.bmp", flaw)
    manifest = folder.scan(tmp_path)
    bad = [s for s in manifest.samples if s.label == "defect"]
    assert len(manifest) == 8
    assert {s.path.stem for s in bad} == {"Part0", "Part1", "Part2"}
    assert {s.mask_path for s in bad} == {s.path.with_name(f"{s.path.stem}{mark}.bmp") for s in bad}
    assert "taken for defects: 3 pictures" in " ".join(manifest.notes)
    assert "for good: 5 with an empty one, 0 without a mask" in " ".join(manifest.notes)


def test_masks_beside_pictures_in_splits(tmp_path: Path) -> None:
    for number in range(8):
        place = tmp_path / ("train" if number < 5 else "test")
        encode_png(place / f"{number}.png", noise(number))
        encode_png(place / f"{number}_GT.png", noise_mask() if number in (1, 6) else np.zeros((32, 40), bool))
    assert counts(folder.scan(tmp_path)) == {
        ("train", "good", "good", False): 4,
        ("train", "defect", "defect", True): 1,
        ("test", "good", "good", False): 2,
        ("test", "defect", "defect", True): 1,
    }


def test_a_picture_that_is_called_like_a_mask_is_a_picture_and_told(tmp_path: Path) -> None:
    for number in range(4):
        encode_png(tmp_path / f"{number}.png", noise(number))
        encode_png(tmp_path / f"{number}_label.png", noise(number + 10))
    manifest = folder.scan(tmp_path)
    assert len(manifest) == 8
    assert "0_label.png is called like the mask of 0.png, and is taken as a picture" in " ".join(
        manifest.notes
    )


def test_a_mask_beside_two_pictures_of_one_stem_is_refused(tmp_path: Path) -> None:
    for suffix in ("png", "bmp"):
        encode_png(tmp_path / f"bad/0.{suffix}", noise(0))
    encode_png(tmp_path / "bad/0_mask.png", noise_mask())
    encode_png(tmp_path / "good/0.png", noise(1))
    with pytest.raises(DataError, match=r"0_mask\.png would be that of .*0\.bmp and of .*0\.png"):
        folder.scan(tmp_path)


@pytest.mark.parametrize("deep", [False, True])
def test_a_mask_is_never_borrowed(tmp_path: Path, deep: bool) -> None:
    root = drawn(tmp_path, good=3, bad__scratch=1, bad__dent=1, masks=1)
    if deep:
        (root / "masks").rename(root / "gt")
        (root / "gt/dent").mkdir()
        (root / "gt/000.png").rename(root / "gt/dent/000_mask.png")
        by_kind = {s.defect: s.mask_path for s in folder.scan(root).samples if s.label == "defect"}
        assert by_kind == {"dent": root / "gt/dent/000_mask.png", "scratch": None}
        return
    with pytest.raises(DataError, match=r"masks/000\.png would be that of .*dent.* and of .*scratch"):
        folder.scan(root)


def test_the_mask_that_kizu_writes_is_found_by_the_whole_name(tmp_path: Path) -> None:
    root = drawn(tmp_path, good=3)
    for suffix in ("jpg", "png"):
        encode_png(root / f"bad/00.{suffix}", noise(0))
        encode_png(root / f"masks/00.{suffix}.png", noise_mask())
    bad = [s for s in folder.scan(root).samples if s.label == "defect"]
    assert {s.path.name: s.mask_path for s in bad} == {
        "00.jpg": root / "masks/00.jpg.png",
        "00.png": root / "masks/00.png.png",
    }


def test_two_masks_of_one_image_and_masks_of_none_are_told(tmp_path: Path) -> None:
    root = drawn(tmp_path, good=3, bad=1, masks=2)
    assert "masks that no defect claims passed over: 1 (masks/001.png)" in folder.scan(root).notes
    encode_png(root / "masks/000.bmp", noise_mask())
    with pytest.raises(DataError, match=r"bad/000\.png has two masks"):
        folder.scan(root)


def test_several_folders_may_be_named_and_one_in_another_is_its_own(tmp_path: Path) -> None:
    root = drawn(tmp_path, lots=4, lots__old=2, crack=1, colour=2)
    given = {"good_dir": "lots", "bad_dir": ["crack", "colour", "lots/old"], "test_fraction": 0.5}
    assert counts(LAYOUTS["folder"](root, None, given)) == {
        ("train", "good", "good", False): 2,
        ("test", "good", "good", False): 2,
        ("test", "defect", "crack", False): 1,
        ("test", "defect", "colour", False): 2,
        ("test", "defect", "old", False): 2,
    }
    with pytest.raises(DataError, match="named twice"):
        LAYOUTS["folder"](root, None, {"good_dir": ["lots", "lots"]})


def test_a_named_folder_that_holds_others_is_refused(tmp_path: Path) -> None:
    root = drawn(tmp_path, normal_dir=24, abnormal_dir=5, mask_dir=5)
    with pytest.raises(DataError, match=r"was named as good.*abnormal_dir \(5, unclear\)"):
        LAYOUTS["folder"](root, None, {"good_dir": "."})


def test_what_kizu_wrote_is_not_learned(tmp_path: Path) -> None:
    root = drawn(
        tmp_path, **{".": 4, "out__masks": 4, "out__overlays": 4, "runs__r1__figs": 2, "z__overlays": 3}
    )
    (root / "out/preds.jsonl").touch()
    (root / "z/ranking.jsonl").touch()
    for name in ("manifest.jsonl", "config.yaml"):
        (root / "runs/r1" / name).touch()
    manifest = folder.scan(root)
    assert len(manifest) == 4
    (told,) = [note for note in manifest.notes if "Kizu" in note]
    assert told == "folders that Kizu wrote passed over: 4 (out/masks, out/overlays, runs/r1, z/overlays)"


def test_linked_folders_are_followed_where_they_are_named_and_named_elsewhere(tmp_path: Path) -> None:
    drawn(tmp_path / "elsewhere", a=3, b=2)
    root = drawn(tmp_path / "set", more=0)
    root.mkdir()
    (root / "good").symlink_to(tmp_path / "elsewhere/a")
    (root / "other").symlink_to(tmp_path / "elsewhere/b")
    manifest = folder.scan(root)
    assert len(manifest) == 3
    assert manifest.notes == ("linked folders passed over: 1 (other)",)


def test_where_no_good_image_is_for_testing_a_part_is_drawn(tmp_path: Path) -> None:
    manifest = folder.scan(drawn(tmp_path, train__good=10, test__bad=2))
    assert len(manifest.train_good()) == 8
    assert all(s.split in (Split.TRAIN, Split.TEST) for s in manifest.samples)


@pytest.mark.parametrize("name", ["NG_001", "001_ng", "bad 3", "defect7", "crack-2", "part3_KO"])
def test_pictures_that_are_called_bad_are_not_taken_for_good(tmp_path: Path, name: str) -> None:
    root = drawn(tmp_path, parts=5) / "parts"
    encode_png(root / f"{name}.png", noise(99))
    with pytest.raises(DataError, match=f"1 pictures in .* called as if they were not good, such as {name}"):
        folder.scan(root)
    assert len(folder.scan(root, options=folder.FolderOptions.parse({"good_dir": "."}, where="t"))) == 6


def test_masks_that_lie_apart_under_any_name_are_not_learned(tmp_path: Path) -> None:
    root = drawn(tmp_path / "set", a=5)
    for number in range(2):
        encode_png(root / f"b/00{number}_mask.png", noise_mask())
    with pytest.raises(DataError, match=r"a \(5, not said\), b \(2, mask\)"):
        folder.scan(root)


def test_of_twins_the_one_that_looks_like_a_mask_is_that_of_the_other(tmp_path: Path) -> None:
    for number in range(6):
        encode_jpeg(tmp_path / f"{number}.jpg", noise(number))
        encode_png(tmp_path / f"{number}.png", noise_mask() if number < 2 else np.zeros((32, 40), bool))
    manifest = folder.scan(tmp_path)
    assert {s.path.name: s.mask_path.name for s in manifest.samples if s.mask_path is not None} == {
        "0.jpg": "0.png", "1.jpg": "1.png",
    }  # fmt: skip
    assert len(manifest) == 6
    encode_png(tmp_path / "8.png", noise(8))
    encode_jpeg(tmp_path / "8.jpg", noise(8))
    assert len(folder.scan(tmp_path)) == 8
    for suffix in ("png", "bmp"):
        encode_png(tmp_path / f"9.{suffix}", noise_mask())  # nobody's: each may be the picture
    assert len(folder.scan(tmp_path)) == 10


def test_a_file_that_is_called_broken_is_not_a_bad_part(tmp_path: Path) -> None:
    root = drawn(tmp_path, parts=5) / "parts"
    encode_png(root / "broken.png", noise(99))
    assert len(folder.scan(root)) == 6


def test_a_folder_where_only_some_pictures_have_masks_is_not_all_bad(tmp_path: Path) -> None:
    root = drawn(tmp_path / "set", Class1__Train=10, Class1__Train__masks=3)
    with pytest.raises(DataError, match=r"Class1/Train \(10, not said\), Class1/Train/masks \(3, mask\)"):
        folder.scan(root)


def test_a_mask_that_may_be_of_a_picture_that_nothing_is_known_of_is_not_taken(tmp_path: Path) -> None:
    root = drawn(tmp_path / "set", good=4, crack=2, colour=2, masks=1)
    with pytest.raises(DataError, match=r"masks/000\.png would be that of .*crack/000.* and of .*colour/000"):
        folder.scan(root)
    root = drawn(tmp_path / "other", good=4, bad=1, archive=1, masks=1)
    (bad,) = [s for s in folder.scan(root).samples if s.label == "defect"]
    assert bad.mask_path == root / "masks/000.png"


def test_a_split_below_the_word_that_says_good_is_told(tmp_path: Path) -> None:
    root = drawn(tmp_path, good=3, good__test_rig=2, bad=1)
    manifest = folder.scan(root)
    assert counts(manifest)["test", "good", "good", False] == 2
    assert manifest.notes == ("for test, as the name of their folder says: 2 pictures in good/test_rig",)
    named = folder.scan(root, options=folder.FolderOptions.parse({"good_dir": "good"}, where="t"))
    assert named.notes == ("for test, as the name of their folder says: 2 pictures in test_rig",)


def test_a_good_folder_without_a_readable_picture_does_not_make_the_others_good(tmp_path: Path) -> None:
    root = drawn(tmp_path / "set", misc=5)
    (root / "good").mkdir()
    (root / "good/0.heic").write_bytes(b"\0\0\0\x18ftypheic")
    with pytest.raises(
        DataError, match=r"known to hold good pictures to learn from: misc \(5, not said\)"
    ) as caught:
        folder.scan(root)
    assert "format that Kizu does not read passed over: 1 (good/0.heic: HEIF)" in (caught.value.hint or "")
