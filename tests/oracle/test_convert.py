"""Models of timm as ONNX files: what they give is compared with torch here again, through Kizu's own embedder."""

import numpy as np
import pytest

from kizu.backbones.adding import add_file
from kizu.backbones.convert import WITHIN, Wanted, convert_model
from kizu.backbones.graph import Embedder, build_embedder
from kizu.backbones.store import load_backbone
from kizu.core.errors import BackboneError, ConfigError

torch = pytest.importorskip("torch", reason="torch is not installed")
timm = pytest.importorskip("timm", reason="timm is not installed")
pytest.importorskip("onnxscript", reason="onnxscript is not installed")

HW = (96, 160)


def random_model(name, **options):
    torch.manual_seed(3)
    return timm.create_model(name, pretrained=False, num_classes=0, **options).eval()


def embed(path, layers, images):
    graph = build_embedder(load_backbone(str(path)), layers=layers, normalisation="native", patch_size=1)
    return Embedder(graph.SerializeToString()).embed(images)


@pytest.mark.parametrize(
    ("name", "layer", "options"),
    [
        ("mobilenetv3_small_100", "blocks.1", {}),
        ("vit_tiny_patch16_224", "blocks.5", {"img_size": HW}),
        ("convnext_atto", "stages.1", {}),
    ],
)
def test_the_file_gives_what_the_model_gives(tmp_path, name, layer, options):
    model, path = random_model(name, **options), tmp_path / "net.onnx"
    weights = tmp_path / "net.pth"
    torch.save(model.state_dict(), weights)
    converted = convert_model(Wanted(name, HW, weights, "CC0-1.0"), path)
    assert converted.worst <= WITHIN
    spec = load_backbone(str(path)).spec
    assert (spec.licence, spec.layers) == ("CC0-1.0", converted.layers)
    assert spec.mean == pytest.approx(model.pretrained_cfg["mean"])

    images = np.random.default_rng(0).integers(0, 256, (1, *HW, 3), dtype=np.uint8)
    mean, std = (np.array(model.pretrained_cfg[key], np.float32) for key in ("mean", "std"))
    pixels = torch.from_numpy(
        ((images / np.float32(255) - mean) / std).transpose(0, 3, 1, 2).astype(np.float32)
    )
    with torch.inference_mode():
        maps = model.forward_intermediates(pixels, intermediates_only=True, output_fmt="NCHW")
    index = [entry["module"] for entry in model.feature_info].index(layer)
    expected = maps[index].numpy().transpose(0, 2, 3, 1)
    found = embed(path, [layer], images)
    np.testing.assert_allclose(found, expected, rtol=0, atol=2 * WITHIN * np.abs(expected).max())


def test_the_file_can_be_added_and_tells_nothing_of_the_machine(tmp_path, monkeypatch):
    monkeypatch.setenv("KIZU_BACKBONES", str(tmp_path / "backbones"))
    path = tmp_path / "net.onnx"
    convert_model(Wanted("mobilenetv3_small_100", HW, is_pretrained=False), path)
    assert b"site-packages" not in path.read_bytes()
    assert b"stack_trace" not in path.read_bytes()
    add_file(path, "small")
    assert load_backbone("small").spec.licence == "Apache-2.0"


def test_weights_of_another_model_are_refused_and_nothing_is_written(tmp_path):
    weights = tmp_path / "net.pth"
    torch.save(random_model("resnet10t").state_dict(), weights)
    with pytest.raises(BackboneError, match=r"net\.pth"):
        convert_model(Wanted("mobilenetv3_small_100", HW, weights), tmp_path / "net.onnx")
    assert not (tmp_path / "net.onnx").exists()


def test_an_unknown_model_says_which_are_like_it(tmp_path):
    with pytest.raises(ConfigError, match="no model 'resnet999'") as caught:
        convert_model(Wanted("resnet999", HW), tmp_path / "net.onnx")
    assert "resnet" in caught.value.hint


def test_a_size_that_the_model_cannot_take_is_told(tmp_path):
    with pytest.raises(BackboneError, match="vit_tiny_patch16_224"):
        convert_model(Wanted("vit_tiny_patch16_224", (7, 7), is_pretrained=False), tmp_path / "net.onnx")
