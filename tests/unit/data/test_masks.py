"""Where a sample is flawed: drawn, nowhere, or not known; and what contradicts itself is refused."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from tests.support import noise, part_picture

from kizu.core.errors import DataError, ImageError
from kizu.data.manifest import Sample
from kizu.data.masks import looks_like_a_mask, true_mask
from kizu.imaging.codec import encode_jpeg, encode_png


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


def blob(*, smooth: bool) -> np.ndarray:
    """(60, 80) uint8: a white ellipse on black, its rim grey where it is smooth."""
    large = Image.new("L", (640, 480))
    ImageDraw.Draw(large).ellipse((160, 80, 400, 320), fill=255)
    small = large.resize((80, 60), Image.Resampling.BILINEAR if smooth else Image.Resampling.NEAREST)
    return np.asarray(small)


MASKS = {
    "two values": blob(smooth=False),
    "zero and one": (blob(smooth=False) > 0).astype(np.uint8),
    "nothing": np.zeros((60, 80), np.uint8),
    "a number for each kind": (np.indices((60, 80))[1] // 16).astype(np.uint8),
    "a grey for each kind": (np.indices((60, 80))[1] // 16 * 50).astype(np.uint8),
    "one grey": np.full((60, 80), 128, np.uint8),
    "colours": np.repeat(blob(smooth=False)[..., None], 3, axis=2) * np.array([1, 0, 0], np.uint8),
}
PICTURES = {
    "nine greys": (np.indices((60, 90))[1] // 10 * 25 + 20).astype(np.uint8),
    "noise": noise(0),
    "a part": part_picture(0),
    "a gradient": np.indices((60, 80))[1].astype(np.uint8),
}


@pytest.mark.parametrize("name", [*MASKS, *PICTURES])
def test_a_mask_is_told_from_a_picture(tmp_path: Path, name: str) -> None:
    path = drawn(tmp_path / "a.png", (MASKS | PICTURES)[name])
    assert looks_like_a_mask(path) == (name in MASKS)


def test_a_smooth_rim_and_compression_make_a_mask_no_picture(tmp_path: Path) -> None:
    large = np.kron(blob(smooth=False), np.ones((8, 8), np.uint8))
    smooth = np.asarray(Image.fromarray(large).resize((320, 240), Image.Resampling.BILINEAR))
    encode_jpeg(tmp_path / "a.jpg", large)
    assert looks_like_a_mask(tmp_path / "a.jpg")
    assert looks_like_a_mask(drawn(tmp_path / "b.png", smooth))


def test_what_cannot_be_decoded_is_not_said_to_be_one(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no")
    with pytest.raises(ImageError):
        looks_like_a_mask(tmp_path / "a.png")
