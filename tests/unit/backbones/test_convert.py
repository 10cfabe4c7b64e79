"""Converting without torch says what is missing; the rest is compared with torch in tests/oracle."""

import sys

import pytest

from kizu.backbones.convert import Wanted, convert_model
from kizu.core.errors import MissingExtraError, OutputError


@pytest.mark.parametrize("missing", ["torch", "timm", "onnxscript"])
def test_a_machine_without_torch_is_told_what_to_install(tmp_path, monkeypatch, missing):
    for name in ("onnxscript", "timm", "torch"):
        if name != missing and name not in sys.modules:
            monkeypatch.setitem(sys.modules, name, sys)  # anything that can be imported
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(MissingExtraError, match=f"{missing} is not installed") as caught:
        convert_model(Wanted("resnet18", (224, 224)), tmp_path / "net.onnx")
    assert "pip install 'kizu[tune]'" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_is_never_overwritten(tmp_path):
    (tmp_path / "net.onnx").write_bytes(b"mine")
    with pytest.raises(OutputError, match="exists"):
        convert_model(Wanted("resnet18", (224, 224)), tmp_path / "net.onnx")
    assert (tmp_path / "net.onnx").read_bytes() == b"mine"
