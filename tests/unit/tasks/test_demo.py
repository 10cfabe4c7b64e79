"""A demo replaces what an earlier demo made, and nothing else."""

import json
from pathlib import Path

import pytest
from tests.support import BASE

import kizu.tasks.demo as module
from kizu.core.errors import KizuError, OutputError
from kizu.core.work import Work
from kizu.lab.train import DataConfig, RunConfig
from kizu.tasks.demo import run_demo
from kizu.tasks.lab_options import DemoOptions


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Drawn parts only, and the smallest network."""

    def small(*, data: DataConfig, seed: int) -> RunConfig:
        values = {
            "layout": "demo",
            "root": str(data.root or tmp_path / "cells"),
            "category": data.category,
            "options": {"train": 6, "test_good": 2, "test_defect": 2, "side_px": 64},
        }
        return RunConfig.parse({**BASE.model_dump(mode="json"), "seed": seed, "data": values}, where="test")

    monkeypatch.setattr(module, "RunConfig", small)


def test_the_users_own_runs_stay_when_a_demo_is_made_beside_them(tmp_path: Path) -> None:
    mine = tmp_path / "runs/patchcore/bottle/20260101"
    mine.mkdir(parents=True)
    (mine / "meta.json").write_text("{}")
    for _ in range(2):  # the second one replaces the first
        made = run_demo(DemoOptions(output_dir=tmp_path), Work())
    assert (mine / "meta.json").read_text() == "{}"
    assert made.page.is_file()
    assert [found.name for found in made.runs] == [
        "mono patchcore",
        "mono padim",
        "disc patchcore",
        "disc padim",
    ]
    assert len(json.loads((tmp_path / "demo.json").read_text())["runs"]) == 4


def test_a_run_that_no_demo_made_is_not_replaced(tmp_path: Path) -> None:
    foreign = tmp_path / "runs/patchcore/mono/demo"
    foreign.mkdir(parents=True)
    (foreign / "keep").write_text("mine")
    with pytest.raises(OutputError, match="no demo says that it made it"):
        run_demo(DemoOptions(output_dir=tmp_path), Work())
    assert (foreign / "keep").read_text() == "mine"


@pytest.mark.parametrize(
    "content",
    ["", "{}", '{"runs": 3}', '{"runs": ["../../elsewhere/demo"]}', '{"runs": ["patchcore/mono/mine"]}'],
)
def test_a_mark_that_is_no_demos_removes_nothing(content: str, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/demo.json").write_text(content)
    for place in ("elsewhere/demo", "out/runs/patchcore/mono/mine"):
        (tmp_path / place).mkdir(parents=True)
    with pytest.raises(KizuError, match=r"demo\.json"):
        run_demo(DemoOptions(output_dir=tmp_path / "out"), Work())
    assert (tmp_path / "elsewhere/demo").is_dir()
    assert (tmp_path / "out/runs/patchcore/mono/mine").is_dir()


def test_a_demo_looks_with_the_network_that_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[RunConfig] = []

    def stop(config: RunConfig, *_: object, **__: object) -> None:
        seen.append(config)
        raise OutputError("enough")

    monkeypatch.setattr(module, "train_run", stop)
    with pytest.raises(OutputError, match="enough"):
        run_demo(DemoOptions(output_dir=tmp_path, backbone="vit_s14_focus"), Work())
    assert seen[0].embedding.backbone == "vit_s14_focus"
    assert seen[0].embedding.layers is None
