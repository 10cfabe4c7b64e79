"""Integer products that a proof may rest on: exact, or not used at all."""

import logging
from collections.abc import Iterator

import numpy as np
import pytest
from tests.support import PairwiseProduct, PlainProduct

import kizu.backbones.products as module
from kizu.backbones.products import EIGHT_BITS, SEVEN_BITS, exact_integer_product
from kizu.core.types import F32
from kizu.scoring.neighbours import build_bank, nearest
from kizu.scoring.rounded import IntegerProduct

here = exact_integer_product()
WIDEST = 0 if here is None else here.largest


def by_a_runtime(make: IntegerProduct) -> object:
    skip = pytest.mark.skipif(make.largest > WIDEST, reason="this processor does not multiply these exactly")
    return pytest.param(make, marks=skip, id=f"by a runtime, to {make.largest}")


exact = pytest.mark.parametrize(
    "make",
    [
        pytest.param(PlainProduct(127), id="by NumPy"),
        pytest.param(PairwiseProduct(64), id="in pairs of 16 bits"),
        by_a_runtime(EIGHT_BITS),
        by_a_runtime(SEVEN_BITS),
    ],
)


@pytest.fixture
def _asked_anew() -> Iterator[None]:
    """The check is made once a process; here once a test."""
    exact_integer_product.cache_clear()
    yield
    exact_integer_product.cache_clear()


@exact
@pytest.mark.parametrize(("depth", "width"), [(1, 1), (7, 33), (152, 1024)])
def test_the_product_is_exact_over_the_whole_range(make: IntegerProduct, depth: int, width: int) -> None:
    rng = np.random.default_rng(depth)
    matrix = rng.integers(-make.largest, make.largest + 1, (depth, width), dtype=np.int8)
    rows = rng.integers(0, 256, (40, depth), dtype=np.uint8)
    rows[0], rows[1] = 0, 255
    matrix[:, 0] = make.largest
    expected = (rows.astype(np.int64) - 128) @ matrix
    found = make(matrix)(rows)
    assert found.dtype == np.int32
    assert (found == expected).all()


@pytest.mark.usefixtures("_asked_anew")
def test_a_processor_that_cuts_sums_off_gets_7_bits_and_it_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "integer_product", PairwiseProduct(127))
    with caplog.at_level(logging.INFO, logger="kizu"):
        assert exact_integer_product() == SEVEN_BITS
    assert "integers to 127 are not exact" in caplog.text
    assert "integers to 64" not in caplog.text


@pytest.mark.usefixtures("_asked_anew")
def test_a_processor_that_is_never_exact_gets_none(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    plain = PlainProduct(127)
    monkeypatch.setattr(module, "integer_product", lambda matrix: lambda rows: plain(matrix)(rows) + 1)
    with caplog.at_level(logging.INFO, logger="kizu"):
        assert exact_integer_product() is None
    assert "integers to 64 are not exact" in caplog.text


@pytest.mark.usefixtures("_asked_anew")
def test_a_processor_that_computes_exactly_gets_8_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "integer_product", PlainProduct(127))
    assert exact_integer_product() == EIGHT_BITS


def test_sums_that_were_cut_off_would_lose_the_nearest() -> None:
    """Why the check is worth its time: nothing else would tell."""
    queries, vectors = far_apart(60), far_apart(1500, seed=1)
    expected = nearest(queries, vectors, 1)[1]
    for make, same in ((PlainProduct(127), True), (PairwiseProduct(64), True), (PairwiseProduct(127), False)):
        assert (nearest(queries, build_bank(vectors, make), 1)[1] == expected).all() == same


def far_apart(count: int, seed: int = 0) -> F32:
    """Vectors whose integers reach the ends of their range."""
    return np.random.default_rng(seed).uniform(-1, 1, (count, 60)).astype(np.float32)
