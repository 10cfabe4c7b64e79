"""What each address answers, and that a picture gets the verdict of the command line."""

import base64
import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("fastapi", reason="the extra `serve` is not installed")

from starlette.testclient import TestClient
from tests.support import part_picture, with_flaw

from kizu.core.work import Work
from kizu.imaging.codec import png_bytes
from kizu.inspection.inspector import Inspector
from kizu.runs.folder import RunFolder
from kizu.tasks.threshold import change
from kizu.tasks.threshold_options import SetOptions

Start = Callable[..., TestClient]
GOOD = png_bytes(part_picture(3))
BAD = png_bytes(with_flaw(part_picture(3), 20, 30))


def ask(client: TestClient, picture: bytes, **options: Any) -> dict[str, Any]:
    done = client.post("/detect", files={"file": ("a.png", picture)}, data=options)
    assert done.status_code == 200, done.text
    return dict(done.json())


def test_a_good_picture_is_ok_and_a_flawed_one_ng_where_the_flaw_is(client: TestClient) -> None:
    good, bad = ask(client, GOOD), ask(client, BAD)
    assert (good["label"], good["is_anomalous"], good["regions"], good["class_name"]) == (
        "OK",
        False,
        [],
        "plate",
    )
    assert (bad["label"], bad["is_anomalous"]) == ("NG", True)
    x, y = bad["regions"][0]["centroid"]
    assert 28 <= x <= 44
    assert 18 <= y <= 34
    assert bad["ratio"] == bad["anomaly_score"] / bad["threshold"] > 1 >= good["ratio"]
    assert 0 <= good["anomaly_percentage"] < bad["anomaly_percentage"] < 100


def test_the_picture_itself_may_be_the_body(client: TestClient) -> None:
    raw = client.post(
        "/detect", params={"return_regions": "false"}, content=BAD, headers={"content-type": "image/png"}
    )
    assert raw.status_code == 200
    assert raw.json()["anomaly_score"] == ask(client, BAD)["anomaly_score"]
    assert raw.json()["regions"] is None


def test_a_threshold_of_the_caller_decides_and_lists_what_the_map_shows(
    client: TestClient, plate: RunFolder
) -> None:
    score = ask(client, GOOD)["anomaly_score"]
    above, below = ask(client, GOOD, threshold=score), ask(client, GOOD, threshold=score * 0.9)
    assert (above["label"], below["label"]) == ("OK", "NG")
    assert below["threshold"] == pytest.approx(score * 0.9)
    local = Inspector.open(plate.path).with_threshold(score * 0.9).inspect(part_picture(3))
    assert len(below["regions"]) == len(local.regions)


def test_the_map_comes_as_numbers_and_as_a_picture(client: TestClient, plate: RunFolder) -> None:
    expected = Inspector.open(plate.path).inspect(with_flaw(part_picture(3), 20, 30)).map
    as_npy = ask(client, BAD, return_map="true", map_format="npy")
    found = np.load(io.BytesIO(base64.b64decode(as_npy["anomaly_map_base64"])), allow_pickle=False)
    np.testing.assert_array_equal(found, expected)
    as_png16 = ask(client, BAD, return_map="true", map_format="png16")
    numbers = np.asarray(Image.open(io.BytesIO(base64.b64decode(as_png16["anomaly_map_base64"]))), np.float64)
    scale = as_png16["map_scale"]
    np.testing.assert_allclose(scale["offset"] + scale["step"] * numbers, expected, atol=scale["step"])
    shown = Image.open(
        io.BytesIO(base64.b64decode(ask(client, BAD, return_map="true")["anomaly_map_base64"]))
    )
    alpha = np.asarray(shown)[..., 3]
    assert shown.size == (64, 64)
    pixel_threshold = as_npy["pixel_threshold"]
    assert (alpha[expected >= 2 * pixel_threshold] == 191).all()
    assert (alpha[expected <= pixel_threshold] == 0).all()


def test_without_being_asked_no_map_is_sent(client: TestClient) -> None:
    assert ask(client, BAD)["anomaly_map_base64"] is None


def test_the_answer_says_what_took_how_long_and_who_judged(client: TestClient, plate: RunFolder) -> None:
    answer = ask(client, BAD)
    took = answer["processing_time_ms"]
    assert set(took) == {"read", "queue", "inspect", "answer", "total"}
    assert min(took.values()) >= 0
    assert took["total"] == pytest.approx(sum(took.values()) - took["total"], abs=0.1)
    opened = Inspector.open(plate.path)
    assert answer["model"] == {"name": "plate", "version": 1, "sha256": opened.bundle_sha256}


