"""The page of cases: each picture under the right heading, the most telling first."""

import base64
import html
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from tests.support import category, run_config

from kizu.data.manifest import Sample
from kizu.imaging.codec import decode, encode_png
from kizu.imaging.placement import PlacementConfig
from kizu.inspection.inspector import Inspector
from kizu.lab.evaluate import Evaluation, Prediction, evaluate_run
from kizu.lab.train import train_run
from kizu.report.cases import CASES_PER_GROUP, LONGEST_SIDE_PX, run_section, write_case_page
from kizu.runs.contents import MeasuredOn
from kizu.runs.folder import RunFolder

MISSED, REJECTED, FOUND, PASSED = (
    "Missed defects",
    "Rejected good parts",
    "Found defects",
    "Passed good parts",
)


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


def groups(page: str) -> dict[str, tuple[str, list[str]]]:
    """Heading -> how many of how many are shown, and their names."""
    found = {}
    for part in page.split("<h3>")[1:]:
        title, count = re.match(r"(.*?)(?:,.*)? <span>\((.*)\)</span>", part).groups()  # type: ignore[union-attr]
        found[title] = (count, re.findall(r'alt="([^",]*)"', part))
    return found


def test_each_picture_is_under_what_happened_to_it_the_most_telling_first(
    run: RunFolder, evaluation: Evaluation
) -> None:
    outcomes = [
        (label, score, ng)
        for label in ("good", "defect")
        for score in (2.0, 1.0, 3.0)
        for ng in (True, False)
    ]
    judged = replace(evaluation, predictions=predictions(evaluation.predictions[0].sample, outcomes))
    write_case_page(run.page, judged, Inspector.open(run.path))
    assert groups(run.page.read_text()) == {
        MISSED: ("3 of 3", ["defect-1-OK", "defect-2-OK", "defect-3-OK"]),
        REJECTED: ("3 of 3", ["good-3-NG", "good-2-NG", "good-1-NG"]),
        FOUND: ("3 of 3", ["defect-3-NG", "defect-2-NG", "defect-1-NG"]),
        PASSED: ("3 of 3", ["good-1-OK", "good-2-OK", "good-3-OK"]),
    }


def test_of_many_the_first_few_are_shown_and_all_are_counted(run: RunFolder, evaluation: Evaluation) -> None:
    outcomes = [("good", float(score), True) for score in range(9)]
    judged = replace(evaluation, predictions=predictions(evaluation.predictions[0].sample, outcomes))
    write_case_page(run.page, judged, Inspector.open(run.path))
    count, names = groups(run.page.read_text())[REJECTED]
    assert count == f"{CASES_PER_GROUP} of 9"
    assert names == [f"good-{score}-NG" for score in range(8, 8 - CASES_PER_GROUP, -1)]
    assert groups(run.page.read_text())[MISSED] == ("0 of 0", [])


def test_a_good_run_has_nothing_under_its_mistakes(run: RunFolder, evaluation: Evaluation) -> None:
    write_case_page(run.page, evaluation, Inspector.open(run.path))
    found = groups(run.page.read_text())
    wrong = sum(p.is_wrong for p in evaluation.predictions)
    assert len(found[MISSED][1]) + len(found[REJECTED][1]) == wrong
    assert found[FOUND][0] == "4 of 4"
    assert all("checks" in name for name in found[FOUND][1])


def test_the_page_says_what_was_measured_on_what(run: RunFolder, evaluation: Evaluation) -> None:
    write_case_page(run.page, evaluation, Inspector.open(run.path))
    page = run.page.read_text()
    for said in (
        "fitted on 7, calibrated on 5, tested on 4 good and 4 defective",
        "patchcore on tiny",
        "64 x 64",
    ):
        assert said in page
    assert "4 defective</dd>" in page  # of the set that it was fitted on, which needs no name
    other = MeasuredOn(dataset="returns", category="may", manifest_sha256="0")
    write_case_page(run.page, replace(evaluation, data=other), Inspector.open(run.path))
    assert "tested on 4 good and 4 defective of returns / may" in run.page.read_text()
    metrics = dict(re.findall(r"<span>(\w+)</span><span>([\d.-]+)</span>", page))
    assert metrics["image_auroc"] == f"{evaluation.metrics['image_auroc']:.4f}"
    assert metrics.keys() == evaluation.metrics.keys()


