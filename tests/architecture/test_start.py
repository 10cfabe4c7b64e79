"""What a command loads before it does anything: each start of it pays for that."""

import subprocess
import sys

import pytest

DEAR = ("scipy.stats", "matplotlib", "sklearn", "torch", "openvino", "onnx.checker")
"""Each takes a tenth of a second or more, and only few commands need it."""


@pytest.mark.parametrize("module", ["kizu.tasks.inspect", "kizu.tasks.train", "kizu.cli.main"])
def test_a_command_starts_without_what_it_may_not_need(module: str) -> None:
    code = f"import {module}, sys; print(*(name for name in {DEAR} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
