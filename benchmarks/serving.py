"""What HTTP costs: one picture over loopback against the inspector on the same bytes, four clients against the folder
runner, and how even answers come at 80 % of what it can do; what it costs to ask the picture whose it is; what 16
categories take in memory and in time beside one. Real images (magnetic_tile), Lite0, 256 x 256, PatchCore 1 %; all in
one run. The clients are on the same machine.

    python benchmarks/serving.py [--images 200] [--seconds 10] [--json PATH]
"""

import http.client
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import cycle
from pathlib import Path
from queue import Queue

import numpy as np
from fitting import data_set
from measuring import Figure, command_line, least_seconds, table, with_fast_blas, write_result

from kizu.bundles.references import FILE, read_references, write_references
from kizu.bundles.store import save
from kizu.data.batches import place_source
from kizu.data.scan import DataConfig
from kizu.inspection.folder import FolderOptions, FolderRunner
from kizu.inspection.inspector import Inspector
from kizu.lab.references import make_references
from kizu.lab.train import RunConfig, train_run
from kizu.runs.folder import RunFolder

CLIENTS, LOAD, REPEATS, LOADS = 4, 0.8, 5, 3
CATEGORIES = 16
LOADED_CLIENTS = 16
"""So many that none of them holds up what is sent on time."""


def main() -> None:
    with_fast_blas()
    parser = command_line(__doc__)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=10)
    options = parser.parse_args()
    manifest = data_set("magnetic_tile/tile")
    config = RunConfig(data=DataConfig(root=manifest.root.parent, category=manifest.root.name))
    with tempfile.TemporaryDirectory() as scratch:
        run = train_run(
            config.with_detector("patchcore", {"coreset": 0.01}), Path(scratch), run_id="r"
        ).folder.path
        samples = manifest.test()[: options.images]
        files = [sample.path.read_bytes() for sample in samples]
        inspector = Inspector.open(run)

        def folder() -> None:
            saved = FolderOptions(save_masks=False, save_overlays=False)
            FolderRunner(inspector, Path(tempfile.mkdtemp(dir=scratch)), saved).run(samples)

        with served(run) as port:
            local, remote = one_by_one(inspector, port, files, options.seconds)
            rates = [  # in turns, for others use this machine too
                (len(files) / least_seconds(folder, 1), throughput(port, files)) for _ in range(REPEATS)
            ]
            over_folder = max(there for _, there in rates) / max(here for here, _ in rates)
            rate = LOAD * max(there for _, there in rates)
            loads = [at_rate(port, files, rate, options.seconds) for _ in range(LOADS)]
        p50, p99 = min((np.percentile(load, (50, 99)) for load in loads), key=lambda p: p[1] / p[0])
        many = of_many(Path(scratch), run, files, options.seconds)
    here, there = min(local), min(remote)
    medians = float(np.median(local)), float(np.median(remote))
    rows = [["least", here, there, there - here], ["median", *medians, medians[1] - medians[0]]]
    print(table(["one picture, ms", "inspector", "HTTP", "more"], rows))
    print(
        table(
            ["images/s", "folder", f"{CLIENTS} clients", "ratio"],
            [[f"repeat {n}", a, b, b / a] for n, (a, b) in enumerate(rates)],
        )
    )
    print(
        table(
            [f"at {LOAD:.0%} load, ms", "p50", "p99", "p99 / p50"],
            [[f"{rate:.0f} a second", p50, p99, p99 / p50]],
        )
    )
    print(
        table(
            ["categories", "MB, all of the process", "one picture, least ms"],
            [[count, one.memory_mb, one.least_ms] for count, one in many.items()],
        )
    )
    print(f"each of {CATEGORIES} categories takes {per_category_mb(many):.1f} MB more")
    print(f"whose picture it is: {many[CATEGORIES].lookup_ms:.1f} ms more")
    write_result(
        options.json,
        {
            "categories": {str(n): asdict(one) for n, one in many.items()},
            "least_ms": (here, there),
            "median_ms": medians,
            "rates": rates,
            "p50_ms": p50,
            "p99_ms": p99,
        },
        figures=[
            Figure("HTTP over the inspector, one picture", "ms", float(there - here), target=3.0),
            Figure(
                f"{CLIENTS} clients over the folder runner",
                "x",
                over_folder,
                target=0.9,
                higher_is_better=True,
            ),
            Figure("p99 over p50 at 80 % load", "x", float(p99 / p50), target=2.0),
            Figure(f"memory of each of {CATEGORIES} categories", "MB", per_category_mb(many)),
            Figure(
                f"one picture with {CATEGORIES} categories over with one",
                "x",
                many[CATEGORIES].least_ms / many[1].least_ms,
            ),
            Figure("whose picture it is", "ms", many[CATEGORIES].lookup_ms),
        ],
    )


@dataclass(frozen=True)
class Many:
    """A service of so many categories."""

    memory_mb: float
    least_ms: float
    """Of one picture whose category is named."""
    lookup_ms: float
    """What it takes longer where the picture is asked whose it is."""


