"""Every command that writes a file or a folder of results keeps it for itself, and removes what kills have left."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.support import category, part_picture
from typer.testing import CliRunner

from kizu.cli.main import app
from kizu.core import locks
from kizu.core.errors import OutputError
from kizu.core.parts import file_part
from kizu.core.work import Work
from kizu.imaging.codec import encode_png
from kizu.tasks import design as design_task
from kizu.tasks import frozen as frozen_task
from kizu.tasks.lab_options import DesignOptions, FrozenOptions
from kizu.tasks.options import CategoriesOptions

TINY = "embedding: {backbone: tiny}\nplacement: {image_size: 64}\n"
COMMANDS = {
    "data check": ("data check --data-root {root}/sets --category plate --preview {out}/preview.png", ""),
    "freeze": ("freeze --config {root}/tiny.yaml --note x --output {out}/fixed.json", ""),
    "zero-shot": ("zero-shot {root}/loose --backbone tiny --image-size 64 --output-dir {out}", "overlays"),
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("outputs")
    category(root / "sets", "plate", 0)
    for number in range(4):
        encode_png(root / "loose" / f"{number}.png", part_picture(number))
    (root / "tiny.yaml").write_text(TINY)
    return root


@pytest.mark.parametrize(("command", "below"), COMMANDS.values(), ids=COMMANDS.keys())
def test_half_files_of_killed_commands_are_gone_and_all_that_is_written_stays(
    root: Path, tmp_path: Path, command: str, below: str
) -> None:
    out = tmp_path / "out"
    halves = [file_part(out / "a"), file_part(out / below / "b")]
    for half in halves:
        half.parent.mkdir(parents=True, exist_ok=True)
        half.write_bytes(b"half")
    done = CliRunner().invoke(app, [word.format(root=root, out=out) for word in command.split()])
    assert done.exit_code == 0, done.stderr
    assert not list(tmp_path.rglob(".*"))
    assert [path for path in out.rglob("*") if path.is_file()]


def told_at_once(monkeypatch: pytest.MonkeyPatch, second: Callable[[], object]) -> str:
    """What another process, here a thread, is told meanwhile."""
    monkeypatch.setattr(locks, "PATIENCE_S", 0.05)
    with ThreadPoolExecutor(1) as pool, pytest.raises(OutputError, match="is in use by another") as refused:
        pool.submit(second).result()
    return refused.value.message


def test_a_second_design_into_the_same_file_is_told_at_once(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = DesignOptions(categories="plate", output=tmp_path / "design.json")
    where = CategoriesOptions(root=root / "sets")
    told: list[str] = []

    def slow(*_: object, **__: object) -> object:
        told.append(told_at_once(monkeypatch, lambda: design_task.choose(options, where, Work())))
        raise KeyboardInterrupt

    monkeypatch.setattr(design_task, "design", slow)
    with pytest.raises(KeyboardInterrupt):
        design_task.choose(options, where, Work())
    assert "design.json" in told[0]
    assert list(tmp_path.iterdir()) == []


def test_a_second_evaluation_of_a_frozen_pipeline_into_the_same_folder_is_told_at_once(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frozen = [
        "freeze",
        "--config",
        str(root / "tiny.yaml"),
        "--note",
        "x",
        "--output",
        str(tmp_path / "fixed.json"),
    ]
    done = CliRunner().invoke(app, frozen)
    assert done.exit_code == 0, done.stderr
    options = FrozenOptions(frozen=tmp_path / "fixed.json", categories="plate", output_dir=tmp_path / "eval")
    where = CategoriesOptions(root=root / "sets")
    told: list[str] = []

    def slow(*_: object, **__: object) -> object:
        told.append(
            told_at_once(monkeypatch, lambda: frozen_task.evaluate_frozen_file(options, where, Work()))
        )
        raise KeyboardInterrupt

    monkeypatch.setattr(frozen_task, "evaluate_frozen", slow)
    with pytest.raises(KeyboardInterrupt):
        frozen_task.evaluate_frozen_file(options, where, Work())
    assert "eval" in told[0]
