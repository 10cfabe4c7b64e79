"""What a recommendation says: tables for a terminal, values for JSON, and the head of a config that it wrote."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from kizu.lab.judged import Difference
from kizu.lab.recommend import Recommendation
from kizu.lab.searched import Searched
from kizu.lab.shared_look import Seen
from kizu.lab.size_curve import SizeCurve, SizePoint
from kizu.report.tables import text_table

Cells = tuple[list[str], list[list[str]]]
"""A head, and rows under it."""


def candidates_table(found: Recommendation) -> str:
    """What was tried, the choice marked."""
    return text_table(*candidate_cells(found))


def candidate_cells(found: Recommendation) -> Cells:
    """The same as cells."""
    rows = [
        [
            ("* " if e is found.chosen else "  ") + e.name,
            f"{e.fit_seconds:.1f}",
            f"{e.memory_bytes >> 20}",
            f"{e.latency_ms:.1f}",
            f"{e.painted_auroc:.3f}",
            f"{e.painted_aupro:.3f}",
            "; ".join(e.exceeds),
        ]
        for e in found.estimates
    ]
    return ["", "fit, s", "peak, MB", "ms/image", "painted AUROC", "painted AU-PRO", ""], rows


def sizes_table(curve: SizeCurve) -> str:
    """A line for each size: what a patch covers, what it costs; by side of the flaw the part found and the AUROC."""
    return text_table(*size_cells(curve))


def size_cells(curve: SizeCurve) -> Cells:
    """The same as cells."""
    head = ["size", "patch, px", "ms/image", "peak, MB", *(f"{side} px" for side in curve.sides), ""]
    rows = [
        [
            ("* " if point is curve.chosen else "  ") + point.name,
            f"{point.patch_px:.1f}",
            f"{point.cost.latency_ms:.1f}",
            f"{point.cost.memory_bytes >> 20}",
            *(_found(point, side) for side in curve.sides),
            "; ".join(point.exceeds),
        ]
        for point in curve.points
    ]
    return head, rows


def sizes_told(curve: SizeCurve) -> str:
    """What the table's numbers are."""
    return (
        f"of flaws painted this large, in pixels of the images: the part found at {curve.false_alarm_rate:.1%} false"
        f" alarms, and the AUROC, on {curve.pictures} good images that the fit had not seen"
    )


def search_table(found: Searched) -> str:
    """The finalists, the best first."""
    return text_table(*search_cells(found))


def search_cells(found: Searched) -> Cells:
    """The same as cells."""
    rows = [
        [
            _mark(one, found) + one.contender.name,
            f"{one.worth:.3f}",
            _difference(found.against(one, found.default)) if one is not found.default else "the default",
            f"{one.latency_ms:.1f}",
            f"{one.memory_bytes >> 20}",
            "; ".join(found.exceeds(one)),
        ]
        for one in found.finalists
    ]
    return ["", "painted AUROC", "beyond the default", "ms/image", "fit, MB", ""], rows


def search_told(found: Searched) -> list[str]:
    """How it was found, what comes next to it, and what was not tried, a line each."""
    lines = [
        f"{found.seconds:.0f} s; contenders by round: {', '.join(map(str, found.tried))}; the last ones fitted on"
        f" {found.fitted} of {found.count} good images, and judged by {found.flaws} flaws painted into"
        f" {found.judged_by} others"
    ]
    winner, second = found.winner, found.runner_up
    if winner is not None and second is not None:
        off = found.against(winner, second)
        chance = "no more than chance" if off.is_noise else "more than chance"
        lines.append(f"runner-up: {second.contender.name}; the difference {_difference(off)} is {chance}")
    if found.beyond:
        lines.append(f"{len(found.beyond)} were dropped for what they cost (--json names them)")
    if found.not_tried:
        lines.append(f"there was no time for {found.not_tried} fits; --search-seconds gives more")
    lines += [f"not tried: {name} ({why})" for name, why in found.left_out.items()]
    return lines


def recommendation_json(found: Recommendation, curve: SizeCurve | None) -> dict[str, Any]:
    """As `kizu recommend --json` prints it."""
    rows = [
        {**asdict(e), "config": e.config.model_dump(mode="json"), "chosen": e is found.chosen}
        for e in found.estimates
    ]
    values = {
        "images": found.count,
        "reason": found.reason,
        "estimates": rows,
        "left_out": dict(found.left_out),
    }
    return values if curve is None else {**values, "sizes": _sizes_json(curve)}


def search_json(found: Searched) -> dict[str, Any]:
    """As `kizu recommend --search --json` prints it."""
    winner, second = found.winner, found.runner_up
    rows = [
        {
            "name": one.contender.name,
            "config": one.contender.config.model_dump(mode="json"),
            "painted_auroc": one.worth,
            "by_side_px": {side: one.judged.auroc(side) for side in _sides(one)},
            "latency_ms": one.latency_ms,
            "memory_bytes": one.memory_bytes,
            "beyond_default": asdict(found.against(one, found.default)),
            "exceeds": found.exceeds(one),
            "default": one is found.default,
            "chosen": one is winner,
            "runner_up": one is second,
        }
        for one in found.finalists
    ]
    against = None
    if winner is not None and second is not None:
        off = found.against(winner, second)
        against = {**asdict(off), "is_noise": off.is_noise}
    return {
        "images": found.count,
        "fitted_on": found.fitted,
        "judged_by": found.judged_by,
        "flaws": found.flaws,
        "reason": found.reason,
        "beyond_runner_up": against,
        "finalists": rows,
        "tried": list(found.tried),
        "dropped_for_cost": dict(found.beyond),
        "not_tried": found.not_tried,
        "left_out": dict(found.left_out),
        "latency_ms": found.budget.latency_ms,
        "seconds": found.seconds,
    }


def as_comment(lines: Sequence[str]) -> str:
    """Text as the head of a YAML file."""
    return "".join(f"# {line}".rstrip() + "\n" for text in lines for line in text.splitlines())


def _sizes_json(curve: SizeCurve) -> dict[str, Any]:
    points: list[Mapping[str, Any]] = [
        {
            "name": point.name,
            "image_size": point.config.placement.image_size,
            "resize": point.config.placement.resize,
            "tiles": point.tiles,
            "patch_px": point.patch_px,
            **asdict(point.cost),
            "found": dict(point.found),
            "auroc": dict(point.auroc),
            "exceeds": point.exceeds,
            "chosen": point is curve.chosen,
        }
        for point in curve.points
    ]
    return {
        "false_alarm_rate": curve.false_alarm_rate,
        "judged_by": curve.pictures,
        "smallest_flaw_px": curve.smallest_px,
        "reason": curve.reason,
        "warnings": list(curve.warnings),
        "left_out": dict(curve.left_out),
        "points": points,
    }


def _found(point: SizePoint, side: int) -> str:
    return f"{point.found[side]:.0%} {point.auroc[side]:.2f}" if side in point.found else "-"


def _sides(one: Seen) -> list[int]:
    return sorted({int(side) for side in one.judged.side_px if side > 0})


def _mark(one: Seen, found: Searched) -> str:
    return "* " if one is found.winner else "  "


def _difference(off: Difference) -> str:
    return f"{off.mean:+.3f} ({off.low:+.3f} to {off.high:+.3f})"
