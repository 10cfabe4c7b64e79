"""The integer product that `kizu.scoring.rounded` asks its caller for, in ONNX Runtime."""

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from kizu.core.types import U8
from kizu.scoring.rounded import I8, I32, ZERO, Product


def ort_product(matrix: I8) -> Product:
    """(K, M) int8 -> its product. One thread per call, and calls may run side by side."""
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["rows", "matrix", "zero"], ["products"])],
        "product",
        [helper.make_tensor_value_info("rows", TensorProto.UINT8, ["Q", matrix.shape[0]])],
        [helper.make_tensor_value_info("products", TensorProto.INT32, ["Q", matrix.shape[1]])],
        [
            numpy_helper.from_array(matrix, "matrix"),
            numpy_helper.from_array(np.array(ZERO, np.uint8), "zero"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )

    def product(rows: U8) -> I32:
        products: I32 = session.run(None, {"rows": rows})[0]
        return products

    return product
