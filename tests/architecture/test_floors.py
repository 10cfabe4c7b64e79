"""The floors themselves are import-linter contracts (`make architecture`); here is what it cannot see."""

import re
import subprocess
import sys
from pathlib import Path

import kizu

SOURCE = Path(kizu.__file__).parent

JOURNEY = """
import sys
import numpy as np
import kizu

rng = np.random.default_rng(0)
images = [rng.integers(0, 255, (64, 64, 3), dtype=np.uint8) for _ in range(4)]
config = kizu.PipelineConfig(embedding={"backbone": "tiny"}, placement={"image_size": 64})
found = kizu.fit(images, config).inspect(images[0])
assert found.label in ("OK", "NG")

import kizu.cli.main, kizu.cli.demo, kizu.lab.train, kizu.lab.evaluate, kizu.inspection.folder, kizu.report.cases
print(sorted(name for name in ("torch", "torchvision", "timm", "matplotlib", "openvino") if name in sys.modules))
"""


def test_fit_and_inspect_leave_torch_unimported() -> None:
    out = subprocess.run([sys.executable, "-c", JOURNEY], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_the_help_waits_for_nothing_heavy() -> None:
    heavy = ("numpy", "scipy", "onnx", "onnxruntime", "PIL", "pydantic")
    code = f"import sys, kizu.cli.main; print([m for m in {heavy} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_the_public_names_are_these_and_all_exist() -> None:
    assert len(kizu.__all__) <= 24
    assert list(kizu.__all__) == sorted(kizu.__all__)
    for name in kizu.__all__:
        assert getattr(kizu, name).__module__.startswith("kizu.")


def test_nothing_is_called_utils() -> None:
    vague = {"utils", "util", "common", "helpers", "helper", "manager", "misc"}
    assert [path for path in SOURCE.rglob("*.py") if path.stem in vague] == []


def test_nothing_on_disk_is_pickled() -> None:
    texts = {path.name: path.read_text() for path in SOURCE.rglob("*.py")}
    users = [
        name for name, text in texts.items() if re.search(r"^\s*(?:import|from) pickle\b", text, re.MULTILINE)
    ]
    assert users == ["checkpoint.py"]  # the restricted reader of legacy checkpoints
    arrays = [call for text in texts.values() for call in re.findall(r"np\.(?:load|save)\(.*", text)]
    assert arrays
    assert [call for call in arrays if "allow_pickle=False" not in call] == []


def test_no_test_imports_from_another_test() -> None:
    tests = Path(__file__).parents[1]
    helpers = r"tests(?!\.(?:support|serving|torch_networks)\b)\S*"
    shared = re.compile(rf"^\s*(?:from|import) ({helpers}|conftest|test_\w+)", re.MULTILINE)
    found = {path.name: shared.findall(path.read_text()) for path in tests.rglob("*.py")}
    assert {name: imported for name, imported in found.items() if imported} == {}
