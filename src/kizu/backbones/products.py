"""Products of 8-bit integers, which processors compute several times as fast as floats, and NumPy does not offer."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from kizu.backbones.session import GraphSession
from kizu.core.work import Work

Product = Callable[[NDArray[np.uint8]], NDArray[np.int32]]
"""Rows (Q, K) -> (Q, M)."""

ZERO_POINT = 128
_OPSET = 17
_IR_VERSION = 9
_log = logging.getLogger(__name__)


def integer_product(matrix: NDArray[np.int8]) -> Product:
    """For a matrix (K, M): a function of rows (Q, K) that gives `(rows - 128) @ matrix`, exactly, as (Q, M) int32.

    One thread a call; calls may run side by side.
    """
    from onnx import TensorProto, helper, numpy_helper

    depth, width = matrix.shape
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["rows", "matrix", "zero"], ["products"])],
        "integer_product",
        [helper.make_tensor_value_info("rows", TensorProto.UINT8, ["Q", depth])],
        [helper.make_tensor_value_info("products", TensorProto.INT32, ["Q", width])],
        [
            numpy_helper.from_array(np.ascontiguousarray(matrix), "matrix"),
            numpy_helper.from_array(np.array(ZERO_POINT, np.uint8), "zero"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION)
    session = GraphSession(model, Work(cores=1))
    return lambda rows: session.run({"rows": rows})["products"]


@dataclass(frozen=True, slots=True)
class IntegerProduct:
    """`integer_product`, of matrices with which it is exact on this machine."""

    largest: int
    """Their values are within +-this."""

    def __call__(self, matrix: NDArray[np.int8]) -> Product:
        """As `integer_product`."""
        return integer_product(matrix)


EIGHT_BITS, SEVEN_BITS = IntegerProduct(127), IntegerProduct(64)
"""Of 7 bits there are only halves below 2^15: 2 * 255 * 64 = 32,640."""


@cache
def exact_integer_product() -> IntegerProduct | None:
    """The product of the widest integers that this machine multiplies exactly; None for none.

    Processors without a dot-product instruction add neighbouring products in 16 bits and cut off what does not fit
    (ONNX Runtime, "U8S8 saturation"); a proof cannot rest on that. Found out by the largest products there can be.
    """
    for make in (EIGHT_BITS, SEVEN_BITS):
        if _is_exact(make):
            return make
        _log.info(
            "products of integers to %d are not exact here: smaller ones are used, or floats", make.largest
        )
    return None


def _is_exact(make: IntegerProduct) -> bool:
    """Of sums of products of one sign, as large as they can be."""
    matrix = np.full((64, 64), make.largest, np.int8)
    matrix[:, 1::2] = -make.largest
    rows = np.repeat(np.array([[0], [255]], np.uint8), len(matrix), axis=1)
    return bool((make(matrix)(rows) == (rows.astype(np.int64) - ZERO_POINT) @ matrix).all())
