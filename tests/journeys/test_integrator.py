"""What the page for integrators says is compiled and run: their program gets the score that Kizu got."""

import json
import shutil
import subprocess
from pathlib import Path

import openvino
import pytest
from PIL import Image
from tests.support import category
from typer.testing import CliRunner

from kizu.cli.main import app

PAGE = Path(__file__).parents[2] / "docs/integrate.md"


def kizu(*arguments: object) -> str:
    done = CliRunner().invoke(app, list(map(str, arguments)))
    assert done.exit_code == 0, done.stderr
    return done.stdout.strip()


def test_the_program_of_the_page_scores_as_kizu_does(tmp_path: Path) -> None:
    compiler = shutil.which("g++")
    place = Path(openvino.__path__[0])
    libraries = sorted((place / "libs").glob("libopenvino.so.*"))
    if compiler is None or not libraries or not (place / "include").is_dir():
        pytest.skip("no g++, or an OpenVINO without headers")
    program = PAGE.read_text(encoding="utf-8").split("```cpp\n")[1].split("```")[0]
    (tmp_path / "inspect.cpp").write_text(program)
    subprocess.run(
        [compiler, "-std=c++17", tmp_path / "inspect.cpp", f"-I{place / 'include'}", libraries[0],
         f"-Wl,-rpath,{place / 'libs'}", "-o", tmp_path / "inspect"],
        check=True, timeout=300,
    )  # fmt: skip
    category(tmp_path / "sets", "plate", 0)
    run = kizu(
        "train", "--data-root", tmp_path / "sets", "--category", "plate", "--output-dir", tmp_path / "runs",
        "--backbone", "tiny", "--image-size", 64, "--coreset", 0.2,
    )  # fmt: skip
    model = Path(kizu("export", "--run-dir", run, "--input-size", "200x150"))
    check = json.loads((model.parent / "check/check.json").read_text())
    picture = next(one for one in check["pictures"] if one["size"] == [200, 150])
    with Image.open(model.parent / "check" / picture["file"]) as image:
        image.convert("RGB").save(tmp_path / "picture.ppm")
    done = subprocess.run(
        [tmp_path / "inspect", model, tmp_path / "picture.ppm", str(check["image_threshold"])],
        capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    label, score = done.stdout.split()
    assert label == picture["label"]
    assert abs(float(score) - picture["pred_score"]) < 1e-4 * check["image_threshold"]
