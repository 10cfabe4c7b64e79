"""Numbers deeper than 8 bits become 0..255 by one scale for all pictures of a product, and say what lies beyond it."""

from io import BytesIO

import numpy as np
import pytest
import tifffile
from pydantic import ValidationError

from kizu.core.errors import ImageError
from kizu.imaging.codec import decode, decoded, image_info, read_numbers, to_rgb
from kizu.imaging.placement import PlacementConfig
from kizu.imaging.scale import Chosen, Scale, choose_scale, range_of


@pytest.fixture(scope="module")
def scene() -> np.ndarray:
    """(60, 80) uint8 over all levels."""
    return (np.arange(60 * 80).reshape(60, 80) * 7 % 256).astype(np.uint8)


def deeper(scene: np.ndarray) -> dict[str, np.ndarray]:
    """The same scene as cameras and programs write it."""
    wide = scene.astype(np.float64)
    return {
        "10 in 16": (scene.astype(np.uint16) << 2) + 3,
        "12 in 16": np.rint(wide / 255 * 4095).astype(np.uint16),
        "14 in 16": np.rint(wide / 255 * 16383).astype(np.uint16),
        "16": np.rint(wide / 255 * 65535).astype(np.uint16),
        "float": (wide / 255).astype(np.float32),
        "float of 255": wide.astype(np.float32),
    }


def tiff(array: np.ndarray, **options: object) -> bytes:
    stream = BytesIO()
    photometric = "rgb" if array.ndim == 3 else "minisblack"
    tifffile.imwrite(stream, array, metadata=None, **{"photometric": photometric, **options})
    return stream.getvalue()


def chosen(*arrays: np.ndarray) -> Chosen:
    return choose_scale(map(range_of, arrays))


def test_the_same_scene_looks_the_same_in_every_depth(scene: np.ndarray) -> None:
    for name, array in deeper(scene).items():
        scale = chosen(array).scale
        assert np.array_equal(decode(tiff(array), scale=scale)[..., 0], scene), name
        assert np.array_equal(to_rgb(array, scale=scale)[..., 1], scene), name


