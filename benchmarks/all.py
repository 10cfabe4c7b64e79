"""Everything that needs only Kizu: each script in a process of its own, then one table of what was reached.

    python benchmarks/all.py [SCRIPT ...]

The JSON of each goes to benchmarks/results. "target" is what was set out to reach on two cores whose matrix product
runs at 466 GFLOP/s, "peer" what anomalib 2.7 took there (`make bench-peers` measures that anew). "roofline" is what
this machine's arithmetic and memory allow for the plain exact method, "of it" what was measured in parts of that;
"x peer" how many times better than the peer.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from measuring import HERE, RESULTS, Figure, fast_blas_environment, table

SCRIPTS = (
    "roofline",
    "backbone",
    "coreset",
    "neighbours",
    "gaussian",
    "aupro",
    "end_to_end",
    "latency",
    "serving",
    "scale",
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("scripts", nargs="*", help="all of them, unless named")
    names = parser.parse_args().scripts or SCRIPTS
    if unknown := set(names) - set(SCRIPTS):
        parser.error(f"no script {', '.join(sorted(unknown))}; choose from {', '.join(SCRIPTS)}")
    failed = [name for name in names if not run(name)]
    print(f"\n{limits()}\n\n{summary()}")
    if failed:
        raise SystemExit(f"error: failed: {', '.join(failed)}")


def run(name: str) -> bool:
    """Run one script; False when it failed."""
    print(f"\n== {name}", flush=True)
    start = time.perf_counter()
    command = [sys.executable, HERE / f"{name}.py", "--json", result_of(name)]
    done = subprocess.run(command, env=fast_blas_environment(), check=False)
    print(f"-- {name}: {time.perf_counter() - start:.0f} s", flush=True)
    return done.returncode == 0


def result_of(name: str) -> Path:
    """Where the script's JSON goes."""
    RESULTS.mkdir(exist_ok=True)
    return RESULTS / f"{name}.json"


def limits() -> str:
    """What the machine can do, where `roofline.py` has measured it."""
    path = result_of("roofline")
    rows = json.loads(path.read_text())["rows"] if path.exists() else {}
    return table(["limit", "measured"], rows.items())


def summary() -> str:
    """The figures of all results that are there."""
    figures = [
        Figure(**values)
        for name in SCRIPTS
        if result_of(name).exists()
        for values in json.loads(result_of(name).read_text()).get("figures", [])
    ]
    return table(
        ["figure", "unit", "target", "measured", "reached", "peer", "x peer", "roofline", "of it"],
        map(cells, figures),
    )


def cells(figure: Figure) -> list[object]:
    """One line of the summary."""
    reached = {None: "", True: "yes", False: "NO"}[figure.is_reached]
    times = None if figure.times_peer is None else f"{figure.times_peer:.1f}x"
    return [
        figure.name,
        figure.unit,
        figure.target,
        figure.measured,
        reached,
        figure.peer,
        times,
        figure.roofline,
        None if figure.roofline is None else f"{figure.measured / figure.roofline:.2f}",
    ]


if __name__ == "__main__":
    main()
