"""What PaDiM loses at the rim of a picture, and what mends it: on embeddings of the shared sets, features cached.

    python benchmarks/padim_rim.py [--only board] [--seeds 3] [--draws 20] [--json PATH]

Two questions. (1) At the paper's settings with 100 drawn features and the highest pixel as the score, how far do the
draw, the way of enlarging the coarse layer, the score's rule and the rim move the image AUROC? (2) At Kizu's defaults,
is it worth standardising each position by the distances of pictures that were left out of the fit?

Nothing here depends on how thresholds are set: a tenth of the good pictures is set aside by `hold_out` with each seed
and the rest is fitted, as `calibration.fraction: 0.1` does. The distance of a fitted picture from a fit without it
comes from that one fit by the rank-one update of Sherman and Morrison; `check_left_out` compares it with fits anew.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from fitting import LAYERS, data_set
from measuring import command_line, table, with_fast_blas, write_result
from scipy.linalg import cho_factor, cho_solve

from kizu.backbones.store import load_backbone
from kizu.core.randomness import rng_for
from kizu.core.types import F32, Bool
from kizu.core.work import Work
from kizu.data.batches import stream
from kizu.data.manifest import Manifest, Sample
from kizu.data.masks import true_mask
from kizu.data.splits import hold_out
from kizu.detectors.base import EmbeddingConfig, patch_scores
from kizu.detectors.padim import Padim, PadimConfig
from kizu.imaging.codec import image_size
from kizu.imaging.placement import PlacementConfig, map_back
from kizu.metrics.overlap import aupro
from kizu.metrics.ranking import auroc
from kizu.pipeline.fitting import embedder_for
from kizu.scoring.gaussian import RunningMoments, fit_gaussian, mahalanobis

Row = dict[str, Any]

DATA = ("magnetic_tile/tile", "deeppcb/board_92000", "mvtec_ad/hazelnut")
SIDE = 256
HELD_OUT = 0.1
DRAWN = 100
PAPER = {"features": DRAWN, "epsilon": 0.01}
RIM = 2
"""Patches."""
FEATURES_BYTES = 6 << 30
LEAST_SCALE = 1e-3
PLACEMENT = PlacementConfig(image_size=(SIDE, SIDE))


@dataclass(frozen=True)
class Embedded:
    """One category: (N, h, w, D) of all its good training pictures and of its test pictures."""

    manifest: Manifest
    fit: F32
    test: F32
    defective: Bool

    def part(self, seed: int) -> F32:
        """What is left to fit on when a tenth is held out."""
        good = self.manifest.train_good()
        kept, _ = hold_out(good, HELD_OUT, rng_for(seed, "hold_out"))
        ids = {sample.id for sample in kept}
        return self.fit[[sample.id in ids for sample in good]]


def embed(samples: Sequence[Sample], layers: Sequence[str]) -> F32:
    """(N, h, w, D), each layer's features scaled by 0.5 / 0.5 and laid on the first one's grid."""
    embedder = embedder_for(
        Padim(PadimConfig(features=10**6)),
        load_backbone("efficientnet_lite0"),
        EmbeddingConfig(layers=tuple(layers), normalisation="half"),
        rng_for(0, "channels"),
        Work(features_bytes=FEATURES_BYTES),
    )
    return np.concatenate(
        [embedder.embed(batch.images) for batch in stream(samples, PLACEMENT, batch_size=8)]
    )


def open_set(name: str, enlarging: str = "bilinear") -> Embedded:
    """`enlarging` of the coarser layer: as Kizu does, or "nearest" as the peer does."""
    manifest = data_set(name)
    sides = []
    for samples in (manifest.train_good(), manifest.test()):
        if enlarging == "bilinear":
            sides.append(embed(samples, LAYERS))
        else:
            fine, coarse = (embed(samples, [layer]) for layer in LAYERS)
            times = fine.shape[1] // coarse.shape[1]
            sides.append(np.concatenate([fine, coarse.repeat(times, 1).repeat(times, 2)], axis=3))
    defective = np.array([sample.label == "defect" for sample in manifest.test()])
    return Embedded(manifest, *sides, defective)


def fit_moments(x: F32) -> RunningMoments:
    """Of (N, P, D)."""
    moments = RunningMoments(*x.shape[1:])
    moments.add(x)
    return moments


def left_out_distances(x: F32, epsilon: float) -> F32:
    """Distances (N, P) of each of (N, P, D) from the fit on all others.

    With S the scatter of all N, d = x - mean: without x the scatter is S - N/(N-1) d d', the mean moves by d/(N-1), and
    the covariance is (S - c d d')/(N-2) + epsilon I = (A - c d d')/(N-2), A = S + (N-2) epsilon I, c = N/(N-1). So the
    squared distance is c^2 (N-2) q / (1 - c q) with q = d' A^-1 d.
    """
    count, positions, dims = x.shape
    c = count / (count - 1)
    found = np.empty((count, positions), np.float32)
    for position in range(positions):
        d = x[:, position].astype(np.float64)
        d -= d.mean(axis=0)
        factor = cho_factor(d.T @ d + (count - 2) * epsilon * np.eye(dims))
        q = np.einsum("nd,nd->n", d, cho_solve(factor, d.T).T)
        found[:, position] = np.sqrt(c**2 * (count - 2) * q / (1 - c * q))
    return found


def check_left_out() -> None:
    """Against fits anew. Raises `AssertionError`."""
    x = np.random.default_rng(0).normal(size=(9, 4, 12)).astype(np.float32)
    for epsilon in (0.1, 0.01):
        found = left_out_distances(x, epsilon)
        for index in range(len(x)):
            other = fit_gaussian(fit_moments(np.delete(x, index, axis=0)), epsilon)
            np.testing.assert_allclose(found[index], mahalanobis(other, x[index : index + 1])[0], rtol=1e-3)


Change = Callable[[F32, F32], F32]
"""(test distances (N, h, w), left-out distances (M, h, w)) -> distances to score by."""


def by_mean(test: F32, out: F32) -> F32:
    return test / np.maximum(out.mean(axis=0), LEAST_SCALE)


def by_median(test: F32, out: F32) -> F32:
    return test / np.maximum(np.median(out, axis=0), LEAST_SCALE)


def by_mean_and_deviation(test: F32, out: F32) -> F32:
    return (test - out.mean(axis=0)) / np.maximum(out.std(axis=0, ddof=1), LEAST_SCALE)


def by_half_way(test: F32, out: F32) -> F32:
    """Towards the mean over all positions, geometrically: a compromise for few pictures."""
    return test / np.sqrt(np.maximum(out.mean(axis=0), LEAST_SCALE))


def without_rim(test: F32, _: F32) -> F32:
    """The outermost patches have the least distance of the picture: they are never the highest."""
    inside = np.zeros(test.shape[1:], bool)
    inside[RIM:-RIM, RIM:-RIM] = True
    return np.where(inside, test, test.min(axis=(1, 2), keepdims=True))


CHANGES: dict[str, Change] = {
    "as it is": lambda test, _: test,
    "divided by the position's mean": by_mean,
    "divided by its median": by_median,
    "divided by the root of its mean": by_half_way,
    "less its mean, by its deviation": by_mean_and_deviation,
    f"rim of {RIM} cut": without_rim,
}


def flat(embedding: F32) -> F32:
    """(N, h, w, D) -> (N, P, D)"""
    return embedding.reshape(len(embedding), -1, embedding.shape[-1])


def overlap(data: Embedded, maps: F32) -> float | None:
    """AU-PRO at 0.30 at the masks' own resolution."""
    pairs = [
        (map_back(net_map, size, PLACEMENT), mask)
        for sample, net_map in zip(data.manifest.test(), maps, strict=True)
        for size in (image_size(sample.path),)
        for mask in (true_mask(sample, size),)
        if mask is not None
    ]
    return aupro(*map(list, zip(*pairs, strict=True)), 0.30) if pairs else None


