"""What the benchmark scripts share: time, memory, tables, JSON. NumPy and the standard library only.

Every script measures in one run what it compares, tells the least of several repeats (on a shared machine, the
one that says what the code costs) and writes JSON: `rows` as measured, `figures` for the table of `all.py`.
"""

import argparse
import json
import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"

SLOWED_BY = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
"""Where a machine sets these, OpenBLAS runs the kernels of an older processor, at about half the speed."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of the summary: what was reached, beside what was asked for and what others and the machine do."""

    name: str
    unit: str
    measured: float
    target: float | None = None
    peer: float | None = None
    """anomalib 2.7 on this kind of machine, idle, measured earlier."""
    roofline: float | None = None
    """What the machine's arithmetic or memory allows for the plain exact method."""
    higher_is_better: bool = False

    @property
    def is_reached(self) -> bool | None:
        """None where nothing was asked for."""
        if self.target is None:
            return None
        return self.measured >= self.target if self.higher_is_better else self.measured <= self.target

    @property
    def times_peer(self) -> float | None:
        """How many times better than the peer."""
        if self.peer is None:
            return None
        return self.measured / self.peer if self.higher_is_better else self.peer / self.measured


def fast_blas_environment() -> dict[str, str]:
    """This process's environment, with OpenBLAS free to choose its kernels."""
    return {name: value for name, value in os.environ.items() if name not in SLOWED_BY}


def with_fast_blas() -> None:
    """Start this program anew where a variable slows OpenBLAS; call it before NumPy works."""
    if any(name in os.environ for name in SLOWED_BY):
        os.execve(sys.executable, [sys.executable, *sys.argv], fast_blas_environment())


def shared_data() -> Path:
    """The folder of real images: $KIZU_SHARED/data, or ../shared/data beside the checkout."""
    shared = os.environ.get("KIZU_SHARED")
    folder = (Path(shared) if shared else HERE.parents[1] / "shared") / "data"
    if not folder.is_dir():
        raise SystemExit(
            f"error: no images in {folder}\nhint: set KIZU_SHARED to the folder that holds data/"
        )
    return folder


@contextmanager
def stopwatch(seconds: dict[str, float], stage: str) -> Iterator[None]:
    """Add the block's seconds to `seconds[stage]`."""
    start = time.perf_counter()
    yield
    seconds[stage] = seconds.get(stage, 0.0) + time.perf_counter() - start


def seconds_of(call: Callable[[], object]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def least_seconds(call: Callable[[], object], repeats: int) -> float:
    """The least seconds of `repeats` calls."""
    return min(seconds_of(call) for _ in range(repeats))


def gemm_gflops(side: int = 3072, repeats: int = 8) -> float:
    """The speed of this machine's matrix product: float32, NumPy, all cores."""
    import numpy as np

    a, b = np.random.default_rng(0).random((2, side, side), dtype=np.float32)
    out = np.empty_like(a)
    return 2 * side**3 / least_seconds(lambda: np.matmul(a, b, out=out), repeats) / 1e9


def times_ms(call: Callable[[], object], *, seconds: float, at_least: int = 5) -> list[float]:
    """Milliseconds of each of as many calls as fit in `seconds`, after one that does not count."""
    call()
    times: list[float] = []
    until = time.perf_counter() + seconds
    while len(times) < at_least or time.perf_counter() < until:
        times.append(seconds_of(call) * 1e3)
    return times


def least_ms(
    cases: Mapping[str, Callable[[], object]], *, seconds: float, rounds: int = 4
) -> dict[str, float]:
    """The least milliseconds of one call of each case; the cases take turns, `seconds` each in all."""
    least = dict.fromkeys(cases, float("inf"))
    for _ in range(rounds):
        for name, call in cases.items():
            times = times_ms(call, seconds=seconds / rounds, at_least=1)
            least[name] = min(least[name], *times)
    return least


def peak_mb() -> float:
    """The most memory this process has had resident.

    From /proc where there is one: Linux hands `ru_maxrss` of the parent down to what it starts.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return _kb_of(status.read_text(), "VmHWM") / 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def resident_mb() -> float:
    """The memory this process has resident now; 0 where the system does not tell."""
    status = Path("/proc/self/status")
    return _kb_of(status.read_text(), "VmRSS") / 1024 if status.exists() else 0.0


def _kb_of(status: str, key: str) -> int:
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(key + ":"))


def in_fresh_process(function: Callable[..., T], *arguments: Any) -> T:
    """`function(*arguments)` in a process of its own, so that its peak memory is its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def folder_mb(folder: Path) -> float:
    """The size of all files below `folder`."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 2**20


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Aligned columns; the first to the left, the others to the right."""
    cells = [list(head), *([_text(value) for value in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if index else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in cells
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def _text(value: object) -> str:
    if value is None:
        return "-"
    return number(value) if isinstance(value, float) else str(value)


def number(value: float) -> str:
    """About three digits, and no exponent."""
    size = abs(value)
    digits = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 0.1 else 4
    return f"{value:.{digits}f}"


def command_line(doc: str | None) -> argparse.ArgumentParser:
    """A parser that knows --json."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="where to write what was measured")
    return parser


def write_result(path: Path | None, result: Mapping[str, Any], *, figures: Iterable[Figure] = ()) -> None:
    """Write `result` with its figures, the machine and the versions; nothing without a path."""
    if path is None:
        return
    from kizu.core.provenance import machine, package_versions

    path.parent.mkdir(parents=True, exist_ok=True)
    whole = {
        **result,
        "figures": [asdict(figure) for figure in figures],
        "machine": machine() | processor(),
        "versions": package_versions(),
    }
    path.write_text(json.dumps(_rounded(whole), indent=1, ensure_ascii=False) + "\n")


def _rounded(value: Any) -> Any:
    """Five digits say all that a timing can say."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, Mapping):
        return {str(key): _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return value


def processor() -> dict[str, Any]:
    """What the processor can do, and which kernels BLAS runs on it. No names."""
    import numpy as np
    from threadpoolctl import threadpool_info

    np.ones((8, 8)) @ np.ones((8, 8))
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    flags = next((line.split(":")[1].split() for line in lines if line.startswith("flags")), [])
    wide = [flag for flag in ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile") if flag in flags]
    kernels = sorted({f"{blas['internal_api']} {blas.get('architecture', '')}" for blas in threadpool_info()})
    return {"features": wide, "blas": kernels}
