"""The notebooks run from top to bottom on real images, and the second refuses without what the first freezes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


def run(name: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """All code cells in their order, in a fresh interpreter."""
    cells = json.loads((NOTEBOOKS / name).read_text(encoding="utf-8"))["cells"]
    code = "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, **variables, "KIZU_FEATURES_MB": "500"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_second_refuses_without_the_first(tmp_path: Path) -> None:
    done = run("02_evaluation_report.ipynb", tmp_path, KIZU_EVAL=str(tmp_path))
    assert done.returncode != 0
    assert "no frozen pipeline" in done.stderr


def test_design_freeze_and_report_on_real_images(tmp_path: Path, shared_data: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    hazelnut, board = (str(shared_data / name) for name in ("mvtec_ad/hazelnut", "deeppcb/board_92000"))
    first = run("01_experiments_dev.ipynb", tmp_path, KIZU_DEV=hazelnut)
    assert first.returncode == 0, first.stderr
    assert "patchcore" in first.stdout
    refused = run("02_evaluation_report.ipynb", tmp_path, KIZU_EVAL=hazelnut)
    assert "designed on" in refused.stderr
    second = run("02_evaluation_report.ipynb", tmp_path, KIZU_EVAL=board)
    assert second.returncode == 0, second.stderr
    assert "| board_92000 | patchcore |" in second.stdout
    assert "| board_92000 | mahalanobis |" in second.stdout
    figures = next((tmp_path / "assets/figs").glob("*/board_92000-padim"))
    assert {path.name for path in figures.iterdir()} >= {"roc.png", "pr.png", "scores.png", "gallery.jpg"}
    metrics = json.loads(
        next((tmp_path / "runs/eval").glob("*/board_92000/patchcore/metrics.json")).read_text()
    )
    assert metrics["mean"]["image_auroc"] > 0.99
