"""A small network on the features of one patch, that tells good patches from flawed ones; the backbone stays as it is.

Flawed patches come from three sources, each of which counts as much as the others that are there: good patches with
noise added in feature space (SimpleNet; Liu, Zhou, Xu & Wang, CVPR 2023), good images with flaws painted into them, and
labelled real defects, with or without masks (mixed supervision as in SuperSimpleNet; Rolih, Fucka & Skocaj, 2024). Good
and flawed patches count a half each, real defects each as much as the others, however large they are.

A patch's score is softplus of its logit: above 0, and not squashed where flaws are plain. Whether it beats a method
that knows no flaws is a question for held-out folds: `kizu recommend --with-defects`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, model_validator

from kizu.backbones.builder import GraphBuilder
from kizu.core.errors import ScoreError
from kizu.core.threads import one_blas_thread
from kizu.core.types import F32, HW, I64, Scores
from kizu.core.work import BYTES_PER_FLOAT, Work
from kizu.detectors.base import (
    Arrays,
    DetectorConfig,
    Drawn,
    Embeddings,
    Method,
    check_features,
    patch_scores,
)
from kizu.detectors.drawing import constant_of, draw_scores, reshape
from kizu.detectors.patch_samples import MOST_GOOD, PatchSamples
from kizu.scoring.head import AdamW, Parameters, logits, loss_and_gradient, make_parameters
from kizu.scoring.maps import ImageScoreRule

FLAT = 0.01
"""A channel's deviation counts for at least this part of the features' root mean square: one that hardly varies among
good patches would rule all others."""


class DiscriminativeConfig(DetectorConfig):
    """The network, what it learns from, and for how long."""

    kind: Literal["discriminative"] = "discriminative"
    patch_size: Annotated[int, Field(ge=1, le=9)] = 3
    hidden: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)] = (128,)
    """Widths of the layers inside."""
    steps: Annotated[int, Field(ge=1)] = 600
    rate: Annotated[float, Field(gt=0)] = 1e-3
    """Of AdamW; it falls to 0 linearly."""
    decay: Annotated[float, Field(ge=0)] = 1e-2
    painted: Annotated[int, Field(ge=0)] = 1
    """How many flawed copies of each good image are painted; 0: none."""
    noise: tuple[float, float] | None = (0.25, 2.0)
    """Least and greatest deviation of the noise, in the deviations of good patches, uniform in the logarithm; None: no
    noise."""
    real: bool = True
    """Whether labelled defects are learned from, where the training split has any."""
    image_score: ImageScoreRule = "top_patches"

    @model_validator(mode="after")
    def _learns_from_flaws(self) -> "DiscriminativeConfig":
        if self.noise is None and not self.painted:
            raise ValueError("without noise and painted flaws there may be nothing to tell good patches from")
        if self.noise is not None and not 0 < self.noise[0] <= self.noise[1]:
            raise ValueError(f"noise must rise from above 0, got {self.noise}")
        return self

    def paintings(self) -> int:
        """As many as were asked for."""
        return self.painted

    @property
    def learns_defects(self) -> bool:
        """As was asked for."""
        return self.real


@dataclass(frozen=True, slots=True)
class FittedDiscriminative:
    """The network, its first layer scaled to features as they come."""

    config: DiscriminativeConfig
    mean: F32
    """(D,) of good patches"""
    parameters: Parameters

    def score(self, embedding: F32, input_hw: HW) -> Scores:
        """(N, h, w, D) of images (N, H, W, 3) -> scores and maps (N, H, W), softplus of logits."""
        n, h, w, dim = embedding.shape
        if not np.isfinite(embedding).all():  # a ReLU would hide it
            raise ScoreError("the features of an image are not finite numbers")
        z = logits(self.parameters, embedding.reshape(n * h * w, dim) - self.mean)
        patches = np.logaddexp(np.float32(0), z).reshape(n, h, w)
        return patch_scores(patches, input_hw, self.config, self.config.image_score)

    def draw(self, graph: GraphBuilder, embedding: str, grid_hw: HW, input_hw: HW) -> Drawn:
        """As `score`."""
        x = graph.node("Sub", reshape(graph, embedding, -1, len(self.mean)), constant_of(graph, self.mean))
        for layer in range(0, len(self.parameters), 2):
            if layer:
                x = graph.node("Relu", x)
            weight, bias = (constant_of(graph, values) for values in self.parameters[layer : layer + 2])
            x = graph.node("Gemm", x, weight, bias)
        patches = reshape(graph, graph.node("Softplus", x), -1, *grid_hw)
        return draw_scores(graph, patches, grid_hw, input_hw, self.config, self.config.image_score)

    def state(self) -> Arrays:
        """The mean (D,), and of each layer weight (in, out) and bias (out,)."""
        names = (f"{kind}_{n}" for n in range(len(self.parameters) // 2) for kind in ("weight", "bias"))
        return {"mean": self.mean, **dict(zip(names, self.parameters, strict=True))}


@dataclass(frozen=True, slots=True)
class Discriminative:
    """Set up and not yet fitted."""

    config: DiscriminativeConfig

    def channels(self, dim: int, rng: np.random.Generator) -> I64 | None:
        """All of them."""
        return None

    def fit(
        self, embeddings: Embeddings, *, rng: np.random.Generator, work: Work = Work()
    ) -> FittedDiscriminative:
        """Keep a sample of patches of each source in one pass, then train on it."""
        samples = PatchSamples(rng)
        for embedding in check_features(embeddings, work):
            samples.take_good(embedding)
            while embeddings.flawed:
                samples.take_flawed(embeddings.flawed.pop())
        good = samples.good.rows()
        mean = good.mean(axis=0)
        flat = FLAT * float(np.sqrt(np.mean(np.square(good, dtype=np.float64)))) or 1.0
        scale = (1 / np.sqrt(good.var(axis=0, dtype=np.float64) + flat**2)).astype(np.float32)
        ready = samples.standardised(mean, scale)
        config = self.config
        optimiser = AdamW(config.rate, config.decay)
        parameters = make_parameters((len(mean), *config.hidden), rng)
        for step in range(config.steps):
            labelled, bags = ready.draw(rng, config.noise)
            with one_blas_thread():  # small products, as in `scoring.maps`
                _, gradient = loss_and_gradient(parameters, labelled, bags)
            rate = config.rate * (1 - step / config.steps)
            parameters = optimiser.update(parameters, gradient, rate=rate)
            work.report("training", step + 1, config.steps)
        return FittedDiscriminative(config, mean, (scale[:, None] * parameters[0], *parameters[1:]))

    def memory_bytes(self, count: int, patches: int, dim: int, budget: int) -> int:
        """The samples, as they come and standardised. Bags of labelled defects without masks come on top."""
        kept = min(count * patches * (1 + self.config.painted), 4 * MOST_GOOD)
        width = max(dim, *self.config.hidden)
        return BYTES_PER_FLOAT * (2 * kept * dim + 8 * 2048 * width + 4 * patches * width)

    def restore(self, arrays: Arrays) -> FittedDiscriminative:
        """From `state()`."""
        layers = len(self.config.hidden) + 1
        names = [f"{kind}_{n}" for n in range(layers) for kind in ("weight", "bias")]
        return FittedDiscriminative(self.config, arrays["mean"], tuple(arrays[name] for name in names))


def _limits(_settings: Mapping[str, Any]) -> list[str]:
    return [
        "It was taught flaws that were painted or made of noise, and those it was given: a flaw unlike all of these may"
        " pass. Hold it against a method that knows no flaws (kizu recommend --with-defects)."
    ]


METHOD = Method(DiscriminativeConfig, Discriminative, limits=_limits)
