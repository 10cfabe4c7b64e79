"""The pictures of a study. A grey print can be read: lines and fills differ by more than colour."""

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from io import BytesIO
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from kizu.core.errors import MissingExtraError
from kizu.metrics.ranking import roc_curve
from kizu.metrics.undefined import Undefined
from kizu.study.conditions import CONDITIONS, Key
from kizu.study.embedded import read_embedded
from kizu.study.record import Record
from kizu.study.run import Study

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 150
LEAST_MAPPED = 8
PAGE, WIDE = 6.8, 5.0
"""Inches of the text on a page."""
STYLES = ("-", "--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)))
MARKERS = "os^Dv<>P"
COLOURS = ("#1b4f8a", "#c2571a", "#3f7f4f", "#7b4a9c", "#7a6a00")
BARS = ("clean", "shifted", "thresholds", "updated", "refitted", "joint", "cross", "global", "global_shifted")


def severity_curves(study: Study) -> bytes:
    """Image AUROC against severity, one panel for each category: nothing adapted, and refitted; mean over seeds."""

    def draw(axes: "Axes", category: str) -> None:
        for number, method in enumerate(study.config.methods):
            for condition, style in (("shifted", "-"), ("refitted", ":")):
                points = [(0, _mean(study, Key(category, method, 0, "clean")))]
                points += [
                    (s, _mean(study, Key(category, method, 0, condition, s))) for s in study.config.severities
                ]
                shown = [(x, y) for x, y in points if y is not None]
                if len(shown) > 1:
                    axes.plot(
                        *zip(*shown, strict=True),
                        linestyle=style,
                        marker=MARKERS[number % len(MARKERS)],
                        color=COLOURS[number % len(COLOURS)],
                        markersize=4,
                        label=f"{method}, {condition}",
                    )
        axes.set_title(category, fontsize=9)
        axes.set_xlabel("severity", fontsize=8)
        axes.set_xticks([0, *study.config.severities])

    return _panels([one.name for one in study.config.data], draw, "image AUROC")


def condition_bars(study: Study, severity: int) -> bytes:
    """Image AUROC by condition at one severity, a panel for each category, with the 95 % interval of the first seed."""

    def draw(axes: "Axes", category: str) -> None:
        names = [name for name in BARS if name in study.config.conditions and _applies(study, name)]
        methods = list(study.config.methods)
        width = 0.8 / len(methods)
        for number, method in enumerate(methods):
            for place, name in enumerate(names):
                record = _first(study, category, method, name, severity)
                value = None if record is None else record.metrics.get("image_auroc")
                if record is None or value is None:
                    continue
                x = place + (number - (len(methods) - 1) / 2) * width
                axes.bar(
                    x,
                    value,
                    width,
                    color=COLOURS[number % len(COLOURS)],
                    alpha=0.75,
                    hatch=("", "//", "..", "xx")[number % 4],
                    edgecolor="white",
                    label=method if place == 0 else None,
                )
                if record.auroc_interval is not None:
                    low, high = record.auroc_interval
                    axes.plot([x, x], [low, high], color="black", linewidth=0.8)
        axes.set_xticks(range(len(names)), names, rotation=40, ha="right", fontsize=7)
        axes.set_title(category, fontsize=9)
        axes.set_ylim(0, 1.02)

    return _panels([one.name for one in study.config.data], draw, "image AUROC")


def roc_families(study: Study) -> bytes:
    """ROC of the first seed, a panel for each method and category: clean, and each severity with nothing adapted."""
    panels = [f"{m}, {one.name}" for m in study.config.methods for one in study.config.data]

    def draw(axes: "Axes", panel: str) -> None:
        method, category = panel.split(", ")
        seed = study.config.seeds[0]
        keys = [Key(category, method, seed, "clean")]
        keys += [Key(category, method, seed, "shifted", s) for s in study.config.severities]
        for number, key in enumerate(keys):
            record = study.records.get(key)
            if record is None or record.error is not None:
                continue
            try:
                curve = roc_curve(record.defective, record.raw)
            except Undefined:
                continue
            label = f"severity {key.severity}" if key.severity else "clean"
            axes.plot(
                curve.x,
                curve.y,
                linestyle=STYLES[number % 5],
                color=COLOURS[number % 5],
                linewidth=1.1,
                label=label,
            )
        axes.set_title(panel, fontsize=7)

    return _panels(panels, draw, "defects found", columns=len(study.config.data), side=1.55)


def picture_map(study: Study) -> bytes:
    """Test pictures as the network sees them, in two dimensions (t-SNE, van der Maaten and Hinton 2008), a panel for
    each category; empty where scikit-learn is missing, or the study has kept no vectors."""
    if find_spec("sklearn") is None:
        return b""
    found = {one.name: read_embedded(study.folder, one.name) for one in study.config.data}
    there = {name: one for name, one in found.items() if one is not None and len(one.vectors) > LEAST_MAPPED}

    def draw(axes: "Axes", category: str) -> None:
        from sklearn.manifold import TSNE

        one = there[category]
        perplexity = min(30.0, (len(one.vectors) - 1) / 3)
        places = TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(one.vectors)  # (N, 2)
        for number, (is_defective, is_shifted) in enumerate(product((False, True), repeat=2)):
            chosen = (one.defective == is_defective) & (one.shifted == is_shifted)
            label = f"{'defective' if is_defective else 'good'}, {'shifted' if is_shifted else 'clean'}"
            colour = COLOURS[number // 2]
            axes.scatter(
                places[chosen, 0],
                places[chosen, 1],
                s=11,
                marker=MARKERS[number // 2],
                facecolor="white" if is_shifted else colour,
                edgecolor=colour,
                linewidth=0.7,
                label=label,
            )
        axes.set_title(category, fontsize=9)
        axes.set_xticks([])
        axes.set_yticks([])

    return _panels(list(there), draw, "", side=1.9, shared=False) if there else b""


def efficiency(study: Study) -> bytes:
    """Latency against the mean image AUROC of clean pictures (filled) and of the highest severity (open); the Pareto
    front of the latter is joined."""
    points = efficiency_points(study)

    def draw(axes: "Axes", _panel: str) -> None:
        for number, (method, latency, clean, worst) in enumerate(points):
            colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
            axes.plot(latency, clean, marker, color=colour, label=f"{method}, clean")
            axes.plot(
                latency, worst, marker, color=colour, markerfacecolor="white", label=f"{method}, shifted"
            )
        front = [(x, y) for _, x, y in pareto([(name, x, worst) for name, x, _, worst in points])]
        axes.plot(*zip(*front, strict=True), color="0.5", linewidth=0.8, linestyle="--", label="Pareto front")
        axes.set_xlabel("milliseconds a picture", fontsize=8)
        axes.margins(0.15)

    return _panels(["methods"], draw, "mean image AUROC", side=3.0, width=4.0) if points else b""


def efficiency_points(study: Study) -> list[tuple[str, float, float, float]]:
    """(method, milliseconds, mean image AUROC clean, the same at the highest severity), over categories and seeds."""
    points = []
    highest = max(study.config.severities)
    for method in study.config.methods:
        clean = [r for k, r in study.records.items() if (k.method, k.condition) == (method, "clean")]
        shifted = [
            r
            for k, r in study.records.items()
            if (k.method, k.condition, k.severity) == (method, "shifted", highest)
        ]
        times = [r.cost.latency_ms for r in clean if r.cost is not None and r.cost.latency_ms is not None]
        values = [
            [v for r in records if (v := r.metrics.get("image_auroc")) is not None]
            for records in (clean, shifted)
        ]
        if times and all(values):
            points.append(
                (method, float(np.median(times)), float(np.mean(values[0])), float(np.mean(values[1])))
            )
    return points


def pareto(points: Sequence[tuple[str, float, float]]) -> list[tuple[str, float, float]]:
    """Of (name, cost, worth) those that no other is at once cheaper and better than, cheapest first."""
    front: list[tuple[str, float, float]] = []
    for point in sorted(points, key=lambda one: (one[1], -one[2])):
        if not front or point[2] > front[-1][2]:
            front.append(point)
    return front


def _applies(study: Study, condition: str) -> bool:
    return any(key.condition == condition for key in study.records)


def _first(study: Study, category: str, method: str, condition: str, severity: int) -> Record | None:
    counts = study.config.update_counts if CONDITIONS[condition].fit == "updated" else (0,)
    key = Key(
        category,
        method,
        study.config.seeds[0],
        condition,
        severity if CONDITIONS[condition].has_severity else 0,
        max(counts, default=0),
    )
    return study.records.get(key)


def _mean(study: Study, key: Key) -> float | None:
    """Of image AUROC over seeds."""
    found = [
        record.metrics.get("image_auroc")
        for k, record in study.records.items()
        if (k.category, k.method, k.condition, k.severity)
        == (key.category, key.method, key.condition, key.severity)
    ]
    values = [value for value in found if value is not None]
    return float(np.mean(values)) if values else None


def _panels(
    names: Sequence[str],
    draw: Callable[[Any, str], None],
    what: str,
    *,
    columns: int = 4,
    side: float = 2.1,
    width: float = PAGE,
    shared: bool = True,
) -> bytes:
    """A PNG with a panel for each name, and one legend for all beneath."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure as Canvas
    except ImportError as error:
        raise MissingExtraError("matplotlib is not installed", hint="pip install 'kizu[study]'") from error
    columns = min(columns, len(names))
    rows = -(-len(names) // columns)
    figure: Figure = Canvas(figsize=(width, rows * side + 0.45), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(rows, columns, squeeze=False, sharey=shared)
    for place, axes in enumerate(grid.flat):
        if place >= len(names):
            axes.set_visible(False)
            continue
        axes.grid(color="0.92", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.tick_params(labelsize=7)
        axes.spines[["top", "right"]].set_visible(False)
        draw(axes, names[place])
        if place % columns == 0:
            axes.set_ylabel(what, fontsize=8)
    handles, labels = grid.flat[0].get_legend_handles_labels()
    if handles:
        figure.legend(
            handles,
            labels,
            loc="outside lower center",
            ncols=3 if width > WIDE else 2,
            fontsize=7,
            frameon=False,
        )
    stream = BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()
