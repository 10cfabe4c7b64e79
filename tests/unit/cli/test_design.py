"""What `kizu design` and `kizu freeze` take, and how they refuse the rest."""

import json
from pathlib import Path

import pytest
from tests.support import BASE, category
from typer.testing import CliRunner

from kizu.cli.main import app


def kizu(*arguments: object, ok: int) -> str:
    done = CliRunner().invoke(app, list(map(str, arguments)))
    assert done.exit_code == ok, done.output
    return done.stderr if ok else done.stdout


@pytest.fixture(autouse=True)
def _no_features_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIZU_FEATURES_MB", "0")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(BASE.to_yaml())
    return path


@pytest.fixture
def sets(tmp_path: Path) -> Path:
    for name in ("plate", "disc"):
        category(tmp_path / "sets", name, 0)
    return tmp_path / "sets"


def test_blanks_between_methods_categories_and_seeds_do_not_count(
    sets: Path, config: Path, tmp_path: Path
) -> None:
    candidates = tmp_path / "candidates.yaml"
    candidates.write_text("patchcore: [{}, {detector: {coreset: 0.3}}]\npadim: [{}]\n")
    out = tmp_path / "design.json"
    kizu(
        "design", "--categories", "plate, disc", "--data-root", sets, "--methods", "patchcore, padim",
        "--candidates", candidates, "--config", config, "--seeds", "0, 1", "--output", out, "--features-mb", 0,
        ok=0,
    )  # fmt: skip
    found = json.loads(out.read_text())
    assert list(found["pipelines"]) == ["patchcore", "padim"]
    assert [dev["category"] for dev in found["origin"]["dev"]] == ["plate", "disc"]
    tried = [row["changes"] for row in found["origin"]["evidence"] if row["method"] == "patchcore"]
    assert sorted(tried, key=str) == sorted([{}, {"detector": {"coreset": 0.3}}], key=str)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot read"),
        ("", "names no method"),
        ("[patchcore]", "names no method"),
        ("patchcore: [", "is not YAML"),
        ("\udcff", "is not YAML"),
        ("patchcore: {detector: {}}", "patchcore has no list of changes"),
        ("patchcore: []", "patchcore has no list of changes"),
        ("patchcore: [1]", "valid dictionary"),
        ("patchcore: [{detectr: {}}]", "unknown key 'detectr' (did you mean 'detector'?)"),
        ("patchcore: [{detector: 1}]", "detector: "),
    ],
)
def test_candidates_that_cannot_be_used_name_the_file_and_what_is_wrong(
    text: str | None, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "candidates.yaml"
    if text is not None:
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
    told = kizu("design", "--categories", "plate", "--methods", "patchcore", "--candidates", path, ok=2)
    assert said in told
    assert "candidates.yaml" in told


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--methods", "patchcore,,padim"], "--methods 'patchcore,,padim': a name is empty"),
        (["--seeds", "0,one"], "--seeds '0,one' are not whole numbers"),
        (["--seeds", "0,²"], "are not whole numbers"),
        (["--categories", "plate,"], "--categories 'plate,': a name is empty"),
    ],
)
def test_a_list_that_cannot_be_read_names_its_flag(flags: list[str], said: str, sets: Path) -> None:
    given = [] if "--categories" in flags else ["--categories", "plate"]
    assert said in kizu("design", "--data-root", sets, *given, *flags, ok=2)


def test_layers_may_have_blanks_between_them(sets: Path, config: Path, tmp_path: Path) -> None:
    out = kizu(
        "train", "--data-root", sets / "plate", "--config", config, "--output-dir", tmp_path / "runs",
        "--layers", "blocks.0, blocks.1", ok=0,
    )  # fmt: skip
    assert "layers:\n  - blocks.0\n  - blocks.1\n" in (Path(out.strip()) / "config.yaml").read_text()


def test_a_memory_limit_that_is_no_number_names_its_variable(
    sets: Path, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KIZU_MEMORY_MB", "lots")
    flags = ["--data-root", sets / "plate", "--config", config, "--output-dir", tmp_path / "runs"]
    assert "KIZU_MEMORY_MB=lots is not a whole number" in kizu("train", *flags, ok=2)