def test_sixteen_bits_that_are_filled_keep_the_high_byte(scene: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    full = rng.integers(0, 1 << 16, (50, 60)).astype(np.uint16)
    assert chosen(full).scale == Scale(depth="uint16", low=0, high=65535)
    assert np.array_equal(decode(tiff(full), scale=chosen(full).scale), decode(tiff(full)))


def test_a_thermal_picture_keeps_its_levels_and_its_hot_spot() -> None:
    rng = np.random.default_rng(0)
    good = [(29815 + 4 * rng.standard_normal((60, 80))).astype(np.uint16) for _ in range(5)]
    found = chosen(*good)
    assert found.levels >= 0.9 * found.values
    assert str(found.values) in str(found)
    assert str(found.levels) in str(found)
    hot = good[0].copy()
    hot[20:30, 20:30] += 90
    seen = found.scale.apply(hot)
    assert seen[20:30, 20:30].min() > found.scale.apply(good[0]).max() + 50
    assert found.scale.beyond(good[1]) < 0.01
    assert 0.015 < found.scale.beyond(hot) < 0.03


def test_dead_and_hot_pixels_do_not_set_the_scale() -> None:
    good = np.random.default_rng(0).integers(1000, 1100, (100, 100)).astype(np.uint16)
    good[3, 4], good[7, 8] = 0, 65535
    assert 940 <= chosen(good).scale.low < chosen(good).scale.high <= 1160


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("extra", [False, True])
def test_of_16_bit_colours_both_bytes_count(order: str, compression: str | None, extra: bool) -> None:
    array = np.random.default_rng(0).integers(0, 1 << 16, (23, 31, 3 + extra)).astype(np.uint16)
    options = {"extrasamples": ["unspecified"]} if extra else {}
    data = tiff(array, byteorder=order, compression=compression, **options)
    assert np.array_equal(read_numbers(data), array[..., :3])
    narrow = Scale(depth="uint16", low=1000, high=1999)
    assert np.array_equal(decode(data, scale=narrow), narrow.apply(array[..., :3]))


def test_of_a_png_with_16_bit_colours_both_bytes_count() -> None:
    import imagecodecs

    array = np.random.default_rng(0).integers(0, 1 << 16, (23, 31, 3)).astype(np.uint16)
    assert np.array_equal(read_numbers(imagecodecs.png_encode(array)), array)


@pytest.mark.parametrize("kind", ["i2", "u4", "i4", "f4"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_numbers_without_a_full_scale_are_read_as_they_are(kind: str, order: str) -> None:
    array = (np.random.default_rng(0).standard_normal((20, 30)) * 1e4 + (5e4 if kind == "u4" else 0)).astype(
        kind
    )
    data = tiff(array, byteorder=order)
    if (kind, order) == ("u4", ">"):
        with pytest.raises(ImageError, match="variant of TIFF"):
            decode(data)
        return
    assert image_info(data).depth == array.dtype.name
    assert np.array_equal(read_numbers(data), array)
    with pytest.raises(ImageError, match="full scale is unknown"):
        decode(data)
    scale = chosen(array).scale
    seen = decode(data, scale=scale)[..., 0].astype(int)
    order_of = np.argsort(array.ravel(), kind="stable")
    assert (np.diff(seen.ravel()[order_of]) >= 0).all()
    assert np.unique(seen).size > 60


def test_a_negative_is_scaled_the_right_way_round() -> None:
    array = np.arange(600).reshape(20, 30).astype(np.uint16)
    assert np.array_equal(read_numbers(tiff(array, photometric="miniswhite")), 65535 - array)


def test_another_depth_is_an_error_that_names_both(scene: np.ndarray) -> None:
    scale = chosen(deeper(scene)["12 in 16"]).scale
    for data in (tiff(scene), tiff(deeper(scene)["float"])):
        with pytest.raises(ImageError, match="uint16") as caught:
            decode(data, scale=scale)
        assert "damaged" not in str(caught.value)
    with pytest.raises(ImageError, match="uint8"):
        to_rgb(scene, scale=scale)
    with pytest.raises(ImageError, match="float32 and uint16"):
        chosen(deeper(scene)["float"], deeper(scene)["16"])


def test_what_is_beyond_the_scale_is_counted() -> None:
    array = np.array([[0, 10], [20, 30]], np.float32)
    scale = Scale(depth="float32", low=10, high=20)
    with decoded(tiff(array), scale=scale) as found:
        assert found.beyond == pytest.approx(0.5)
        assert found.pixels[..., 0].tolist() == [[0, 0], [255, 255]]
    assert scale.beyond(np.array([np.nan, 15, np.inf, 12], np.float32)) == pytest.approx(0.5)
    assert scale.apply(np.array([np.nan, -np.inf, np.inf], np.float32)).tolist() == [0, 0, 255]


def test_pictures_of_one_value_have_no_scale() -> None:
    with pytest.raises(ImageError, match="all pixels"):
        chosen(np.full((9, 9), 4000, np.uint16))


def test_a_scale_is_set_by_bits_or_by_its_ends_and_is_part_of_the_placement() -> None:
    placement = PlacementConfig.parse({"scale": {"bits": 12}}, where="test")
    assert placement.scale == Scale(depth="uint16", low=0, high=4095)
    assert PlacementConfig.parse(placement.model_dump(mode="json"), where="test") == placement
    assert "scale" not in PlacementConfig().model_dump(mode="json"), "what was hashed before keeps its hash"
    for wrong in (
        {"bits": 7},
        {"bits": 17},
        {"depth": "uint16", "low": 9, "high": 9},
        {"depth": "u2", "low": 0, "high": 1},
    ):
        with pytest.raises(ValidationError):
            Scale.model_validate(wrong)
