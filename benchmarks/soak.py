"""A service under load while its models are exchanged, and then while it is killed: what is wrong, lost or left.

    python benchmarks/soak.py [--requests 10000] [--kills 5] [--clients 4] [--pause 0.3] [--json FILE]

Three drawn products, the smallest network, one `kizu serve` over a folder of their runs. Clients ask without a pause,
half of them by name, half by the picture alone, and know what every model says of every picture. Meanwhile thresholds
are set and taken back. Then the same while the service is killed with SIGKILL and started again at its address. Counted
are

wrong     a product, a score, a threshold or a label that is not that of a version which was in force while the request
          was here; another request's id; a picture that another product's model judged
lost      a request without an answer, or refused, while nobody killed anything; a request without a line in the log
half      an answer that came as a whole one and was none
grown     memory or descriptors at the end against the second fifth (models are all open, and allocators have settled)
"""

import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from measuring import command_line, write_result

from kizu.core.threads import one_blas_thread
from kizu.core.types import U8
from kizu.core.work import Work
from kizu.imaging.codec import encode_png, png_bytes
from kizu.inspection.shelf import Shelf
from kizu.lab.train import RunConfig, train_run
from kizu.lab.versions import roll_back
from kizu.runs.folder import RunFolder
from kizu.tasks.index import index
from kizu.tasks.threshold import change
from kizu.tasks.threshold_options import SetOptions

SIDE_PX, GOOD, ASKED = 64, 20, 8
PRODUCTS = ("disc", "bars", "grain")
GROWTH = 1.05
AT_FAULT = ("wrong", "lost", "half", "grown")