def test_the_page_is_headed_by_its_product_and_its_thresholds_and_times_stand_by_their_names(
    run: RunFolder, evaluation: Evaluation
) -> None:
    inspector = Inspector.open(run.path)
    write_case_page(run.page, evaluation, inspector)
    page = html.unescape(run.page.read_text())
    assert re.findall(r"<h([12])>(.*)</h", page) == [("1", "plate · patchcore"), ("2", "plate · patchcore")]
    facts = dict(re.findall(r"<dt>(.*)</dt><dd>(.*)</dd>", page))
    assert facts["Image threshold"] == inspector.manifest.thresholds.image.describe()
    assert facts["Pixel threshold"] == inspector.manifest.thresholds.pixel.describe()
    assert facts["Method"].startswith("patchcore on tiny (blocks.")
    assert {stage: facts[stage] for stage in evaluation.seconds} == {
        stage: f"{seconds:.1f} s" for stage, seconds in evaluation.seconds.items()
    }


def test_the_size_is_height_by_width(run: RunFolder, evaluation: Evaluation) -> None:
    placement = PlacementConfig(image_size=(64, 96))
    manifest = Inspector.open(run.path).manifest.model_copy(update={"placement": placement})
    inspector = cast("Inspector", SimpleNamespace(manifest=manifest))  # nothing is inspected
    section = run_section(inspector, replace(evaluation, predictions=()))
    assert section.facts["Method"].endswith(", 64 x 96")
    assert section.facts["Data"].startswith(
        f"{manifest.fitted_on.dataset} / plate: fitted on {manifest.fitted_on.fit_count},"
    )


def test_a_case_is_captioned_with_its_verdict_its_score_its_kind_and_its_name(
    run: RunFolder, evaluation: Evaluation
) -> None:
    write_case_page(run.page, evaluation, Inspector.open(run.path))
    captions = re.findall(
        r'<b class="(\w+)">(\w+)</b> (.*) · (.*) <span class="soft">· (.*)</span>', run.page.read_text()
    )
    assert sorted(captions) == sorted(
        (label, label, f"{p.score:.3f}", p.sample.defect, p.sample.id)
        for p in evaluation.predictions
        for label in ["NG" if p.is_anomaly else "OK"]
    )


@pytest.mark.parametrize(("side", "shown"), [(64, 64), (LONGEST_SIDE_PX * 2, LONGEST_SIDE_PX)])
def test_the_page_holds_its_pictures_and_large_ones_made_small(
    run: RunFolder, evaluation: Evaluation, tmp_path: Path, side: int, shown: int
) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (side // 2, side, 3), dtype=np.uint8)
    encode_png(tmp_path / "one.png", picture)
    sample = replace(evaluation.predictions[0].sample, path=tmp_path / "one.png")
    judged = replace(evaluation, predictions=predictions(sample, [("good", 1.0, True)]))
    write_case_page(run.page, judged, Inspector.open(run.path))
    uris = re.findall(r'src="data:image/jpeg;base64,([^"]*)"', run.page.read_text())
    assert [decode(base64.b64decode(uri)).shape for uri in uris] == [(shown // 2, shown, 3)] * 2


def test_names_of_files_cannot_break_the_page(run: RunFolder, evaluation: Evaluation) -> None:
    sample = replace(evaluation.predictions[0].sample, id="<script>alert(1)</script>")
    write_case_page(
        run.page, replace(evaluation, predictions=(Prediction(sample, 1.0, True),)), Inspector.open(run.path)
    )
    assert "<script>" not in run.page.read_text()
    assert "&lt;script&gt;" in run.page.read_text()