def test_a_request_keeps_its_own_id_where_it_may_stand_in_a_log(client: TestClient) -> None:
    kept = client.post("/detect", content=GOOD, headers={"x-request-id": "line1-0007"})
    assert kept.headers["x-request-id"] == kept.json()["request_id"] == "line1-0007"
    made = client.post("/detect", content=GOOD, headers={"x-request-id": "no spaces = please"})
    assert made.headers["x-request-id"] == made.json()["request_id"] != "no spaces = please"


@pytest.mark.parametrize(
    ("body", "headers", "params", "status", "told"),
    [
        (b"", {}, {}, 400, "no picture"),
        (b"no picture at all", {}, {}, 415, "no picture"),
        (b"GIF89a" + bytes(40), {}, {}, 415, "GIF"),
        (GOOD, {"content-type": "application/json"}, {}, 415, "application/json"),
        (GOOD[:300], {}, {}, 422, "is not whole"),
        (GOOD, {}, {"class_name": "plat"}, 422, "no model on the shelf is called 'plat'"),
        (GOOD, {}, {"treshold": "1"}, 422, "did you mean 'threshold'"),
        (GOOD, {}, {"threshold": "nan"}, 422, "threshold"),
        (GOOD, {}, {"threshold": "x" * 5000}, 422, "threshold"),
        (GOOD, {}, {"map_format": "bmp"}, 422, "map_format"),
        (GOOD, {"content-type": "multipart/form-data"}, {}, 400, "boundary"),
        (GOOD, {"content-type": "multipart/form-data; boundary=x"}, {}, 400, "form"),
    ],
)
def test_what_cannot_be_done_is_a_problem_that_says_why(
    client: TestClient, body: bytes, headers: dict[str, str], params: dict[str, str], status: int, told: str
) -> None:
    done = client.post("/detect", content=body, headers=headers, params=params)
    assert done.status_code == status, done.text
    assert done.headers["content-type"] == "application/problem+json"
    problem = done.json()
    assert told in problem["detail"]
    assert problem["status"] == status
    assert problem["type"].startswith("urn:kizu:problem:")
    assert problem["request_id"] == done.headers["x-request-id"]
    assert problem["hint"]


def test_one_option_twice_is_refused(client: TestClient) -> None:
    done = client.post("/detect", params={"threshold": "1"}, files={"file": GOOD}, data={"threshold": "2"})
    assert (done.status_code, "twice" in done.text) == (400, True)


def test_a_file_in_another_field_is_told_the_right_one(client: TestClient) -> None:
    done = client.post("/detect", files={"picture": GOOD})
    assert done.status_code == 400
    assert "'file'" in done.json()["hint"]


def test_what_is_too_large_is_refused_before_it_is_decoded(start: Start) -> None:
    client = start(max_body_mb=0.01, max_megapixels=0.001)
    assert client.post("/detect", content=bytes(20_000)).status_code == 413
    chunks = (bytes(1000) for _ in range(20))
    assert client.post("/detect", content=chunks).status_code == 413  # no length was declared
    many = client.post("/detect", content=png_bytes(np.zeros((64, 64, 3), np.uint8)))
    assert many.status_code == 413
    assert "64 x 64" in many.json()["detail"]


def test_unknown_addresses_and_methods_are_problems_too(client: TestClient) -> None:
    for done, status in (
        (client.get("/nothing"), 404),
        (client.get("/detect"), 405),
        (client.put("/detect"), 405),
    ):
        assert done.status_code == status
        assert done.headers["content-type"] == "application/problem+json"
    assert client.get("/detect").headers["allow"] == "POST"


def test_a_batch_answers_in_order_and_one_bad_file_is_its_own_error(client: TestClient) -> None:
    files = [("files", ("a.png", GOOD)), ("files", ("b.txt", b"nothing")), ("files", ("c.png", BAD))]
    done = client.post("/detect/batch", files=files, data={"return_regions": "false"})
    assert done.status_code == 200
    items = done.json()["items"]
    assert [(item["index"], item["file_name"]) for item in items] == [
        (0, "a.png"),
        (1, "b.txt"),
        (2, "c.png"),
    ]
    assert [item["result"] and item["result"]["label"] for item in items] == ["OK", None, "NG"]
    assert items[1]["error"]["status"] == 415
    assert items[0]["error"] is None


def test_a_batch_has_a_length(start: Start) -> None:
    client = start(max_batch_files=2)
    assert client.post("/detect/batch", files=[("files", GOOD)] * 2).status_code == 200
    assert client.post("/detect/batch", files=[("files", GOOD)] * 3).status_code == 413
    assert client.post("/detect/batch", files=[("files", GOOD)] * 9).status_code in (400, 413)


