"""The table of positions on other grids: against sums written out, and as a graph."""

import numpy as np
import pytest

from kizu.backbones.builder import GraphBuilder
from kizu.backbones.position_table import CONVENTIONS, draw_resampled, resample
from kizu.backbones.session import GraphSession
from kizu.core.work import Work

GRIDS = [(5, 5), (7, 7), (4, 9), (16, 3), (1, 13)]
"""Of a table of 7 x 7: smaller, its own, larger, and a single row."""


@pytest.fixture(scope="module")
def table():
    return np.random.default_rng(0).standard_normal((7, 7, 3)).astype(np.float32)


def kernel(x, a):
    x = abs(x)
    if x <= 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * (x**3 - 5 * x**2 + 8 * x - 4) if x < 2 else 0.0


def line(values, length, convention, *, own_grid):
    """(G, ...) -> (length, ...), one place and one cell at a time."""
    a, antialias, offset = {
        "dinov2": (-0.75, False, 0.1),
        "antialias": (-0.5, True, 0),
        "size": (-0.75, False, 0),
    }[convention]
    count = len(values)
    ratio = count / (length + (0 if own_grid else offset))
    out = np.zeros((length, *values.shape[1:]))
    for place in range(length):
        centre = (place + 0.5) * ratio - 0.5
        if antialias:
            wide = max(ratio, 1)
            parts = [kernel((cell - centre) / wide, a) for cell in range(count)]
            out[place] = sum(part * value for part, value in zip(parts, values, strict=True)) / sum(parts)
        else:
            for cell in range(int(np.floor(centre)) - 1, int(np.floor(centre)) + 3):
                out[place] += kernel(cell - centre, a) * values[min(max(cell, 0), count - 1)]
    return out


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("grid", GRIDS)
def test_it_is_the_sum_of_cubics_around_each_place(table, convention, grid):
    own = grid == (7, 7)
    rows = line(table.astype(float), grid[0], convention, own_grid=own)
    both = line(rows.transpose(1, 0, 2), grid[1], convention, own_grid=own).transpose(1, 0, 2)
    np.testing.assert_allclose(resample(table, grid, convention), both, atol=1e-6)


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_its_own_grid_gives_the_table_itself(table, convention):
    np.testing.assert_array_equal(resample(table, (7, 7), convention), table)


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("grid", GRIDS)
def test_a_table_of_one_value_keeps_it(convention, grid):
    found = resample(np.full((7, 7, 2), 3.0, np.float32), grid, convention)
    np.testing.assert_allclose(found, np.full((*grid, 2), 3.0), rtol=1e-6)


@pytest.mark.parametrize(
    ("convention", "symmetric"), [("size", True), ("antialias", True), ("dinov2", False)]
)
def test_a_turned_table_gives_a_turned_result_but_for_the_offset(table, convention, symmetric):
    turned = resample(table[::-1, ::-1], (5, 9), convention)[::-1, ::-1]
    assert np.allclose(turned, resample(table, (5, 9), convention), atol=1e-5) is symmetric


def test_the_conventions_are_not_interchangeable(table):
    found = [resample(table, (5, 9), convention) for convention in CONVENTIONS]
    for i in range(3):
        assert np.abs(found[i] - found[(i + 1) % 3]).max() > 0.05


@pytest.fixture(scope="module", params=["onnxruntime", "openvino"])
def runtime(request):
    pytest.importorskip(request.param, reason=f"{request.param} is not installed")
    return request.param


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_one_graph_does_the_same_for_every_grid(table, convention, runtime):
    graph = GraphBuilder("table")
    h, w = graph.several("Split", "grid", count=2, axis=0)
    graph.node("Identity", draw_resampled(graph, table, h, w, convention), name="found")
    model = graph.model({"grid": (np.int64, (2,))}, {"found": (np.float32, (1, "P", 3))})
    session = GraphSession(model, Work(cores=1, runtime=runtime))
    for grid in GRIDS:
        found = session.run({"grid": np.array(grid)})["found"]
        expected = resample(table, grid, convention).reshape(1, -1, 3)
        np.testing.assert_allclose(found, expected, atol=2e-6)
