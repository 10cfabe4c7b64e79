"""Several methods on one embedding, their scores brought to one scale by good images and averaged.

Each member is fitted on most of the good images; the others, which none has seen, tell its scale. An image score is
measured in that member's own steps: from the median of good scores to their 90 % quantile, linearly, so that far scores
keep their order; a map in parts of the median peak of good maps, so that it stays a distance above 0.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BeforeValidator, Field, SerializeAsAny, model_validator

from kizu.backbones.builder import GraphBuilder
from kizu.core.types import F32, F64, HW, I64, Scores
from kizu.core.work import BATCH, BYTES_PER_FLOAT, Work
from kizu.detectors.bank import gather
from kizu.detectors.base import (
    Arrays,
    Detector,
    DetectorConfig,
    Drawn,
    Embeddings,
    Fitted,
    Method,
    check_features,
)
from kizu.detectors.drawing import numbers
from kizu.detectors.padim import PadimConfig
from kizu.detectors.patchcore import PatchcoreConfig
from kizu.detectors.registry import detector_config, make_detector

FEWEST_TO_HOLD_OUT = 4
"""With fewer good images than this the scale is told by the fitted ones: too low, but the same for all members."""


def _member(values: Any) -> Any:
    return detector_config(values, where="a member of the ensemble")


class EnsembleConfig(DetectorConfig):
    """Which methods, and how many images tell their scales. All see one embedding: `patch_size` is the ensemble's."""

    kind: Literal["ensemble"] = "ensemble"
    patch_size: Annotated[int, Field(ge=1, le=9)] = 3
    members: Annotated[
        tuple[Annotated[SerializeAsAny[DetectorConfig], BeforeValidator(_member)], ...], Field(min_length=2)
    ] = (PatchcoreConfig(), PadimConfig(patch_size=3))
    align_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Part of the good images that no member is fitted on."""

    @model_validator(mode="after")
    def _members_take_embeddings(self) -> "EnsembleConfig":
        for member in self.members:
            if isinstance(member, EnsembleConfig):
                raise ValueError("an ensemble is no member of an ensemble")
            if member.may_be_laid():
                raise ValueError(
                    "members see embeddings, not images: leave rotations 1, turn_up_to 0 and mirror false"
                )
        return self

    def paintings(self) -> int:
        """As many as the member that wants most."""
        return max(member.paintings() for member in self.members)

    @property
    def learns_defects(self) -> bool:
        """Whether any member does."""
        return any(member.learns_defects for member in self.members)

    def count_held_out(self, count: int) -> int:
        """How many of so many good images tell the scales."""
        return 0 if count < FEWEST_TO_HOLD_OUT else max(1, round(self.align_fraction * count))


@dataclass(frozen=True, slots=True)
class Scale:
    """Of each of K members."""

    centre: F64
    """(K,) median image score of good images"""
    step: F64
    """(K,) from there to the 90 % quantile"""
    peak: F64
    """(K,) median highest pixel of good maps"""


@dataclass(frozen=True, slots=True)
class FittedEnsemble:
    """The members and their scales."""

    config: EnsembleConfig
    members: tuple[Fitted, ...]
    scale: Scale

    def score(self, embedding: F32, input_hw: HW) -> Scores:
        """(N, h, w, D) of images (N, H, W, 3) -> scores, in steps above the good median, and maps (N, H, W), in parts
        of the good peak."""
        found = [member.score(embedding, input_hw) for member in self.members]
        image = sum(
            (scores.image - centre) / step
            for scores, centre, step in zip(found, self.scale.centre, self.scale.step, strict=True)
        )
        maps = sum(
            scores.maps / np.float32(peak) for scores, peak in zip(found, self.scale.peak, strict=True)
        )
        count = np.float32(len(found))
        return Scores(np.asarray(image / count, np.float32), np.asarray(maps / count, np.float32))

    def draw(self, graph: GraphBuilder, embedding: str, grid_hw: HW, input_hw: HW) -> Drawn:
        """As `score`."""
        scores, maps = [], []
        for index, member in enumerate(self.members):
            drawn = member.draw(graph, embedding, grid_hw, input_hw)
            centre, step, peak = (
                float(v[index]) for v in (self.scale.centre, self.scale.step, self.scale.peak)
            )
            above = graph.node("Sub", drawn.score, numbers(graph, centre))
            scores.append(graph.node("Div", above, numbers(graph, step)))
            maps.append(graph.node("Div", drawn.map, numbers(graph, peak)))
        return Drawn(graph.node("Mean", *scores), graph.node("Mean", *maps))

    def state(self) -> Arrays:
        """Each member's arrays behind its number, and the scales (K,)."""
        arrays = {
            f"{index}_{name}": array
            for index, member in enumerate(self.members)
            for name, array in member.state().items()
        }
        scale = {"centre": self.scale.centre, "step": self.scale.step, "peak": self.scale.peak}
        return arrays | scale