def test_the_service_says_what_it_serves_and_that_it_is_ready(client: TestClient, plate: RunFolder) -> None:
    assert client.get("/health").json() == {"status": "alive"}
    end = time.monotonic() + 60
    while client.get("/ready").status_code != 200 and time.monotonic() < end:
        time.sleep(0.02)
    assert client.get("/ready").json() == {"status": "ready", "models": 1}
    assert client.get("/classes").json() == {"classes": ["plate"]}
    (model,) = client.get("/models").json()["models"]
    assert (model["class_name"], model["method"], model["backbone"]) == ("plate", "patchcore", "tiny")
    bundle = plate.open_bundle()
    assert (model["version"], model["sha256"], model["kind"]) == (1, bundle.bundle_sha256, "run")
    assert (model["run_id"], model["can_be_retrieved"]) == (bundle.manifest.run_id, False)
    assert model["thresholds"] == bundle.manifest.thresholds.model_dump(mode="json")
    assert model["size_bytes"] > 1000
    assert model["thresholds"]["image"]["value"] == Inspector.open(plate.path).threshold.value


def test_it_is_not_ready_without_room_on_the_disk(start: Start) -> None:
    done = start(min_free_mb=1e12).get("/ready")
    assert done.status_code == 503
    assert "disk" in done.json()["detail"]


def test_pages_come_from_here_alone_and_say_so(client: TestClient) -> None:
    for path, kind in (
        ("/", "text/html"), ("/docs", "text/html"), ("/pages/look.js", "text/javascript"),
        ("/pages/docs.js", "text/javascript"), ("/pages/page.css", "text/css"),
    ):  # fmt: skip
        done = client.get(path)
        assert done.status_code == 200
        assert done.headers["content-type"].startswith(kind)
        assert "default-src 'none'" in done.headers["content-security-policy"]
        assert "http://" not in done.text
        assert "https://" not in done.text
        assert "<script>" not in done.text
        assert " style=" not in done.text


def test_the_description_names_every_address_option_and_field(client: TestClient) -> None:
    told = client.get("/openapi.json").json()
    assert set(told["paths"]) == {
        "/health", "/ready", "/classes", "/models", "/models/refresh", "/metrics", "/detect", "/detect/batch"
    }  # fmt: skip
    form = told["paths"]["/detect"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert set(form["properties"]) == {
        "file", "class_name", "threshold", "return_map", "map_format", "return_regions"
    }  # fmt: skip
    refused = told["paths"]["/detect"]["post"]["responses"]["422"]["content"]
    assert refused == {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    assert set(ask(client, BAD)) == set(told["components"]["schemas"]["DetectAnswer"]["properties"])


def test_the_log_has_a_line_for_each_request_whatever_a_client_writes(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", logger="kizu.service"):
        client.post("/detect", content=BAD, headers={"x-request-id": "r1"})
        client.get("/no%0a%22thing status=200 \u2028")
    first, second = [
        record.getMessage() for record in caplog.records if record.name == "kizu.service.requests"
    ]
    assert first.startswith("request method=POST path=/detect status=200 ms=")
    assert "id=r1" in first
    assert "class=plate label=NG" in first
    assert "\n" not in second
    assert "status=404" in second
    assert json.loads(second.split("path=")[1].split(" status=404")[0])


def test_new_versions_come_into_service_when_asked_for(run: RunFolder, start: Start) -> None:
    client = start(runs=[str(run.path)], refresh_s=0)
    before = ask(client, GOOD)
    change(run.path, SetOptions(value=before["anomaly_score"] * 0.5), Work())
    assert client.post("/models/refresh").json() == {"changed": ["plate"], "problems": []}
    after = ask(client, GOOD)
    assert (after["label"], after["model"]["version"]) == ("NG", before["model"]["version"] + 1)
    assert client.post("/models/refresh").json() == {"changed": [], "problems": []}


def test_a_picture_beside_the_region_of_interest_is_a_problem(start: Start, tmp_path: Path) -> None:
    area = tmp_path / "roi.json"
    area.write_text(json.dumps({"polygons": [[[100, 100], [120, 100], [120, 120]]]}))
    done = start(decision={"roi": str(area)}).post("/detect", content=GOOD)
    assert done.status_code == 422
    assert "region of interest" in done.json()["detail"]


def test_in_a_region_of_interest_a_score_is_no_threshold(start: Start, tmp_path: Path) -> None:
    area = tmp_path / "roi.json"
    area.write_text(json.dumps({"polygons": [[[0, 0], [60, 0], [60, 60]]]}))
    client = start(products={"plate": {"roi": str(area)}})
    assert ask(client, BAD)["decided_by"] == "regions"
    assert client.post("/detect", content=BAD, params={"threshold": "1"}).status_code == 422
