"""What is counted, and that no client can make a label up."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="the extra `serve` is not installed")

from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient
from tests.support import part_picture, texture, with_flaw

from kizu.bundles.store import save
from kizu.core.work import Work
from kizu.imaging.codec import png_bytes
from kizu.runs.folder import RunFolder
from kizu.tasks.index import index

Start = Callable[..., TestClient]
GOOD = png_bytes(part_picture(3))
BAD = png_bytes(with_flaw(part_picture(3), 20, 30))


def value(client: TestClient, name: str, **labels: str) -> float:
    """The sum of the samples of that name with these labels."""
    families = text_string_to_metric_families(client.get("/metrics").text)
    return sum(
        sample.value
        for family in families
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def test_requests_are_counted_by_method_address_and_status(client: TestClient) -> None:
    for content in (GOOD, BAD, b"nothing"):
        client.post("/detect", content=content)
    assert value(client, "http_requests_total", method="POST", endpoint="/detect", status="200") == 2
    assert value(client, "http_requests_total", method="POST", endpoint="/detect", status="415") == 1
    assert value(client, "http_request_duration_seconds_count", endpoint="/detect") == 3
    assert value(client, "http_requests_in_progress", endpoint="/detect") == 0
    assert value(client, "http_requests_in_progress", endpoint="/metrics") == 1
    assert value(client, "kizu_failures_total", problem="no-picture") == 1


def test_verdicts_ratios_and_stages_are_counted(client: TestClient) -> None:
    ratio = client.post("/detect", content=BAD).json()["ratio"]
    client.post("/detect/batch", files=[("files", GOOD), ("files", BAD)])
    assert value(client, "kizu_inspections_total", category="plate", label="NG") == 2
    assert value(client, "kizu_inspections_total", category="plate", label="OK") == 1
    assert value(client, "kizu_score_ratio_bucket", category="plate", le="1.0") == 1
    assert value(client, "kizu_score_ratio_sum", category="plate") > 2 * ratio > 2
    for stage in ("read", "queue", "inspect", "answer"):
        assert value(client, "kizu_stage_seconds_count", stage=stage) == 3


def test_it_says_what_is_served_and_how_full_it_is(client: TestClient) -> None:
    assert value(client, "kizu_model_info", category="plate", method="patchcore", version="1") == 1
    assert value(client, "kizu_queue_length") == 0
    assert value(client, "kizu_places") == value(client, "kizu_workers") + 32
    assert value(client, "process_resident_memory_bytes") > 1e7


def test_whatever_is_asked_for_there_are_no_more_series(client: TestClient) -> None:
    def ask(number: int) -> None:
        client.get(f"/made-up/{number}")
        client.request(f"VERB{number}", "/detect")
        client.post("/detect", content=GOOD, params={"class_name": f"made up {number}"})
        client.post("/detect", content=GOOD, headers={"x-request-id": f"id{number}"})

    def series() -> int:
        return sum(len(f.samples) for f in text_string_to_metric_families(client.get("/metrics").text))

    ask(0)
    client.get("/metrics")
    before = series()
    for number in range(1, 30):
        ask(number)
    assert series() == before
    assert value(client, "http_requests_total", endpoint="other", method="GET") == 30
    assert value(client, "http_requests_total", method="other") == 30


def test_two_services_do_not_count_together(start: Start) -> None:
    one, other = start(), start()
    one.post("/detect", content=GOOD)
    assert value(one, "kizu_inspections_total") == 1
    assert value(other, "kizu_inspections_total") == 0


@pytest.fixture(scope="module")
def indexed(plate: RunFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run, with what its product looks like."""
    own = shutil.copytree(plate.path, tmp_path_factory.mktemp("indexed") / "run")
    index(own, Work())
    return own


def test_a_picture_of_no_product_has_no_verdict_and_says_so(start: Start, indexed: Path) -> None:
    client = start(runs=[str(indexed)])
    grain = png_bytes(np.repeat(texture(50, (64, 64))[..., None], 3, axis=2))
    known = client.post("/detect", content=GOOD).json()
    assert (known["class_name"], known["class_confidence"], known["label"]) == ("plate", 1.0, "OK")
    done = client.post("/detect", content=grain, params={"return_map": "true"})
    assert done.status_code == 200
    unknown = done.json()
    assert unknown["class_confidence"] == 1
    assert unknown["warnings"]
    for name in ("class_name", "is_anomalous", "label", "anomaly_score", "ratio", "threshold", "regions", "model",
                 "anomaly_percentage", "anomaly_map_base64"):  # fmt: skip
        assert unknown[name] is None
    assert value(client, "kizu_unknown_products_total") == 1
    assert value(client, "kizu_inspections_total", category="unknown") == 1
    assert value(client, "kizu_retrieval_confidence_count") == 2
    named = client.post("/detect", content=grain, params={"class_name": "plate"}).json()
    assert (named["class_name"], named["class_confidence"]) == ("plate", None)


def test_a_product_that_comes_later_is_a_label_from_then_on(
    start: Start, plate: RunFolder, tmp_path: Path
) -> None:
    shutil.copytree(plate.path, tmp_path / "plate")
    client = start(runs=[str(tmp_path)], refresh_s=0)
    bundle = plate.open_bundle()
    lid = replace(bundle, manifest=bundle.manifest.model_copy(update={"category": "lid"}))
    save(lid, tmp_path / "lid")
    assert value(client, "kizu_model_info", category="lid") == 0
    assert client.post("/models/refresh").json()["changed"] == ["lid"]
    assert value(client, "kizu_model_info", category="lid", version="1") == 1
    client.post("/detect", content=BAD, params={"class_name": "lid"})
    assert value(client, "kizu_inspections_total", category="lid", label="NG") == 1
    assert value(client, "kizu_score_ratio_count", category="lid") == 1
    assert value(client, "kizu_model_bytes") > 1000
    (tmp_path / "lid/bundle.json").write_text("{}")
    client.post("/models/refresh")
    assert value(client, "kizu_model_problems") == 1
