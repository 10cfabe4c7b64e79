"""The page of cases: each picture under the right heading, the most telling first."""

import base64
import html
import json
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from tests.support import category, run_config

from kizu.data.manifest import Sample
from kizu.decision.promise import percent
from kizu.imaging.codec import decode, encode_png
from kizu.imaging.placement import PlacementConfig
from kizu.inspection.inspector import Inspector
from kizu.inspection.layers import SMALL_PX
from kizu.lab.evaluate import Evaluation, Prediction, evaluate_run
from kizu.lab.train import train_run
from kizu.metrics.breakdown import Cell
from kizu.pages.content import Cases, Facts
from kizu.report.cases import CASES_PER_GROUP, breakdown_tables, evaluation_part, write_case_page
from kizu.runs.contents import MeasuredOn
from kizu.runs.folder import RunFolder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    root = tmp_path_factory.mktemp("set")
    category(root, "plate", 0)
    return train_run(run_config(root, "plate"), root / "runs").folder


@pytest.fixture(scope="module")
def evaluation(run: RunFolder) -> Evaluation:
    return evaluate_run(run)


def predictions(sample: Sample, outcomes: list[tuple[str, float, bool]]) -> tuple[Prediction, ...]:
    """All of one picture, told apart by their names: what is true of it, its score, whether it was rejected."""
    return tuple(
        Prediction(
            replace(sample, id=f"{label}-{score:g}-{'NG' if ng else 'OK'}", label=label, defect=label),
            score,
            ng,
        )
        for label, score, ng in outcomes
    )


def cases(page: str) -> list[dict[str, Any]]:
    """As the script finds them."""
    keys = (
        "name",
        "score",
        "threshold",
        "ng",
        "truth",
        "kind",
        "height",
        "width",
        "regions",
        "layers",
        "reason",
    )
    found = re.findall(r'<script type="application/json">(.*?)</script>', page, re.DOTALL)
    return [dict(zip(keys, row, strict=True)) for row in json.loads(found[1])["cases"]]


def test_the_most_telling_of_each_outcome_are_on_the_page(run: RunFolder, evaluation: Evaluation) -> None:
    outcomes = [
        (label, score, ng) for label in ("good", "defect") for score in (2.0, 1.0) for ng in (True, False)
    ]
    judged = replace(evaluation, predictions=predictions(evaluation.predictions[0].sample, outcomes))
    write_case_page(run.page, judged, Inspector.open(run.path))
    page = run.page.read_text()
    assert [one["name"] for one in cases(page)] == [
        "defect-1-OK", "defect-2-OK", "good-2-NG", "good-1-NG", "defect-2-NG", "defect-1-NG", "good-1-OK", "good-2-OK",
    ]  # fmt: skip
    for one in cases(page):
        label, score, verdict = one["name"].split("-")
        assert (one["score"], one["ng"], one["truth"]) == (float(score), verdict == "NG", label == "defect")
    assert "kizu predict" not in page  # all of them are here


def test_of_many_the_first_few_are_shown_and_all_scores_are(run: RunFolder, evaluation: Evaluation) -> None:
    outcomes = [("good", float(score), True) for score in range(20)]
    judged = replace(evaluation, predictions=predictions(evaluation.predictions[0].sample, outcomes))
    write_case_page(run.page, judged, Inspector.open(run.path))
    page = run.page.read_text()
    names = [one["name"] for one in cases(page)]
    assert names == [f"good-{score}-NG" for score in range(19, 19 - CASES_PER_GROUP, -1)]
    assert "kizu predict makes a page of all 20" in page
    data = json.loads(re.findall(r'<script type="application/json">(.*?)</script>', page, re.DOTALL)[0])
    assert sorted(data["scores"]) == [[float(score), 0] for score in range(20)]
    assert data["threshold"] == Inspector.open(run.path).threshold.value


def test_the_answer_stands_on_top_with_the_promise_beside_it(run: RunFolder, evaluation: Evaluation) -> None:
    write_case_page(run.page, evaluation, Inspector.open(run.path))
    page = html.unescape(run.page.read_text())
    said = re.findall(r'<p class="said (\w+)">(.*?)</p>', page.split("</noscript>")[1])
    assert said[0][1].startswith("On plate, patchcore finds 4 of 4 defective pictures (100 %; 95 % interval ")
    assert "good ones (" in said[0][1]
    assert said[1][1].startswith("It promised to reject at most ")
    check = evaluation.promises["image"]
    assert dict(check.rows())["verdict"].lower() in said[1][1].lower()
    assert said[1][0] == {"kept": "good", "broken": "bad", "not refuted": "open"}[str(check.answer)]
    low, high = check.measured.interval
    assert f"95 % interval {percent(low)} to {percent(high)})." in said[0][1]


