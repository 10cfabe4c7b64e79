"""The table of a frozen evaluation says what it averaged and what it left out."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kizu.pages as pages
import kizu.report.portfolio as module
from kizu.metrics.ranking import auroc
from kizu.pipeline.config import PipelineConfig
from kizu.protocol.freeze import DevSet, FrozenPipeline, Origin, freeze
from kizu.protocol.frozen import MethodResult, pipeline_folder
from kizu.report.portfolio import (
    COLUMNS,
    HEAD,
    comparison_rows,
    portfolio_notes,
    portfolio_rows,
    portfolio_table,
    write_portfolio,
)

KEYS = ("image_auroc", "image_auprc", "image_f1_at_fpr", "image_f1", "aupro_030", "aupimo")


def result(
    category: str, auroc: float | None, *, is_dev: bool = False, others: int = 0, method: str = "padim"
) -> MethodResult:
    metrics = {
        "mean": dict.fromkeys(KEYS, 0.5) | {"image_auroc": auroc, "pixel_auroc": 0.7},
        "std": dict.fromkeys(KEYS) | {"image_auroc": 0.004},
        "intervals": {"image_auroc": [0.91, 0.99]},
        "per_seed": {"0": {"reasons": {"aupimo": "no masks"}}},
    }
    return MethodResult(category, method, is_dev, Path(), metrics, others)


@pytest.fixture(scope="module")
def frozen() -> FrozenPipeline:
    dev = tuple(DevSet(dataset="set", category=name, manifest_sha256="0") for name in ("dev", "other"))
    config = PipelineConfig.parse({"embedding": {"backbone": "tiny"}}, where="test")
    return freeze({"padim": config}, Origin(how="by hand", dev=dev), seeds=(3, 4))


def test_columns_are_headed_by_what_they_show() -> None:
    assert HEAD == (
        "Category",
        "Method",
        "AUROC",
        "AUPRC",
        "F1 (FPR=1%)",
        "F1 (deployed)",
        "AU-PRO@0.30",
        "AUPIMO",
    )
    values = {key: number / 10 for number, key in enumerate(KEYS)}
    shown = result("a", None)
    shown.metrics["mean"].update(values)
    shown.metrics["std"]["image_auroc"] = None
    shown.metrics["intervals"].clear()
    assert portfolio_rows([shown])[0][2:] == ["0.000", "0.100", "0.200", "0.300", "0.400", "0.500"]


def test_averages_leave_out_what_was_designed_on() -> None:
    rows = portfolio_rows([result("a", 0.9), result("b", 0.8), result("dev", 0.1, is_dev=True)])
    assert rows[0][:3] == ["a", "padim", "0.900 ± 0.004 [0.910, 0.990]"]
    assert rows[2][0] == "dev (dev)"
    assert rows[3][:3] == ["mean of 2", "padim", "0.850"]


def test_each_method_has_its_own_average_over_its_own_categories() -> None:
    numbers = {"padim": (0.9, 0.7), "patchcore": (0.6, 0.2)}
    results = [
        result(category, value, method=method)
        for method, values in numbers.items()
        for category, value in zip("ab", values, strict=True)
    ]
    means = [row[:3] for row in portfolio_rows(results) if row[0].startswith("mean")]
    assert means == [["mean of 2", "padim", "0.800"], ["mean of 2", "patchcore", "0.400"]]


def test_one_category_has_no_average_and_a_missing_number_is_a_dash() -> None:
    assert len(portfolio_rows([result("a", None)])) == 1
    assert portfolio_rows([result("a", None)])[0][2] == "-"
    assert portfolio_rows([result("a", None), result("b", 0.8)])[2][2] == "-"


def test_each_number_stands_under_its_own_name() -> None:
    found = result("a", 0.9)
    values = {key: 0.1 * (index + 1) for index, key in enumerate(COLUMNS)}
    found.metrics.update(mean=values, std=dict.fromkeys(values), intervals={})
    head, _, row = portfolio_table([found]).splitlines()
    cells = dict(zip(head.strip("| ").split(" | "), row.strip("| ").split(" | "), strict=True))
    assert cells == {"Category": "a", "Method": "padim"} | {
        name: f"{values[key]:.3f}" for name, key in zip(HEAD[2:], COLUMNS, strict=True)
    }
    assert cells["F1 (FPR=1%)"] == "0.300"
    assert cells["F1 (deployed)"] == "0.400"


def test_names_cannot_break_the_table(tmp_path: Path) -> None:
    results = [result("<b>a|b", 0.9, others=2)]
    assert "a\\|b" in portfolio_table(results)
    assert portfolio_table([result("two\nlines", 0.9)]).splitlines()[2].startswith("| two lines |")
    assert len(portfolio_table([result("two\nlines", 0.9)]).splitlines()) == 3
    origin = Origin(how="by hand", dev=(DevSet(dataset="set", category="dev", manifest_sha256="0"),))
    config = PipelineConfig.parse({"embedding": {"backbone": "tiny"}}, where="test")
    frozen = freeze({"padim": config}, origin)
    write_portfolio(tmp_path, frozen, results)
    home = pipeline_folder(tmp_path, frozen)
    assert (home / "figs/auroc.png").stat().st_size > 1000
    page, text = ((home / f"report.{kind}").read_text() for kind in ("html", "md"))
    assert "&lt;b&gt;a|b" in page
    for said in ("2 other frozen pipeline(s)", "set/dev", "aupimo is missing (no masks)"):
        assert said in text
        assert said in page


def test_the_report_is_its_table_the_comparison_and_the_notes(
    frozen: FrozenPipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = [scored(tmp_path, name, seed, shift) for name, seed, shift in (("a", 0, 3.0), ("b", 1, 0.2))]
    for found in results:
        found.metrics.update(std={}, intervals={})
    monkeypatch.setattr(pages, "package_versions", lambda: {"kizu": "9.8.7"})
    write_portfolio(tmp_path, frozen, results)
    ((category, methods, difference, p, test),) = comparison_rows(results)
    notes = portfolio_notes(frozen, results)
    home = pipeline_folder(tmp_path, frozen)
    assert (home / "report.md").read_text() == "\n".join([
        "# Evaluation of a frozen pipeline",
        "",
        portfolio_table(results),
        "",
        "## Methods beside each other",
        "",
        "| Category | Methods | Difference of image AUROC | p (Holm) | Test |",
        "| --- | --- | --- | --- | --- |",
        f"| {category} | {methods} | {difference} | {p} | {test} |",
        "",
        *(f"- {note}" for note in notes),
        "",
    ])  # fmt: skip
    page = (home / "report.html").read_text()
    for cell in (*HEAD, "Difference of image AUROC", "p (Holm)"):
        assert f'<th scope="col">{cell}</th>' in page
    for cell in (methods, difference, p):
        assert f"<td>{cell}</td>" in page
    assert "9.8.7" in page
    assert page.count("<li>") == len(notes)
    write_portfolio(tmp_path / "alone", frozen, results[:1])
    assert "beside each other" not in (pipeline_folder(tmp_path / "alone", frozen) / "report.md").read_text()


def test_what_qualifies_the_numbers_is_noted(frozen: FrozenPipeline) -> None:
    notes = portfolio_notes(frozen, [result("a", 0.9), result("b", 0.8, others=2)])
    assert notes[0] == (
        f"Frozen pipeline {frozen.sha256[:16]}; choices: by hand; development categories: set/dev, set/other."
    )
    assert notes[1].startswith("Mean over 2 seed(s) ± standard deviation")
    assert notes[2] == (
        "F1 (FPR=1%): at the threshold carried from the development categories; F1 (deployed): at the threshold set on"
        " held-out good images."
    )
    assert not any("(dev)" in note for note in notes)
    (met,) = [note for note in notes if "have met the test set" in note]
    assert met.startswith("2 other frozen pipeline(s) have met the test set of b")
    assert met.endswith("chosen among 3.")
    assert [note for note in notes if "is missing" in note] == [
        "a, padim: aupimo is missing (no masks).",
        "b, padim: aupimo is missing (no masks).",
    ]


def test_a_development_category_among_them_is_noted(frozen: FrozenPipeline) -> None:
    notes = portfolio_notes(frozen, [result("dev", 0.9, is_dev=True)])
    assert any(note.startswith("(dev): the pipeline was designed on this category") for note in notes)
    by_nobody = frozen.model_copy(update={"origin": Origin(how="by hand", dev=())})
    assert "development categories: none named" in portfolio_notes(by_nobody, [])[0]


def test_reasons_of_what_is_not_shown_are_not_told(frozen: FrozenPipeline) -> None:
    found = result("a", 0.9)
    found.metrics["per_seed"]["0"]["reasons"] = {"pixel_f1": "no masks", "aupro_030": "no maps"}
    notes = portfolio_notes(frozen, [found])
    assert [note for note in notes if "is missing" in note] == ["a, padim: aupro_030 is missing (no maps)."]


def test_the_scatter_has_every_result_that_has_both_numbers(
    frozen: FrozenPipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Any] = []
    monkeypatch.setattr(module, "auroc_scatter", lambda *told: drawn.append(told) or b"png")
    write_portfolio(tmp_path, frozen, [result("a", 0.9), result("b", None), result("c", 0.6)])
    assert drawn == [(["a, padim", "c, padim"], (0.9, 0.6), (0.7, 0.7))]
    drawn.clear()
    write_portfolio(tmp_path / "none", frozen, [result("b", None)])
    assert drawn == []
    assert not (pipeline_folder(tmp_path / "none", frozen) / "figs").exists()


def scored(root: Path, method: str, seed: int, shift: float) -> MethodResult:
    """With the scores of one seed on disk, as a frozen evaluation leaves them."""
    rng = np.random.default_rng(seed)
    labels = np.arange(60) < 30
    scores = rng.normal(size=60) + shift * labels
    rows = [
        {
            "id": f"{i}",
            "defect": "x" if bad else "good",
            "gt_label": "defect" if bad else "good",
            "pred_score": float(score),
            "is_anomaly": bool(bad),
        }
        for i, (bad, score) in enumerate(zip(labels, scores, strict=True))
    ]
    folder = root / method
    (folder / "seed-5").mkdir(parents=True)
    (folder / "seed-5/preds_test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    metrics = {"mean": {"image_auroc": auroc(labels, scores)}, "per_seed": {"5": {"reasons": {}}}}
    return MethodResult("plate", method, False, folder, metrics, 0)


def test_methods_are_set_beside_each_other_first_minus_second(tmp_path: Path) -> None:
    clear, dull = scored(tmp_path, "clear", 0, 3.0), scored(tmp_path, "dull", 1, 0.2)
    ((category, methods, difference, p, test),) = comparison_rows([clear, dull])
    assert (category, methods, test) == ("plate", "clear - dull", "DeLong, limits joined")
    apart = clear.metrics["mean"]["image_auroc"] - dull.metrics["mean"]["image_auroc"]
    assert difference.startswith(f"{apart:+.3f} [+0.")
    assert float(p) < 0.01
    ((_, methods, reverse, _, _),) = comparison_rows([dull, clear])
    assert methods == "dull - clear"
    assert reverse.startswith(f"{-apart:+.3f} [-0.")
    low, high = (float(part) for part in difference.split("[")[1].strip("]").split(", "))
    assert low < apart < high
    assert comparison_rows([clear]) == []
