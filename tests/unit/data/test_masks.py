"""Where a sample is flawed: drawn, nowhere, or not known; and what contradicts itself is refused."""

from pathlib import Path

import numpy as np
import pytest

from kizu.core.errors import DataError
from kizu.data.manifest import Sample
from kizu.data.masks import true_mask
from kizu.imaging.codec import encode_png


def drawn(path: Path, mask: np.ndarray) -> Path:
    encode_png(path, mask)
    return path


def test_a_good_sample_is_flawed_nowhere_and_an_undrawn_defect_nobody_knows_where() -> None:
    nowhere = true_mask(Sample("a", Path("a.png"), "good"), (4, 6))
    assert nowhere is not None
    assert nowhere.shape == (4, 6)
    assert not nowhere.any()
    assert true_mask(Sample("a", Path("a.png"), "defect"), (4, 6)) is None
    assert true_mask(Sample("a", Path("a.png")), (4, 6)) is None


def test_a_drawn_flaw_is_where_it_was_drawn(tmp_path: Path) -> None:
    mask = np.zeros((4, 6), bool)
    mask[1:3, 2] = True
    sample = Sample("a", Path("a.png"), "defect", drawn(tmp_path / "m.png", mask))
    np.testing.assert_array_equal(true_mask(sample, (4, 6)), mask)


def test_a_mask_of_another_size_names_both_files_and_sizes(tmp_path: Path) -> None:
    sample = Sample("a", Path("a.png"), "defect", drawn(tmp_path / "m.png", np.ones((4, 6), bool)))
    with pytest.raises(DataError, match=r"m\.png is 4 x 6, its image a\.png is 6 x 4") as caught:
        true_mask(sample, (6, 4))
    assert caught.value.hint


def test_an_empty_mask_contradicts_a_defect_but_not_a_good_sample(tmp_path: Path) -> None:
    empty = drawn(tmp_path / "m.png", np.zeros((4, 6), bool))
    with pytest.raises(DataError, match=r"m\.png has no flawed pixel, and its image a\.png"):
        true_mask(Sample("a", Path("a.png"), "defect", empty), (4, 6))
    good = true_mask(Sample("a", Path("a.png"), "good", empty), (4, 6))
    assert good is not None
    assert not good.any()
