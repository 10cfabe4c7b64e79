"""`kizu recommend` from flags to a config that trains: methods, sizes, and a search."""

import json
from pathlib import Path

import pytest
import yaml
from tests.support import ask, smooth_surface

TINY = {
    "embedding": {"backbone": "tiny"},
    "placement": {"pixels": 4096},
    "detector": {"kind": "patchcore", "coreset_size": 100},
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("set")
    smooth_surface(root, 18)
    (root / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    return root


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small inputs, and candidates that see by the smallest network."""
    import kizu.lab.recommend as recommending
    import kizu.lab.resolution as resolution
    import kizu.lab.search_space as space

    candidates = {"bank": {"detector": {"kind": "patchcore"}}, "gauss": {"detector": {"kind": "mahalanobis"}}}
    monkeypatch.setattr(recommending, "list_candidates", lambda: candidates)
    monkeypatch.setattr(resolution.show_sizes, "__kwdefaults__", {
        **(resolution.show_sizes.__kwdefaults__ or {}), "squares": (64, 128)
    })  # fmt: skip
    monkeypatch.setattr(space, "list_methods", lambda: ["patchcore", "mahalanobis"])


def flags(root: Path, *more: object) -> list[object]:
    return ["recommend", "--data-root", root, "--category", "surface", "--config", root / "tiny.yaml", *more]


def test_the_curve_is_shown_written_and_trains(root: Path, tmp_path: Path) -> None:
    config = tmp_path / "chosen.yaml"
    done = ask(*flags(root, "--smallest-flaw-px", 6, "-o", config))
    assert "18 good images to learn from" in done.stdout
    assert "patch, px" in done.stdout
    assert "128x128" in done.stdout
    assert "in pixels of the images" in done.stdout
    assert "a flaw of 6 px becomes" in done.stderr
    written = config.read_text()
    assert written.startswith("# kizu recommend:")
    assert "#   64x64" in written or "# * 64x64" in written
    assert yaml.safe_load(written)["placement"]["smallest_flaw_px"] == 6
    trained = ask("train", "--config", config, "--output-dir", tmp_path / "runs")
    assert (Path(trained.stdout.strip().splitlines()[-1]) / "bundle").is_dir()


def test_json_has_the_curve(root: Path) -> None:
    told = json.loads(ask(*flags(root, "--json", "--pixels", 4096)).stdout)
    sizes = told["sizes"]
    assert [point["name"] for point in sizes["points"]] == ["64x64", "128x128"]
    assert sizes["points"][1]["exceeds"] == ["input 16384 pixels of 4096"]
    assert [point["chosen"] for point in sizes["points"]] == [True, False]
    assert set(sizes["points"][0]["found"]) == {"4", "8", "16", "32", "64"}
    assert sizes["judged_by"] == 6


def test_a_search_writes_its_winner_with_the_evidence(root: Path, tmp_path: Path) -> None:
    config = tmp_path / "searched.yaml"
    search = flags(root, "--search", "--backbones", "tiny", "--pixels", 4096, "--search-seconds", 60)
    done = ask(*search, "-o", config)
    assert "painted AUROC" in done.stdout
    assert "the default" in done.stdout
    assert "runner-up:" in done.stdout
    assert "6 others" in done.stdout
    assert config.read_text().startswith("# kizu recommend --search:")
    trained = ask("train", "--config", config, "--output-dir", tmp_path / "runs")
    assert (Path(trained.stdout.strip().splitlines()[-1]) / "bundle").is_dir()


def test_a_search_in_json_names_winner_runner_up_and_chance(root: Path) -> None:
    search = flags(
        root, "--search", "--backbones", "tiny", "--pixels", 4096, "--search-seconds", 60, "--json"
    )
    told = json.loads(ask(*search).stdout)
    assert sum(one["chosen"] for one in told["finalists"]) == 1
    assert sum(one["runner_up"] for one in told["finalists"]) == 1
    assert sum(one["default"] for one in told["finalists"]) == 1
    assert {"mean", "low", "high", "is_noise"} == set(told["beyond_runner_up"])
    assert told["fitted_on"] + told["judged_by"] == told["images"] == 18
    assert all(one["config"]["embedding"]["backbone"] == "tiny" for one in told["finalists"])


def test_a_budget_that_nothing_fits_writes_nothing(root: Path, tmp_path: Path) -> None:
    config = tmp_path / "none.yaml"
    for more in ([], ["--search", "--backbones", "tiny", "--search-seconds", 20]):
        done = ask(*flags(root, *more, "--latency-ms", 0.000001, "-o", config), ok=2)
        assert "is not written" in done.stderr
        assert not config.exists()


def test_backbones_are_for_a_search(root: Path) -> None:
    assert "--backbones is for --search" in ask(*flags(root, "--backbones", "tiny"), ok=2).stderr
