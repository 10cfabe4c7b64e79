"""Pictures of an evaluation show its numbers at their places, are small, and the same for the same numbers."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import kizu.report.figures as module
from kizu.imaging.codec import decode
from kizu.metrics.probability import Reliability
from kizu.metrics.ranking import Curve
from kizu.metrics.undefined import Undefined
from kizu.report.figures import (
    auroc_scatter,
    confusion_figure,
    pr_figure,
    reliability_figure,
    roc_figure,
    score_histogram,
)

pytest.importorskip("matplotlib", reason="matplotlib is not installed")

RNG = np.random.default_rng(0)
LABELS = np.arange(200) % 3 == 0
SCORES = 30 + 5 * RNG.normal(size=200) + 8 * LABELS
FIGURES: dict[str, Callable[[], bytes]] = {
    "roc": lambda: roc_figure(LABELS, SCORES, 36, rng=np.random.default_rng(1)),
    "pr": lambda: pr_figure(LABELS, SCORES, 36),
    "scores": lambda: score_histogram(LABELS, SCORES, 36),
    "confusion": lambda: confusion_figure({"tp": 40, "fp": 3, "tn": 130, "fn": 27}),
    "scatter": lambda: auroc_scatter(["tile, padim", "tile, patchcore"], [0.85, 0.83], [0.7, 0.8]),
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_small_and_the_same_twice(name: str) -> None:
    content = FIGURES[name]()
    assert content == FIGURES[name]()
    assert len(content) < 60_000
    height, width, _ = decode(content).shape
    assert 300 < height < width < 600


@pytest.mark.parametrize("labels", [LABELS & False, LABELS | True])
def test_curves_need_both_kinds(labels: np.ndarray) -> None:
    for draw in (roc_figure, pr_figure):
        options = {"rng": np.random.default_rng(0)} if draw is roc_figure else {}
        with pytest.raises(Undefined):
            draw(labels, SCORES, 36, **options)


@pytest.mark.parametrize("count", [2, 5])
def test_few_images_and_perfect_ones_can_be_drawn(count: int) -> None:
    labels = np.arange(count) == 0
    scores = np.where(labels, 1e6, 1e-3)
    for content in (
        roc_figure(labels, scores, 1e7, rng=np.random.default_rng(0)),
        pr_figure(labels, scores, 1e7),  # nothing is rejected: there is no deployed point
        score_histogram(labels, scores, 5.0),
        confusion_figure({"tp": 0, "fp": 0, "tn": 0, "fn": 0}),
    ):
        assert decode(content).std() > 0


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Draws a figure and gives its axes, so that what was put on them can be read."""
    from matplotlib.figure import Figure

    kept: list[Any] = []

    def keep(draw: Callable[[Any], None]) -> bytes:
        axes = Figure().add_subplot()
        draw(axes)
        kept.append(axes)
        return b""

    monkeypatch.setattr(module, "draw_png", keep)

    def axes_of(figure: Callable[..., bytes], *arguments: Any, **options: Any) -> Any:
        figure(*arguments, **options)
        return kept[-1]

    return axes_of


def points(line: Any) -> list[tuple[float, float]]:
    return list(zip(map(float, line.get_xdata()), map(float, line.get_ydata()), strict=True))


def rates(threshold: float) -> tuple[float, float, float]:
    """Good parts rejected, defects found, rejected parts that are defective; by counting."""
    ng = threshold < SCORES
    return float(ng[~LABELS].mean()), float(ng[LABELS].mean()), float(LABELS[ng].mean()) if ng.any() else 1.0


@pytest.mark.parametrize("threshold", [33.0, 36.0, 41.0])
def test_a_roc_curve_goes_up_over_the_good_parts_rejected_and_holds_the_deployed_point(
    drawn: Callable[..., Any], threshold: float
) -> None:
    axes = drawn(roc_figure, LABELS, SCORES, threshold, rng=np.random.default_rng(1))
    curve, diagonal, deployed = axes.get_lines()
    reached = {rates(score)[:2] for score in [-np.inf, *SCORES, np.inf]}
    assert {(round(x, 9), round(y, 9)) for x, y in points(curve)} <= {
        (round(x, 9), round(y, 9)) for x, y in reached
    }
    assert points(curve)[0] == (0, 0)
    assert points(curve)[-1] == (1, 1)
    assert points(diagonal) == [(0, 0), (1, 1)]
    assert points(deployed) == [pytest.approx(rates(threshold)[:2])]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("good parts rejected", "defects found")
    told = [text.get_text() for text in axes.texts]
    assert told == ["deployed\n({:.3f}, {:.3f})".format(*rates(threshold)[:2])]


def test_the_band_lies_round_the_curve_and_is_narrower_with_more_images(drawn: Callable[..., Any]) -> None:
    def band(times: int) -> tuple[np.ndarray, np.ndarray]:
        labels, scores = np.tile(LABELS, times), np.tile(SCORES, times)
        axes = drawn(roc_figure, labels, scores, 36, rng=np.random.default_rng(1))
        outline = axes.collections[0].get_paths()[0].vertices
        heights = [outline[np.isclose(outline[:, 0], x), 1] for x in module.GRID]
        return np.array([h.min() for h in heights]), np.array([h.max() for h in heights])

    low, high = band(1)
    whole = [max(rates(score)[1] for score in [*SCORES, np.inf] if rates(score)[0] <= x) for x in module.GRID]
    assert ((low - 1e-9 <= whole) & (whole <= high + 1e-9)).mean() > 0.95
    assert 0.02 < (high - low).mean() < 0.3
    narrow = band(4)
    assert (narrow[1] - narrow[0]).mean() == pytest.approx((high - low).mean() / 2, rel=0.2)


