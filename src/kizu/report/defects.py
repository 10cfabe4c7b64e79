"""What held-out folds say of learning from labelled defects."""

from dataclasses import asdict
from typing import Any

from kizu.lab.with_defects import LEVEL, DefectsTried
from kizu.report.tables import text_table


def defects_table(found: DefectsTried) -> str:
    """A line for each method, what is offered marked."""
    rows = [
        [
            ("* " if one is found.offered else "  ") + one.name,
            f"{one.auroc:.3f}",
            ""
            if one.beyond is None
            else f"{one.beyond.value:+.3f} [{one.beyond.low:+.3f}, {one.beyond.high:+.3f}]",
        ]
        for one in found.tried
    ]
    return text_table(["", "image AUROC", f"beyond {found.best_unaided.name}"], rows)


def defects_told(found: DefectsTried) -> str:
    """What the table's numbers are."""
    return (
        f"{found.good} good images, {found.defects} labelled defects of {found.defect_groups} parts, {found.drawn}"
        f" of them drawn; AUROC within five folds that no fit had seen; intervals hold together at {LEVEL:.0%}, over"
        " parts, and leave out that fits of different folds share images"
    )


def defects_json(found: DefectsTried) -> dict[str, Any]:
    """As `kizu recommend --with-defects --json` prints it."""
    rows = [
        {
            "name": one.name,
            "auroc": one.auroc,
            "beyond_best_unaided": None
            if one.beyond is None
            else {**asdict(one.beyond), "value": one.beyond.value},
            "config": one.config.model_dump(mode="json"),
            "offered": one is found.offered,
        }
        for one in found.tried
    ]
    return {
        "good": found.good,
        "defects": found.defects,
        "drawn": found.drawn,
        "defect_groups": found.defect_groups,
        "best_unaided": found.best_unaided.name,
        "reason": found.reason,
        "tried": rows,
    }
