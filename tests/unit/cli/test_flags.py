"""What a person meets: names that are told when they change, a help that fits, guesses that are said."""

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from inspect import Parameter, signature
from pathlib import Path
from typing import Annotated, Any, get_args

import pytest
from tests.support import ask, part_picture

from kizu.cli import options
from kizu.cli.flags import with_flags
from kizu.cli.main import EXAMPLES, PANELS
from kizu.core.errors import ConfigError
from kizu.core.registry import find_near
from kizu.decision.calibration import ImageRule
from kizu.imaging.codec import encode_png
from kizu.tasks.lab_options import PipelineOptions
from kizu.tasks.options import Flag

COMMANDS = [command.__name__.replace("_", "-") for commands in PANELS.values() for command in commands]


@dataclass(frozen=True)
class Things:
    """Things to set. And more."""

    new: Annotated[str | None, Flag("A thing.", ("--new",), old=("--old",))] = None


def command(things: Things, needed: Annotated[Path, Flag("It.", ("--here",), old=("--there",))]) -> None:
    raise AssertionError((things.new, needed))


def given(**values: Any) -> tuple[str | None, Path]:
    with pytest.raises(AssertionError) as caught:
        with_flags(command)(
            **{"new": None, "new__old": None, "needed": Path("a"), "needed__old": None, **values}
        )
    found: tuple[str | None, Path] = caught.value.args[0]
    return found


def test_an_old_name_works_and_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert given(new__old="x") == ("x", Path("a"))
    assert "--old is called --new now" in capsys.readouterr().err
    assert given(needed=None, needed__old=Path("b")) == (None, Path("b"))
    capsys.readouterr()
    assert given(new="y") == ("y", Path("a"))
    assert capsys.readouterr().err == ""


def test_both_names_at_once_and_neither_are_refused() -> None:
    with pytest.raises(ConfigError, match="both are given"):
        with_flags(command)(new="x", new__old="y", needed=Path("a"), needed__old=None)
    with pytest.raises(ConfigError, match="--here is missing"):
        with_flags(command)(new=None, new__old=None, needed=None, needed__old=None)


def test_a_panel_is_named_by_what_its_options_are() -> None:
    shown: dict[str, Parameter] = dict(signature(with_flags(command)).parameters)
    assert get_args(shown["new"].annotation)[1].rich_help_panel == "Things to set. And more"
    assert get_args(shown["new__old"].annotation)[1].hidden


def test_every_command_has_examples_that_begin_with_it() -> None:
    assert {c for commands in PANELS.values() for c in commands} == EXAMPLES.keys()
    for one, lines in EXAMPLES.items():
        assert lines[0].startswith(f"kizu {one.__name__.replace('_', '-')}")


@pytest.mark.parametrize("name", ["train", "inspect", "evaluate"])
def test_help_fits_80_columns_and_ends_with_examples(name: str) -> None:
    environment = {**os.environ, "COLUMNS": "80", "TERM": "dumb"}
    done = subprocess.run(
        [sys.executable, "-m", "kizu", name, "--help"],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert any(line.strip() == "Examples:" for line in lines)
    assert any(line.strip().startswith(f"kizu {name}") for line in lines)


def test_every_rule_is_named_in_the_help() -> None:
    told = str(PipelineOptions.__annotations__["rule"])
    assert all(rule in told for rule in get_args(ImageRule))


def test_a_path_that_is_nearly_there_is_meant(tmp_path: Path) -> None:
    (tmp_path / "pictures" / "good").mkdir(parents=True)
    assert find_near(tmp_path / "picturs" / "good") == tmp_path / "pictures"
    assert find_near(tmp_path / "Pictures") == tmp_path / "pictures"
    assert find_near(tmp_path / "pictures" / "godo") == tmp_path / "pictures" / "good"
    assert find_near(tmp_path / "pictures") is None
    assert find_near(tmp_path / "xyz") is None


def test_a_wrong_path_says_which_one_is_meant(tmp_path: Path) -> None:
    for seed in range(3):
        encode_png(tmp_path / "parts" / "good" / f"{seed}.png", part_picture(seed))
    said = ask("train", "--data-root", tmp_path / "prts", ok=2).stderr
    assert f"did you mean {tmp_path / 'parts'}?" in said
    assert (
        f"did you mean {tmp_path / 'parts'}?"
        in ask("inspect", "--model", tmp_path / "part", "x", ok=2).stderr
    )


@pytest.mark.parametrize(
    "words",
    [["inspect", "--model", "nope", "x"], ["train", "--data-root", "nope"], ["evaluate", "--model", "nope"]],
)
def test_a_slip_is_told_before_anything_heavy_is_loaded(words: list[str], tmp_path: Path) -> None:
    code = (
        "import sys\nfrom kizu.cli.main import app\ntry:\n    app(sys.argv[1:])\nexcept SystemExit as ended:\n"
        "    print(ended.code, [m for m in ('numpy', 'scipy', 'onnx', 'PIL') if m in sys.modules])"
    )
    command = [sys.executable, "-c", code, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.strip() == "2 []"
    assert "nope does not exist" in done.stderr


def test_where_nobody_watches_a_line_says_now_and_then_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(options.PROGRESS_VARIABLE, "0.05")
    with options.start_work(options.Shown()) as work:
        time.sleep(0.12)
        work.report("fit", 3, 9)
        time.sleep(0.12)
    told = capsys.readouterr().err.splitlines()
    assert told[0].endswith("s: starting")
    assert told[-1].endswith("s: fit 3 of 9")
    monkeypatch.setenv(options.PROGRESS_VARIABLE, "0")
    with options.start_work(options.Shown()) as work:
        time.sleep(0.12)
    assert capsys.readouterr().err == ""
    monkeypatch.setenv(options.PROGRESS_VARIABLE, "soon")
    with pytest.raises(ConfigError, match="no number of seconds"), options.start_work(options.Shown()):
        pass
