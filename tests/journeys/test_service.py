"""The real process: it starts, answers, is measured by a real Prometheus, and ends in order."""

import json
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from socket import create_connection, socket
from typing import Any

import pytest
import yaml
from tests.serving import Served, services, until
from tests.support import part_picture, with_flaw

from kizu.imaging.codec import png_bytes
from kizu.inspection.inspector import Inspector
from kizu.runs.folder import RunFolder

pytest.importorskip("fastapi", reason="the extra `serve` is not installed")
DEPLOY = Path(__file__).parents[2] / "deploy"
GOOD = png_bytes(part_picture(3))
BAD = png_bytes(with_flaw(part_picture(3), 20, 30))
LARGE = png_bytes(with_flaw(part_picture(3, 1500), 400, 600, 300))
"""Takes long enough to be met on the way."""


@pytest.fixture(scope="module")
def plate(trained_plate: Path) -> RunFolder:
    (config,) = (trained_plate / "runs").rglob("config.yaml")
    return RunFolder(config.parent)


@pytest.fixture
def serve(plate: RunFolder) -> Iterator[Callable[..., Served]]:
    """Serves the run, with these flags and variables."""
    with services() as start:
        yield partial(start, plate.path)


def test_it_answers_as_the_inspector_does_logs_each_request_and_ends_with_0(
    serve: Callable[..., Served], plate: RunFolder
) -> None:
    served = serve()
    assert served.address.startswith("http://127.0.0.1:")
    status, said = served.ask("/detect", BAD, **{"x-request-id": "r-1"})
    expected = Inspector.open(plate.path).inspect(with_flaw(part_picture(3), 20, 30))
    assert (status, said["label"], said["anomaly_score"]) == (200, "NG", expected.score)
    assert served.ask("/detect", GOOD)[1]["label"] == "OK"
    assert served.ask("/detect", b"nothing")[0] == 415
    code, log = served.end()
    assert code == 0, log
    lines = [line for line in log.splitlines() if "path=/detect" in line]
    assert len(lines) == 3
    assert re.search(
        r"INFO request method=POST path=/detect status=200 ms=[\d.]+ id=r-1 .*label=NG", lines[0]
    )
    assert "stopping signal=SIGTERM" in log
    with pytest.raises(ConnectionRefusedError), closing(connect(served.address)):
        pass


def test_told_to_stop_it_finishes_what_runs_and_refuses_what_waits(serve: Callable[..., Served]) -> None:
    served = serve(KIZU_SERVE_WORKERS="1")
    got: list[tuple[int, Any]] = []
    threads = [threading.Thread(target=lambda: got.append(served.ask("/detect", LARGE))) for _ in range(6)]
    for thread in threads:
        thread.start()

    def all_are_in_one_runs_and_others_wait() -> bool:
        """A place alone says nothing of that: it is taken before the body is read."""
        answered, now = len(got), served.metrics()
        return (
            answered + now["kizu_places_taken"] == 6
            and now["kizu_inspections_running"] == 1
            and sum(value for name, value in now.items() if name.startswith("kizu_queue_length")) >= 2
        )

    until(all_are_in_one_runs_and_others_wait)
    code, log = served.end()
    for thread in threads:
        thread.join(60)
    assert code == 0, log
    told = re.search(r"stopping signal=SIGTERM running=(\d+) waiting=(\d+)", log)
    assert told is not None, log
    running, waiting = map(int, told.groups())
    statuses = [status for status, _ in got]
    assert statuses.count(200) + statuses.count(503) == 6, got
    assert statuses.count(200) >= max(running, 1)
    assert statuses.count(503) >= waiting
    assert all(said["type"].endswith("stopping") for status, said in got if status == 503)


def test_ctrl_c_ends_it_in_order_too(serve: Callable[..., Served]) -> None:
    code, log = serve().end(signal.SIGINT)
    assert code == 0, log


HEAD = b"POST /detect HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 100000\r\n\r\n"


def test_who_hangs_up_frees_the_place(serve: Callable[..., Served]) -> None:
    served = serve(KIZU_SERVE_QUEUE_LENGTH="0", KIZU_SERVE_WORKERS="1", KIZU_SERVE_BODY_S="60")
    with closing(connect(served.address)) as half:
        half.sendall(HEAD + GOOD[:100])
        until(lambda: served.metrics()["kizu_places_taken"] == 1)
        assert served.ask("/detect", GOOD)[1]["title"] == "The queue is full"
    until(lambda: served.ask("/detect", GOOD)[0] == 200)
    assert served.end()[0] == 0


def test_whose_body_does_not_come_is_told_and_frees_the_place(serve: Callable[..., Served]) -> None:
    served = serve(KIZU_SERVE_QUEUE_LENGTH="0", KIZU_SERVE_WORKERS="1", KIZU_SERVE_BODY_S="0.2")
    with closing(connect(served.address)) as slow:
        slow.sendall(HEAD + GOOD[:100])
        slow.settimeout(20)
        assert b" 408 " in slow.recv(1000)
        until(lambda: served.metrics()["kizu_places_taken"] == 0)


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--host", "0.0.0.0"), "serve-key add"),
        (("--config", "/nowhere.yaml"), "/nowhere.yaml"),
        (("--keys-file", "/nowhere.json"), "/nowhere.json"),
        (("/nowhere",), "/nowhere"),
    ],
)
def test_what_cannot_be_served_ends_with_2_and_says_why(
    plate: RunFolder, flags: tuple[str, ...], told: str
) -> None:
    command = [sys.executable, "-m", "kizu", "serve", str(plate.path), "--port", "0", *flags]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2, done.stderr
    assert told in done.stderr
    assert "hint:" in done.stderr
    assert done.stdout == ""


