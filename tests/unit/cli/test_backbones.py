"""`kizu backbones` lists, adds, fetches and removes."""

import json
from pathlib import Path

import onnx
import pytest
from tests.support import ask, category

from kizu.backbones.store import load_backbone


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KIZU_BACKBONES", str(tmp_path / "backbones"))
    return tmp_path / "backbones"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "net.onnx"
    onnx.save(load_backbone("tiny").model, path)
    return path


def names() -> list[str]:
    return [row["name"] for row in json.loads(ask("backbones", "--json").stdout)]


def test_without_a_sub_command_it_lists_names_licences_and_layers() -> None:
    told = ask("backbones").stdout
    assert "licence Apache-2.0" in told
    assert "blocks.2 (1/8, 40)" in told
    assert (
        "kizu backbones fetch NAME, licence BSD-3-Clause: resnet18, resnet34, resnet50, wide_resnet50_2"
        in told
    )
    assert "kizu backbones add" in told


def test_what_was_added_is_listed_trained_with_recorded_and_removed(file: Path, tmp_path: Path) -> None:
    added = ask(
        "backbones", "add", file, "--as", "mine", "--licence", "CC0-1.0", "--source", "https://x.example/net"
    )
    assert added.stdout == "mine\n"
    assert "use it with --backbone mine" in added.stderr
    assert names()[-1] == "mine"
    assert "licence CC0-1.0, from https://x.example/net" in ask("backbones").stdout

    category(tmp_path / "set", "plate", 0)
    flags = ["--data-root", tmp_path / "set", "--category", "plate", "--output-dir", tmp_path / "runs"]
    trained = ask("train", *flags, "--backbone", "mine", "--image-size", 64)
    assert ask("backbones", "remove", "mine").stderr.strip() == "removed mine"
    assert "mine" not in names()
    run = Path(trained.stdout.strip().splitlines()[-1])
    card = (run / "model_card.md").read_text()
    assert "- weights: CC0-1.0, from https://x.example/net" in card
    record = json.loads((run / "bundle" / "bundle.json").read_text())["manifest"]["backbone"]
    assert (record["name"], record["licence"]) == ("mine", "CC0-1.0")
    ask("export", "--run-dir", run)  # needs the backbone no more
    exported = onnx.load(run / "export" / "model.onnx")
    told = {entry.key: entry.value for entry in exported.metadata_props}
    assert told["kizu.licence"] == "CC0-1.0"
    assert told["kizu.source"] == "https://x.example/net"


def test_a_damaged_one_is_listed_as_damaged(file: Path, folder: Path) -> None:
    ask("backbones", "add", file, "--as", "mine")
    (folder / "mine" / "spec.json").write_text("{}")
    assert "damaged: " in ask("backbones").stdout
    assert "kizu backbones remove mine" in ask("backbones").stdout
    ask("backbones", "remove", "mine")
    assert "mine" not in names()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["add", "FILE", "--as", "tiny"], "taken by a backbone of Kizu's own"),
        (["add", "FILE", "--as", "x", "--mean", "1,2"], "--mean '1,2' is not three numbers"),
        (["add", "FILE", "--as", "x", "--std", "0,1,1"], "must be positive"),
        (["add", "FILE", "--as", "x", "--mean", "nan,1,1"], "must be finite"),
        (["add", "FILE", "--as", "x", "--arch", "resnet50"], "leave --arch out"),
        (["add", "missing.pth", "--as", "x"], "missing.pth"),
        (["fetch", "resnet5"], "did you mean 'resnet50'"),
        (["remove", "tiny"], "it comes with kizu"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_line_with_a_hint(
    file: Path, arguments: list[str], told: str
) -> None:
    ended = ask("backbones", *(str(file) if part == "FILE" else part for part in arguments), ok=2)
    assert told in ended.stderr
    assert "error: " in ended.stderr


@pytest.mark.parametrize("command", ["add", "convert", "fetch", "remove"])
def test_each_has_its_help(command: str) -> None:
    assert "Usage" in ask("backbones", command, "--help").stdout
