"""What the documents say can be done is done: their examples run, in their order, as they stand."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support import category, part_picture, with_flaw

from kizu.imaging.codec import encode_png

DOCS = Path(__file__).parents[2] / "docs"
LINES = (2, 2, 1, 2, 2)
"""So many lines each of the five tasks may take."""


def blocks(name: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", (DOCS / name).read_text(), re.DOTALL | re.MULTILINE)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for seed in range(30):
        encode_png(tmp_path / "pictures" / f"{seed:02}.png", part_picture(seed, 96))
    for seed in range(60, 63):
        encode_png(tmp_path / "new" / f"{seed}.png", part_picture(seed, 96))
    for seed in range(70, 72):
        encode_png(tmp_path / "alarms" / f"{seed}.png", part_picture(seed, 96))
    encode_png(tmp_path / "new/flawed.png", with_flaw(part_picture(64, 96), 40, 20))
    encode_png(tmp_path / "new.png", with_flaw(part_picture(64, 96), 40, 20))
    category(tmp_path, "labelled", 0)
    return tmp_path


def test_the_python_of_the_page_runs(place: Path) -> None:
    code = "\n".join(blocks("api.md", "python"))
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=place, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert "Inspection(NG, score " in done.stdout
    assert (place / "seen.jpg").stat().st_size > 1000
    assert (place / "beside.png").exists()


def test_five_tasks_by_commands_alone(place: Path) -> None:
    tasks = blocks("tasks.md", "sh")
    assert tuple(len(task.strip().splitlines()) for task in tasks) == LINES
    script = f'set -eo pipefail\nkizu() {{ {shlex.quote(sys.executable)} -m kizu "$@"; }}\n' + "\n".join(
        tasks
    )
    done = subprocess.run(
        ["bash", "-c", script], cwd=place, capture_output=True, text=True, timeout=500, env=os.environ
    )
    assert done.returncode == 0, done.stderr
    (run,) = (place / "runs/patchcore/pictures").iterdir()
    assert "new/index.html" in done.stderr
    assert re.search(r"^NG  \S+ +flawed.png$", done.stdout, re.MULTILINE)
    assert (run / "inspections/new/index.html").exists()
    assert (place / "line/index.html").exists()
    assert list((run / "evaluations").glob("*/report.html"))
    assert '"label": "NG"' in (place / "why/preds.jsonl").read_text()


def test_each_link_of_the_documents_leads_somewhere() -> None:
    for page in [*DOCS.glob("*.md"), DOCS.parent / "README.md"]:
        for target in re.findall(r"\]\((?!http|#)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
