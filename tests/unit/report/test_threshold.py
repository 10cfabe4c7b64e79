"""A histogram counts each score once, on its side of the threshold, in any terminal; rules stand beside each other."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kizu.imaging.codec import decode
from kizu.inspection.inspector import Inspector
from kizu.lab.evaluate import evaluate_run
from kizu.lab.labelled_file import LabelledScores
from kizu.lab.threshold import look_at_thresholds, set_by_rule
from kizu.report.threshold import (
    WIDTH,
    histogram_edges,
    histogram_lines,
    threshold_figure,
    threshold_json,
    threshold_text,
)
from kizu.runs.folder import RunFolder
from kizu.runs.scores import LabelledScore

NUMBERS = st.floats(-1e6, 1e6, width=32)


@given(st.lists(NUMBERS, min_size=1, max_size=40), NUMBERS)
def test_every_score_is_in_one_bin_and_no_bin_is_on_both_sides(scores: list[float], threshold: float) -> None:
    values = np.array(scores)
    edges = histogram_edges(values, threshold)
    assert (np.diff(edges) > 0).all()
    inside = [sum(low < s <= high for s in scores) for low, high in pairwise(edges)]
    assert sum(inside) == len(scores)
    if min(scores) <= threshold < max(scores):
        assert threshold in edges


@given(st.lists(NUMBERS, min_size=1, max_size=40), st.lists(NUMBERS, max_size=9), NUMBERS)
def test_what_stands_below_the_line_is_what_is_rejected(
    scores: list[float], others: list[float], threshold: float
) -> None:
    series = {"one": np.array(scores), "other": np.array(others)}
    lines = histogram_lines(series, threshold)
    assert all(len(line) <= WIDTH and line.isascii() for line in lines)
    [mark] = [index for index, line in enumerate(lines) if " in force " in line]

    def counted(rows: list[str]) -> int:
        return sum(int(word) for row in rows for word in row[12:].split() if word.isdecimal())

    assert counted(lines[1:]) == len(scores) + len(others)
    assert counted(lines[mark + 1 :]) == sum(score > threshold for score in scores + others)


def test_the_text_has_all_rules_in_80_columns(run: RunFolder) -> None:
    text = threshold_text(look_at_thresholds(run))
    assert text.isascii()
    assert max(map(len, text.splitlines())) <= WIDTH
    assert "version 1 in force" in text
    assert "needs 59 images" in text
    assert "0.167 on average" in text
    assert text.count("needs labels") == 2
    assert "test images" not in text
    evaluate_run(run)
    with_test = threshold_text(look_at_thresholds(run))
    assert with_test.startswith(text)
    assert "to look at only" in with_test
    row = next(line for line in with_test.splitlines()[::-1] if line.startswith("maximum"))
    inspector = Inspector.open(run.path)
    rejected = [json.loads(line) for line in run.predictions.read_text().splitlines()]
    for kind, told in zip(("good", "defect"), row.split()[1:], strict=True):
        scores = [r["pred_score"] for r in rejected if r["gt_label"] == kind]
        assert told == f"{sum(s > inspector.threshold.value for s in scores)}/{len(scores)}"


def test_labelled_scores_stand_beside_them(run: RunFolder) -> None:
    rows = [
        LabelledScore(id=None, sha256=None, label="defect" if s > 5 else "good", score=s)
        for s in (0.1, 0.2, 9)
    ]
    found = look_at_thresholds(run, labelled=LabelledScores(tuple(rows), 0))
    text = threshold_text(found)
    assert max(map(len, text.splitlines())) <= WIDTH
    assert "labelled good (2)" in text
    row = next(line for line in text.splitlines() if line.startswith("f1_max"))
    assert row.split()[-3:] == ["0/5", "0/2", "1/1"]
    assert threshold_json(found)["scores"]["labelled flawed"] == [9.0]


def test_long_numbers_and_names_fit(run: RunFolder) -> None:
    set_by_rule(run, {"rule": "conformal_confident", "false_alarm_rate": 0.47, "confidence": 0.951})
    text = threshold_text(look_at_thresholds(run, {"false_alarm_rate": 0.47}))
    assert max(map(len, text.splitlines())) <= WIDTH
    assert "0.47 with 95%" in text


def test_for_programs_the_same(run: RunFolder) -> None:
    told = json.loads(json.dumps(threshold_json(look_at_thresholds(run))))
    assert told["version"] == 1
    assert len(told["scores"]["calibration"]) == 5
    rules = {offer["rule"]: offer for offer in told["offers"]}
    assert rules["maximum"]["threshold"]["count"] == 5
    assert rules["conformal_confident"]["needs"] == "needs 59 images"


def test_the_picture_is_small_and_the_same_twice(run: RunFolder, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    evaluate_run(run)
    found = look_at_thresholds(run)
    content = threshold_figure(found)
    assert content == threshold_figure(found)
    (tmp_path / "a.png").write_bytes(content)
    height, width, _ = decode(tmp_path / "a.png").shape
    assert 300 < height < width < 600