def test_heights_of_a_curve_are_the_highest_at_each_rate() -> None:
    curve = Curve(np.array([0, 0, 0.5, 0.5, 1]), np.array([0, 0.2, 0.4, 0.8, 1]))
    heights = module._heights(curve)
    assert heights[[0, 25, 50, 75, 100]] == pytest.approx([0.2, 0.3, 0.8, 0.9, 1])


def test_a_precision_curve_has_the_recall_below_and_holds_the_deployed_point(
    drawn: Callable[..., Any],
) -> None:
    axes = drawn(pr_figure, LABELS, SCORES, 36)
    curve, base, deployed = axes.get_lines()
    reached = {rates(np.nextafter(score, -np.inf))[1:] for score in SCORES[LABELS]}
    steps = {(round(x, 9), round(y, 9)) for x, y in points(curve)[1:]}
    assert steps == {(round(x, 9), round(y, 9)) for x, y in reached}
    assert points(curve)[0] == (0, points(curve)[1][1])
    assert curve.get_drawstyle() == "steps-pre"  # a precision holds for the recall up to which it was reached
    assert {y for _, y in points(base)} == {LABELS.mean()}
    assert points(deployed) == [pytest.approx(rates(36)[1:])]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("defects found", "rejected parts that are defective")


def test_a_threshold_that_rejects_nothing_has_no_precision_to_show(drawn: Callable[..., Any]) -> None:
    assert len(drawn(pr_figure, LABELS, SCORES, 1e6).get_lines()) == 2
    assert len(drawn(pr_figure, LABELS, SCORES, SCORES.max() - 1e-9).get_lines()) == 3


def test_bars_count_the_images_and_the_line_is_the_threshold(drawn: Callable[..., Any]) -> None:
    axes = drawn(score_histogram, LABELS, SCORES, 36.5)
    good, bad = (sum(bar.get_height() for bar in bars) for bars in axes.containers)
    assert (good, bad) == ((~LABELS).sum(), LABELS.sum())
    edges = [bar.get_x() for bar in axes.containers[0]]
    assert edges == [bar.get_x() for bar in axes.containers[1]]
    for bars, kind in zip(axes.containers, (~LABELS, LABELS), strict=True):
        bar = max(bars, key=lambda bar: bar.get_height())
        inside = (bar.get_x() <= SCORES[kind]) & (SCORES[kind] < bar.get_x() + bar.get_width())
        assert bar.get_height() == inside.sum() > 0
    assert set(axes.get_lines()[0].get_xdata()) == {36.5}
    assert axes.texts[0].get_text() == "threshold 36.5"
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["good (133)", "defective (67)"]


@pytest.mark.parametrize(("count", "bars"), [(10, 5), (100, 20), (1000, 40)])
def test_few_images_have_few_bars(drawn: Callable[..., Any], count: int, bars: int) -> None:
    rng = np.random.default_rng(0)
    axes = drawn(score_histogram, np.arange(count) % 2 == 0, rng.random(count), 0.5)
    assert len(axes.containers[0]) == bars


def test_the_four_outcomes_stand_in_their_places_with_their_share_of_the_row(
    drawn: Callable[..., Any],
) -> None:
    axes = drawn(confusion_figure, {"tp": 30, "fp": 5, "tn": 45, "fn": 10})
    told = {text.get_position(): text.get_text() for text in axes.texts}
    columns, rows = (
        [tick.get_text() for tick in ticks] for ticks in (axes.get_xticklabels(), axes.get_yticklabels())
    )
    assert {(columns[x], rows[y]): text for (x, y), text in told.items()} == {
        ("OK", "good"): "45\n90.0%",
        ("NG", "good"): "5\n10.0%",
        ("OK", "defective"): "10\n25.0%",
        ("NG", "defective"): "30\n75.0%",
    }
    shade = np.asarray(axes.get_images()[0].get_array())
    assert shade == pytest.approx(np.array([[0.9, 0.1], [0.25, 0.75]]))
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("verdict", "truth")


def test_a_probability_that_was_shown_lies_below_what_came_true(drawn: Callable[..., Any]) -> None:
    bins = Reliability(count=(30, 10), predicted=(0.1, 0.8), observed=(0.05, 0.95))
    axes = drawn(reliability_figure, bins, 0.123, 0.045)
    diagonal, line = axes.get_lines()
    assert points(diagonal) == [(0, 0), (1, 1)]
    assert points(line) == [(0.1, 0.05), (0.8, 0.95)]
    circles = axes.collections[0]
    assert circles.get_offsets().tolist() == [[0.1, 0.05], [0.8, 0.95]]
    small, large = sorted(circles.get_sizes())
    assert circles.get_sizes().tolist() == [large, small]
    assert (large - 20) / (small - 20) == pytest.approx(3)  # the area says the count
    told = {text.get_text(): text.xy for text in axes.texts}
    assert told["30"] == (0.1, 0.05)
    assert told["10"] == (0.8, 0.95)
    assert "ECE 0.123\nBrier 0.045" in told
    assert axes.get_xlabel() == "probability that was shown"
    assert axes.get_ylabel() == "part that was defective"


def test_categories_and_methods_lie_at_their_numbers(drawn: Callable[..., Any]) -> None:
    axes = drawn(auroc_scatter, ["tile, padim", "tile, patchcore"], [0.85, 0.83], [0.7, 0.8])
    assert {line.get_label(): points(line) for line in axes.get_lines()} == {
        "tile, padim": [(0.85, 0.7)],
        "tile, patchcore": [(0.83, 0.8)],
    }
    assert len({line.get_marker() for line in axes.get_lines()}) == 2
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("image AUROC", "pixel AUROC")
