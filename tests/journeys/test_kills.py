"""The script that kills commands works, and finds nothing in a few kills; `make soak` makes many."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "kills.py"


@pytest.mark.skipif(sys.platform != "linux", reason="forks, and steps told as Linux does")
def test_a_few_kills_cost_nothing(tmp_path: Path) -> None:
    command = [
        sys.executable,
        str(SCRIPT),
        "--kills",
        "6",
        "--seconds",
        "60",
        "--only",
        "update,freeze,inspect",
    ]
    done = subprocess.run(
        [*command, "--json", str(tmp_path / "kills.json")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads((tmp_path / "kills.json").read_text())["commands"]
    assert sum(one["kills"] for one in told.values()) == 6
    assert all(not any(one["faults"].values()) for one in told.values())
