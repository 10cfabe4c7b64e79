"""VisA's table: what it says of each image, and the line where it cannot be believed."""

from pathlib import Path

import numpy as np
import pytest
from tests.support import laid_out

from kizu.core.errors import ConfigError, DataError
from kizu.core.split import Split
from kizu.data.layouts import LAYOUTS, visa
from kizu.data.masks import true_mask
from kizu.imaging.codec import encode_png

TABLE = "split_csv/1cls.csv"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return laid_out(tmp_path, visa.EXAMPLE)


def with_row(root: Path, row: str, table: str = TABLE) -> Path:
    with (root / table).open("a", encoding="utf-8") as stream:
        stream.write(f"{row}\n")
    return root


def test_the_table_says_what_is_for_what(root: Path) -> None:
    manifest = visa.scan(root, "candle")
    assert len(manifest.train_good()) == 6
    assert [(s.defect, s.label) for s in manifest.test()] == [("good", "good")] * 2 + [
        ("anomaly", "defect")
    ] * 2
    assert manifest.test()[2].mask_path == root / "candle/Data/Masks/Anomaly/000.png"


def test_every_number_above_0_in_a_mask_is_a_flaw(root: Path) -> None:
    mask = np.zeros((32, 40), np.uint8)
    mask[1, 1], mask[2, 2] = 1, 3
    encode_png(root / "candle/Data/Masks/Anomaly/000.png", mask)
    found = true_mask(visa.scan(root).test()[2], (32, 40))
    assert found is not None
    assert found.sum() == 2


def test_several_objects_must_be_chosen_from(root: Path) -> None:
    with_row(root, "pcb1,train,normal,candle/Data/Images/Normal/000.JPG,")
    with pytest.raises(DataError, match="several objects") as caught:
        visa.scan(root)
    assert caught.value.hint == "choose one of: candle, pcb1"
    with pytest.raises(DataError, match="lists no cashew") as caught:
        visa.scan(root, "cashew")
    assert "candle, pcb1" in (caught.value.hint or "")
    assert len(visa.scan(root, "candle")) == 10


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ("candle,train,normal,candle/Data/Images/Normal/999.JPG,", "999.JPG does not exist"),
        ("candle,train,normal,../outside.png,", "leads out of"),
        ("candle,train,normal,/etc/hosts,", "leads out of"),
        ("candle,train,normal,,", "no file is named"),
        ("candle,train,normal,split_csv/1cls.csv,", "is no picture by its name"),
        ("candle,train,normal,candle/\0.png,", "is not the name of a file"),
        (
            "candle,test,anomaly,candle/Data/Images/Anomaly/000.JPG,candle/Data/Masks/Anomaly/9.png",
            "9.png does not exist",
        ),
        ("candle,train,fine,candle/Data/Images/Normal/000.JPG,", "label 'fine' is none of normal, anomaly"),
        ("candle,dev,normal,candle/Data/Images/Normal/000.JPG,", "split 'dev' is none of train, test"),
        ("candle,train,normal", "not 5 columns"),
        ("candle,train,normal,candle/Data/Images/Normal/000.JPG,,more", "not 5 columns"),
    ],
)
def test_a_row_that_cannot_be_believed_is_named_with_its_line(root: Path, row: str, what: str) -> None:
    with pytest.raises(DataError, match=r"1cls\.csv, line 12: ") as caught:
        visa.scan(with_row(root, row))
    assert what in caught.value.message
    assert caught.value.hint


def test_a_link_that_leads_out_of_the_root_is_not_followed(root: Path) -> None:
    outside = root.parent / "outside.JPG"
    outside.write_bytes((root / "candle/Data/Images/Normal/000.JPG").read_bytes())
    (root / "candle/Data/Images/Normal/link.JPG").symlink_to(outside)
    with pytest.raises(DataError, match="leads out of"):
        visa.scan(with_row(root, "candle,train,normal,candle/Data/Images/Normal/link.JPG,"))


def test_a_defect_without_a_mask_is_told(root: Path) -> None:
    text = (root / TABLE).read_text()
    (root / TABLE).write_text(text.replace("candle/Data/Masks/Anomaly/001.png", ""))
    assert visa.scan(root).notes == ("defects without a mask: 1 (candle/Data/Images/Anomaly/001.JPG)",)


def test_the_supervised_tables_list_defects_that_are_not_learned(root: Path) -> None:
    text = (root / TABLE).read_text().replace("candle,test,anomaly", "candle,train,anomaly", 1)
    (root / "split_csv/2cls_fewshot.csv").write_text(text)
    manifest = LAYOUTS["visa"](root, None, {"table": "2cls_fewshot"})
    assert sum(s.split is Split.TRAIN for s in manifest.samples) == 7
    assert len(manifest.train_good()) == 6
    assert manifest.notes == ("defects in the training split, which only discriminative learns from: 1",)
    with pytest.raises(ConfigError, match="table"):
        LAYOUTS["visa"](root, None, {"table": "mine"})


@pytest.mark.parametrize(
    "content", [b"", b"a,b\n", b"object,split,label,image\n", b"\xff\xfe\0", b'object,split,"']
)
def test_a_table_that_is_none_is_named(root: Path, content: bytes) -> None:
    (root / TABLE).write_bytes(content)
    with pytest.raises(DataError, match=r"1cls\.csv"):
        visa.scan(root)
