"""The report of a study says what the tests say, in every form it is written in."""

import csv
import io
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support import category, small_study
from typer.testing import CliRunner

from kizu.cli.main import app
from kizu.core.errors import DataError, MissingExtraError
from kizu.core.work import Work
from kizu.imaging.codec import decode
from kizu.metrics.compare import Difference
from kizu.report.study import written
from kizu.report.study.document import Document, Heading, Paragraph, Points, Table
from kizu.report.study.figures import pareto
from kizu.report.study.findings import judge, patterns, tell_loss, tell_updates
from kizu.report.study.written import write_report
from kizu.study.conditions import CONDITIONS, Key
from kizu.study.effects import Contrast, Effect, Effects
from kizu.study.run import measure_study

TABLE = Table("t", "A & B", ("a_b", "n", "words"), (("x|y", "1.5", "one 50 %"), ("z", "-", "two #1")))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("report")
    category(root / "data", "plate", 0)
    category(root / "data", "disc", 50)
    config = small_study(root / "data", seeds=[1])
    measure_study(config, root / "out", Work(cores=1))
    done = CliRunner().invoke(app, ["study", "report", str(root / "out")])
    assert done.exit_code == 0, done.stderr
    assert done.stdout.strip() == str(root / "out/report.pdf")
    return root / "out"


def effect(condition: str, mean: float, p: float, metric: str = "image_auroc", count: int = 0) -> Effect:
    key = Key("a", "m", 1, condition, 3, count)
    baseline = CONDITIONS[condition].baseline or ""
    return Effect(key, baseline, metric, mean, None, 1, Difference(mean, None, None, p, "test"), p)


def effects(*found: Effect) -> Effects:
    return Effects(found, (), len(found), len(found))


def test_a_pdf_a_page_figures_and_tables_are_written(folder: Path) -> None:
    assert (folder / "report.pdf").read_bytes().startswith(b"%PDF-")
    page = (folder / "report.html").read_text()
    for name in ("severity", "conditions", "roc", "efficiency", "map"):
        assert f'src="figs/{name}.png"' in page
        assert decode(folder / "figs" / f"{name}.png").shape[1] > 500
    names = {path.stem for path in (folder / "report-tables").iterdir()}
    assert {"data", "conditions", "results", "categories", "effects_image_auroc", "kinds", "costs"} <= names
    for name in names:
        assert {path.suffix for path in (folder / "report-tables").glob(f"{name}.*")} == {
            ".csv",
            ".md",
            ".tex",
        }


def test_the_same_study_makes_the_same_report(folder: Path) -> None:
    before = {
        path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != ".lock"
    }
    write_report(folder)
    assert {path: path.read_bytes() for path in before} == before


def test_a_number_of_the_report_is_that_of_its_trial(folder: Path) -> None:
    study = written.read_study_folder(folder)
    rows = list(csv.DictReader(io.StringIO((folder / "report-tables/categories.csv").read_text())))
    row = next(r for r in rows if (r["category"], r["method"]) == ("disc", "padim"))
    value = study.records[Key("disc", "padim", 1, "refitted", 3)].metrics["image_auroc"]
    assert row["refitted"] == f"{value:.3f}"


def test_without_typst_there_is_a_page_and_no_pdf(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_folder: Path) -> bytes:
        raise MissingExtraError("typst is not installed")

    monkeypatch.setattr(written, "set_pdf", missing)
    done = CliRunner().invoke(app, ["study", "report", str(folder)])
    assert done.exit_code == 0
    assert done.stdout.strip() == str(folder / "report.html")
    assert "no PDF, for typst is not installed" in done.stderr


def test_a_study_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"study\.yaml is missing"):
        write_report(tmp_path)


