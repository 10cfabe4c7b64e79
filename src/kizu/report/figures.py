"""Small pictures of an evaluation: the same numbers give the same bytes, and a grey print can be read."""

from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from kizu.core.errors import MissingExtraError
from kizu.core.types import F64, Bool
from kizu.metrics.decisions import confusion
from kizu.metrics.probability import Reliability
from kizu.metrics.ranking import Curve, Reals, pr_curve, roc_curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIDE_INCHES, DPI = 4.2, 110
GRID = np.linspace(0, 1, 101)
RESAMPLES = 300


def roc_figure(labels: Bool, scores: Reals, threshold: float, *, rng: np.random.Generator) -> bytes:
    """ROC with a 95 % band over redrawn images and the deployed point. Raises `Undefined` without both kinds."""
    curve = roc_curve(labels, scores)
    low, high = _band(labels, scores, rng)
    counts = confusion(labels, scores, threshold)

    def draw(axes: "Axes") -> None:
        axes.fill_between(GRID, low, high, color="0.85", linewidth=0)
        axes.plot(curve.x, curve.y, color="black", linewidth=1.5)
        axes.plot([0, 1], [0, 1], color="0.6", linewidth=0.8, linestyle=":")
        _point(axes, counts.overkill_rate, counts.recall)
        _square(axes, "good parts rejected", "defects found")

    return draw_png(draw)


def pr_figure(labels: Bool, scores: Reals, threshold: float) -> bytes:
    """Precision against recall in steps, with the deployed point. Raises `Undefined` without both kinds."""
    curve = pr_curve(labels, scores)
    counts = confusion(labels, scores, threshold)

    def draw(axes: "Axes") -> None:
        axes.step([0, *curve.x], [curve.y[0], *curve.y], where="pre", color="black", linewidth=1.5)
        base = float(labels.mean())
        axes.axhline(base, color="0.6", linewidth=0.8, linestyle=":")
        if counts.tp + counts.fp:
            _point(axes, counts.recall, counts.precision)
        _square(axes, "defects found", "rejected parts that are defective")

    return draw_png(draw)


