"""Which images are shown: each case under its own heading, in the order that is worth looking at."""

from pathlib import Path

import numpy as np
import pytest

from kizu.data.manifest import Label, Sample
from kizu.imaging.codec import encode_png
from kizu.lab.evaluate import Prediction
from kizu.report.choosing import SORTS, choose_samples, rank_predictions


def prediction(name: str, label: Label, score: float) -> Prediction:
    """NG above 5."""
    return Prediction(Sample(name, Path(name), label), score, is_anomaly=score > 5)


PREDICTIONS = [
    prediction("missed, just", "defect", 4.0),
    prediction("missed, clearly", "defect", 1.0),
    prediction("rejected, just", "good", 6.0),
    prediction("rejected, clearly", "good", 9.0),
    prediction("found, just", "defect", 7.0),
    prediction("found, clearly", "defect", 99.0),
    prediction("passed, just", "good", 3.0),
    prediction("passed, clearly", "good", 0.5),
]


@pytest.mark.parametrize(
    ("heading", "first", "second"),
    [
        ("Missed defects", "missed, clearly", "missed, just"),
        ("Rejected good parts", "rejected, clearly", "rejected, just"),
        ("Found defects", "found, clearly", "found, just"),
        ("Passed good parts", "passed, clearly", "passed, just"),
    ],
)
def test_under_a_heading_stands_what_it_says_the_clearest_case_first(
    heading: str, first: str, second: str
) -> None:
    (sort,) = [sort for sort in SORTS if sort.title.startswith(heading)]
    assert [p.sample.id for p in rank_predictions(PREDICTIONS, sort, most=5)] == [first, second]
    assert [p.sample.id for p in rank_predictions(PREDICTIONS, sort, most=1)] == [first]


def test_mistakes_are_shown_before_what_went_well_and_nothing_is_left_out() -> None:
    shown = [p.sample.id for sort in SORTS for p in rank_predictions(PREDICTIONS, sort, most=9)]
    assert [name.split(",")[0] for name in shown[::2]] == ["missed", "rejected", "found", "passed"]
    assert sorted(shown) == sorted(p.sample.id for p in PREDICTIONS)


def test_without_masks_defects_are_one_group(tmp_path: Path) -> None:
    samples = [
        Sample(f"{i}", tmp_path / f"{i}", "defect" if i > 4 else "good", defect="x") for i in range(12)
    ]
    chosen = choose_samples(samples)
    assert chosen.borders is None
    assert {name: [s.id for s in group] for name, group in chosen.groups.items()} == {
        "good": ["0", "2", "4"],
        "defect": ["6", "8", "10"],
    }


def test_of_each_third_by_flawed_part_the_middle_one_is_shown(tmp_path: Path) -> None:
    samples = []
    for rows in (1, 2, 3, 4, 5, 6, 7, 8, 9):
        mask = np.zeros((10, 10), np.bool_)
        mask[:rows] = True
        path = tmp_path / f"{rows}.png"
        encode_png(path, mask)
        samples.append(Sample(f"{rows}", path, "defect", mask_path=path))
    chosen = choose_samples(samples[::-1], most=1)
    assert {name: [s.id for s in group] for name, group in chosen.groups.items()} == {
        "good": [],
        "mild": ["2"],
        "medium": ["5"],
        "severe": ["8"],
    }
    assert chosen.borders == pytest.approx((0.1 + 0.8 / 3, 0.1 + 1.6 / 3))


def test_flaws_of_one_size_are_in_the_order_of_their_names(tmp_path: Path) -> None:
    encode_png(tmp_path / "mask.png", np.eye(10, dtype=np.bool_))
    samples = [Sample(name, tmp_path / name, "defect", mask_path=tmp_path / "mask.png") for name in "fcbead"]
    chosen = choose_samples(samples)
    assert [[s.id for s in chosen.groups[name]] for name in ("mild", "medium", "severe")] == [
        ["a", "b"],
        ["c", "d"],
        ["e", "f"],
    ]
