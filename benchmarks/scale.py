"""How the time of a fit, its memory and the latency grow: with images, their size, the bank and the categories.

    python benchmarks/scale.py [--full] [--json PATH] [--plot PATH]

The images are those of magnetic_tile, repeated with seeded noise as they are asked for, so that memory holds the
320 originals and what the fit itself wants. Every fit has a process of its own; "estimated" is what `fit_bundle` said
before it began. A fit that the machine has no room for is left out and said to be. "latency" is one decoded image to
its verdict. PatchCore is measured with a bank of 1 % of the patches, which makes the selection grow with the square of
the images, and with a bank of one size, which does not. `--full` adds the 1 % banks that take many minutes.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from fitting import (
    BATCH_SIZE,
    PADIM,
    PATCHCORE_1,
    FeatureClock,
    bank_rows,
    data_set,
    fit,
    from_files,
    latencies_ms,
    pipeline,
)
from measuring import (
    HERE,
    Figure,
    command_line,
    in_fresh_process,
    least_seconds,
    peak_mb,
    resident_mb,
    table,
    with_fast_blas,
    write_result,
)

from kizu.core.randomness import rng_for
from kizu.core.types import F32, U8
from kizu.core.work import Work
from kizu.detectors.registry import make_detector
from kizu.inspection.inspector import Inspector
from kizu.lab.fit import FittedBundle
from kizu.pipeline.config import PipelineConfig
from kizu.pipeline.opened import PlacedImages, open_pipeline

DATA = "magnetic_tile/tile"
NOISE = 6
"""Grey levels up and down, uniform."""
FIXED_BANK = 3276
"""1 % of the patches of 320 images."""
SIDE = 256
STRIDE = 8
DIMS = 152
CALIBRATED = 20

COUNTS = (100, 1_000, 10_000)
ONE_PERCENT_COUNTS = (100, 300, 1_000)
FULL_COUNTS = (3_000, 10_000)
SIDES = (128, 192, 256, 384, 512)
BANKS = (1_000, 3_300, 10_000, 33_000, 100_000, 327_680)
CATEGORIES = (1, 2, 4, 8, 16)
IMAGES_EACH = 100
"""Per point of the other axes."""

Row = dict[str, Any]


def main() -> None:
    with_fast_blas()
    parser = command_line(__doc__)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--plot", type=Path, default=HERE.parent / "docs" / "images" / "scale.png")
    options = parser.parse_args()
    rows = [*by_images(options.full), *by_side(), *by_bank(), *by_categories()]
    print("\n" + report(rows))
    write_result(options.json, {"data": DATA, "noise": NOISE, "rows": rows}, figures=figures(rows))
    draw(rows, options.plot)


def by_images(full: bool) -> Iterator[Row]:
    """100 to 10,000 images of 256 x 256."""
    one_percent = ONE_PERCENT_COUNTS + (FULL_COUNTS if full else ())
    for method, counts in (
        ("PaDiM", COUNTS),
        ("PatchCore, fixed bank", COUNTS),
        ("PatchCore 1 %", one_percent),
    ):
        for count in counts:
            yield point("images", method, count, count, SIDE)


def by_side() -> Iterator[Row]:
    """100 images of 128 x 128 to 512 x 512."""
    for method in ("PaDiM", "PatchCore 1 %"):
        for side in SIDES:
            yield point("side", method, side, IMAGES_EACH, side)


def point(axis: str, method: str, x: int, count: int, side: int) -> Row:
    """One fit in a process of its own, or why there is none."""
    row: Row = {"axis": axis, "method": method, "x": x}
    wanted, room = wanted_mb(method, count, side), available_mb()
    if wanted > room:
        row["left_out"] = f"needs {wanted:.0f} MB, {room:.0f} MB are free"
    else:
        row |= in_fresh_process(measure_fit, method, count, side)
    print(f"{method:22} {axis:10} {x:7} fit {row.get('fit_seconds', math.nan):8.1f} s", flush=True)
    return row


def detector(method: str, count: int, side: int) -> dict[str, Any]:
    """The settings behind a method's name."""
    if method == "PaDiM":
        return PADIM
    share = FIXED_BANK / (count * patches(side)) if "fixed" in method else PATCHCORE_1["coreset"]
    return {"kind": "patchcore", "coreset": min(1.0, share)}


