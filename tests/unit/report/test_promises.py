"""Promise and measurement as people read them: both kinds in their own words, and nothing left out that matters."""

from pathlib import Path
from typing import Any

import numpy as np

from kizu.decision.conformal import maximum
from kizu.decision.promise import Check, Kind, Measured, check_promise
from kizu.decision.thresholds import quantile
from kizu.lab.promises import told
from kizu.protocol.frozen import MethodResult
from kizu.report.portfolio import promise_rows, promises_table
from kizu.report.promises import promise_cells, promise_table, promise_text, worth_telling

PROMISED = maximum(np.arange(19.0))
PLAIN = quantile(np.arange(19.0), 0.9)


def check(rejected: int, pictures: int, kind: Kind = "image") -> Check:
    return check_promise(PROMISED, Measured.of(np.arange(pictures) < rejected), kind)


def test_both_are_told_in_their_own_words() -> None:
    text = promise_text({"image": check(0, 6), "pixel": check(2, 6, "pixel")})
    first, second = text.split("\n\n")
    assert first.startswith("OK or NG\npromised  false alarms at most 5 % of good parts")
    assert "measured  0 of 6 good pictures rejected: 0 % (95 % interval 0 % to 45.9 %" in first
    assert second.startswith("Where a flaw begins\npromised  a region in at most 5 % of good parts")
    assert "2 of 6 good pictures show a region" in second


def test_pixels_that_promise_nothing_are_left_out_and_images_that_do_are_told() -> None:
    nothing = check_promise(PLAIN, Measured.of(np.zeros(3, bool)))
    assert list(worth_telling({"image": nothing, "pixel": nothing})) == ["image"]
    assert "promised  nothing" in promise_text({"image": nothing})


def test_cells_tell_a_threshold_that_exceeds_its_promise_though_nothing_is_refuted() -> None:
    assert promise_cells(check(45, 400))[-1] == "not refuted, but exceeded"
    assert promise_cells(check(0, 0)) == ["5 %", "-", "-", "0", "-"]
    grouped = check_promise(PROMISED, Measured.of(np.zeros(4, bool), ["a", "a", "b", "b"]))
    assert promise_cells(grouped)[3] == "4 of 2 groups"


def test_several_categories_stand_below_each_other_with_their_causes() -> None:
    explained = check(9, 9).model_copy(update={"causes": ("a shift: all",)})
    table = promise_table([("tile", {"image": explained}), ("nut", {"image": check(0, 6)})])
    assert "tile, OK or NG" in table
    assert "nut, OK or NG" in table
    assert table.splitlines()[-1] == "tile, OK or NG: likely a shift: all"


def seeds(*of: dict[str, Any]) -> MethodResult:
    return MethodResult(
        "a", "padim", False, Path(), {"per_seed": {str(n): one for n, one in enumerate(of)}}, 0
    )


def test_a_frozen_evaluation_tells_each_seed() -> None:
    result = seeds(*({"promises": told({"image": check(hits, 40)})} for hits in (0, 30)))
    assert promise_rows([result]) == [["a", "padim", "40", "5 %", "0 %, 75 %", "not refuted, broken"]]
    assert "| a | padim | 40 | 5 % |" in promises_table([result])


def test_seeds_of_before_are_left_out() -> None:
    assert promise_rows([seeds({"image_auroc": 1.0})]) == []
