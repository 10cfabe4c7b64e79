"""The resize inside a file is Kizu's own, in every runtime."""

import numpy as np
import pytest
from tests.support import fitted, part_picture

import kizu.pipeline.resize as module
from kizu.backbones.builder import GraphBuilder
from kizu.backbones.session import GraphSession
from kizu.core.errors import ConfigError
from kizu.core.types import U8
from kizu.core.work import Work
from kizu.imaging.kernel import kernel
from kizu.imaging.placement import PlacementConfig, place
from kizu.pipeline.export import build_model
from kizu.pipeline.opened import open_pipeline
from kizu.pipeline.resize import draw_resize, take_pictures

PLACEMENTS = [
    PlacementConfig(image_size=(64, 96)),
    PlacementConfig(image_size=(60, 80), resize=(64, 97), resample="bicubic"),
]


@pytest.mark.parametrize(
    "hw", [(64, 96), (64, 97), (130, 200), (200, 131), (383, 579), (20, 31), (700, 1001)]
)
@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_the_drawn_resize_gives_every_byte_that_place_gives(
    hw: tuple[int, int], placement: PlacementConfig, runtime: str
) -> None:
    pytest.importorskip(runtime)
    graph = GraphBuilder("resize")
    draw_resize(graph, "image", kernel(hw, placement), name="seen")
    model = graph.model(
        {"image": (np.uint8, ("N", *hw, 3))}, {"seen": (np.uint8, ("N", *placement.seen_hw, 3))}
    )
    rng = np.random.default_rng(5)
    pictures = rng.integers(0, 256, (3, *hw, 3), np.uint8)
    pictures[1] = 255
    pictures[2] = pictures[2] // 128 * 255
    found = GraphSession(model, Work(runtime)).run({"image": pictures})["seen"]
    for picture, seen in zip(pictures, found, strict=True):
        np.testing.assert_array_equal(seen, place(picture, placement))


def test_a_whole_picture_gets_the_score_of_what_is_seen_of_it(good_pictures: U8) -> None:
    bundle = fitted(good_pictures).bundle
    model = take_pictures(build_model(bundle, "0"), (150, 333), bundle.manifest.placement)
    picture = np.tile(part_picture(5), (3, 6, 1))[:150, :333]
    found = GraphSession(model).run({"image": picture[None]})
    expected = open_pipeline(bundle).score(place(picture, bundle.manifest.placement)[None])
    np.testing.assert_allclose(found["pred_score"], expected.image, rtol=1e-5)
    np.testing.assert_allclose(found["anomaly_map"], expected.maps, rtol=1e-4, atol=1e-5)


def test_what_cannot_be_drawn_to_the_last_bit_is_refused(
    good_pictures: U8, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = fitted(good_pictures).bundle
    model, placement = build_model(bundle, "0"), bundle.manifest.placement
    with pytest.raises(ConfigError, match="shrink too far"):
        take_pictures(model, (64 * 51, 64 * 51), placement)
    tiled = PlacementConfig(image_size=(64, 64), resize=(128, 128), tile_overlap=0.25)
    with pytest.raises(ConfigError, match="tiled model"):
        take_pictures(model, (300, 300), tiled)
    monkeypatch.setattr(module, "_HALF", 1 << 10)
    with pytest.raises(ConfigError, match=r"not kizu's own|not exact"):
        take_pictures(model, (100, 100), placement)
