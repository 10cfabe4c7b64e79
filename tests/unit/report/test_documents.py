"""Pages of what was compared, recommended, learned and verified: the answer first, and nothing hopeful in it."""

import html
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from tests.support import BASE

from kizu.core.split import Split
from kizu.decision.calibration import Thresholds
from kizu.decision.rules import Rule
from kizu.decision.thresholds import Threshold
from kizu.lab.recommend import Estimate, Recommendation
from kizu.lab.update import Updated
from kizu.metrics.compare import Difference
from kizu.pages import render
from kizu.protocol.compare import MetricRow, RunComparison
from kizu.release.parity import Agreement, Flip, Tolerances
from kizu.report.comparison import comparison_page
from kizu.report.recommended_page import write_recommended_page
from kizu.report.updating import write_update_page
from kizu.report.verifying import write_verified_page


def said(text: str) -> list[tuple[str, str]]:
    """Tone and sentence of the answer."""
    text = html.unescape(text).split("</noscript>")[1]
    return re.findall(r'<p class="said (\w+)">(.*?)</p>', text)


def test_a_file_that_decides_otherwise_is_on_top_and_called_so(tmp_path: Path) -> None:
    whole = Agreement("model.onnx, onnxruntime", images=12)
    flipped = Agreement("model.int8.onnx", images=12, flips=[Flip("a.png", 2.0, 1.0, 0.5)])
    write_verified_page(
        tmp_path / "page.html", [whole, flipped, Agreement("old", refused="stale")], Tolerances()
    )
    text = (tmp_path / "page.html").read_text()
    assert said(text) == [
        ("good", "model.onnx, onnxruntime decides 12 images as the run does."),
        ("bad", "model.int8.onnx does not decide as the run does: 1 decision(s) flipped."),
        ("bad", "old does not decide as the run does: stale."),
    ]
    assert "a.png" in text


def test_a_flip_at_the_threshold_is_told(tmp_path: Path) -> None:
    near = Agreement("file", images=12, flips=[Flip("a.png", 2.0, 2.0001, 1e-5)])
    write_verified_page(tmp_path / "page.html", [near], Tolerances())
    assert said((tmp_path / "page.html").read_text()) == [
        ("good", "file decides 12 images as the run does, but for 1 at the threshold.")
    ]


def test_what_was_learned_promises_nothing_new(tmp_path: Path) -> None:
    def limits(value: float) -> Thresholds:
        one = Threshold(value=value, rule=Rule(name="maximum"), split=Split.CALIBRATION, count=9)
        return Thresholds(image=one, pixel=one)

    done = Updated(2, ("a.png", "b.png"), {"c.png": "known already"}, limits(1.0), limits(1.5))
    write_update_page(tmp_path / "page.html", done, "second supplier")
    text = (tmp_path / "page.html").read_text()
    assert said(text)[0][1] == "Version 2 learned 2 pictures (second supplier); 1 were left out."
    assert said(text)[1][0] == "open"
    assert "promise nothing, and nothing is measured yet" in said(text)[1][1]
    assert "known already" in text


def compared(**differences: Difference) -> RunComparison:
    rows = (MetricRow("image_auroc", 0.9, 0.7, False), MetricRow("aupimo", None, None, False))
    folders = tuple(SimpleNamespace(meta=Path("/none"), path=Path("/none")) for _ in range(2))
    found = SimpleNamespace(
        names=("one", "two"),
        folders=folders,
        rows=rows,
        differences=differences,
        shared=8,
        disagree=("a",),
        missing=(),
    )
    return cast("RunComparison", found)


def test_a_difference_within_chance_is_not_called_better() -> None:
    page = render(comparison_page(compared(image_auroc=Difference(0.15, -0.05, 0.35, 0.2, "DeLong")), []))
    assert said(page)[0][1].startswith("image AUROC: one and two differ by no more than chance (+0.150")
    page = render(comparison_page(compared(image_auroc=Difference(-0.15, -0.2, -0.1, 0.01, "DeLong")), []))
    assert said(page)[0][1].startswith("image AUROC: two is better by 0.150, more than chance")
    assert said(page)[1][1] == "Their verdicts differ on 1 of 8 pictures."
    assert "AUPIMO" not in page
    assert said(render(comparison_page(compared(), [])))[0][0] == "open"


def test_a_recommendation_says_by_what_it_was_judged(tmp_path: Path) -> None:
    one = Estimate("one", BASE, 1.0, 1 << 20, 1.0, 0.9, 0.9, ())
    found = Recommendation(30, (one, replace(one, name="two", exceeds=("too slow",))), {"three": "no memory"})
    write_recommended_page(tmp_path / "page.html", found, None)
    text = html.unescape((tmp_path / "page.html").read_text())
    assert "real ones look different" in said(text)[1][1]
    assert "one — chosen" in text
    assert "too slow" in text
    assert "three: no memory" in text
