"""The page of cases: what is shown under a heading is what the heading says."""

from dataclasses import replace
from pathlib import Path

from tests.support import category, fitted

from kizu.bundles.store import save
from kizu.core.types import U8
from kizu.lab.evaluate import evaluate
from kizu.report.cases import CASES_PER_GROUP, run_section
from kizu.runs.folder import RunFolder


def test_each_group_of_the_page_holds_and_counts_its_own_cases(good_pictures: U8, tmp_path: Path) -> None:
    bundle = fitted(good_pictures).bundle
    save(bundle, tmp_path / "run/bundle")
    samples = category(tmp_path / "data", "plate", 100).test()
    evaluation = evaluate(bundle, samples)
    said = {p.sample.id: p for p in evaluation.predictions}
    turned = next(p for p in said.values() if p.sample.label == "defect" and p.is_anomaly)
    said[turned.sample.id] = replace(turned, is_anomaly=False)  # one mistake at least
    evaluation = replace(evaluation, predictions=tuple(said.values()))
    section = run_section(RunFolder(tmp_path / "run"), evaluation)
    expected = {
        ("defect", False): "Missed",
        ("good", True): "Rejected",
        ("defect", True): "Found",
        ("good", False): "Passed",
    }
    assert [group.title.split()[0] for group in section.groups] == list(expected.values())
    for group, (label, is_anomaly) in zip(section.groups, expected, strict=True):
        meant = {n for n, p in said.items() if (p.sample.label, p.is_anomaly) == (label, is_anomaly)}
        assert group.count == len(meant)
        assert {case.name for case in group.cases} <= meant
        assert len(group.cases) == min(len(meant), CASES_PER_GROUP)
    assert turned.sample.id in {case.name for case in section.groups[0].cases}
