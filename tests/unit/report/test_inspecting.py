"""The page of an inspection says what its lines say, whatever happened to them since."""

import html
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support import fitted, part_picture, with_flaw

from kizu.core.types import U8
from kizu.data.listing import list_images
from kizu.data.manifest import Sample
from kizu.imaging.codec import decode, encode_png
from kizu.inspection.folder import FolderResult, FolderRunner
from kizu.inspection.inspector import Inspector
from kizu.inspection.options import FolderOptions
from kizu.inspection.redecide import Limits, redecide_folder
from kizu.report.inspecting import SHEET, write_inspection_page

KEYS = ("name", "score", "threshold", "ng", "truth", "kind", "height", "width", "regions", "layers", "reason")


@pytest.fixture
def inspector(good_pictures: U8) -> Inspector:
    return Inspector(fitted(good_pictures).bundle)


@pytest.fixture
def drop(tmp_path: Path) -> Path:
    for seed in range(70, 73):
        encode_png(tmp_path / "drop" / f"good {seed}.png", part_picture(seed))
        encode_png(tmp_path / "drop" / "sub" / f"bad#{seed}.png", with_flaw(part_picture(seed), 10, 44))
    (tmp_path / "drop" / "torn.png").write_bytes((tmp_path / "drop" / "good 70.png").read_bytes()[:300])
    return tmp_path / "drop"


def inspected(
    inspector: Inspector, drop: Path, out: Path, samples: list[Sample] | None = None
) -> FolderResult:
    runner = FolderRunner(inspector, out, FolderOptions(save_page=True))
    return runner.run(samples if samples is not None else list_images(drop))


def cases(page: Path) -> dict[str, dict[str, Any]]:
    found = re.findall(r'<script type="application/json">(.*?)</script>', page.read_text(), re.DOTALL)
    rows = [dict(zip(KEYS, row, strict=True)) for row in json.loads(found[1])["cases"]]
    return {row["name"]: row for row in rows}


def test_each_verdict_is_on_the_page_with_the_layers_that_lie_beside_it(
    inspector: Inspector, drop: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    result = inspected(inspector, drop, out)
    page = write_inspection_page(out, result.report)
    found = cases(page)
    assert found.keys() == {f"good {n}.png" for n in range(70, 73)} | {
        f"sub/bad#{n}.png" for n in range(70, 73)
    }
    for name, one in found.items():
        assert one["ng"] == ("bad" in name)
        assert one["truth"] == 2
        picture, heat, outline, true, faint, whole = one["layers"]
        assert (true, faint, whole) == ("", "", "")
        assert (heat != "", outline != "") == (bool(one["ng"]),) * 2
        assert "#" not in picture  # it would end an address
        from urllib.parse import unquote

        assert decode(out / unquote(picture)).shape == (64, 64, 3)
    text = html.unescape(page.read_text())
    assert "3 of 6 pictures are NG (50 %); 3 are OK." in text
    assert "1 could not be inspected: they have no verdict." in text
    assert "torn.png" in text
    assert "Which of these parts are good was not said, so nothing was measured." in text


def test_the_sheet_has_the_ng_pictures_and_goes_with_them(
    inspector: Inspector, drop: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    result = inspected(inspector, drop, out)
    write_inspection_page(out, result.report)
    three = decode(out / "ng.jpg").shape[1]
    redecide_folder(out, Limits(1e9), "none")
    page = write_inspection_page(out, result.report)
    assert not (out / "ng.jpg").exists()
    assert 'src="ng.jpg"' not in page.read_text()
    assert three > 0
    assert SHEET == 30


def test_a_picture_that_was_decided_again_as_ok_shows_no_outline(
    inspector: Inspector, drop: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    result = inspected(inspector, drop, out)
    redecide_folder(out, Limits(1e9), "none")
    found = cases(write_inspection_page(out, result.report))
    assert not any(one["ng"] for one in found.values())
    assert not any(one["layers"][2] for one in found.values())


def test_results_of_before_there_were_layers_show_their_overlay(
    inspector: Inspector, drop: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    result = FolderRunner(inspector, out).run(list_images(drop))
    found = cases(write_inspection_page(out, result.report))
    assert all(one["layers"][:5] == [""] * 5 for one in found.values())
    assert found["good 70.png"]["layers"][5] == "overlays/good%2070.png.jpg"
    bare = FolderRunner(inspector, tmp_path / "bare", FolderOptions(save_overlays=False)).run(
        list_images(drop)
    )
    page = write_inspection_page(tmp_path / "bare", bare.report)
    assert "Of 6 pictures no overlay was saved." in page.read_text()


def test_where_the_truth_is_known_it_is_counted(inspector: Inspector, drop: Path, tmp_path: Path) -> None:
    samples = [
        replace(sample, label="defect" if "bad" in sample.id else "good")
        for sample in list_images(drop)
        if "torn" not in sample.id
    ]
    samples[0] = replace(samples[0], label="defect")  # a good one that somebody calls defective: missed
    result = inspected(inspector, drop, tmp_path / "out", samples)
    kinds = {str(sample.path): "scratch" for sample in samples if sample.label == "defect"}
    page = write_inspection_page(tmp_path / "out", result.report, kinds)
    text = html.unescape(page.read_text())
    assert "finds 3 of 4 defective pictures (75 %) and rejects 0 of 2 good ones (0 %)." in text
    assert "kizu evaluate holds that against what was measured" in text
    found = cases(page)
    assert sorted(one["kind"] for one in found.values()) == ["", ""] + ["scratch"] * 4
    assert sorted(one["truth"] for one in found.values()) == [0, 0, 1, 1, 1, 1]


def test_a_picture_that_changed_shows_nothing_of_what_it_was(
    inspector: Inspector, drop: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    inspected(inspector, drop, out)
    encode_png(drop / "sub" / "bad#70.png", part_picture(70))
    result = inspected(inspector, drop, out)
    found = cases(write_inspection_page(out, result.report))
    one = found["sub/bad#70.png"]
    assert not one["ng"]
    assert one["layers"][1:] == [""] * 5


def test_nothing_at_all_is_a_page_too(inspector: Inspector, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    result = FolderRunner(inspector, tmp_path / "out").run([])
    text = write_inspection_page(tmp_path / "out", result.report).read_text()
    assert "0 of 0 pictures are NG." in text
    assert np.isfinite(inspector.threshold.value)