def study_draws(name: str, draws: int) -> Iterator[Row]:
    """Question 1: the same draws for both ways of enlarging, fitted on all but 1 % as `compare_peers.py` does."""
    for enlarging in ("bilinear", "nearest"):
        data = open_set(name, enlarging)
        good = data.manifest.train_good()
        kept, _ = hold_out(good, 0.01, rng_for(0, "hold_out"))
        ids = {sample.id for sample in kept}
        fit = flat(data.fit[[sample.id in ids for sample in good]])
        grid = data.test.shape[1:3]
        for draw in range(draws):
            chosen = np.sort(rng_for(draw, "channels").choice(fit.shape[2], DRAWN, replace=False))
            gaussian = fit_gaussian(fit_moments(np.ascontiguousarray(fit[:, :, chosen])), PAPER["epsilon"])
            patches = mahalanobis(gaussian, np.ascontiguousarray(flat(data.test)[:, :, chosen]))
            patches = patches.reshape(-1, *grid)
            cut = without_rim(patches, patches)
            values = {
                f"{rule}{told}": auroc(data.defective, scores_of(some, rule).astype(np.float64))
                for told, some in (("", patches), (", rim cut", cut))
                for rule in ("max_map", "top_patches")
            }
            yield {"set": name, "images": len(fit), "enlarging": enlarging, "draw": draw, **values}