def test_a_port_that_is_taken_is_told(plate: RunFolder) -> None:
    with socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "kizu", "serve", str(plate.path), "--port", port]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert port in done.stderr


def connect(address: str) -> socket:
    host, port = address.removeprefix("http://").split(":")
    return create_connection((host, int(port)), timeout=10)


def expressions() -> list[str]:
    """Of every panel, as Grafana would send it, and of every alert."""
    dashboard = json.loads((DEPLOY / "grafana/dashboards/kizu.json").read_text())
    shown = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    rules = yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"]
    return [
        *(text.replace("$__rate_interval", "10s").replace("$instance", ".*") for text in shown),
        *(re.sub(r"\[\d+[mh]\]", "[10s]", rule["expr"]) for group in rules for rule in group["rules"]),
    ]


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """A real one that asks a service every half second; gives its own address."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("prometheus is not installed")
    started: list[subprocess.Popen[bytes]] = []

    def start(address: str) -> str:
        config = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())
        config["global"] = {"scrape_interval": "500ms", "evaluation_interval": "500ms"}
        config["scrape_configs"][0]["static_configs"][0]["targets"] = [address.removeprefix("http://")]
        shutil.copy(DEPLOY / "alerts.yml", tmp_path)
        (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))
        with socket() as free:
            free.bind(("127.0.0.1", 0))
            own = f"127.0.0.1:{free.getsockname()[1]}"
        started.append(
            subprocess.Popen(
                [program, f"--config.file={tmp_path / 'prometheus.yml'}", f"--web.listen-address={own}",
                 f"--storage.tsdb.path={tmp_path / 'data'}"],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        )  # fmt: skip
        return f"http://{own}"

    yield start
    for process in started:
        process.kill()
        process.wait()


def query(address: str, expression: str) -> Any:
    data = urllib.parse.urlencode({"query": expression}).encode()
    try:
        with urllib.request.urlopen(f"{address}/api/v1/query", data, timeout=20) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        body = error.read()
        return json.loads(body) if body[:1] == b"{" else {"status": "away"}
    except OSError:
        return {"status": "away"}


QUIET = ("kizu_unknown_products", "kizu_retrieval_confidence", 'status=~"5..", status!="503"')
"""What has nothing to show where every picture is of the one product, and nothing fails."""


def test_every_panel_and_alert_is_answered_by_a_real_prometheus(
    serve: Callable[..., Served], prometheus: Callable[[str], str]
) -> None:
    served = serve()
    asked = prometheus(served.address)
    until(lambda: query(asked, 'up{job="kizu"} == 1').get("data", {}).get("result"))
    for _ in range(12):
        for content in (GOOD, BAD, b"nothing"):
            served.ask("/detect", content)
        time.sleep(0.25)
    for expression in expressions():
        said = query(asked, expression)
        assert said["status"] == "success", (expression, said)
    panels = [text for text in expressions() if not re.search(r"[<>=]= *\d|> *[\d.]+$", text)]
    assert len(panels) > 20
    for expression in panels:
        if not any(name in expression for name in QUIET):
            until(lambda expression=expression: query(asked, expression)["data"]["result"], 15)  # type: ignore[misc]
    flawed = """kizu_inspections_total{category="plate", label="NG"} == 12"""
    until(lambda: query(asked, flawed)["data"]["result"], 15)
    rules = json.load(urllib.request.urlopen(f"{asked}/api/v1/rules", timeout=20))["data"]["groups"]
    assert {rule["health"] for group in rules for rule in group["rules"]} <= {"ok", "unknown"}


def test_prometheus_takes_its_settings_and_rules() -> None:
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not installed")
    for what in (("config", "prometheus.yml"), ("rules", "alerts.yml")):
        done = subprocess.run(
            [program, "check", what[0], DEPLOY / what[1]], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def beside_python(name: str) -> str:
    """A program of this environment, or of the system."""
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def test_the_dockerfile_and_the_compose_file_are_well_made() -> None:
    lint = [beside_python("hadolint"), str(DEPLOY / "Dockerfile")]
    done = subprocess.run(lint, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    check = [
        beside_python("check-jsonschema"),
        "--builtin-schema",
        "vendor.compose-spec",
        str(DEPLOY / "compose.yaml"),
    ]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_containers_are_told_the_same_names_and_ports() -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    services = compose["services"]
    ports = {name: service["ports"][0].rsplit(":", 1)[1] for name, service in services.items()}
    assert ports == {"kizu": "8000", "prometheus": "9090", "grafana": "3000"}
    for service in services.values():
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
        assert service["cap_drop"] == ["ALL"]
        for volume in service["volumes"]:
            source = volume.split(":")[0]
            assert source in compose["volumes"] or source == "./runs" or (DEPLOY / source).exists()
    assert services["kizu"]["read_only"]
    scraped = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())["scrape_configs"][0]
    assert scraped["static_configs"][0]["targets"] == ["kizu:8000"]
    source = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/prometheus.yml").read_text())
    dashboard = json.loads((DEPLOY / "grafana/dashboards/kizu.json").read_text())
    uids = {
        target["datasource"]["uid"] for panel in dashboard["panels"] for target in panel.get("targets", ())
    }
    assert uids == {source["datasources"][0]["uid"]}
    assert source["datasources"][0]["url"] == f"http://prometheus:{ports['prometheus']}"
