"""The service's verdicts are those of `kizu inspect` for the same bytes, whatever the method and the setting."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the extra `serve` is not installed")

from starlette.testclient import TestClient
from tests.support import ALL, ask, category, read_lines, run_config

from kizu.core.errors import ConfigError
from kizu.lab.train import RunConfig, train_run
from kizu.runs.folder import RunFolder
from kizu.service.models import OpenedRuns
from kizu.service.settings import ServeSettings

Start = Callable[..., TestClient]
ZONES = {"fraction": 0.4, "zones": [2, 2]}
AREA = {"polygons": [[[8, 8], [56, 8], [56, 56], [8, 56]]]}


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("served")
    for seed, name in enumerate(("plate", "lid")):
        category(root, name, 100 * seed)
    (root / "roi.json").write_text(json.dumps(AREA))
    return root


def trained(sets: Path, place: Path, names: str = "plate", **changes: Any) -> RunFolder:
    values = run_config(sets, names).model_dump(mode="json")
    return train_run(RunConfig.parse({**values, **changes}, where="test"), place).folder


def compare(
    client: TestClient, run: RunFolder, sets: Path, place: Path, *flags: object, name: str | None = None
) -> set[str]:
    """Every test picture both ways; the labels that there were.

    To the last bit, where the command line too takes each picture by itself: with others in one matrix product means
    over a region differ in their tenth digit.
    """
    folder = sets / (name or "plate") / "test"
    ask(
        "inspect", "--run-dir", run.path, folder, "--output-dir", place, "--no-save-masks", "--no-save-overlays",
        "--batch-size", 1, *flags,
    )  # fmt: skip
    lines = read_lines(place / "preds.jsonl")
    assert len(lines) == 8
    for line in lines:
        options = {} if name is None else {"class_name": name}
        with Path(line["image_path"]).open("rb") as file:
            said = client.post("/detect", files={"file": file}, data=options).json()
        assert said["anomaly_score"] == line["pred_score"]
        assert said["threshold"] == line["image_threshold"]
        assert said["pixel_threshold"] == line["effective_pixel_threshold"]
        assert (said["label"], said["is_anomalous"]) == (line["label"], line["is_anomaly"])
        assert said["regions"] == line["defects"]
        assert (said["decided_by"], said["reason"]) == (line["decided_by"], line["reason"])
        assert said["highest_spot"] == line.get("highest_spot")
        assert said["class_name"] == line["category"]
        assert said["model"]["sha256"] == line["bundle_sha256"]
    return {line["label"] for line in lines}


@pytest.mark.parametrize("method", ALL)
def test_every_method_says_over_http_what_it_says_on_the_command_line(
    method: str, sets: Path, tmp_path: Path, start: Start
) -> None:
    run = trained(sets, tmp_path / "runs", detector=ALL[method])
    compare(start(runs=[str(run.path)]), run, sets, tmp_path / "out")


@pytest.mark.parametrize(
    ("changes", "decision", "flags"),
    [
        ({}, {"roi": "roi.json", "min_defect_area": 9}, ("--roi", "roi.json", "--min-defect-area", 9)),
        ({}, {"ignore": "roi.json", "open_px": 3}, ("--ignore", "roi.json", "--open-px", 3)),
        ({"placement": {"image_size": 32, "resize": 64, "tile_overlap": 0.25}}, {}, ()),
        ({"calibration": ZONES}, {}, ()),
        ({"calibration": ZONES}, {"pixel_threshold_mult": 1.5}, ("--pixel-threshold-mult", 1.5)),
    ],
    ids=["roi", "ignore", "tiles", "zones", "zones multiplied"],
)  # fmt: skip
def test_so_do_regions_of_interest_tiles_and_zones(
    changes: dict[str, Any],
    decision: dict[str, Any],
    flags: tuple[Any, ...],
    sets: Path,
    tmp_path: Path,
    start: Start,
) -> None:
    run = trained(sets, tmp_path / "runs", **changes)
    placed = {
        name: str(sets / value) if name in ("roi", "ignore") else value for name, value in decision.items()
    }
    there = [sets / value if value == "roi.json" else value for value in flags]
    client = start(runs=[str(run.path)], decision=placed)
    assert "NG" in compare(client, run, sets, tmp_path / "out", *there)


def test_a_model_of_several_products_judges_each_by_its_own_thresholds(
    sets: Path, tmp_path: Path, start: Start
) -> None:
    run = trained(sets, tmp_path / "runs", "plate,lid")
    client = start(runs=[str(run.path)])
    assert client.get("/classes").json() == {"classes": ["lid", "plate"]} or client.get(
        "/classes"
    ).json() == {"classes": ["plate", "lid"]}
    for name in ("plate", "lid"):
        compare(client, run, sets, tmp_path / name, "--category", name, name=name)


def test_of_several_products_one_must_be_named(plate: RunFolder, sets: Path, tmp_path: Path) -> None:
    lid = trained(sets, tmp_path / "runs", "lid")
    opened = OpenedRuns(ServeSettings(runs=(plate.path, lid.path)))
    picture = next((sets / "lid/test").rglob("*.png")).read_bytes()
    assert opened.inspect(picture, name="lid").model.category == "lid"
    with pytest.raises(ConfigError, match="none was named"):
        opened.inspect(picture)
    with pytest.raises(ConfigError, match="no product 'plat'") as refused:
        opened.find("plat")
    assert refused.value.hint == "did you mean 'plate'?"


def test_what_cannot_be_served_together_is_told(plate: RunFolder) -> None:
    with pytest.raises(ConfigError, match="nothing to serve"):
        OpenedRuns(ServeSettings())
    with pytest.raises(ConfigError, match="both are of plate"):
        OpenedRuns(ServeSettings(runs=(plate.path, plate.path)))
    with pytest.raises(ConfigError, match="'lid', which is not served"):
        OpenedRuns(ServeSettings.parse({"runs": [plate.path], "products": {"lid": {}}}, where="test"))
