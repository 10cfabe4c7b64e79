"""Integer products that a proof may rest on: exact, or not used at all."""

import logging
from collections.abc import Iterator

import numpy as np
import pytest
from tests.support import plain_product

import kizu.backbones.products as module
from kizu.backbones.products import exact_integer_product, integer_product
from kizu.core.types import F32, U8
from kizu.scoring.neighbours import build_bank, nearest
from kizu.scoring.rounded import I8, I32, MakeProduct, Product

by_a_runtime = pytest.param(
    integer_product,
    marks=pytest.mark.skipif(
        exact_integer_product() is None, reason="this processor does not multiply 8-bit integers exactly"
    ),
    id="by a runtime",
)
exact = pytest.mark.parametrize("make", [pytest.param(plain_product, id="by NumPy"), by_a_runtime])


@pytest.fixture
def _asked_anew() -> Iterator[None]:
    """The check is made once a process; here once a test."""
    exact_integer_product.cache_clear()
    yield
    exact_integer_product.cache_clear()


def cut_off(matrix: I8) -> Product:
    """As processors without a dot product: two neighbouring products are added in 16 bits, and what is more is lost."""
    wide = matrix.astype(np.int32)
    even = np.arange(0, len(wide), 2)

    def product(rows: U8) -> I32:
        terms = rows.astype(np.int32)[:, :, None] * wide[None]  # (Q, K, M), of unsigned rows
        pairs = np.clip(np.add.reduceat(terms, even, axis=1), -(2**15), 2**15 - 1)
        found: I32 = (pairs.sum(axis=1) - 128 * wide.sum(axis=0)).astype(np.int32)
        return found

    return product


@exact
@pytest.mark.parametrize(("depth", "width"), [(1, 1), (7, 33), (152, 1024)])
def test_the_product_is_exact_over_the_whole_range(make: MakeProduct, depth: int, width: int) -> None:
    rng = np.random.default_rng(depth)
    matrix = rng.integers(-127, 128, (depth, width), dtype=np.int8)
    rows = rng.integers(0, 256, (40, depth), dtype=np.uint8)
    rows[0], rows[1] = 0, 255
    matrix[:, 0] = 127
    expected = (rows.astype(np.int64) - 128) @ matrix
    found = make(matrix)(rows)
    assert found.dtype == np.int32
    assert (found == expected).all()


@pytest.mark.usefixtures("_asked_anew")
def test_a_processor_that_cuts_sums_off_is_found_out_and_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "integer_product", cut_off)
    with caplog.at_level(logging.INFO, logger="kizu"):
        assert exact_integer_product() is None
    assert "float products are used" in caplog.text


@pytest.mark.usefixtures("_asked_anew")
def test_a_processor_that_computes_exactly_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "integer_product", plain_product)
    assert exact_integer_product() is plain_product


def test_sums_that_were_cut_off_would_lose_the_nearest() -> None:
    """Why the check is worth its time: nothing else would tell."""
    queries, vectors = far_apart(60), far_apart(1500, seed=1)
    expected = nearest(queries, vectors, 1)[1]
    assert (nearest(queries, build_bank(vectors, plain_product), 1)[1] == expected).all()
    assert (nearest(queries, build_bank(vectors, cut_off), 1)[1] != expected).any()


def far_apart(count: int, seed: int = 0) -> F32:
    """Vectors whose integers reach the ends of their range."""
    return np.random.default_rng(seed).uniform(-1, 1, (count, 60)).astype(np.float32)
