"""Real-IAD's JSON files: what they say of each image, and the entry that cannot be believed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support import laid_out

from kizu.core.errors import DataError
from kizu.core.split import Split
from kizu.data.layouts import LAYOUTS, real_iad

TABLE = "realiad_jsons/realiad_jsons/mint.json"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return laid_out(tmp_path, real_iad.EXAMPLE)


def changed(root: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    content = json.loads((root / TABLE).read_text())
    change(content)
    (root / TABLE).write_text(json.dumps(content))
    return root


def test_the_file_says_what_is_for_what_and_views_of_a_part_stay_together(root: Path) -> None:
    manifest = real_iad.scan(root)
    assert (manifest.dataset, manifest.category, len(manifest)) == ("real_iad", "mint", 12)
    assert len(manifest.train_good()) == 8
    assert len({s.group for s in manifest.train_good()}) == 4
    flawed = [s for s in manifest.test() if s.label == "defect"]
    assert [s.defect for s in flawed] == ["PS", "PS"]
    assert flawed[0].mask_path == root / "realiad_1024/mint/NG/PS/S0000/c1.png"
    assert flawed[0].id == "mint/NG/PS/S0000/c1.jpg"


def test_parts_that_the_file_itself_tears_apart_are_told(root: Path) -> None:
    def tear(content: dict[str, Any]) -> None:
        content["test"].append(content["train"].pop())

    manifest = real_iad.scan(changed(root, tear))
    assert manifest.notes == ("parts with views in both splits of the file: 1; views are not kept together",)
    assert all(s.group is None for s in manifest.samples)


def test_defects_among_the_training_images_are_not_learned(root: Path) -> None:
    def contaminate(content: dict[str, Any]) -> None:
        content["train"].append(content["test"].pop())

    manifest = real_iad.scan(changed(root, contaminate))
    assert len(manifest.train_good()) == 8
    assert sum(s.split is Split.TRAIN for s in manifest.samples) == 9
    assert manifest.notes == ("defects in the training split, which only discriminative learns from: 1",)


def test_the_best_resolution_is_taken_or_the_one_that_is_named(root: Path) -> None:
    (root / "realiad_1024").rename(root / "realiad_256")
    assert real_iad.scan(root).root == root / "realiad_256"
    (root / "realiad_256").rename(root / "mine")
    with pytest.raises(DataError, match="none of realiad_1024"):
        real_iad.scan(root)
    assert LAYOUTS["real_iad"](root, "mint", {"images": "mine"}).root == root / "mine"


def test_another_file_may_be_named(root: Path) -> None:
    (root / "realiad_jsons_sv").mkdir()
    (root / TABLE).rename(root / "realiad_jsons_sv/mint.json")
    with pytest.raises(DataError, match=r"no mint\.json"):
        real_iad.scan(root, "mint")
    options = {"json_file": "realiad_jsons_sv/{category}.json"}
    assert len(LAYOUTS["real_iad"](root, "mint", options)) == 12


@pytest.mark.parametrize(
    ("entry", "what"),
    [
        ({"image_path": "OK/S9999/c1.jpg"}, "c1.jpg does not exist"),
        ({"image_path": "../../outside.jpg"}, "leads out of"),
        ({"image_path": "/etc/hosts"}, "does not exist"),
        ({"image_path": None}, "no file is named"),
        ({"anomaly_class": None}, "no anomaly_class"),
        ({"anomaly_class": "PS", "mask_path": "OK/S0000/no.png"}, "no.png does not exist"),
    ],
)
def test_an_entry_that_cannot_be_believed_is_named(root: Path, entry: dict[str, Any], what: str) -> None:
    changed(root, lambda content: content["train"][2].update(entry))
    with pytest.raises(DataError, match=r"mint\.json, train entry 3: ") as caught:
        real_iad.scan(root)
    assert what in caught.value.message


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.pop("meta"),
        lambda c: c["meta"].pop("normal_class"),
        lambda c: c.pop("test"),
        lambda c: c.update(train={}),
        lambda c: c["train"].append("x"),
    ],
)
def test_a_file_of_another_shape_is_named(root: Path, change: Callable[[dict[str, Any]], object]) -> None:
    with pytest.raises(DataError, match=r"mint\.json"):
        real_iad.scan(changed(root, change))


def test_a_file_that_is_no_json_is_named(root: Path) -> None:
    (root / TABLE).write_text("{")
    with pytest.raises(DataError, match=r"mint\.json cannot be read"):
        real_iad.scan(root)