def patches(side: int) -> int:
    """Per image."""
    return (side // STRIDE) ** 2


def measure_fit(method: str, count: int, side: int) -> Row:
    """Fit on `count` noisy images, calibrate on a few more, look at a few in turn."""
    config = pipeline(detector(method, count, side), side=side)
    originals = load_originals(config, count)
    idle = resident_mb()
    clock = FeatureClock()
    fitted = fit(
        config,
        noisy(originals, count, "fit"),
        noisy(originals, CALIBRATED, "calibration"),
        Work(on_progress=clock),
    )
    return {
        "seconds": clock.stages(fitted.seconds),
        "fit_seconds": sum(fitted.seconds.values()),
        "peak_mb": peak_mb(),
        "estimated_mb": fitted.estimated_peak_bytes / 2**20,
        "before_mb": idle,
        "bank": bank_rows(fitted),
        "latency_ms": latencies_ms(Inspector(fitted.bundle), list(originals[:16]), seconds=1.5),
    }


def load_originals(config: PipelineConfig, count: int) -> U8:
    """(N, H, W, 3): all training images, or as many as are wanted."""
    samples = data_set(DATA).train_good()[:count]
    return np.concatenate(list(from_files(samples, config.placement).batches))


def noisy(originals: U8, count: int, purpose: str) -> PlacedImages:
    """`count` images in batches: the originals again and again, never twice with the same noise."""
    rng = rng_for(0, purpose)

    def batches() -> Iterator[U8]:
        for start in range(0, count, BATCH_SIZE):
            some = originals[np.arange(start, min(start + BATCH_SIZE, count)) % len(originals)]
            noise = rng.integers(-NOISE, NOISE + 1, some.shape, dtype=np.int8)
            yield np.clip(some + noise.astype(np.int16), 0, 255).astype(np.uint8)

    return PlacedImages(count, batches())


def wanted_mb(method: str, count: int, side: int) -> float:
    """What the method and the originals hold at the most: is it worth beginning?"""
    dims = PADIM["features"] if method == "PaDiM" else DIMS
    own = make_detector(pipeline(detector(method, count, side), side=side).detector)
    originals = min(count, 320) * side**2 * 3 * 2
    return (own.memory_bytes(count, patches(side), dims) + originals) / 2**20


def available_mb() -> float:
    """Memory that this machine can give now; unlimited where it does not tell."""
    info = Path("/proc/meminfo")
    if not info.exists():
        return math.inf
    return next(int(line.split()[1]) for line in info.open() if line.startswith("MemAvailable")) / 1024


def by_bank() -> list[Row]:
    """Latency and memory against the bank, without a fit: a random bank of real patches costs the same to search."""
    return in_fresh_process(measure_banks)


def measure_banks() -> list[Row]:
    """All banks in one process, in turn."""
    fitted = random_bank()
    images = list(load_originals(pipeline(PATCHCORE_1), 16))
    embedder = open_pipeline(fitted.bundle).embedder
    originals = load_originals(pipeline(PATCHCORE_1), 320)
    rows = np.concatenate(
        [embedder.embed(batch).reshape(-1, embedder.dim) for batch in noisy(originals, 320, "bank").batches]
    )
    order = np.random.default_rng(0).permutation(len(rows))
    return [measure_bank(fitted, rows[order[:size]], images) for size in BANKS]


def random_bank() -> FittedBundle:
    """A bundle to put banks into."""
    config = pipeline({**PATCHCORE_1, "coreset_method": "random"})
    originals = load_originals(config, 8)
    return fit(config, noisy(originals, 8, "fit"), noisy(originals, 8, "calibration"))


def measure_bank(fitted: FittedBundle, bank: F32, images: Sequence[U8]) -> Row:
    """Latency with this bank, and what it holds resident."""
    before = resident_mb()
    inspector = Inspector(replace(fitted.bundle, arrays={"bank": bank}))
    latency = latencies_ms(inspector, images, seconds=1.5)
    held = resident_mb() - before + bank.nbytes / 2**20
    return {"axis": "bank", "method": "PatchCore", "x": len(bank), "latency_ms": latency, "peak_mb": held}


def by_categories() -> list[Row]:
    """One process that fits category after category and keeps all of them ready to inspect."""
    return in_fresh_process(measure_categories)


def measure_categories() -> list[Row]:
    """Seconds so far, memory held and latency when the categories come in turn."""
    config = pipeline(PATCHCORE_1)
    originals = load_originals(config, IMAGES_EACH)
    inspectors: list[Inspector] = []
    rows: list[Row] = []
    seconds = 0.0
    while len(inspectors) < CATEGORIES[-1]:
        number = len(inspectors)
        fitted = fit(
            config,
            noisy(originals, IMAGES_EACH, f"category {number}"),
            noisy(originals, CALIBRATED, f"calibration {number}"),
        )
        seconds += sum(fitted.seconds.values())
        inspectors.append(Inspector(fitted.bundle))
        if len(inspectors) in CATEGORIES:
            latency = in_turn_ms(inspectors, originals[:16])
            rows.append(
                {
                    "axis": "categories",
                    "method": "PatchCore 1 %",
                    "x": len(inspectors),
                    "fit_seconds": seconds,
                    "peak_mb": resident_mb(),
                    "latency_ms": {"least": latency},
                }
            )
    return rows


def in_turn_ms(inspectors: Sequence[Inspector], images: U8) -> float:
    """Milliseconds per image when every next image is of another category."""

    def round_trip() -> None:
        for number, image in enumerate(images):
            inspectors[number % len(inspectors)].inspect(image)

    return least_seconds(round_trip, 5) / len(images) * 1e3


def report(rows: Sequence[Row]) -> str:
    """One line for each point."""
    body = [
        [
            f"{row['axis']}: {row['method']}",
            row["x"],
            row.get("fit_seconds"),
            row.get("peak_mb"),
            row.get("estimated_mb"),
            row["latency_ms"]["least"] if "latency_ms" in row else None,
            row.get("left_out", ""),
        ]
        for row in rows
    ]
    return table(["what grows", "to", "fit s", "MB", "estimated MB", "latency ms", ""], body)


def figures(rows: Sequence[Row]) -> list[Figure]:
    """The largest fit of each method, its memory against the estimate."""
    found = []
    for method in ("PaDiM", "PatchCore, fixed bank", "PatchCore 1 %"):
        fits = [r for r in rows if r["axis"] == "images" and r["method"] == method and "peak_mb" in r]
        largest = fits[-1]
        name = f"fit of {largest['x']:,} images, {method}"
        found.append(
            Figure(f"{name}: memory, at most as estimated", "MB", largest["peak_mb"], largest["estimated_mb"])
        )
        found.append(Figure(f"{name}: time", "s", largest["fit_seconds"]))
    return found


AXES = {
    "images": "images",
    "side": "pixels per image",
    "bank": "patches in the bank",
    "categories": "categories",
}
MEASURES = {"fit_seconds": "fit, s", "peak_mb": "memory, MB", "latency_ms": "latency, ms"}
STYLES = {
    "PaDiM": ("o", "-"),
    "PatchCore 1 %": ("s", "--"),
    "PatchCore, fixed bank": ("^", "-."),
    "PatchCore": ("s", "--"),
}


def draw(rows: Sequence[Row], path: Path) -> None:
    """Every measure against everything that grows, on logarithmic axes, told apart without colour."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(len(MEASURES), len(AXES), figsize=(11, 7), layout="constrained")
    for down, (measure, unit) in enumerate(MEASURES.items()):
        for across, (axis, label) in enumerate(AXES.items()):
            panel = panels[down][across]
            draw_panel(panel, [row for row in rows if row["axis"] == axis and measure in row], measure)
            panel.set_ylabel(unit if across == 0 else "")
            panel.set_xlabel(label if down == len(MEASURES) - 1 else "")
            panel.set_visible(panel.has_data())
    handles = {
        label: handle
        for panel in panels.flat
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True)
    }
    figure.legend(
        handles.values(), handles.keys(), loc="outside upper center", ncols=len(handles), frameon=False
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=80, metadata={"Software": None})


def draw_panel(panel: Any, rows: Sequence[Row], measure: str) -> None:
    """One measure along one axis, and a thin line that grows in proportion."""
    from matplotlib.ticker import LogLocator

    for number, method in enumerate(dict.fromkeys(row["method"] for row in rows)):
        mine = [row for row in rows if row["method"] == method]
        x = [row["x"] ** 2 if row["axis"] == "side" else row["x"] for row in mine]
        y = [row[measure]["least"] if measure == "latency_ms" else row[measure] for row in mine]
        marker, dashes = STYLES[method]
        label = None if method == "PatchCore" else method
        panel.loglog(x, y, dashes, marker=marker, color="black", linewidth=1, markersize=5, label=label)
        if number == 0:
            panel.loglog(
                x, [y[0] * value / x[0] for value in x], ":", color="grey", linewidth=1, label="in proportion"
            )
    for axis in (panel.xaxis, panel.yaxis):
        axis.set_minor_formatter("")
        axis.set_major_formatter("{x:g}")
    panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    panel.grid(which="major", color="lightgrey", linewidth=0.5)


if __name__ == "__main__":
    main()
