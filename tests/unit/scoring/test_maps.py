import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from kizu.scoring.maps import image_scores, map_maker


def upsampled_slowly(grid: np.ndarray, hw: tuple[int, int]) -> np.ndarray:
    out = np.empty(hw)
    for y in range(hw[0]):
        for x in range(hw[1]):
            gy = np.clip((y + 0.5) * grid.shape[0] / hw[0] - 0.5, 0, grid.shape[0] - 1)
            gx = np.clip((x + 0.5) * grid.shape[1] / hw[1] - 0.5, 0, grid.shape[1] - 1)
            y0, x0 = int(gy), int(gx)
            y1, x1 = min(y0 + 1, grid.shape[0] - 1), min(x0 + 1, grid.shape[1] - 1)
            wy, wx = gy - y0, gx - x0
            top = (1 - wx) * grid[y0, x0] + wx * grid[y0, x1]
            bottom = (1 - wx) * grid[y1, x0] + wx * grid[y1, x1]
            out[y, x] = (1 - wy) * top + wy * bottom
    return out


@pytest.mark.parametrize(
    ("grid_hw", "hw"), [((4, 4), (16, 16)), ((3, 5), (11, 19)), ((1, 1), (7, 5)), ((8, 2), (8, 9))]
)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_two_matrices_upsample_and_smooth(
    grid_hw: tuple[int, int], hw: tuple[int, int], smoothing: float
) -> None:
    grid = np.random.default_rng(0).random((2, *grid_hw), dtype=np.float32)
    maps = map_maker(grid_hw, hw, smoothing)(grid)
    assert maps.dtype == np.float32
    for one, expected in zip(maps, grid, strict=True):
        slow = upsampled_slowly(expected, hw)
        if smoothing:
            slow = gaussian_filter(slow, smoothing * min(hw), mode="reflect", truncate=4)
        assert one == pytest.approx(slow, abs=1e-5)


def test_a_constant_stays_constant() -> None:
    maps = map_maker((8, 8), (64, 48), 1 / 16)(np.full((1, 8, 8), 3.5, dtype=np.float32))
    assert maps == pytest.approx(np.full((1, 64, 48), 3.5), rel=1e-5)


def test_image_score_rules() -> None:
    grid = np.array([[[1, 2], [3, 4]], [[8, 0], [0, 0]]], dtype=np.float32)
    maps = grid * 10
    assert image_scores(grid, maps, "max_patch", 0.5).tolist() == [4, 8]
    assert image_scores(grid, maps, "top_patches", 0.5).tolist() == [3.5, 4]
    assert image_scores(grid, maps, "top_patches", 0.01).tolist() == [4, 8]
    assert image_scores(grid, maps, "top_patches", 1.0).tolist() == [2.5, 2]
    assert image_scores(grid, maps, "max_map", 0.5).tolist() == [40, 80]
