"""Datumaro and COCO: labels, what is drawn, where masks go, and the entry that cannot be believed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support import laid_out, noise

from kizu.core.errors import DataError, OutputError
from kizu.core.split import Split
from kizu.data.layouts import LAYOUTS, coco, datumaro
from kizu.data.masks import true_mask
from kizu.imaging.codec import encode_png

FILES = {"datumaro": "annotations/default.json", "coco": "annotations/instances.json"}
EXAMPLES = {"datumaro": datumaro.EXAMPLE, "coco": coco.EXAMPLE}
POLYGON = {"datumaro": "b0", "coco": "8"}
RUNS = {"datumaro": "b1", "coco": "9"}
both = pytest.mark.parametrize("name", FILES)


def laid(name: str, root: Path, change: Callable[[dict[str, Any]], object] = lambda _: None) -> Path:
    laid_out(root, EXAMPLES[name])
    content = json.loads((root / FILES[name]).read_text())
    change(content)
    (root / FILES[name]).write_text(json.dumps(content))
    return root


def mask_of(name: str, root: Path, stem: str) -> np.ndarray:
    sample = next(s for s in LAYOUTS[name](root).samples if Path(s.id).stem == stem)
    assert (sample.label, sample.defect, sample.split) == ("defect", "scratch", Split.TEST)
    mask = true_mask(sample, (32, 40))
    assert mask is not None
    return mask


@both
def test_polygons_and_runs_become_masks(name: str, tmp_path: Path) -> None:
    laid(name, tmp_path)
    polygon = mask_of(name, tmp_path, POLYGON[name])
    assert polygon[3:9, 4:20].all()
    if name == "datumaro":
        assert polygon.sum() == 6 * 16
    else:
        assert polygon[20:28, 30:36].any()  # the second polygon of the same flaw
    runs = mask_of(name, tmp_path, RUNS[name])
    assert np.flatnonzero(runs.T.ravel()).tolist() == list(range(100, 120))


def test_packed_and_plain_runs_are_the_same_mask(tmp_path: Path) -> None:
    laid("coco", tmp_path)
    assert np.array_equal(mask_of("coco", tmp_path, "9"), mask_of("coco", tmp_path, "10"))


@both
def test_good_images_are_for_training_but_for_a_seeded_part(name: str, tmp_path: Path) -> None:
    laid(name, tmp_path)
    manifest = LAYOUTS[name](tmp_path)
    assert len(manifest.train_good()) == 6
    assert sum(s.label == "good" for s in manifest.test()) == 2
    whole = LAYOUTS[name](tmp_path, None, {"test_fraction": 0.5})
    assert len(whole.train_good()) == 4


@both
def test_masks_are_drawn_once_below_the_root_or_where_one_says(name: str, tmp_path: Path) -> None:
    root = laid(name, tmp_path / "set")
    LAYOUTS[name](root)
    drawn = {path: path.stat().st_mtime_ns for path in (root / "kizu-masks").rglob("*.png")}
    assert len(drawn) == (2 if name == "datumaro" else 3)
    LAYOUTS[name](root)
    assert {path: path.stat().st_mtime_ns for path in (root / "kizu-masks").rglob("*.png")} == drawn
    elsewhere = LAYOUTS[name](root, None, {"masks_dir": str(tmp_path / "masks")})
    assert all(s.mask_path.is_relative_to(tmp_path / "masks") for s in elsewhere.samples if s.mask_path)
    assert elsewhere.content_hash() == LAYOUTS[name](root).content_hash()


@both
def test_a_changed_annotation_changes_its_mask(name: str, tmp_path: Path) -> None:
    laid(name, tmp_path)
    before = mask_of(name, tmp_path, POLYGON[name])
    text = (tmp_path / FILES[name]).read_text()
    (tmp_path / FILES[name]).write_text(
        text.replace("[4, 3, 20, 3, 20, 9, 4, 9]", "[4, 3, 21, 3, 21, 9, 4, 9]")
    )
    assert mask_of(name, tmp_path, POLYGON[name]).sum() == before.sum() + 6


@both
def test_where_masks_cannot_be_written_the_option_is_named(name: str, tmp_path: Path) -> None:
    laid(name, tmp_path)
    (tmp_path / "kizu-masks").write_text("a file")
    with pytest.raises(OutputError, match="cannot write the mask") as caught:
        LAYOUTS[name](tmp_path)
    assert "masks_dir" in (caught.value.hint or "")


def _datumaro(number: int, **changes: Any) -> Callable[[dict[str, Any]], object]:
    return lambda content: content["items"][number]["annotations"][0].update(changes)


def _image(number: int, **changes: Any) -> Callable[[dict[str, Any]], object]:
    return lambda content: content["items"][number]["image"].update(changes)


def _coco(key: str, number: int, **changes: Any) -> Callable[[dict[str, Any]], object]:
    return lambda content: content[key][number].update(changes)


WRONG: list[tuple[str, Callable[[dict[str, Any]], object], str, str]] = [
    ("datumaro", _image(0, path="no.png"), "item 1", "no.png does not exist"),
    ("datumaro", _image(0, path="../../../outside.png"), "item 1", "leads out of"),
    ("datumaro", _image(8, size=None), "item 9", "no height and width"),
    ("datumaro", _image(8, size=[40, 32]), "item 9", "is 32 x 40, and annotated as 40 x 32"),
    ("datumaro", _datumaro(8, label_id=7), "item 9", "label_id is none of the 2"),
    ("datumaro", _datumaro(8, points=[1, 2, 3]), "item 9", "a polygon that is no list"),
    ("datumaro", _datumaro(8, points=[1, 2, 3, 4, "a", 5]), "item 9", "a polygon that is no list"),
    ("datumaro", _datumaro(8, points=[100, 100, 120, 100, 100, 120]), "item 9", "lies outside of the image"),
    ("datumaro", _datumaro(9, rle={"size": [32, 40], "counts": [1, 2]}), "item 10", "do not fill 32 x 40"),
    ("datumaro", _datumaro(9, rle={"counts": "T3"}), "item 10", "no runs with size and counts"),
    ("datumaro", _datumaro(9, rle={"size": [32, 40], "counts": "T3d0X"}), "item 10", "end early"),
    ("datumaro", _datumaro(9, rle={"size": [40, 32], "counts": [100, 20, 1160]}), "item 10", "a mask of (40, 32)"),
    ("datumaro", lambda c: c["items"][8]["annotations"].append({"type": "label", "label_id": 0}), "item 9",
     "is called good, and scratch"),
    ("datumaro", lambda c: c["items"].append("x"), "item 12", "no image and annotations"),
    ("datumaro", lambda c: c.pop("categories"), "default.json", "no categories with labels"),
    ("datumaro", lambda c: c.update(items=3), "default.json", "items is no list"),
    ("coco", _coco("images", 1, file_name="no.png"), "image 2", "no.png does not exist"),
    ("coco", _coco("images", 1, file_name="../../outside.png"), "image 2", "leads out of"),
    ("coco", _coco("images", 1, height=True), "image 2", "no height and width"),
    ("coco", _coco("images", 1, height=0), "image 2", "0 x 40 is no size"),
    ("coco", _coco("annotations", 0, category_id=9), "annotation 1", "category_id 9 is not listed"),
    ("coco", _coco("annotations", 0, image_id=99), "instances.json", "an image 99 that is not listed"),
    ("coco", _coco("annotations", 0, segmentation="all"), "annotation 1", "neither polygons nor runs"),
    ("coco", _coco("annotations", 0, segmentation=[[1, 2]]), "annotation 1", "a polygon that is no list"),
    ("coco", _coco("annotations", 1, segmentation={"size": [32], "counts": []}), "annotation 2", "no runs with size"),
    ("coco", lambda c: c.pop("images"), "instances.json", "images is no list"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "change", "where", "what"), WRONG)
def test_what_cannot_be_believed_is_named_with_its_entry(
    name: str, change: Callable[[dict[str, Any]], object], where: str, what: str, tmp_path: Path
) -> None:
    encode_png(tmp_path / "outside.png", noise(1))
    laid(name, tmp_path / "a" / "set", change)
    with pytest.raises(DataError) as caught:
        LAYOUTS[name](tmp_path / "a" / "set")
    assert FILES[name] in caught.value.message
    assert where in caught.value.message
    assert what in caught.value.message
    assert caught.value.hint


def test_items_that_nothing_is_said_of_are_passed_over_and_told(tmp_path: Path) -> None:
    laid("datumaro", tmp_path, lambda c: c["items"][0].update(annotations=[]))
    manifest = datumaro.scan(tmp_path)
    assert len(manifest) == 10
    assert "items of default.json that nothing is said of, which are passed over: 1" in manifest.notes
    assert "defects that nothing is drawn for: 1" in manifest.notes


def test_a_box_says_that_there_is_a_flaw_and_draws_nothing(tmp_path: Path) -> None:
    laid("datumaro", tmp_path, _datumaro(8, type="bbox", bbox=[1, 1, 5, 5]))
    laid("coco", tmp_path / "coco", _coco("annotations", 0, segmentation=[], bbox=[1, 1, 5, 5]))
    for manifest, stem in ((datumaro.scan(tmp_path), "b0"), (coco.scan(tmp_path / "coco"), "8")):
        (sample,) = (s for s in manifest.samples if Path(s.id).stem == stem)
        assert (sample.label, sample.mask_path) == ("defect", None)


def test_labels_of_good_images_may_be_named(tmp_path: Path) -> None:
    laid("datumaro", tmp_path, lambda c: c["categories"]["label"]["labels"][0].update(name="No object"))
    assert sum(s.label == "good" for s in datumaro.scan(tmp_path).samples) == 8
    laid("datumaro", tmp_path, lambda c: c["categories"]["label"]["labels"][0].update(name="xyz"))
    with pytest.raises(DataError, match="no good image") as caught:
        datumaro.scan(tmp_path)
    assert "good_labels" in (caught.value.hint or "")
    named = LAYOUTS["datumaro"](tmp_path, None, {"good_labels": ["xyz"]})
    assert sum(s.label == "good" for s in named.samples) == 8


def test_the_names_of_files_say_the_split(tmp_path: Path) -> None:
    laid("coco", tmp_path)
    content = json.loads((tmp_path / FILES["coco"]).read_text())
    (tmp_path / FILES["coco"]).unlink()
    for split, wanted in (("train", range(6)), ("test", range(6, 11))):
        part = {
            **content,
            "images": [content["images"][number] for number in wanted],
            "annotations": [a for a in content["annotations"] if a["image_id"] in wanted],
        }
        (tmp_path / f"annotations/instances_{split}.json").write_text(json.dumps(part))
    manifest = coco.scan(tmp_path)
    assert len(manifest.train_good()) == 6
    assert len(manifest.test()) == 5


def test_annotations_may_lie_beside_their_images(tmp_path: Path) -> None:
    laid("coco", tmp_path / "all")
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
        (tmp_path / split / coco.BESIDE).write_text((tmp_path / "all" / FILES["coco"]).read_text())
        for image in (tmp_path / "all/images").iterdir():
            (tmp_path / split / image.name).write_bytes(image.read_bytes())
    manifest = coco.scan(tmp_path)
    assert len(manifest) == 22
    assert len(manifest.train_good()) == 8
    assert len(manifest.test()) == 11
