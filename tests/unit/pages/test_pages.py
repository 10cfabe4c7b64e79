"""One look for all pages: they hold what they are given, ask nobody for anything, and nothing in them can break out."""

import base64
import hashlib
import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from kizu.pages import as_data, render, source
from kizu.pages.content import (
    Case,
    Cases,
    Facts,
    Notes,
    Number,
    Numbers,
    Page,
    Part,
    Pictures,
    Region,
    Said,
    Scores,
    Table,
)

NASTY = "</script><script>alert(1)</script>&<b>"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def case(number: int, **changes: object) -> Case:
    label = "NG" if number % 2 else "OK"
    values = {"name": f"part-{number:04}.png", "score": float(number), "threshold": 5.0, "label": label}
    return Case(**{**values, **changes})  # type: ignore[arg-type]


def cases(*given: Case) -> Cases:
    return Cases("Pictures", given, ("#000000", "#ffffff"), 2.0, ("#ff0000", "#ffff00"))


def page(*blocks: object, parts: int = 1) -> Page:
    one = Part("plate", (Said("It finds 3 of 4.", "good"),), blocks)  # type: ignore[arg-type]
    return Page("plate · patchcore", (one,) * parts)


EVERYTHING = (
    Scores("Scores", 5.0, [(1.0, 0), (9.0, 1)], note="a look"),
    cases(case(1, truth=1, kind="crack"), case(2, truth=0)),
    Numbers("Is it right?", [Number("Recall", "0.75", "0.2 to 0.9", "Of the defective, those found.")]),
    Table("By kind", ["", "pictures"], [["crack", "4"]], "a note"),
    Facts("Rests on", [("Data", "tile")]),
    Notes("Limits", ["few pictures"]),
    Pictures("Sheet", [("ng.jpg", "the sheet")]),
)


def test_every_block_shows_what_it_was_given() -> None:
    text = html.unescape(render(page(*EVERYTHING)))
    for said in (
        "It finds 3 of 4.", "Recall", "0.75", "0.2 to 0.9", "Of the defective, those found.", "a look",
        "crack", "a note", "<dt>Data</dt><dd>tile</dd>", "few pictures", 'src="ng.jpg"', "<h1>plate · patchcore</h1>",
    ):  # fmt: skip
        assert said in text


def test_headings_go_down_one_level_at_a_time() -> None:
    assert set(re.findall(r"<h(\d)", render(page(*EVERYTHING)))) == {"1", "2"}
    several = re.findall(r"<h(\d)", render(page(*EVERYTHING, parts=2)))
    assert several[:3] == ["1", "2", "3"]


def test_a_page_asks_nobody_for_anything_and_only_its_own_script_may_run() -> None:
    text = render(page(*EVERYTHING))
    assert re.findall(r'(?:src|href)="(?!data:|#)([^"]*)"', text) == ["ng.jpg", "ng.jpg"]
    assert "http" not in text.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in text
    assert "default-src 'none'" in text


def test_names_of_files_cannot_break_out_of_the_data() -> None:
    text = render(page(cases(case(1, name=NASTY)), Facts(NASTY, [(NASTY, NASTY)])))
    assert "<script>alert" not in text
    assert text.count("<script") == 2
    (data,) = re.findall(r'<script type="application/json">(.*?)</script>', text, re.DOTALL)
    assert json.loads(data)["cases"][0][0] == NASTY
    assert "<" not in as_data({"a": "<&>"})


def test_a_name_that_is_no_utf_8_does_not_end_a_page() -> None:
    render(page(cases(case(1, name="a\udce9.png")))).encode("ascii", "backslashreplace")


def test_what_is_not_finite_is_not_written_down_as_a_number() -> None:
    with pytest.raises(ValueError, match="JSON"):
        render(page(cases(case(1, score=float("nan")))))


def test_regions_and_layers_are_in_the_data_in_their_order() -> None:
    regions = (Region((1, 2, 3, 4), 5, 1.25),)
    data = case(1, regions=regions, picture="p", heat="h", found="f", true="t", faint="a", whole="w").data()
    assert data[8] == [[1, 2, 3, 4, 5, 1.25]]
    assert data[9] == ["p", "h", "f", "t", "a", "w"]


def opened(tmp_path: Path, shown: Page) -> str:
    """The document as it is when its script has run."""
    if CHROMIUM is None:
        pytest.skip("no chromium")
    (tmp_path / "page.html").write_text(render(shown))
    command = [
        CHROMIUM,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--virtual-time-budget=3000",
        "--dump-dom",
    ]
    place = f"--user-data-dir={tmp_path / 'browser'}"
    done = subprocess.run(
        [*command, place, (tmp_path / "page.html").as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return html.unescape(done.stdout)


def test_in_a_browser_scores_are_counted_at_the_threshold_and_cases_are_cards(tmp_path: Path) -> None:
    scores = [(1.0, 0), (5.0, 0), (6.0, 0), (5.0, 1), (9.0, 1), (7.0, 1), (8.0, 1)]
    given = [case(n, score=s, truth=t, label="NG" if s > 5 else "OK") for n, (s, t) in enumerate(scores)]
    text = opened(tmp_path, page(Scores("Scores", 5.0, scores), cases(*given)))
    told = re.sub(r"<[^>]+>", "", text.split('class="told"')[1].split("</div>")[0])
    assert "found 3 of 4 (75 %)" in told  # 5 is not above 5
    assert "escaped 1 of 4 (25 %)" in told
    assert "overkill 1 of 3 (33.3 %)" in told
    assert "1 of 7 pictures" in text  # the missed one is shown first
    assert re.findall(r'class="badge (\w+)"', text) == ["OK"]
    assert "missed defect (1)" in text
    assert "rejected good (1)" in text


def test_in_a_browser_of_many_cases_only_some_are_made_at_once(tmp_path: Path) -> None:
    text = opened(tmp_path, page(cases(*(case(n, picture=f"{n}.jpg", label="NG") for n in range(2000)))))
    assert "2000 of 2000 pictures" in text
    assert 0 < text.count('class="open-case"') < 1000
    assert text.count('loading="lazy"') >= text.count('class="open-case"')


def test_the_script_is_ours_and_small() -> None:
    assert len(source("page.js")) < 25_000
    assert "eval(" not in source("page.js")
    assert "innerHTML" not in source("page.js")
