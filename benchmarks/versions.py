"""Is this checkout as fast as another one, and does it need as much memory? Both `kizu` commands take turns.

    python benchmarks/versions.py --before OTHER/.venv/bin/kizu [--after .venv/bin/kizu] [--rounds 5] [--json FILE]

`--before` belongs to another checkout, installed into an environment of its own. Each round trains, evaluates and
inspects the tile set with both, and the one that goes first changes from round to round. Told are the least
seconds of each side and their ratio, the median of the rounds' own ratios, and the same for processor seconds and
peak memory. Kept features are off: each command does its whole work.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from measuring import command_line, fast_blas_environment, shared_data, table, write_result

METHODS = ("patchcore", "padim")


@dataclass(frozen=True, slots=True)
class Cost:
    """What one command took."""

    seconds: float
    cpu_seconds: float
    peak_mb: float


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--before", type=Path, required=True, help="the `kizu` command to compare with")
    parser.add_argument("--after", type=Path, default=Path(sys.executable).with_name("kizu"))
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    sides = {"before": options.before.absolute(), "after": options.after.absolute()}
    costs: dict[str, dict[str, list[Cost]]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for number in range(options.rounds + 1):
            order = list(sides) if number % 2 else list(sides)[::-1]
            for step, name, cost in round_of(order, sides, Path(scratch)):
                if number:  # the first round only warms the caches of files up
                    costs.setdefault(step, {}).setdefault(name, []).append(cost)
            print(f"round {number} of {options.rounds}", file=sys.stderr, flush=True)
    rows = [row for step, both in costs.items() for row in rows_of(step, both)]
    head = ("step", "", "before", "after", "ratio of least", "median of ratios", "ratios from", "to")
    print(table(head, rows))
    write_result(
        options.json,
        {"rounds": options.rounds, "rows": [dict(zip(KEYS, row, strict=True)) for row in rows]},
    )


KEYS = (
    "step",
    "quantity",
    "before",
    "after",
    "ratio_of_least",
    "median_ratio",
    "lowest_ratio",
    "highest_ratio",
)


def round_of(order: list[str], sides: dict[str, Path], scratch: Path) -> Iterator[tuple[str, str, Cost]]:
    """Every step, by each side in turn: its name, the side, what it took."""
    data = shared_data() / "magnetic_tile"
    for method in METHODS:
        run = f"runs/{method}/tile/r"
        out = f"inspected-{method}"
        steps = {
            "train": ["train", "--data-root", data, "--category", "tile", "--model", method,
                      "--output-dir", "runs", "--run-id", "r"],
            "evaluate": ["evaluate", "--run-dir", run],
            "inspect": ["inspect", data / "tile/test/blowhole", "--run-dir", run, "--output-dir", out],
        }  # fmt: skip
        for step, arguments in steps.items():
            for name in order:
                folder = scratch / name
                folder.mkdir(exist_ok=True)
                doomed = {"train": run, "inspect": out}.get(step)
                if doomed:
                    subprocess.run(["rm", "-rf", folder / doomed], check=True)
                yield f"{method} {step}", name, cost_of([sides[name], *arguments], folder)


def cost_of(command: list[str | Path], folder: Path) -> Cost:
    """Run it in `folder`, quietly."""
    start = time.perf_counter()
    log = folder / "log.txt"
    with log.open("wb") as out:
        environment = fast_blas_environment() | {"KIZU_FEATURES_MB": "0"}
        process = subprocess.Popen(
            list(map(str, command)), cwd=folder, stdout=out, stderr=subprocess.STDOUT, env=environment
        )
        _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(
            f"error: {' '.join(map(str, command))}: exit code {process.returncode}\n{log.read_text()}"
        )
    return Cost(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def rows_of(step: str, both: dict[str, list[Cost]]) -> Iterator[tuple[object, ...]]:
    """One row per quantity."""
    for quantity in ("seconds", "cpu_seconds", "peak_mb"):
        before, after = ([getattr(cost, quantity) for cost in both[side]] for side in ("before", "after"))
        ratios = [new / old for old, new in zip(before, after, strict=True)]
        yield (
            step, quantity, min(before), min(after), min(after) / min(before),
            statistics.median(ratios), min(ratios), max(ratios),
        )  # fmt: skip


if __name__ == "__main__":
    main()
