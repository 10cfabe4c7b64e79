"""Which layers a backbone proposes, and which image sizes they cover."""

import re

import pytest

from kizu.backbones.base import Layer, default_layers, ensure_covered
from kizu.core.errors import ConfigError


def layers(*strides: int) -> list[Layer]:
    return [Layer(f"b{number}", stride, 8) for number, stride in enumerate(strides)]


@pytest.mark.parametrize(
    ("strides", "names"),
    [
        ((2, 4, 8, 8, 16, 16, 32), ("b3", "b5")),
        ((4, 8, 32), ("b1",)),
        ((16, 32), ("b0",)),
        ((4, 32), ("b1",)),
        ((14,), ("b0",)),
    ],
)
def test_the_last_layers_at_strides_8_and_16_are_proposed_else_the_last_of_all(
    strides: tuple[int, ...], names: tuple[str, ...]
) -> None:
    assert default_layers(layers(*strides)) == names


@pytest.mark.parametrize("stride", [8, 14, 16])
@pytest.mark.parametrize(("count", "names"), [(12, ("b5", "b6")), (3, ("b1",)), (2, ("b0", "b1"))])
def test_of_layers_that_share_a_stride_the_middle_ones_are_proposed(
    stride: int, count: int, names: tuple[str, ...]
) -> None:
    assert default_layers(layers(*[stride] * count)) == names


@pytest.mark.parametrize("hw", [(256, 256), (16, 48), (240, 384)])
def test_sides_that_every_stride_divides_are_covered(hw: tuple[int, int]) -> None:
    ensure_covered(layers(8, 16), hw)


@pytest.mark.parametrize(
    ("strides", "hw", "fitting"),
    [
        ((14,), (256, 256), "252 x 252 or 266 x 266"),
        ((8, 16), (250, 250), "240 x 240 or 256 x 256"),
        ((8, 16), (256, 200), "256 x 192 or 256 x 208"),
        ((8, 12), (40, 240), "24 x 240 or 48 x 240"),
        ((16,), (8, 64), "16 x 64"),
    ],
)
def test_a_side_that_a_stride_does_not_divide_is_refused_with_the_nearest_sizes_that_fit(
    strides: tuple[int, ...], hw: tuple[int, int], fitting: str
) -> None:
    with pytest.raises(ConfigError, match=rf"{hw[0]} x {hw[1]} .* has a stride of \d+\n") as caught:
        ensure_covered(layers(*strides), hw)
    assert re.fullmatch(f"set the image size to {fitting}", caught.value.hint or "")
    for found in re.findall(r"(\d+) x (\d+)", fitting):
        ensure_covered(layers(*strides), (int(found[0]), int(found[1])))


def test_a_layer_behind_the_last_norm_is_nobodys_default():
    raw = [Layer(f"blocks.{i}", 14, 8) for i in range(3)]
    normed = [Layer(f"blocks.{i}.norm", 14, 8) for i in range(3)]
    assert default_layers([*raw, *normed]) == ("blocks.1",)
    assert default_layers(normed[:1]) == ("blocks.0.norm",)
