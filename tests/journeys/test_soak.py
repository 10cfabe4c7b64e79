"""The script that soaks the service finds nothing in some seconds, and something where there is something to find;
`make soak` asks 10,000 times."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the extra `serve` is not installed")
SCRIPT = Path(__file__).parents[2] / "benchmarks" / "soak.py"
STALE = """
from kizu.inspection.shelf import Shelf
refresh = Shelf.refresh
def once(self):
    if self.models():
        return ()
    return refresh(self)
Shelf.refresh = once
"""


def soaked(place: Path, *flags: object, **variables: str) -> tuple[int, dict[str, dict[str, int]], str]:
    command = [sys.executable, str(SCRIPT), "--json", str(place / "soak.json"), *map(str, flags)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, **variables}
    )
    assert (place / "soak.json").exists(), done.stderr
    return done.returncode, json.loads((place / "soak.json").read_text()), done.stdout + done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors as Linux does")
def test_swaps_and_kills_under_load_cost_no_answer_and_bring_no_wrong_one(tmp_path: Path) -> None:
    code, told, said = soaked(tmp_path, "--requests", 200, "--kills", 1, "--growth-mb", 40)
    assert code == 0, said
    assert not any(told["faults"].values())
    assert min(told["seen"][what] for what in ("OK", "NG", "swaps", "connection lost")) > 0
    assert told["seen"]["kills"] == 1


@pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors as Linux does")
def test_a_service_that_stays_with_old_versions_is_found_out(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(STALE)
    code, told, _ = soaked(tmp_path, "--requests", 100, "--kills", 0, PYTHONPATH=str(tmp_path))
    assert code == 1
    assert told["faults"]["wrong"] > 0