def scores_of(patches: F32, rule: str) -> F32:
    """(N,)"""
    return patch_scores(patches, (SIDE, SIDE), PadimConfig(), rule).image  # type: ignore[arg-type]


def study_standardising(name: str, seeds: int) -> Iterator[Row]:
    """Question 2: all features, epsilon 0.1, the mean of the highest patches and the highest pixel."""
    data = open_set(name)
    grid = data.test.shape[1:3]
    for seed in range(seeds):
        fit = flat(data.part(seed))
        epsilon = PadimConfig().epsilon
        out = left_out_distances(fit, epsilon).reshape(-1, *grid)
        test = mahalanobis(fit_gaussian(fit_moments(fit), epsilon), flat(data.test)).reshape(-1, *grid)
        rim = np.ones(grid, bool)
        rim[RIM:-RIM, RIM:-RIM] = False
        for label, change in CHANGES.items():
            changed = change(test, out).astype(np.float32)
            scored = patch_scores(changed, (SIDE, SIDE), PadimConfig(), "top_patches")
            yield {
                "set": name,
                "images": len(fit),
                "seed": seed,
                "change": label,
                "image_auroc": auroc(data.defective, scored.image.astype(np.float64)),
                "auroc_max_map": auroc(data.defective, scores_of(changed, "max_map").astype(np.float64)),
                "aupro_030": overlap(data, scored.maps),
                "rim_over_inside": float(out[:, rim].mean() / out[:, ~rim].mean()),
            }


def spread(values: Sequence[float]) -> str:
    """Mean, and standard deviation where there are several."""
    return f"{np.mean(values):.4f}" + (f" ±{np.std(values, ddof=1):.4f}" if len(values) > 1 else "")


def report_draws(rows: Sequence[Row]) -> str:
    """Mean and spread over draws, and how often bilinear is at least as good as nearest with the same draw."""
    rules = ("max_map", "top_patches", "max_map, rim cut", "top_patches, rim cut")
    body = []
    for name in dict.fromkeys(row["set"] for row in rows):
        sides = [
            [row for row in rows if (row["set"], row["enlarging"]) == (name, enlarging)]
            for enlarging in ("bilinear", "nearest")
        ]
        body += [
            [f"{name}, {side[0]['enlarging']}", *(spread([row[rule] for row in side]) for rule in rules)]
            for side in sides
        ]
        better = [sum(a[rule] > b[rule] for a, b in zip(*sides, strict=True)) for rule in rules]
        body.append([f"  bilinear better, of {len(sides[0])} draws", *map(str, better)])
    return table(["image AUROC, 100 features drawn", *rules], body)


def report_standardising(rows: Sequence[Row]) -> str:
    """Mean and spread over seeds."""
    body = []
    for name in dict.fromkeys(row["set"] for row in rows):
        for label in CHANGES:
            some = [row for row in rows if (row["set"], row["change"]) == (name, label)]
            keys = ("image_auroc", "auroc_max_map", "aupro_030")
            body.append([name, label, *(spread([row[key] for row in some]) for key in keys)])
        ratio = np.mean([row["rim_over_inside"] for row in rows if row["set"] == name])
        body.append([name, f"left-out distance, rim over inside: {ratio:.3f}", "", "", ""])
    return table(["set", "distances", "AUROC, top patches", "AUROC, highest pixel", "AU-PRO 0.30"], body)


def main() -> None:
    with_fast_blas()
    parser = command_line(__doc__)
    parser.add_argument("--only", default="", help="sets whose name holds this")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--draws", type=int, default=20)
    options = parser.parse_args()
    check_left_out()
    names = [name for name in DATA if options.only in name]
    standardised = [row for name in names for row in study_standardising(name, options.seeds)]
    print(report_standardising(standardised), flush=True)
    write_result(options.json, {"standardised": standardised})
    drawn = [row for name in names for row in study_draws(name, options.draws)]
    print("\n" + report_draws(drawn))
    write_result(options.json, {"standardised": standardised, "drawn": drawn})


if __name__ == "__main__":
    main()