@dataclass(frozen=True, slots=True)
class Ensemble:
    """Set up and not yet fitted."""

    config: EnsembleConfig

    def channels(self, dim: int, rng: np.random.Generator) -> I64 | None:
        """All of them, for all members."""
        return None

    def fit(self, embeddings: Embeddings, *, rng: np.random.Generator, work: Work = Work()) -> FittedEnsemble:
        """Keep all embeddings (in a file where memory would not do), fit every member, then tell the scales."""
        with gather(check_features(embeddings, work), embeddings.count, work) as (features, (n, h, w)):
            x = features.reshape(n, h, w, -1)
            order = rng.permutation(n)
            held = self.config.count_held_out(n)
            good, fitted = np.sort(order[:held] if held else order), np.sort(order[held:])
            input_hw = embeddings.input_hw
            taught = [batch.without(set(good.tolist()) - set(fitted.tolist())) for batch in embeddings.flawed]
            embeddings.flawed.clear()
            members = tuple(
                member.fit(
                    Embeddings(_batches(x, fitted), len(fitted), input_hw, flawed=list(taught)),
                    rng=rng,
                    work=work.quiet(),
                )
                for member in self._members()
            )
            found = [[member.score(batch, input_hw) for batch in _batches(x, good)] for member in members]
        return FittedEnsemble(self.config, members, _scale(found))

    def _members(self) -> list[Detector]:
        return [make_detector(member) for member in self.config.members]

    def memory_bytes(self, count: int, patches: int, dim: int, budget: int) -> int:
        """The features of all images unless they go to disk, and what the members need, who stay."""
        features = min(count * patches * dim * BYTES_PER_FLOAT, budget)
        return features + sum(member.memory_bytes(count, patches, dim, budget) for member in self._members())

    def restore(self, arrays: Arrays) -> FittedEnsemble:
        """From `state()`."""
        members = tuple(
            member.restore(
                {
                    name.removeprefix(f"{index}_"): array
                    for name, array in arrays.items()
                    if name.startswith(f"{index}_")
                }
            )
            for index, member in enumerate(self._members())
        )
        scale = Scale(*(arrays[name] for name in ("centre", "step", "peak")))
        return FittedEnsemble(self.config, members, scale)


def _batches(x: F32, indices: I64) -> Iterator[Any]:
    """Of `x` (N, h, w, D), those at `indices`, a few at a time."""
    return (x[indices[start : start + BATCH]] for start in range(0, len(indices), BATCH))


def _scale(found: list[list[Scores]]) -> Scale:
    """Of each member, from what it says of good images; where they are all alike a step is as long as the median."""
    scores = [np.concatenate([part.image for part in parts]).astype(np.float64) for parts in found]
    peaks = [np.concatenate([part.maps.max(axis=(1, 2)) for part in parts]) for parts in found]
    centre = np.array([np.median(values) for values in scores])
    step = np.array([np.quantile(values, 0.9) for values in scores]) - centre
    step = np.where(step > 0, step, np.where(centre > 0, centre, 1.0))
    peak = np.array([float(np.median(values)) for values in peaks])
    return Scale(centre, step, np.where(peak > 0, peak, 1.0))


METHOD = Method(EnsembleConfig, Ensemble)
