"""State dicts that torch and safetensors have written come out as torch itself reads them."""

import numpy as np
import pytest

from kizu.backbones.state_dict import read_weights
from kizu.core.errors import BackboneError

torch = pytest.importorskip("torch", reason="torch is not installed")


@pytest.fixture
def tensors():
    generator = torch.Generator().manual_seed(0)
    whole = torch.randn(6, 8, generator=generator)
    return {
        "plain": torch.randn(3, 4, 5, generator=generator),
        "turned": whole.t(),
        "part": whole[2:4, 1::2],
        "row": whole[5],
        "half": torch.randn(7, generator=generator).half(),
        "brain": torch.randn(2, 3, generator=generator).bfloat16(),
        "double": torch.randn(2, dtype=torch.float64, generator=generator),
        "counter": torch.tensor(7),
        "flags": torch.tensor([True, False]),
        "nothing": torch.zeros(0, 3),
        "parameter": torch.nn.Parameter(torch.randn(4, generator=generator)),
        "channels_last": torch.randn(2, 3, 4, 5, generator=generator).to(memory_format=torch.channels_last),
    }


def same(found, tensors):
    assert set(found) == set(tensors)
    for name, tensor in tensors.items():
        wide = tensor.float() if tensor.dtype in (torch.half, torch.bfloat16) else tensor
        np.testing.assert_array_equal(found[name], wide.detach().numpy(), err_msg=name)
        assert found[name].dtype == wide.detach().numpy().dtype


@pytest.mark.parametrize("is_zip", [True, False])
def test_both_formats_of_torch(tensors, tmp_path, is_zip):
    path = tmp_path / "net.pth"
    torch.save(tensors, path, _use_new_zipfile_serialization=is_zip)
    same(read_weights(path), tensors)


@pytest.mark.parametrize("is_zip", [True, False])
def test_what_surrounds_the_network_is_left_out_and_told(tensors, tmp_path, is_zip):
    path, notes = tmp_path / "net.pth", []
    wrapped = {f"module.backbone.{name}": tensor for name, tensor in tensors.items()}
    optimiser = {"state": {0: {"exp_avg": torch.zeros(3)}}, "param_groups": [{"lr": 0.1, "params": [0]}]}
    torch.save(
        {"epoch": 3, "teacher": wrapped, "optimizer": optimiser, "best": 0.5, "args": None},
        path,
        _use_new_zipfile_serialization=is_zip,
    )
    same(read_weights(path, on_note=notes.append), tensors)
    assert [part for part in ("'teacher'", "'module.'", "'backbone.'") if any(part in note for note in notes)] == [
        "'teacher'", "'module.'", "'backbone.'"
    ]  # fmt: skip


def test_the_state_dict_of_a_module_with_its_metadata(tmp_path):
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    torch.save(module.state_dict(), tmp_path / "net.pth")
    same(read_weights(tmp_path / "net.pth"), module.state_dict())


def test_safetensors(tensors, tmp_path):
    save = pytest.importorskip("safetensors.torch").save_file
    held = {name: tensor.detach().contiguous().clone() for name, tensor in tensors.items()}
    save(held, tmp_path / "net.safetensors", metadata={"format": "pt"})
    same(read_weights(tmp_path / "net.safetensors"), held)


def test_a_whole_module_is_refused_by_the_name_of_what_it_asks_for(tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "net.pth")
    with pytest.raises(BackboneError, match=r"it asks for torch\.nn\.modules\.linear\.Linear"):
        read_weights(tmp_path / "net.pth")


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("is_zip", [True, False])
def test_a_file_that_is_cut_is_refused_by_name(tensors, tmp_path, is_zip, share):
    path = tmp_path / "net.pth"
    torch.save(tensors, path, _use_new_zipfile_serialization=is_zip)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(BackboneError, match=r"net\.pth"):
        read_weights(path)
