"""From good pictures to references: bounded, spread, and a limit that keeps its promise."""

import numpy as np
import pytest
from tests.support import category, run_config

from kizu.core.errors import DataError
from kizu.decision.conformal import conformal
from kizu.lab.references import MARGIN, REFERENCES, make_references, product_references
from kizu.lab.train import train_run
from kizu.runs.folder import RunFolder
from kizu.scoring.references import distances_left_out, spread_evenly


def directions(count: int, seed: int = 0, spread: float = 0.1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = np.eye(6)[0] + spread * rng.normal(size=(count, 6))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def test_few_are_kept_and_the_limit_is_a_margin_beyond_the_good_ones() -> None:
    x, groups = directions(300), np.arange(300)
    found = product_references(x, groups, where="plate")
    picks = spread_evenly(300, REFERENCES)
    np.testing.assert_array_equal(found.array, x[picks])
    distances = distances_left_out(x, groups, picks)
    assert found.limit == pytest.approx(conformal(distances, 0.01).value + MARGIN)
    assert (found.false_rejection_rate, found.images) == (0.01, 300)


def test_new_good_pictures_keep_within_the_promise_without_the_margin() -> None:
    """On average over fits, as a conformal limit promises: 40 of 200 pictures each."""
    beyond = []
    for seed in range(40):
        x = directions(320, seed)
        found = product_references(x[:120], np.arange(120), where="plate")
        beyond.append((1 - (x[120:] @ found.array.T).max(axis=1) > found.limit - MARGIN).mean())
    assert np.mean(beyond) <= 0.01 + 3 * np.std(beyond) / np.sqrt(40)


def test_few_pictures_promise_what_they_can() -> None:
    assert product_references(directions(9), np.arange(9), where="p").false_rejection_rate == pytest.approx(
        0.1
    )


def test_pictures_of_one_part_tell_nothing() -> None:
    with pytest.raises(DataError, match="all of one part"):
        product_references(directions(5), np.zeros(5, np.int64), where="plate")


def test_a_run_keeps_those_of_each_of_its_categories(tmp_path) -> None:  # type: ignore[no-untyped-def]
    for seed, name in enumerate(("plate", "lid")):
        category(tmp_path / "data", name, 100 * seed)
    run = train_run(run_config(tmp_path / "data", "plate,lid"), tmp_path / "runs")
    found = make_references(run.folder)
    assert list(found.products) == ["plate", "lid"]
    assert [product.count for product in found.products.values()] == [12, 12]
    assert found.run_id == run.bundle.manifest.run_id


def test_a_picture_that_is_gone_is_named(run: RunFolder) -> None:
    gone = next((run.path.parents[3] / "data" / "plate" / "train" / "good").glob("*.png"))
    gone.unlink()
    with pytest.raises(DataError, match=f"{gone.name}, which the run was trained on, is gone"):
        make_references(run)
