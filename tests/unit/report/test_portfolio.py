"""The table of a frozen evaluation says what it averaged and what it left out."""

from pathlib import Path

from kizu.pipeline.config import PipelineConfig
from kizu.protocol.freeze import DevSet, Origin, freeze
from kizu.protocol.frozen import MethodResult
from kizu.report.portfolio import HEAD, portfolio_rows, portfolio_table, write_portfolio

KEYS = ("image_auroc", "image_auprc", "image_f1_at_fpr", "image_f1", "aupro_030", "aupimo")


def result(category: str, auroc: float | None, *, is_dev: bool = False, others: int = 0) -> MethodResult:
    metrics = {
        "mean": dict.fromkeys(KEYS, 0.5) | {"image_auroc": auroc, "pixel_auroc": 0.7},
        "std": dict.fromkeys(KEYS) | {"image_auroc": 0.004},
        "intervals": {"image_auroc": [0.91, 0.99]},
        "per_seed": {"0": {"reasons": {"aupimo": "no masks"}}},
    }
    return MethodResult(category, "padim", is_dev, Path(), metrics, others)


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


def test_one_category_has_no_average_and_a_missing_number_is_a_dash() -> None:
    assert len(portfolio_rows([result("a", None)])) == 1
    assert portfolio_rows([result("a", None)])[0][2] == "-"
    assert portfolio_rows([result("a", None), result("b", 0.8)])[2][2] == "-"


def test_names_cannot_break_the_table(tmp_path: Path) -> None:
    results = [result("<b>a|b", 0.9, others=2)]
    assert "a\\|b" in portfolio_table(results)
    origin = Origin(how="by hand", dev=(DevSet(dataset="set", category="dev", manifest_sha256="0"),))
    config = PipelineConfig.parse({"embedding": {"backbone": "tiny"}}, where="test")
    write_portfolio(tmp_path, freeze({"padim": config}, origin), results)
    assert (tmp_path / "figs/auroc.png").stat().st_size > 1000
    page, text = ((tmp_path / f"report.{kind}").read_text() for kind in ("html", "md"))
    assert "&lt;b&gt;a|b" in page
    for said in ("2 other frozen pipeline(s)", "set/dev", "aupimo is missing (no masks)"):
        assert said in text
        assert said in page
