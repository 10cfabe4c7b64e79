"""The service's verdicts are those of `kizu inspect` for the same bytes, whatever the method and the setting."""

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="the extra `serve` is not installed")

from starlette.testclient import TestClient
from tests.support import ALL, ask, category, part_picture, read_lines, run_config

from kizu.core.errors import BundleError, ConfigError, ImageError
from kizu.core.work import Work
from kizu.imaging.codec import png_bytes
from kizu.lab.train import RunConfig, train_run
from kizu.runs.folder import RunFolder
from kizu.service.opening import open_shelf
from kizu.service.settings import ServeSettings
from kizu.tasks.threshold import change
from kizu.tasks.threshold_options import SetOptions

Start = Callable[..., TestClient]
GOOD = png_bytes(part_picture(3))
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
    assert sorted(client.get("/classes").json()["classes"]) == ["lid", "plate"]
    for name in ("plate", "lid"):
        compare(client, run, sets, tmp_path / name, "--category", name, name=name)


def test_of_several_products_that_no_picture_tells_apart_one_must_be_named(
    plate: RunFolder, sets: Path, tmp_path: Path, start: Start
) -> None:
    lid = trained(sets, tmp_path / "runs", "lid")
    client = start(runs=[str(plate.path), str(lid.path)])
    picture = next((sets / "lid/test").rglob("*.png")).read_bytes()
    named = client.post("/detect", content=picture, params={"class_name": "lid"}).json()
    assert (named["class_name"], named["class_confidence"]) == ("lid", None)
    bare = client.post("/detect", content=picture)
    assert bare.status_code == 422
    assert "kizu index" in bare.json()["hint"]


def test_what_cannot_be_served_is_told(plate: RunFolder, tmp_path: Path) -> None:
    again = shutil.copytree(plate.path, tmp_path / "again")
    with pytest.raises(ConfigError, match="nothing to serve"):
        open_shelf(ServeSettings())
    with pytest.raises(BundleError, match="both are of plate"):
        open_shelf(ServeSettings(runs=(plate.path, again)))
    with pytest.raises(ConfigError, match="no model on the shelf is of lid") as refused:
        open_shelf(ServeSettings.parse({"runs": [plate.path], "products": {"lid": {}}}, where="test"))
    assert refused.value.hint == "there are: plate"
    with pytest.raises(ConfigError, match="missing is no run"):
        open_shelf(ServeSettings(runs=(plate.path, tmp_path / "missing")))


def test_of_a_folder_the_others_are_served_and_the_log_and_the_list_tell_what_is_not(
    plate: RunFolder, tmp_path: Path, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(plate.path, tmp_path / "runs/good")
    broken = shutil.copytree(plate.path, tmp_path / "runs/worse")
    (broken / "bundle/bundle.json").write_text("{}")
    client = start(runs=[str(tmp_path / "runs")], refresh_s=0)
    assert client.get("/classes").json() == {"classes": ["plate"]}
    (problem,) = client.get("/models").json()["problems"]
    assert problem["path"] == str(broken)
    assert f"model not taken path={broken}" in caplog.text
    shutil.rmtree(broken)
    assert client.post("/models/refresh").json() == {"changed": [], "problems": []}


def test_what_is_in_service_stays_so_when_a_second_of_its_product_comes(
    plate: RunFolder, tmp_path: Path, start: Start
) -> None:
    shutil.copytree(plate.path, tmp_path / "b")
    client = start(runs=[str(tmp_path)], refresh_s=0)
    shutil.copytree(plate.path, tmp_path / "a")
    said = client.post("/models/refresh").json()
    assert said["changed"] == []
    assert said["problems"][0]["detail"] == f"{tmp_path / 'a'} and {tmp_path / 'b'} both are of plate"
    assert client.post("/detect", content=GOOD).status_code == 200
    shutil.rmtree(tmp_path / "b")
    assert client.post("/models/refresh").json() == {"changed": ["plate"], "problems": []}
    assert client.post("/detect", content=GOOD).status_code == 200


def test_of_two_new_ones_of_one_product_neither_is_guessed(
    plate: RunFolder, sets: Path, tmp_path: Path, start: Start
) -> None:
    trained(sets, tmp_path / "lid", "lid")
    client = start(runs=[str(tmp_path)], refresh_s=0)
    for name in ("a", "b"):
        shutil.copytree(plate.path, tmp_path / name)
    assert len(client.post("/models/refresh").json()["problems"]) == 2
    assert client.get("/classes").json() == {"classes": ["lid"]}


def test_versions_that_come_into_force_are_taken_without_being_asked_for(
    run: RunFolder, start: Start
) -> None:
    client = start(runs=[str(run.path)], refresh_s=0.05)
    before = client.post("/detect", content=GOOD).json()
    change(run.path, SetOptions(value=before["anomaly_score"] * 0.5), Work())
    end = time.monotonic() + 60
    while (after := client.post("/detect", content=GOOD).json())["label"] != "NG":
        assert time.monotonic() < end
        assert after["model"] == before["model"]
        time.sleep(0.02)
    assert after["model"]["version"] == before["model"]["version"] + 1


def test_the_memory_that_is_set_is_the_shelfs_budget(plate: RunFolder) -> None:
    """What a budget does is tested with the shelf; what models grow by is the system's to say."""
    for memory_mb, told in ((3, 3 << 20), (None, None)):
        shelf = open_shelf(ServeSettings(runs=(plate.path,), memory_mb=memory_mb))
        assert shelf._models._budget == told


def test_pixels_are_bounded_by_the_setting_and_by_nothing_else(plate: RunFolder) -> None:
    large = png_bytes(np.zeros((1200, 1000, 3), np.uint8))
    assert open_shelf(ServeSettings(runs=(plate.path,), max_megapixels=1.2)).inspect(large).inspection
    with pytest.raises(ImageError, match="1,199,000 allowed"):
        open_shelf(ServeSettings(runs=(plate.path,), max_megapixels=1.199)).inspect(large)