def test_the_page_says_what_was_measured_on_what(run: RunFolder, evaluation: Evaluation) -> None:
    inspector = Inspector.open(run.path)
    write_case_page(run.page, evaluation, inspector)
    page = html.unescape(run.page.read_text())
    facts = dict(re.findall(r"<dt>(.*)</dt><dd>(.*)</dd>", page))
    assert facts["Data"].endswith("fitted on 7, calibrated on 5, tested on 4 good and 4 defective")
    assert facts["Method"].startswith("patchcore on tiny (blocks.")
    assert facts["Method"].endswith("64 x 64")
    assert facts["Image threshold"] == inspector.manifest.thresholds.image.describe()
    assert facts["Pixel threshold"] == inspector.manifest.thresholds.pixel.describe()
    other = MeasuredOn(dataset="returns", category="may", manifest_sha256="0")
    write_case_page(run.page, replace(evaluation, data=other), inspector)
    assert "tested on 4 good and 4 defective of returns / may" in run.page.read_text()


def test_numbers_go_by_the_fields_names_and_none_by_ours(run: RunFolder, evaluation: Evaluation) -> None:
    write_case_page(run.page, evaluation, Inspector.open(run.path))
    page = html.unescape(run.page.read_text())
    shown = dict(re.findall(r"<summary>(.*?)</summary>.*?<dd[^>]*>([\d.]+)", page, re.DOTALL))
    assert shown["Image AUROC"] == f"{evaluation.metrics['image_auroc']:.4f}"
    assert shown["AU-PRO@0.30"] == f"{evaluation.metrics['aupro_030']:.4f}"
    assert "image_auroc" not in page
    assert "aupro_030" not in page
    span = evaluation.intervals["image_recall"]
    assert f"{span.low:.3f} to {span.high:.3f}" in page


def test_what_the_data_cannot_give_takes_one_line(run: RunFolder, evaluation: Evaluation) -> None:
    without = {
        key: None if "pixel" in key or key == "aupimo" else value for key, value in evaluation.metrics.items()
    }
    reasons = {key: "no masks" for key, value in without.items() if value is None}
    write_case_page(run.page, replace(evaluation, metrics=without, reasons=reasons), Inspector.open(run.path))
    page = run.page.read_text()
    assert "<summary>Pixel AUROC" not in page
    assert page.count("Not measured (no masks)") == 1


def test_the_size_is_height_by_width(run: RunFolder, evaluation: Evaluation) -> None:
    placement = PlacementConfig(image_size=(64, 96))
    manifest = Inspector.open(run.path).manifest.model_copy(update={"placement": placement})
    inspector = cast("Inspector", SimpleNamespace(manifest=manifest))  # nothing is inspected
    part = evaluation_part(inspector, replace(evaluation, predictions=()))
    (facts,) = [
        block for block in part.blocks if isinstance(block, Facts) and block.title == "What it rests on"
    ]
    assert dict(facts.rows)["Method"].endswith(", 64 x 96")
    assert not any(isinstance(block, Cases) for block in part.blocks)


@pytest.mark.parametrize(("side", "shown"), [(64, 64), (SMALL_PX * 2, SMALL_PX)])
def test_the_page_holds_its_pictures_and_large_ones_made_small(
    run: RunFolder, evaluation: Evaluation, tmp_path: Path, side: int, shown: int
) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (side // 2, side, 3), dtype=np.uint8)
    encode_png(tmp_path / "one.png", picture)
    sample = replace(evaluation.predictions[0].sample, path=tmp_path / "one.png", mask_path=None)
    judged = replace(evaluation, predictions=predictions(sample, [("good", 1.0, True)]))
    write_case_page(run.page, judged, Inspector.open(run.path))
    (one,) = cases(run.page.read_text())
    assert (one["height"], one["width"]) == (side // 2, side)
    kind, _, content = one["layers"][0].partition(",")
    assert kind == "data:image/jpeg;base64"
    assert decode(base64.b64decode(content)).shape == (shown // 2, shown, 3)
    for layer in one["layers"][1:]:
        assert layer == "" or layer.startswith("data:image/png;base64,")


def test_a_breakdown_leaves_out_what_nobody_drew_and_kinds_that_are_alone() -> None:
    cells = {name: Cell(count=3, auroc=0.9, recall=2 / 3, coverage=None) for name in ("crack", "stain")}
    (table,) = breakdown_tables({"kind": cells, "place": {"centre": cells["crack"]}})
    assert list(table.head) == ["", "pictures", "found", "AUROC"]
    assert table.rows[0] == ["crack", "3", "66.7%", "0.900"]


def test_names_of_files_cannot_break_the_page(run: RunFolder, evaluation: Evaluation) -> None:
    sample = replace(evaluation.predictions[0].sample, id="</script><script>alert(1)</script>")
    write_case_page(
        run.page, replace(evaluation, predictions=(Prediction(sample, 1.0, True),)), Inspector.open(run.path)
    )
    assert "<script>alert" not in run.page.read_text()
    assert cases(run.page.read_text())[0]["name"] == sample.id
