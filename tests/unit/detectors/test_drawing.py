"""The drawn search says what the search of a run says."""

import numpy as np
import pytest

from kizu.backbones.builder import GraphBuilder
from kizu.backbones.session import GraphSession
from kizu.core.types import F32, I64
from kizu.core.work import Work
from kizu.detectors import drawing
from kizu.scoring.neighbours import nearest


def run(queries: F32, bank: F32, k: int) -> tuple[F32, I64]:
    graph = GraphBuilder("g")
    found = drawing.nearest(graph, "queries", bank, k)
    graph.node("Identity", found.distances, name="distances")
    graph.node("Identity", found.indices, name="indices")
    model = graph.model(
        {"queries": (np.float32, ("Q", bank.shape[1]))},
        {"distances": (np.float32, ("Q", k)), "indices": (np.int64, ("Q", k))},
    )
    outputs = GraphSession(model, Work(cores=1)).run({"queries": queries})
    return outputs["distances"], outputs["indices"]


def clusters(spread: float, size: int, *, seed: int) -> F32:
    """20 groups 10 apart."""
    rng = np.random.default_rng(0)
    centres = np.repeat(10 * rng.normal(size=(20, 30)), size, axis=0)
    return (centres + spread * np.random.default_rng(seed).normal(size=centres.shape)).astype(np.float32)


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("spread", [3, 0.1, 1e-2, 1e-3, 1e-4])
def test_vectors_that_float32_products_would_confuse_are_told_apart(spread: float, k: int) -> None:
    bank, new = clusters(spread, 50, seed=1), clusters(spread, 5, seed=2)
    for queries in (bank, new):
        found, expected = run(queries, bank, k), nearest(queries, bank, k)
        assert found[0] == pytest.approx(expected[0], rel=1e-3, abs=1e-30)
        assert (found[1] == expected[1]).mean() > 0.999
    assert (run(bank, bank, 1)[0] == 0).all()


@pytest.mark.parametrize(("spread", "tight"), [(3, False), (0.5, False), (1e-2, True), (1e-4, True)])
def test_only_tight_banks_are_searched_in_float64(spread: float, tight: bool) -> None:
    assert drawing.is_tight(clusters(spread, 50, seed=1)) == tight


def test_equal_vectors_and_a_few_near_ones_make_no_bank_tight() -> None:
    bank = clusters(3, 50, seed=1)
    assert not drawing.is_tight(np.concatenate([bank, bank]))
    assert not drawing.is_tight(np.concatenate([bank, bank[:10] + np.float32(1e-4)]))
    assert not drawing.is_tight(bank[:1])
    assert not drawing.is_tight(np.ones((9, 3), np.float32))
