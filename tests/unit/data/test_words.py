"""What folders' names say."""

import pytest

from kizu.core.split import Split
from kizu.data.words import Kind, Said, say

GOOD = (
    "good",
    "OK",
    "normal",
    "Normal",
    "okParts",
    "good_2024",
    "1-OK",
    "goodparts",
    "i.O.",
    "normal_dir",
    "no_defect",
    "defect-free",
    "test_ok",
    "without anomalies",
    "non-defective",
    "PASS",
    "pass_2",
    "io",
    "good parts",
    "ＯＫ",
    "良品",
    "OK品",
    "合格",
    "정상",
    "fehlerfrei",
    "flawless",
    "fehlerlos",
)
BAD = (
    "bad",
    "NG",
    "nok",
    "KO",
    "defect",
    "Defects",
    "anomaly",
    "Anomaly",
    "anomalous",
    "abnormal",
    "abnormal_dir",
    "NG1",
    "n.i.O.",
    "not_good",
    "not ok",
    "no_good",
    "badparts",
    "def_front",
    "rejected",
    "test_ko",
    "failures",
    "faulty",
    "不良品",
    "NG品",
    "不合格",
    "異常",
    "비정상",
    "Fehlerteile",
    "défauts",
    "defectos",
)
MASKS = (
    "mask",
    "masks",
    "ground_truth",
    "GroundTruth",
    "gt",
    "GT_2",
    "labels",
    "mask_dir",
    "bad_masks",
    "annotations",
)
FLAWS = ("crack", "scratches", "Broken_large", "dent", "contamination", "crack 2")
NOTHING = (
    "monday",
    "line 1",
    "mangan",
    "io_board",
    "second pass",
    "pass_through",
    "unlabeled",
    "latest",
    "images",
    "Data",
    "colour",
    "lot_7",
    "cam-b",
    "2024",
    "oklahoma",
    "",
)


@pytest.mark.parametrize(
    ("names", "kind"), [(GOOD, Kind.GOOD), (BAD, Kind.BAD), (MASKS, Kind.MASK), (FLAWS, Kind.BAD)]
)
def test_known_words_are_found_whatever_is_round_them(names: tuple[str, ...], kind: Kind) -> None:
    for name in names:
        assert kind in say(name).kinds, name
        if kind is not Kind.MASK:
            assert say(name).kinds == {kind}, name
        assert say(name).names_flaw == (names is FLAWS), name


@pytest.mark.parametrize("name", NOTHING)
def test_other_names_say_nothing(name: str) -> None:
    assert say(name) == Said()
    assert say(name).nothing


@pytest.mark.parametrize("name", ["good_crack", "ok_and_ng", "good defects"])
def test_a_contradiction_is_kept(name: str) -> None:
    assert say(name).kinds == {Kind.GOOD, Kind.BAD}


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train", Split.TRAIN),
        ("Training_2", Split.TRAIN),
        ("test", Split.TEST),
        ("test_public", Split.TEST),
        ("val", Split.VALIDATION),
        ("validation", Split.VALIDATION),
        ("good_train", Split.TRAIN),
        ("latest", None),
        ("valve", None),
    ],
)
def test_splits_are_found(name: str, split: Split | None) -> None:
    assert say(name).split == split
