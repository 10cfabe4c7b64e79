"""`kizu study`"""

import time
from pathlib import Path

import yaml
from typer.testing import CliRunner, Result

from kizu.cli.main import app

STUDY = {
    "data": [
        {"name": "disc", "layout": "demo", "root": "drawn", "options": {"side_px": 96}},
        {
            "name": "other",
            "layout": "demo",
            "root": "drawn",
            "category": "other",
            "options": {"side_px": 96, "seed": 9},
        },
    ],
    "image_size": 96,
}


def run(tmp_path: Path, values: dict[str, object], *flags: str) -> Result:
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(values))
    return CliRunner().invoke(app, ["study", "run", str(path), "--output", str(tmp_path / "out"), *flags])


def test_a_quick_study_of_all_conditions_and_methods_takes_less_than_three_minutes(tmp_path: Path) -> None:
    start = time.perf_counter()
    done = run(tmp_path, STUDY, "--quick", "--threads", "2")
    seconds = time.perf_counter() - start
    assert done.exit_code == 0, done.stderr
    assert "severity 0 equals clean, to the last digit: holds in all 6 trials" in done.stderr
    assert "78 trials, 78 of them measured now, 0 not possible" in done.stderr
    assert done.stdout.strip() == str(tmp_path / "out/tables")
    assert seconds < 180
    again = run(tmp_path, STUDY, "--quick", "--threads", "2")
    assert "78 trials, 0 of them measured now" in again.stderr


def test_an_unknown_key_is_one_line_and_a_hint(tmp_path: Path) -> None:
    done = run(tmp_path, {**STUDY, "seed": 3})
    assert done.exit_code == 2
    assert "unknown key 'seed' (did you mean 'seeds'?)" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_category_that_is_not_there_is_told(tmp_path: Path) -> None:
    done = run(tmp_path, {"data": [{"name": "x", "root": "nowhere"}]})
    assert done.exit_code == 2
    assert "nowhere" in done.stderr