def draw(product: str, seed: int) -> U8:
    """(64, 64, 3); every third one has a flaw."""
    rng = np.random.default_rng([PRODUCTS.index(product), seed])
    y, x = np.mgrid[:SIDE_PX, :SIDE_PX] / SIDE_PX
    shapes = {
        "disc": 90 + 90 * ((y - 0.5) ** 2 + (x - 0.5) ** 2 < 0.1),
        "bars": 120 + 60 * np.sign(np.sin(40 * x + 0 * y)),
        "grain": 60 + rng.normal(0, 40, (SIDE_PX // 4,) * 2).repeat(4, 0).repeat(4, 1),
    }
    grey = np.clip(shapes[product] + rng.normal(0, 4, (SIDE_PX, SIDE_PX)), 0, 255).astype(np.uint8)
    if seed % 3 == 0:
        top, left = rng.integers(0, SIDE_PX - 12, 2)
        grey[top : top + 12, left : left + 12] = np.where(np.indices((12, 12)).sum(axis=0) % 4 < 2, 255, 0)
    return np.repeat(grey[..., None], 3, axis=2)


def train(root: Path, product: str) -> RunFolder:
    """A run that knows what its product looks like."""
    for number in range(GOOD):
        encode_png(root / f"sets/{product}/train/good/{number}.png", draw(product, 3 * number + 1))
    for number in range(4):
        encode_png(root / f"sets/{product}/test/good/{number}.png", draw(product, 3 * number + 101))
    config = RunConfig.parse(
        {
            "data": {"root": root / "sets", "category": product},
            "placement": {"image_size": SIDE_PX},
            "embedding": {"backbone": "tiny"},
            "detector": {"kind": "patchcore", "coreset": 0.2},
        },
        where="soak",
    )
    run = train_run(config, root / "runs", run_id=product).folder
    index(run.path, Work())
    return run


@dataclass
class Version:
    """Of a product, while it could judge; by `time.perf_counter`."""

    sha256: str
    threshold: float
    since: float
    until: float = float("inf")


@dataclass
class Truth:
    """What every answer must be."""

    pictures: dict[tuple[str, int], bytes] = field(default_factory=dict)
    scores: dict[tuple[str, int], float] = field(default_factory=dict)
    owners: dict[tuple[str, int], str | None] = field(default_factory=dict)
    """Whose a picture is by itself; None: nobody's."""
    versions: dict[str, list[Version]] = field(default_factory=dict)
    faults: Counter[str] = field(default_factory=Counter)
    seen: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)
    pending: list[tuple[str, tuple[str, float], bool, float, float]] = field(default_factory=list)
    """Answers of versions that were not known yet when they came: looked at again when all is known."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def of(cls, runs: Path) -> "Truth":
        truth = cls()
        with Shelf.open([runs]) as shelf, one_blas_thread():
            for product in PRODUCTS:
                model = shelf.find(product)
                truth.versions[product] = [Version(model.sha256, model.thresholds.image.value, 0.0)]
                for seed in range(200, 200 + ASKED):
                    key = (product, seed)
                    truth.pictures[key] = png_bytes(draw(*key))
                    found = shelf.inspect(truth.pictures[key], name=product).inspection
                    assert found is not None
                    owner = shelf.inspect(truth.pictures[key]).model
                    truth.scores[key], truth.owners[key] = found.score, owner.category if owner else None
        return truth

    def fault(self, kind: str, told: object) -> None:
        with self.lock:
            self.faults[kind] += 1
            if len(self.examples) < 10:
                self.examples.append(f"{kind}: {told}")

    def count(self, what: str) -> None:
        with self.lock:
            self.seen[what] += 1

    def changed(self, product: str, run: RunFolder, began: float) -> None:
        """Another version of it is in force, and whoever asks from now on must get that."""
        now = time.perf_counter()
        bundle = run.open_bundle()
        with self.lock:
            self.versions[product][-1].until = now
            value = bundle.manifest.thresholds.image.value
            self.versions[product].append(Version(bundle.bundle_sha256, value, began))

    def check(self, key: tuple[str, int], named: bool, request_id: str, said: Any, began: float) -> None:
        ended = time.perf_counter()
        owner = key[0] if named else self.owners[key]
        if (said["class_name"], said["request_id"]) != (owner, request_id):
            self.fault("wrong", (key, named, request_id, said))
        elif owner is None:
            self.count("unknown")
        elif said["model"]["name"] != owner or said["anomaly_score"] != self.scores[key]:
            self.fault("wrong", (key, self.scores[key], said))
        else:
            with self.lock:
                could = [v for v in self.versions[owner] if v.since <= ended and v.until >= began]
            judged = (said["model"]["sha256"], said["threshold"])
            label = "NG" if said["anomaly_score"] > said["threshold"] else "OK"
            if judged not in [(v.sha256, v.threshold) for v in could] or said["label"] != label:
                self.pending.append((owner, judged, label == said["label"], began, ended))
            self.count(said["label"])

    def settle(self) -> None:
        for owner, judged, is_labelled, began, ended in self.pending:
            could = [v for v in self.versions[owner] if v.since <= ended and v.until >= began]
            if judged not in [(v.sha256, v.threshold) for v in could] or not is_labelled:
                self.fault("wrong", (owner, judged, could))
        self.pending.clear()


@dataclass
class Service:
    """`kizu serve` at one address, killed and started as one likes."""

    runs: Path
    log: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "kizu", "serve", str(self.runs), "--port", str(self.port)]
        environment = {**os.environ, "KIZU_SERVE_REFRESH_S": "1"}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        while not self.is_ready():
            assert self.process.poll() is None, self.log.read_text()[-2000:]
            time.sleep(0.05)

    def is_ready(self) -> bool:
        try:
            return self.call("GET", "/ready")[0] == 200
        except OSError:
            return False

    def call(self, method: str, path: str, body: bytes | None = None) -> tuple[int, Any]:
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        client.request(method, path, body)
        answer = client.getresponse()
        content = answer.read()
        client.close()
        return answer.status, json.loads(content)

    def stop(self, number: int) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(60)


def ask(
    truth: Truth, service: Service, ended: threading.Event, left: Iterator[int], *, is_killed: bool
) -> None:
    """One client: asks until `left` is empty or it is ended."""
    rng = random.Random(threading.get_ident())
    keys = list(truth.pictures)
    client = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
    while not ended.is_set():
        with truth.lock:
            number = next(left, None)
        if number is None:
            return
        key, named = rng.choice(keys), rng.random() < 0.5
        request_id = f"soak-{is_killed:d}-{number}"
        path = f"/detect?class_name={key[0]}" if named else "/detect"
        began = time.perf_counter()
        try:
            client.request(
                "POST", path, truth.pictures[key], {"Content-Type": "image/png", "X-Request-ID": request_id}
            )
            answer = client.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            client.close()
            if is_killed:
                truth.count("connection lost")
                time.sleep(0.05)
            else:
                truth.fault("lost", (number, repr(error)))
            continue
        try:
            said = json.loads(content)
            is_whole = len(content) == int(answer.headers["Content-Length"])
        except (ValueError, TypeError):
            is_whole = False
        if not is_whole:
            truth.fault("half", (answer.status, content))
        elif answer.status == 200:
            truth.check(key, named, request_id, said, began)
        elif is_killed and answer.status == 503:
            truth.count("refused")
        else:
            truth.fault("lost", (answer.status, said))


@contextmanager
def clients(truth: Truth, service: Service, count: int, requests: int, *, is_killed: bool) -> Iterator[Any]:
    """They ask beside what is done inside."""
    ended, left = threading.Event(), iter(range(requests))
    threads = [
        threading.Thread(target=ask, args=(truth, service, ended, left), kwargs={"is_killed": is_killed})
        for _ in range(count)
    ]
    for thread in threads:
        thread.start()
    try:
        yield threads
    except BaseException:
        ended.set()
        raise
    finally:
        if is_killed:
            ended.set()
        for thread in threads:
            thread.join()


def swap(truth: Truth, service: Service, runs: dict[str, RunFolder], rng: random.Random) -> None:
    """Another version of one product, by a threshold that is set or taken back."""
    product = rng.choice(PRODUCTS)
    run, began = runs[product], time.perf_counter()
    if run.open_bundle().manifest.version > 1 and rng.random() < 0.3:
        roll_back(run)
    else:
        value = rng.uniform(0.5, 1.5) * float(
            np.median([s for (p, _), s in truth.scores.items() if p == product])
        )
        change(run.path, SetOptions(value=value), Work())
    status, said = service.call("POST", "/models/refresh")
    if status != 200 or said["problems"]:
        truth.fault("lost", said)
    truth.changed(product, run, began)
    truth.count("swaps")


def soak(truth: Truth, service: Service, runs: dict[str, RunFolder], options: Any) -> dict[str, Any]:
    """Models are exchanged under load."""
    assert service.process is not None
    process, rng = psutil.Process(service.process.pid), random.Random(0)
    samples = []
    start = time.perf_counter()
    with clients(truth, service, options.clients, options.requests, is_killed=False) as threads:
        while any(thread.is_alive() for thread in threads):
            swap(truth, service, runs, rng)
            samples.append((process.memory_info().rss / 1e6, process.num_fds()))
            time.sleep(options.pause)
    seconds = time.perf_counter() - start
    truth.settle()
    fifth = max(1, len(samples) // 5)
    parts = (samples[fifth : 2 * fifth] or samples[:1], samples[-fifth:])
    (mb, fds), (last_mb, last_fds) = (np.median(np.array(part), axis=0).tolist() for part in parts)
    if last_mb > max(mb * GROWTH, mb + options.growth_mb) or last_fds > fds + options.clients:
        truth.fault("grown", (mb, last_mb, fds, last_fds))
    lines = sum(b"path=/detect" in line for line in service.log.read_bytes().splitlines())
    if lines != options.requests:
        truth.fault("lost", f"{lines} lines of {options.requests} in the log")
    return {
        "requests": options.requests, "seconds": seconds, "memory_mb": (mb, last_mb), "descriptors": (fds, last_fds),
        "descriptors_most": max(count for _, count in samples),
    }  # fmt: skip


def kill(truth: Truth, service: Service, options: Any) -> None:
    """The service dies under load, and comes again."""
    rng = random.Random(1)
    with clients(truth, service, options.clients, 10**9, is_killed=True):
        for _ in range(options.kills):
            time.sleep(rng.uniform(0.3, 1.5))
            service.stop(signal.SIGKILL)
            truth.count("kills")
            service.start()
        time.sleep(0.5)
    truth.settle()


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--pause", type=float, default=0.3, help="seconds between two exchanges")
    parser.add_argument("--growth-mb", type=float, default=10, help="what memory may grow by, if not 5 %%")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, socket.socket() as free:
        root = Path(scratch)
        runs = {product: train(root, product) for product in PRODUCTS}
        truth = Truth.of(root / "runs")
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        service = Service(root / "runs", root / "log", port)
        service.start()
        try:
            told = soak(truth, service, runs, options)
            kill(truth, service, options)
            if service.stop(signal.SIGTERM) != 0:
                truth.fault("lost", "SIGTERM did not end it with 0")
        finally:
            if service.process is not None:
                service.process.kill()
    told |= {"seen": dict(truth.seen), "faults": {name: truth.faults[name] for name in AT_FAULT}}
    print(json.dumps(told, indent=2), *truth.examples, sep="\n")
    write_result(options.json, told)
    sys.exit(1 if truth.faults else 0)


if __name__ == "__main__":
    main()
