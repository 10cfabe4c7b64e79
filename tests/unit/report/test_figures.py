"""Pictures of an evaluation are pictures, small, and the same for the same numbers."""

from collections.abc import Callable

import numpy as np
import pytest

from kizu.imaging.codec import decode
from kizu.metrics.undefined import Undefined
from kizu.report.figures import auroc_scatter, confusion_figure, pr_figure, roc_figure, score_histogram

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