def of_many(scratch: Path, run: Path, files: list[bytes], seconds: float) -> dict[int, Many]:
    """One category and several, both at once and asked in turns: models of their own that look through one graph."""
    folder = RunFolder(run)
    write_references(folder.retrieval, make_references(folder))
    times: dict[tuple[int, bool], list[float]] = defaultdict(list)
    with ExitStack() as stack:
        clients = {}
        for count in (1, CATEGORIES):
            port = stack.enter_context(served(put_categories(folder, scratch / f"of {count}", count)))
            clients[count] = http.client.HTTPConnection("127.0.0.1", port)
        until = time.perf_counter() + 2 * seconds
        for number, data in enumerate(cycle(files)):
            for count, client in clients.items():
                for path in (f"/detect?class_name=c{number % count:02}", "/detect"):
                    start = time.perf_counter()
                    assert ask(client, "POST", path, data)
                    times[count, path == "/detect"].append((time.perf_counter() - start) * 1e3)
            if time.perf_counter() > until:
                break
        return {
            count: Many(
                resident_mb(client),
                min(times[count, False]),
                min(times[count, True]) - min(times[count, False]),
            )
            for count, client in clients.items()
        }


def put_categories(folder: RunFolder, shelf: Path, count: int) -> Path:
    """So many models of one run, each of a category and with references of its own."""
    bundle, references = folder.open_bundle(), read_references(folder.retrieval)
    assert references is not None
    (product,) = references.products.values()
    for number in range(count):
        name = f"c{number:02}"
        own = replace(bundle, manifest=bundle.manifest.model_copy(update={"category": name}))
        save(own, shelf / name / "model")
        told = references.model_copy(update={"products": {name: product}})
        write_references(shelf / name / FILE, told)
    return shelf


def resident_mb(client: http.client.HTTPConnection) -> float:
    """Of the whole process, as it tells itself."""
    client.request("GET", "/metrics")
    lines = client.getresponse().read().decode().splitlines()
    return float(next(line for line in lines if line.startswith("process_resident_memory")).split()[1]) / 1e6


def per_category_mb(many: dict[int, Many]) -> float:
    """What one more takes."""
    return (many[CATEGORIES].memory_mb - many[1].memory_mb) / (CATEGORIES - 1)


@contextmanager
def served(run: Path) -> Iterator[int]:
    """A service over `run` in a process of its own: its port, when it is ready."""
    command = [sys.executable, "-m", "kizu", "serve", str(run), "--port", "0", "--queue-length", "64"]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, env=dict(os.environ), text=True
        )
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline().strip().rsplit(":", 1)[1])
            client = http.client.HTTPConnection("127.0.0.1", port)
            while not ask(client, "GET", "/ready", None):
                time.sleep(0.1)
            yield port
        finally:
            process.terminate()
            process.wait(30)


def ask(client: http.client.HTTPConnection, method: str, path: str, body: bytes | None) -> bool:
    """Whether the answer was 200; the body is read to its end."""
    client.request(method, path, body, {"Content-Type": "image/png"} if body else {})
    answer = client.getresponse()
    answer.read()
    return answer.status == 200


def one_by_one(
    inspector: Inspector, port: int, files: list[bytes], seconds: float
) -> tuple[list[float], list[float]]:
    """Milliseconds of single pictures, by the inspector and over HTTP in turns."""
    client = http.client.HTTPConnection("127.0.0.1", port)

    def local(data: bytes) -> None:
        placed = place_source(data, inspector.placement)
        inspector.inspect_placed(placed.image[None], [placed.size])

    def remote(data: bytes) -> None:
        assert ask(client, "POST", "/detect", data)

    times: dict[Callable[[bytes], None], list[float]] = {local: [], remote: []}
    until = time.perf_counter() + 2 * seconds
    for data in cycle(files):
        for call, taken in times.items():
            start = time.perf_counter()
            call(data)
            taken.append((time.perf_counter() - start) * 1e3)
        if time.perf_counter() > until:
            break
    return times[local][3:], times[remote][3:]


def throughput(port: int, files: list[bytes]) -> float:
    """Pictures a second of several clients that each wait for their answers."""
    waiting: Queue[bytes] = Queue()
    for data in files:
        waiting.put(data)

    def client() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        while not waiting.empty():
            assert ask(connection, "POST", "/detect", waiting.get())

    threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(files) / (time.perf_counter() - start)


def at_rate(port: int, files: list[bytes], rate: float, seconds: float) -> list[float]:
    """Milliseconds from when a picture was due to its answer, at so many a second, evenly; a late start counts."""
    due: Queue[tuple[float, bytes] | None] = Queue()
    taken: list[float] = []

    def client() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        while (item := due.get()) is not None:
            at, data = item
            assert ask(connection, "POST", "/detect", data)
            taken.append((time.perf_counter() - at) * 1e3)

    threads = [threading.Thread(target=client) for _ in range(LOADED_CLIENTS)]
    for thread in threads:
        thread.start()
    start, endless = time.perf_counter(), cycle(files)
    for number in range(round(rate * seconds)):
        at = start + number / rate
        time.sleep(max(0.0, at - time.perf_counter()))
        due.put((at, next(endless)))
    for _ in threads:
        due.put(None)
    for thread in threads:
        thread.join()
    return taken


if __name__ == "__main__":
    main()
