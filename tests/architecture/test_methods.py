"""A method costs one file and one line: everywhere else it is found by itself."""

import re
from pathlib import Path

import pytest

from kizu.data.layouts import LAYOUTS
from kizu.detectors import DETECTORS
from kizu.detectors.registry import detector_config, make_detector, method
from kizu.lab.recommend import list_candidates as offered
from kizu.protocol.design import list_candidates as designed
from kizu.tasks.lab_options import PipelineOptions
from kizu.tasks.options import Layout

GUIDE = Path(__file__).parents[2] / "docs" / "guide.md"


@pytest.mark.parametrize("kind", DETECTORS)
def test_a_method_is_what_its_line_says(kind: str) -> None:
    found = method(kind)
    config = found.config.parse({"kind": kind}, where="test")
    assert detector_config({"kind": kind}) == config
    assert make_detector(config).config == config
    assert found.designs[0] == {}
    for change in found.designs:
        found.config.parse({"kind": kind, **change.get("detector", {})}, where="a design")
    for candidate in found.candidates:
        found.config.parse({"kind": kind, **candidate.detector}, where="a candidate")
    assert all(isinstance(limit, str) for limit in found.limits(config.model_dump(mode="json")))


def test_every_method_can_be_designed_and_named_on_the_command_line() -> None:
    assert designed().keys() == DETECTORS.keys()
    told = str(PipelineOptions.__annotations__["model"])
    assert all(kind in told for kind in DETECTORS)


def test_candidates_have_names_and_an_order_of_preference_of_their_own() -> None:
    candidates = [candidate for kind in DETECTORS for candidate in method(kind).candidates]
    assert len({candidate.name for candidate in candidates}) == len(candidates)
    assert len({candidate.preference for candidate in candidates}) == len(candidates)
    ordered = sorted(candidates, key=lambda candidate: candidate.preference)
    assert list(offered()) == [candidate.name for candidate in ordered]
    assert next(iter(offered())) == "patchcore 1 %"


def test_the_guide_says_of_each_method_what_its_line_says() -> None:
    table = re.search(r"\| method \| wants \| costs \|\n\|[-|]+\n((?:\|.*\n)+)", GUIDE.read_text())
    assert table is not None
    rows = [tuple(cell.strip() for cell in row.strip("|").split("|")) for row in table[1].splitlines()]
    assert rows == [(f"`{kind}`", entry.wants, entry.costs) for kind, entry in DETECTORS.items()]


def test_the_help_names_every_layout() -> None:
    assert all(name in str(Layout) for name in LAYOUTS)
