"""A method costs one file and one line: everywhere else it is found by itself. And what has effects is a verb."""

import ast
import re
from pathlib import Path

import pytest

import kizu
from kizu.data.layouts import LAYOUTS
from kizu.detectors import DETECTORS
from kizu.detectors.registry import detector_config, make_detector, method
from kizu.lab.recommend import list_candidates as offered
from kizu.protocol.design import list_candidates as designed
from kizu.tasks.lab_options import PipelineOptions
from kizu.tasks.options import Layout

SOURCE = Path(kizu.__file__).parent
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
    told = str(PipelineOptions.__annotations__["method"])
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


VERBS = frozenset({
    "add", "change", "check", "choose", "claim", "compare", "compute", "convert", "count", "decode",
    "diagnose", "download", "encode", "ensure", "evaluate", "export", "find", "guess", "hash", "identify", "index",
    "is", "list", "load", "look", "looks", "make", "mark", "measure", "meet", "open", "pack", "pair", "predict", "put",
    "finish", "fit", "read", "redecide", "refresh", "refuse", "remove", "roll", "rollback", "save", "scan", "score",
    "set", "sniff", "sweep", "sync", "train", "tune", "unpack", "update", "verify", "walk", "write",
})  # fmt: skip
PHRASES = {
    "did_you_mean", "events_of", "folders_in", "lines_of", "owner_of", "pictures_directly_in", "signer", "stamp_at"
}  # fmt: skip
"""Read as part of the sentence that they are called in."""


def test_what_goes_to_the_disk_is_called_by_a_verb() -> None:
    """A function may be called by what it gives, as `auroc` or `roc_curve` is: unless it is handed a file or a folder,
    and gives something else than another place. A reader must see that there is work, and that it may fail.
    """
    names = set()
    for path in sorted(SOURCE.rglob("*.py")):
        if path.parent.name == "cli":  # there they are called as they are typed
            continue
        for node in ast.parse(path.read_text()).body:
            if not isinstance(node, ast.FunctionDef) or node.name.startswith("_"):
                continue
            taken = [
                ast.unparse(a.annotation) for a in (*node.args.args, *node.args.kwonlyargs) if a.annotation
            ]
            is_handed_a_place = any(re.match(r"(bytes \| )?(Path|RunFolder)\b", told) for told in taken)
            gives_a_place = node.returns is not None and ast.unparse(node.returns) == "Path"
            is_block = any(ast.unparse(d) == "contextmanager" for d in node.decorator_list)
            if is_handed_a_place and not gives_a_place and not is_block:
                names.add(node.name)
    assert {name for name in names if name.split("_")[0] not in VERBS} == PHRASES
