"""A run's scores and what each rule would make of them: as text for any terminal, and as a picture."""

from collections.abc import Iterable, Mapping
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np

from kizu.core.types import F32, F64
from kizu.decision.thresholds import Threshold
from kizu.lab.kept_scores import Labelled
from kizu.lab.threshold import Overview
from kizu.report.figures import draw_png
from kizu.report.tables import text_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH = 80
BINS_BELOW, BINS_ABOVE = 12, 8
"""Rows of the histogram on either side of the threshold in force."""
LABEL_WIDTH, LEAST_BAR = 12, 4
PICTURE_BINS = 40


def threshold_text(found: Overview) -> str:
    """At most 80 columns of ASCII: what is in force, the histogram, the rules, and apart what the test images say."""
    parts = [
        *_wrapped(f"version {found.version} in force; image threshold {found.thresholds.image.describe()}"),
        *_wrapped(f"pixel threshold {(found.thresholds.zones or found.thresholds.pixel).describe()}"),
        "",
        *_wrapped(_scored(found)),
        "",
        *histogram_lines(_series(found), found.thresholds.image.value),
        "",
        *_wrapped("what each rule would set and promise, and how many images it rejects:"),
        _rules_table(found),
    ]
    if found.test is not None:
        parts += [
            "",
            *_wrapped("on the test images, to look at only, for no threshold is set by images that measure:"),
            _test_table(found, found.test),
        ]
    return "\n".join(parts)


def threshold_json(found: Overview) -> dict[str, Any]:
    """The same for programs."""
    scores = {name: values.tolist() for name, values in _series(found).items()}
    tested = {} if found.test is None else _by_kind("test", found.test)
    return {
        "version": found.version,
        "thresholds": found.thresholds.model_dump(mode="json"),
        "offers": [
            {
                "rule": offer.rule,
                "threshold": None if offer.threshold is None else offer.threshold.model_dump(mode="json"),
                "needs": offer.needs or None,
            }
            for offer in found.offers
        ],
        "folds": found.calibration.folds,
        "scores": scores,
        "test_scores_to_look_at_only": {name: values.tolist() for name, values in tested.items()},
    }


def histogram_lines(series: Mapping[str, F32], threshold: float, width: int = WIDTH) -> list[str]:
    """A line for each bin of scores, with a bar and a count for each of `series`, name -> scores (N,), not all empty.

    The threshold is an edge and has a line of its own: what stands below that line is NG, and only that.
    """
    column = (width - LABEL_WIDTH) // len(series)
    scores = [np.asarray(values, np.float64) for values in series.values()]
    edges = histogram_edges(np.concatenate(scores), threshold)
    counts = [_count(values, edges) for values in scores]
    digits = len(str(max(count.max() for count in counts)))
    bar = max(column - digits - 3, LEAST_BAR)
    highest = [max(int(count.max()), 1) for count in counts]
    heads = (f"{name} ({len(one)})" for name, one in zip(series, scores, strict=True))
    lines = [
        "up to".rjust(LABEL_WIDTH - 1) + " " + "".join(head[: column - 1].ljust(column) for head in heads)
    ]
    for index, upper in enumerate(edges[1:]):
        cells = (_bar(int(count[index]), most, bar) for count, most in zip(counts, highest, strict=True))
        label = f"{upper:.5g}".rjust(LABEL_WIDTH - 1)
        lines.append((f"{label} " + "".join(cell.ljust(column) for cell in cells)).rstrip())
    mark = f"{threshold:.5g}".rjust(LABEL_WIDTH - 1) + " "
    at = 1 + int(np.searchsorted(edges[1:], threshold, side="right"))
    lines.insert(at, mark + " in force ".center(width - LABEL_WIDTH, "-"))
    return [line.rstrip() for line in lines]


def histogram_edges(scores: F64, threshold: float) -> F64:
    """Rising edges (B + 1,) over all `scores` (N,) that are finite; bins have their upper edge. The threshold is one,
    where there are scores on both sides of it."""
    low, high = float(scores.min()), float(scores.max())
    if low == high:
        step = max(abs(low), 1.0) * 1e-6
        return np.array([low - step, low])
    first = low - 1e-9 * max(abs(low), abs(high))  # so that the lowest score is in the first bin
    if not low <= threshold < high:
        return np.unique(np.linspace(first, high, BINS_BELOW + 1))
    sides = (np.linspace(first, threshold, BINS_BELOW + 1), np.linspace(threshold, high, BINS_ABOVE + 1))
    return np.unique(np.concatenate(sides))