def score_histogram(labels: Bool, scores: Reals, threshold: float) -> bytes:
    """Raw scores of good and defective images in shared bins, and the threshold."""
    edges = np.histogram_bin_edges(np.asarray(scores, np.float64), bins=min(40, max(5, len(scores) // 5)))

    def draw(axes: "Axes") -> None:
        for kind, fill, hatch in ((False, "0.8", ""), (True, "none", "////")):
            chosen = np.asarray(scores, np.float64)[labels == kind]
            name = f"{'defective' if kind else 'good'} ({len(chosen)})"
            axes.hist(
                chosen, edges.tolist(), color=fill, hatch=hatch, edgecolor="black", linewidth=0.7, label=name
            )
        axes.axvline(threshold, color="black", linestyle="--", linewidth=1.2)
        axes.annotate(
            f"threshold {threshold:.4g}",
            (threshold, 1),
            xycoords=("data", "axes fraction"),
            xytext=(4, -10),
            textcoords="offset points",
            fontsize=8,
        )
        axes.set_xlabel("raw score")
        axes.set_ylabel("images")
        axes.legend(frameon=False, fontsize=8, loc="center right")

    return draw_png(draw)


def confusion_figure(counts: dict[str, int]) -> bytes:
    """The four outcomes: `counts` with tp, fp, tn, fn; positive is NG."""
    table = np.array([[counts["tn"], counts["fp"]], [counts["fn"], counts["tp"]]])
    totals = np.maximum(table.sum(axis=1, keepdims=True), 1)

    def draw(axes: "Axes") -> None:
        axes.grid(visible=False)
        axes.imshow(table / totals, cmap="Greys", vmin=0, vmax=1.6)
        for (row, column), count in np.ndenumerate(table):
            share = f"{count}\n{count / totals[row, 0]:.1%}"
            axes.text(column, row, share, ha="center", va="center", fontsize=12)
        axes.set_xticks([0, 1], ["OK", "NG"])
        axes.set_yticks([0, 1], ["good", "defective"], rotation=90, va="center")
        axes.set_xlabel("verdict")
        axes.set_ylabel("truth")

    return draw_png(draw)


def reliability_figure(bins: Reliability, ece: float, brier: float) -> bytes:
    """What was promised against what came true; each point's area is its number of images."""
    share = np.array(bins.count) / sum(bins.count)

    def draw(axes: "Axes") -> None:
        axes.plot([0, 1], [0, 1], color="0.6", linewidth=0.8, linestyle=":")
        axes.plot(bins.predicted, bins.observed, color="black", linewidth=1)
        axes.scatter(
            bins.predicted, bins.observed, s=20 + 300 * share, facecolor="0.85", edgecolor="black", zorder=3
        )
        for x, y, count in zip(bins.predicted, bins.observed, bins.count, strict=True):
            axes.annotate(str(count), (x, y), (0, 9), textcoords="offset points", fontsize=7, ha="center")
        axes.annotate(
            f"ECE {ece:.3f}\nBrier {brier:.3f}", (0.03, 0.97), xycoords="axes fraction", va="top", fontsize=8
        )
        _square(axes, "probability that was shown", "part that was defective")

    return draw_png(draw)


def auroc_scatter(names: Sequence[str], image: Sequence[float], pixel: Sequence[float]) -> bytes:
    """Image AUROC against pixel AUROC, one named point for each category and method."""

    def draw(axes: "Axes") -> None:
        markers = "os^Dv<>P"
        for index, (name, x, y) in enumerate(zip(names, image, pixel, strict=True)):
            axes.plot(x, y, markers[index % len(markers)], color="black", markerfacecolor="0.8", label=name)
        axes.set_xlabel("image AUROC")
        axes.set_ylabel("pixel AUROC")
        axes.legend(frameon=False, fontsize=8)
        axes.margins(0.15)

    return draw_png(draw)


def _band(labels: Bool, scores: Reals, rng: np.random.Generator) -> tuple[F64, F64]:
    """2.5 % and 97.5 % of the heights of redrawn curves over `GRID`, good and defective images redrawn apart."""
    sides = np.flatnonzero(labels), np.flatnonzero(~labels)
    heights = np.empty((RESAMPLES, GRID.size))
    for row in heights:
        drawn = np.concatenate([rng.choice(side, side.size) for side in sides])
        row[:] = _heights(roc_curve(labels[drawn], scores[drawn]))
    low, high = np.quantile(heights, [0.025, 0.975], axis=0)
    return low, high


def _heights(curve: Curve) -> F64:
    """The highest point of the curve at each rate of `GRID`."""
    last = np.searchsorted(curve.x, GRID, side="right") - 1
    here = np.interp(GRID, curve.x, curve.y)
    heights: F64 = np.where(curve.x[last] == GRID, curve.y[last], here)
    return heights


def _point(axes: "Axes", x: float, y: float) -> None:
    axes.plot(x, y, "o", color="black", markersize=7, markerfacecolor="white", markeredgewidth=1.5)
    left = x > 0.5
    axes.annotate(
        f"deployed\n({x:.3f}, {y:.3f})",
        (x, y),
        xytext=(-9 if left else 9, -12),
        textcoords="offset points",
        fontsize=8,
        ha="right" if left else "left",
        va="top",
    )


def _square(axes: "Axes", x: str, y: str) -> None:
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.04)
    axes.set_xlabel(x)
    axes.set_ylabel(y)


def draw_png(draw: Any) -> bytes:
    """The picture that `draw` makes of empty axes. Raises `MissingExtraError` without matplotlib."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("matplotlib is not installed", hint="pip install 'kizu[report]'") from error
    figure = Figure(figsize=(SIDE_INCHES, SIDE_INCHES * 0.85), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.grid(color="0.92", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    draw(axes)
    stream = BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()
