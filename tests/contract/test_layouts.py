"""What every layout promises, and what each of them promises besides."""

import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from kizu.core.errors import ConfigError, DataError, MissingExtraError
from kizu.core.split import Split
from kizu.data.layouts import LAYOUTS, demo, elpv, folder, mvtec_ad
from kizu.data.manifest import Manifest, Sample, read_manifest
from kizu.data.splits import ensure_apart
from kizu.imaging.codec import decode, decode_mask, encode_jpeg, encode_png, image_size, png_bytes

FEW = demo.DemoOptions(train=4, test_good=2, test_defect=6, side_px=48)


def picture(seed: int, hw: tuple[int, int] = (32, 40)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*hw, 3), dtype=np.uint8)


def flaw(hw: tuple[int, int] = (32, 40)) -> np.ndarray:
    mask = np.zeros(hw, bool)
    mask[4:9, 5:20] = True
    return mask


def make_mvtec_ad(root: Path) -> Path:
    part = root / "part"
    for n in range(5):
        encode_png(part / f"train/good/{n:03}.png", picture(n))
    encode_jpeg(part / "train/good/100.JPG", picture(100, (50, 60)))
    encode_png(part / "test/good/000.png", picture(200))
    for kind in ("dent", "scratch"):
        encode_png(part / f"test/{kind}/000.png", picture(300 + len(kind)))
    encode_png(part / "ground_truth/dent/000_mask.png", flaw())
    encode_png(part / "ground_truth/scratch/000.png", flaw())
    return root


def make_folder(root: Path) -> Path:
    for n in range(8):
        encode_png(root / f"good/monday/{n}.png", picture(n))
    encode_png(root / "good/0.png", picture(50))
    encode_png(root / "NG/1.png", picture(60))
    encode_png(root / "NG/dent/1.png", picture(61))
    encode_png(root / "masks/dent/1_mask.png", flaw())
    return root


def make_elpv(root: Path) -> Path:
    rows = []
    for n in range(16):
        encode_png(root / f"images/cell{n:04}.png", picture(n))
        rows.append(f"images/cell{n:04}.png  {('0.0', '1.0', '0.3333333333333333', '0.0')[n % 4]}   mono")
    (root / "labels.csv").write_text("\n".join(rows) + "\n")
    return root


def make_demo(root: Path) -> Path:
    demo.scan(root)
    return root


MAKERS: dict[str, Callable[[Path], Path]] = {
    "mvtec_ad": make_mvtec_ad,
    "folder": make_folder,
    "elpv": make_elpv,
    "demo": make_demo,
}


@pytest.fixture(scope="module", params=LAYOUTS)
def scanned(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path, Manifest]:
    """The name of a layout, a root laid out so, and what was listed there."""
    name: str = request.param
    root = MAKERS[name](tmp_path_factory.mktemp(name) / "root")
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
            mask = decode_mask(sample.mask_path)
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


