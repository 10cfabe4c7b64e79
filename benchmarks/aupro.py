"""Exact AU-PRO at two limits, ranked once, against one global argsort of the same maps, in one run.

Prints the time and the peak of additional memory of both, and their ratios. Every measurement runs in a fresh
process; memory is what NumPy and Python allocate beyond the maps and masks themselves.

    python benchmarks/aupro.py [--images 500] [--side 256] [--repeats 3] [--json PATH]
"""

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
from measuring import Figure, command_line, in_fresh_process, least_seconds, table, write_result
from scipy import ndimage

from kizu.metrics.overlap import aupro_of
from kizu.metrics.pixels import rank_pixels

Images = list[np.ndarray]
LIMITS = (0.30, 0.05)


def synthetic(images: int, side: int) -> tuple[Images, Images]:
    """Smooth noise maps; half of the images carry a few blobs (about 2 % of all pixels) that score higher."""
    rng = np.random.default_rng(0)
    maps, masks = [], []
    for index in range(images):
        noise = ndimage.gaussian_filter(rng.standard_normal((side, side)).astype(np.float32), side / 64)
        noise /= noise.std()
        mask = np.zeros((side, side), np.bool_)
        if index % 2:
            blobs = ndimage.gaussian_filter(rng.standard_normal((side, side)), side / 16)
            mask = blobs > np.quantile(blobs, 0.96)
        maps.append((noise + 1.5 * mask).astype(np.float32))
        masks.append(mask)
    return maps, masks


def by_ranking_once(maps: Images, masks: Images) -> dict[float, float]:
    """As Kizu does: the pixels that the limits can reach, ranked once."""
    ranked = rank_pixels(maps, masks, up_to=max(LIMITS))
    return {limit: aupro_of(ranked, limit) for limit in LIMITS}


def by_global_argsort(maps: Images, masks: Images) -> dict[float, float]:
    """The textbook way: order all pixels of all images, accumulate both rates, merge ties, integrate."""
    regions, sizes = [], [np.empty(0)]
    offset = 0
    for mask in masks:
        numbered, count = ndimage.label(mask, structure=np.ones((3, 3)))
        regions.append(np.where(mask, numbered + offset, 0).ravel())
        sizes.append(np.bincount(numbered.ravel(), minlength=count + 1)[1:])
        offset += count
    region = np.concatenate(regions)
    scores = np.concatenate([scores.ravel() for scores in maps])
    order = np.argsort(scores)[::-1]
    scores, region = scores[order], region[order]
    gain = np.concatenate([[0.0], 1 / np.concatenate(sizes) / offset])[region]
    good = region == 0
    last_of_ties = np.append(scores[1:] != scores[:-1], True)
    fpr = np.append(0, (np.cumsum(good) / np.count_nonzero(good))[last_of_ties])
    pro = np.append(0, np.cumsum(gain)[last_of_ties])
    result = {}
    for limit in LIMITS:
        inside = fpr <= limit
        x = np.append(fpr[inside], limit)
        y = np.append(pro[inside], np.interp(limit, fpr, pro))
        result[limit] = float(np.trapezoid(y, x) / limit)
    return result


METHODS: dict[str, Callable[[Images, Images], dict[float, float]]] = {
    "kizu": by_ranking_once,
    "global argsort": by_global_argsort,
}


def measure(name: str, images: int, side: int, repeats: int) -> dict[str, Any]:
    """Best time of `repeats`, and peak additional memory of one more run."""
    maps, masks = synthetic(images, side)
    seconds = least_seconds(lambda: METHODS[name](maps, masks), repeats)
    tracemalloc.start()
    values = METHODS[name](maps, masks)
    peak = tracemalloc.get_traced_memory()[1]
    return {
        "method": name,
        "seconds": seconds,
        "peak_mb": peak / 1e6,
        "aupro": {str(k): v for k, v in values.items()},
        "defective_fraction": float(np.mean([mask.mean() for mask in masks])),
    }


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    size = (options.images, options.side, options.repeats)
    rows = [in_fresh_process(measure, name, *size) for name in METHODS]
    print(f"{options.images} maps of {options.side} x {options.side}, ", end="")
    print(f"{rows[0]['defective_fraction']:.1%} of the pixels defective")
    kizu, full = rows
    ratios = {key: full[key] / kizu[key] for key in ("seconds", "peak_mb")}
    lines = [
        [row["method"], row["seconds"], row["peak_mb"], *map(repr, row["aupro"].values())] for row in rows
    ]
    head = ["", "seconds", "peak MB", *(f"AU-PRO {limit:.2f}" for limit in LIMITS)]
    print(table(head, [*lines, ["times less", ratios["seconds"], ratios["peak_mb"], "", ""]]))
    megapixels = options.images * options.side**2 / 1e6
    figure = Figure(
        f"exact AU-PRO of {megapixels:.0f} Mpx (peer: global argsort)",
        "s",
        kizu["seconds"],
        peer=full["seconds"],
    )
    write_result(options.json, {"rows": rows, "ratios": ratios}, figures=[figure])


if __name__ == "__main__":
    main()
