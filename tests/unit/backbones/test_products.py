import numpy as np
import pytest

from kizu.backbones.products import exact_integer_product, integer_product

pytestmark = pytest.mark.skipif(
    exact_integer_product() is None, reason="this processor does not multiply 8-bit integers exactly"
)


@pytest.mark.parametrize(("depth", "width"), [(1, 1), (7, 33), (152, 1024)])
def test_the_product_is_exact_over_the_whole_range(depth: int, width: int) -> None:
    rng = np.random.default_rng(depth)
    matrix = rng.integers(-127, 128, (depth, width), dtype=np.int8)
    rows = rng.integers(0, 256, (40, depth), dtype=np.uint8)
    rows[0], rows[1] = 0, 255
    matrix[:, 0] = 127
    expected = (rows.astype(np.int64) - 128) @ matrix
    assert (integer_product(matrix)(rows) == expected).all()