@pytest.mark.parametrize("name", [name for name in LAYOUTS if name != "demo"])
def test_a_wrong_folder_is_named_with_what_to_do(name: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    for wrong in (tmp_path / "empty", tmp_path / "file", tmp_path / "missing"):
        with pytest.raises(DataError) as caught:
            LAYOUTS[name](wrong)
        assert str(wrong) in caught.value.message
        assert caught.value.hint


@pytest.mark.parametrize("name", ["mvtec_ad", "folder", "demo"])
def test_without_a_root_it_is_asked_for(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(mvtec_ad.ROOT_VARIABLE, raising=False)
    with pytest.raises(DataError) as caught:
        LAYOUTS[name]()
    assert caught.value.hint


class TestMvtecAd:
    def by_id(self, root: Path) -> dict[str, Sample]:
        return {s.id: s for s in mvtec_ad.scan(root).samples}

    def test_splits_kinds_and_masks_come_from_the_folders(self, tmp_path: Path) -> None:
        samples = self.by_id(make_mvtec_ad(tmp_path))
        assert len(samples) == 9
        assert samples["train/good/100.JPG"].split == Split.TRAIN
        dent, scratch = samples["test/dent/000.png"], samples["test/scratch/000.png"]
        assert (dent.label, dent.defect, dent.split) == ("defect", "dent", Split.TEST)
        assert dent.mask_path is not None
        assert dent.mask_path.name == "000_mask.png"
        assert scratch.mask_path is not None
        assert scratch.mask_path.name == "000.png"

    def test_a_validation_folder_is_for_validation(self, tmp_path: Path) -> None:
        make_mvtec_ad(tmp_path)
        encode_png(tmp_path / "part/validation/dent/7.png", picture(7))
        assert [s.id for s in mvtec_ad.scan(tmp_path).validation()] == ["validation/dent/7.png"]

    def test_missing_masks_are_no_error(self, tmp_path: Path) -> None:
        make_mvtec_ad(tmp_path)
        shutil.rmtree(tmp_path / "part/ground_truth")
        assert all(s.mask_path is None for s in mvtec_ad.scan(tmp_path).samples)

    def test_the_root_may_come_from_the_environment(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(mvtec_ad.ROOT_VARIABLE, str(make_mvtec_ad(tmp_path)))
        assert mvtec_ad.scan(category="part").category == "part"

    def test_the_root_may_be_the_category_itself(self, tmp_path: Path) -> None:
        make_mvtec_ad(tmp_path)
        whole = mvtec_ad.scan(tmp_path, "part")
        assert mvtec_ad.scan(tmp_path / "part") == whole
        assert mvtec_ad.scan(tmp_path / "part", "part") == whole
        with pytest.raises(DataError, match="no other/train") as caught:
            mvtec_ad.scan(tmp_path / "part", "other")
        assert "itself the category 'part'" in (caught.value.hint or "")

    def test_one_of_several_categories_must_be_chosen(self, tmp_path: Path) -> None:
        make_mvtec_ad(tmp_path)
        shutil.copytree(tmp_path / "part", tmp_path / "nut")
        with pytest.raises(DataError, match="several categories") as caught:
            mvtec_ad.scan(tmp_path)
        assert caught.value.hint == "choose one of: nut, part"
        with pytest.raises(DataError, match="no prat/train") as caught:
            mvtec_ad.scan(tmp_path, "prat")
        assert "nut, part" in (caught.value.hint or "")

    def test_hidden_and_other_files_are_passed_over_and_noted(self, tmp_path: Path) -> None:
        make_mvtec_ad(tmp_path)
        for name in (".DS_Store", "._000.png", "readme.txt"):
            (tmp_path / "part/train/good" / name).touch()
        (tmp_path / "part/test/.thumbs").mkdir()
        manifest = mvtec_ad.scan(tmp_path)
        assert len(manifest) == 9
        assert manifest.notes == ("1 .txt files passed over", "2 hidden files passed over")

    def test_an_empty_train_folder_is_said_to_be_empty(self, tmp_path: Path) -> None:
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
        self, shared_data: Path, place: str, train: int, test: int, masks: int
    ) -> None:
        dataset, category = place.split("/")
        manifest = mvtec_ad.scan(shared_data / dataset, category)
        assert (manifest.dataset, manifest.category) == (dataset, category)
        assert len(manifest.train_good()) == train
        assert len(manifest.test()) == test
        assert sum(s.mask_path is not None for s in manifest.samples) == masks


class TestFolder:
    def test_a_folder_of_images_is_a_folder_of_good_images(self, tmp_path: Path) -> None:
        for n in range(3):
            encode_png(tmp_path / f"{n}.png", picture(n))
        encode_png(tmp_path / "more/9.png", picture(9))
        manifest = folder.scan(tmp_path)
        assert [s.id for s in manifest.train_good()] == ["0.png", "1.png", "2.png", "more/9.png"]
        assert manifest.test() == ()
        assert manifest.category == tmp_path.name

    def test_names_of_folders_say_what_is_in_them(self, tmp_path: Path) -> None:
        (make_folder(tmp_path) / "archive").mkdir()
        bad = {s.id: s for s in folder.scan(tmp_path).samples if s.label == "defect"}
        assert bad["NG/1.png"].defect == "defect"
        assert bad["NG/1.png"].mask_path is None
        assert bad["NG/dent/1.png"].defect == "dent"
        assert bad["NG/dent/1.png"].mask_path == (tmp_path / "masks/dent/1_mask.png").resolve()

    def test_without_bad_images_all_good_ones_are_for_training(self, tmp_path: Path) -> None:
        make_folder(tmp_path)
        shutil.rmtree(tmp_path / "NG")
        assert len(folder.scan(tmp_path).train_good()) == 9
        assert folder.scan(tmp_path).test() == ()

    def test_folders_may_be_named_and_lie_anywhere(self, tmp_path: Path) -> None:
        for n in range(5):
            encode_png(tmp_path / f"line 1/fine/{n}.png", picture(n))
        encode_png(tmp_path / "elsewhere/7.png", picture(7))
        encode_png(tmp_path / "painted/7.png", flaw())
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

    def test_naming_only_bad_images_or_a_missing_folder_is_refused(self, tmp_path: Path) -> None:
        make_folder(tmp_path)
        with pytest.raises(DataError, match="need good_dir"):
            folder.scan(tmp_path, options=folder.FolderOptions(bad_dir=Path("NG")))
        with pytest.raises(DataError, match="fine does not exist") as caught:
            folder.scan(tmp_path, options=folder.FolderOptions(good_dir=Path("fine")))
        assert "NG, good, masks" in (caught.value.hint or "")

    def test_one_good_image_is_listed_and_stays_for_training(self, tmp_path: Path) -> None:
        encode_png(tmp_path / "ok/1.png", picture(1))
        encode_png(tmp_path / "ng/2.png", picture(2))
        assert len(folder.scan(tmp_path).train_good()) == 1

    def test_a_category_is_a_folder_below_the_root(self, tmp_path: Path) -> None:
        make_folder(tmp_path / "part")
        manifest = folder.scan(tmp_path, "part")
        assert manifest.category == "part"
        assert len(manifest) == 11


class TestElpv:
    def test_uncertain_cells_are_left_out_and_noted(self, tmp_path: Path) -> None:
        manifest = elpv.scan(make_elpv(tmp_path))
        assert len(manifest) == 12
        assert manifest.notes == ("4 cells of uncertain label left out",)
        assert sum(s.label == "defect" for s in manifest.test()) == 4

    def test_the_seed_decides_which_good_cells_are_for_testing(self, tmp_path: Path) -> None:
        make_elpv(tmp_path)
        cuts = [elpv.scan(tmp_path, options=elpv.ElpvOptions(seed=seed)).train_good() for seed in (0, 0, 3)]
        assert cuts[0] == cuts[1]
        assert cuts[0] != cuts[2]

    def test_an_unknown_category_is_answered_with_the_known_ones(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="mnoo") as caught:
            elpv.scan(make_elpv(tmp_path), "mnoo")
        assert "mono" in (caught.value.hint or "")

    def test_a_damaged_table_is_named_with_its_line(self, tmp_path: Path) -> None:
        make_elpv(tmp_path)
        with (tmp_path / "labels.csv").open("a") as table:
            table.write("images/cell9999.png  certainly  mono\n")
        with pytest.raises(DataError, match="line 17"):
            elpv.scan(tmp_path)

    def test_without_the_package_the_extra_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(elpv, "find_spec", lambda _: None)
        with pytest.raises(MissingExtraError) as caught:
            elpv.scan()
        assert caught.value.hint == "pip install 'kizu[demo]'"

    @pytest.mark.skipif(find_spec("elpv_dataset") is None, reason="elpv-dataset is not installed")
    def test_the_real_cells_are_listed_whole(self) -> None:
        manifest = elpv.scan(category="all")
        assert len(manifest) == 2624 - 401
        assert sum(s.label == "defect" for s in manifest.samples) == 715
        assert len(elpv.scan().train_good()) == 588 - round(588 * 0.3)
        assert decode(manifest.samples[0].path).shape == (300, 300, 3)


class TestDemo:
    def test_the_same_seed_draws_the_same_bytes(self, tmp_path: Path) -> None:
        hashes = {
            place: demo.scan(tmp_path / place, options=FEW.model_copy(update={"seed": seed})).content_hash()
            for place, seed in (("one", 0), ("same", 0), ("other", 1))
        }
        assert hashes["one"] == hashes["same"] != hashes["other"]

    def test_it_is_drawn_once(self, tmp_path: Path) -> None:
        first = demo.scan(tmp_path, options=FEW)
        times = [s.path.stat().st_mtime_ns for s in first.samples]
        assert [s.path.stat().st_mtime_ns for s in demo.scan(tmp_path, options=FEW).samples] == times

    def test_a_half_drawn_folder_is_completed(self, tmp_path: Path) -> None:
        whole = demo.scan(tmp_path, options=FEW).content_hash()
        mark = tmp_path / "disc/demo.json"
        mark.write_text(mark.read_text().replace("true", "false"))
        (tmp_path / "disc/train/good/002.png").unlink()
        assert demo.scan(tmp_path, options=FEW).content_hash() == whole

    def test_a_folder_of_other_parts_is_left_alone(self, tmp_path: Path) -> None:
        demo.scan(tmp_path, options=FEW)
        with pytest.raises(DataError, match="other options"):
            demo.scan(tmp_path, options=FEW.model_copy(update={"seed": 1}))
        strange = tmp_path / "strange/disc/train/good"
        strange.mkdir(parents=True)
        (strange / "mine.png").write_bytes(png_bytes(picture(0)))
        with pytest.raises(DataError, match="something else"):
            demo.scan(tmp_path / "strange", options=FEW)

    def test_every_kind_of_flaw_is_drawn_with_its_mask(self, tmp_path: Path) -> None:
        manifest = demo.scan(tmp_path, options=FEW)
        assert len(manifest.train_good()) == 4
        defects = [s for s in manifest.test() if s.label == "defect"]
        assert len({s.defect for s in defects}) == 6
        assert all(s.mask_path is not None for s in defects)
        assert image_size(defects[0].path) == (48, 48)


def test_options_reach_the_layout_and_unknown_ones_are_named(tmp_path):
    for name in ("first", "second"):
        encode_png(tmp_path / "passed" / f"{name}.png", np.zeros((40, 40, 3), dtype=np.uint8))
    manifest = LAYOUTS["folder"](tmp_path, None, {"good_dir": "passed"})
    assert len(manifest.train_good()) == 2
    with pytest.raises(ConfigError, match="did you mean 'good_dir'"):
        LAYOUTS["folder"](tmp_path, None, {"good_dirr": "passed"})
    with pytest.raises(ConfigError, match="no options"):
        LAYOUTS["mvtec_ad"](tmp_path, None, {"good_dir": "passed"})