def threshold_figure(found: Overview) -> bytes:
    """The scores as a PNG, of test images too, with the values that the rules would set. Raises `MissingExtraError`."""
    series = _series(found) | ({} if found.test is None else _by_kind("test", found.test))
    scores = {name: np.asarray(values, np.float64) for name, values in series.items()}
    offered = [(o.rule, o.threshold.value) for o in found.offers if o.threshold is not None]
    in_force = found.thresholds.image.value
    together = np.concatenate(list(scores.values()))
    edges = np.histogram_bin_edges(together, bins=PICTURE_BINS).tolist()

    def draw(axes: "Axes") -> None:
        looks = zip(
            scores.items(), ("0.8", *["none"] * 4), ("", "....", "////", "xxxx", "++++"), strict=False
        )
        for (name, values), fill, hatch in looks:
            told = f"{name} ({len(values)})"
            axes.hist(values, edges, color=fill, hatch=hatch, edgecolor="black", linewidth=0.6, label=told)
        axes.axvline(in_force, color="black", linewidth=1.6, label=f"in force {in_force:.4g}")
        for line, (rule, value) in enumerate(offered):
            axes.axvline(value, color="0.4", linestyle="--", linewidth=0.8)
            axes.annotate(
                f"{rule} {value:.4g}",
                (value, 0.72 - 0.06 * line),
                xycoords=("data", "axes fraction"),
                xytext=(3, 0),
                textcoords="offset points",
                fontsize=6,
                bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 0.5},
            )
        axes.set_xlabel("raw score")
        axes.set_ylabel("images")
        axes.legend(frameon=False, fontsize=7)

    return draw_png(draw)


def _scored(found: Overview) -> str:
    scores = found.calibration
    how = "that the model has not learned"
    if scores.left_out:
        how = "that the model has learned, each scored as without its group"
    if scores.folds is not None:
        how = f"each scored by one of {scores.folds} fits that had not learned it"
    return (
        f"{len(scores.scores)} good images {how}: scores {min(scores.scores):.5g} to {max(scores.scores):.5g}"
    )


def _series(found: Overview) -> dict[str, F32]:
    shown = {"calibration": found.calibration.arrays()[0]}
    return shown if found.labelled is None else shown | _by_kind("labelled", found.labelled)


def _by_kind(name: str, known: Labelled) -> dict[str, F32]:
    return {
        f"{name} good": known.scores[~known.defective],
        f"{name} flawed": known.scores[known.defective],
    }


def _rules_table(found: Overview) -> str:
    series = _series(found)
    head = ["rule", "value", "promises at most", *(name.split()[-1] for name in series)]
    rows = [["(in force)", *_told(found.thresholds.image, series.values())]]
    for offer in found.offers:
        if offer.threshold is None:
            rows.append([offer.rule, "-", offer.needs, *("" for _ in series)])
        else:
            rows.append([offer.rule, *_told(offer.threshold, series.values())])
    return text_table(head, rows)


def _test_table(found: Overview, test: Labelled) -> str:
    sides = list(_by_kind("test", test).values())
    rows = [["(in force)", *_rejected(found.thresholds.image, sides)]]
    rows += [[o.rule, *_rejected(o.threshold, sides)] for o in found.offers if o.threshold is not None]
    return text_table(["rule", "good NG", "flawed NG"], rows)


def _told(threshold: Threshold, series: Iterable[F32]) -> list[str]:
    return [f"{threshold.value:.5g}", promise_of(threshold), *_rejected(threshold, series)]


def promise_of(threshold: Threshold) -> str:
    """In a few words."""
    if threshold.false_alarm_rate is None:
        return "nothing"
    how = "on average" if threshold.confidence is None else f"with {threshold.confidence:.0%}"
    return f"{threshold.false_alarm_rate:.3g} {how}"


def _rejected(threshold: Threshold, series: Iterable[F32]) -> list[str]:
    return [f"{sum(map(threshold.is_exceeded_by, map(float, s)))}/{len(s)}" for s in series]


def _count(scores: F64, edges: F64) -> np.ndarray:
    """(B,) how many lie in each bin: above its lower edge, up to its upper one."""
    return np.diff(np.searchsorted(np.sort(scores), edges, side="right"))


def _bar(count: int, most: int, width: int) -> str:
    if count == 0:
        return ""
    return "#" * max(1, round(width * count / most)) + f" {count}"


def _wrapped(text: str) -> list[str]:
    return wrap(text, WIDTH, subsequent_indent="  ")