@pytest.mark.parametrize(
    ("ups", "downs", "verdict"),
    [
        (2, 0, "confirmed"),
        (1, 0, "shown in part"),
        (0, 2, "contradicted"),
        (0, 1, "contradicted in part"),
        (1, 1, "mixed"),
        (0, 0, "not settled"),
    ],
)
def test_a_verdict_is_chosen_by_what_is_beyond_chance(ups: int, downs: int, verdict: str) -> None:
    assert judge(ups, downs, 4) == verdict


def test_a_loss_that_no_test_shows_is_not_called_one() -> None:
    assert "None of it is beyond chance" in tell_loss(effects(effect("shifted", -0.2, 0.2)), "m")
    assert "The loss is beyond chance in 1" in tell_loss(effects(effect("shifted", -0.2, 0.01)), "m")
    assert "in 1 it is a gain" in tell_loss(effects(effect("shifted", 0.2, 0.01)), "m")
    assert "could not be compared" in tell_loss(effects(), "m")


def test_the_sentence_on_refitting_turns_with_its_test() -> None:
    for mean, p, verdict in (
        (0.1, 0.01, "confirmed"),
        (-0.1, 0.01, "contradicted"),
        (0.3, 0.4, "not settled"),
    ):
        (found,) = patterns(effects(effect("refitted", mean, p)))
        assert found.verdict == verdict
        assert f"{mean:+.3f}" in found.evidence


def test_thresholds_that_change_auroc_contradict_whatever_f1_does() -> None:
    f1 = effect("thresholds", 0.2, 0.001, "image_f1")
    (good,) = patterns(effects(f1, effect("thresholds", 0.0, 1.0)))
    assert good.verdict == "confirmed"
    (bad,) = patterns(effects(f1, effect("thresholds", 0.01, 1.0)))
    assert bad.verdict == "contradicted"


def test_the_method_that_keeps_more_is_named_by_the_sign_of_the_contrast() -> None:
    for first, second, mean, verdict in (
        ("patchcore", "padim", 0.1, "confirmed"),
        ("padim", "patchcore", 0.1, "contradicted"),
        ("padim", "patchcore", -0.1, "confirmed"),
    ):
        contrast = Contrast("a", 3, first, second, mean, Difference(mean, None, None, 0.01, "test"), 0.01)
        (found,) = patterns(replace(effects(), contrasts=(contrast,)))
        assert found.verdict == verdict


def test_what_an_update_wins_back_is_told_as_a_part_of_the_loss() -> None:
    lost = effect("shifted", -0.2, 0.01)
    (told,) = tell_updates(effects(lost, effect("updated", 0.1, 0.5, count=5)))
    assert "5 shifted images" in told
    assert "50% of what was lost" in told
    (small,) = tell_updates(effects(effect("shifted", -0.01, 0.5), effect("updated", 0.1, 0.5, count=5)))
    assert "of what was lost" not in small


def test_a_table_is_escaped_in_every_form() -> None:
    assert "| x\\|y | 1.5 |" in TABLE.as_markdown()
    assert r"a\_b & n & words" in TABLE.as_latex()
    assert r"one 50 \%" in TABLE.as_latex()
    assert r"\caption{A \& B}" in TABLE.as_latex()
    assert "{lrl}" in TABLE.as_latex()
    assert list(csv.reader(io.StringIO(TABLE.as_csv())))[1] == ["x|y", "1.5", "one 50 %"]


def test_words_are_words_in_html_and_in_typst() -> None:
    text = 'A "quoted" #show and <b> $x$ \\ end'
    document = Document(text, text, (Heading(text), Paragraph(text), Points((text,)), TABLE))
    assert "<b>" not in document.as_html()
    import typst

    pages = typst.compile(document.as_typst().encode(), format="svg")
    assert pages


def test_the_front_is_of_those_that_no_other_beats() -> None:
    points = [("slow", 9.0, 0.9), ("quick", 1.0, 0.7), ("beaten", 5.0, 0.6), ("middle", 4.0, 0.8)]
    assert [name for name, _, _ in pareto(points)] == ["quick", "middle", "slow"]
