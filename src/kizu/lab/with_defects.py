"""Is it worth learning from the labelled defects there are? Asked of folds that no fit had seen, before it is offered.

Methods that know no flaws, the head, and both fused are fitted on the same folds and see by the same features. The head
is offered only where it beats the best of the others beyond chance; that the best one is picked by the same folds makes
it harder to beat, never easier.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kizu.backbones.tuned import images_known
from kizu.core.errors import ConfigError, DataError
from kizu.core.randomness import rng_for
from kizu.core.types import F32, I64, Bool
from kizu.core.work import Work
from kizu.data.batches import stream
from kizu.data.manifest import Manifest, Sample
from kizu.data.splits import blocks_of, ensure_apart, k_folds
from kizu.lab.defects import PlacedDefects
from kizu.lab.grouping import group_good
from kizu.metrics.folds import FoldDifference, FoldScores, compare_folds
from kizu.pipeline.config import PipelineConfig
from kizu.pipeline.fitting import UnfittedPipeline
from kizu.pipeline.opened import PlacedImages
from kizu.pipeline.placing import choose_placement

FOLDS = 5
PATCH_SIZE = 3
"""The same for all, so that features are equal."""
LEVEL = 0.95
_KEPT_MB = 4096

Settings = Mapping[str, Any]
UNAIDED: Mapping[str, Settings] = {
    "patchcore 1 %": {"kind": "patchcore", "coreset": 0.01, "patch_size": PATCH_SIZE},
    "padim": {"kind": "padim", "patch_size": PATCH_SIZE},
    "subspace": {"kind": "subspace", "patch_size": PATCH_SIZE},
}
"""Methods that know no flaws."""
_HEAD: Settings = {"kind": "discriminative", "patch_size": PATCH_SIZE}
TAUGHT: Mapping[str, Settings] = {
    "head": _HEAD,
    "head + padim": {"kind": "ensemble", "members": [_HEAD, UNAIDED["padim"]]},
    "head + subspace": {"kind": "ensemble", "members": [_HEAD, UNAIDED["subspace"]]},
}
"""Those that learn from them."""


@dataclass(frozen=True, slots=True)
class Tried:
    """One method on all folds."""

    name: str
    config: PipelineConfig
    auroc: float
    """Within folds"""
    beyond: FoldDifference | None
    """Against the best method that knows no flaws, at a level that holds for all together; None: it is one of these."""

    @property
    def is_better(self) -> bool:
        """Beyond chance."""
        return self.beyond is not None and self.beyond.low > 0


@dataclass(frozen=True, slots=True)
class DefectsTried:
    """What the folds say."""

    defects: int
    drawn: int
    """Of them, with a mask"""
    defect_groups: int
    good: int
    tried: tuple[Tried, ...]
    """Those that know no flaws first."""

    @property
    def best_unaided(self) -> Tried:
        """Of those that know no flaws."""
        return max((one for one in self.tried if one.beyond is None), key=lambda one: one.auroc)

    @property
    def offered(self) -> Tried | None:
        """The best of those that are better beyond chance; None: learning from defects is not worth it yet."""
        return max((one for one in self.tried if one.is_better), key=lambda one: one.auroc, default=None)

    @property
    def reason(self) -> str:
        """Of offering one or none, in words."""
        best = self.best_unaided
        if self.offered is not None:
            return f"{self.offered.name} beats {best.name} on held-out folds by {_told(self.offered)}"
        nearest = max((one for one in self.tried if one.beyond is not None), key=lambda one: one.auroc)
        return (
            f"nothing that learns from the {self.defects} defects beats {best.name} beyond chance: {nearest.name} by"
            f" {_told(nearest)}; keep {best.name}, or label more defects, of more parts"
        )


def _told(one: Tried) -> str:
    assert one.beyond is not None
    return f"{one.beyond.value:+.3f} image AUROC [{one.beyond.low:+.3f}, {one.beyond.high:+.3f}]"


def try_with_defects(
    manifest: Manifest,
    *,
    base: PipelineConfig = PipelineConfig(),
    unaided: Mapping[str, Settings] = UNAIDED,
    taught: Mapping[str, Settings] = TAUGHT,
    work: Work = Work(),
) -> DefectsTried:
    """Each method on five folds of the good images and the labelled defects of the training split. What shows one part
    is never on two sides. Test images are not looked at, and a defect that is one of them is refused.

    Raises `DataError` for fewer than five groups of defects or of good images, `LeakageError`.
    """
    if images_known(base.embedding.backbone):
        raise ConfigError(
            f"{base.embedding.backbone} was tuned on good images, which folds would take for unseen",
            hint="ask with the backbone that it was made from",
        )
    manifest = group_good(manifest.with_hashes(work), base.placement, with_defects=True, work=work)
    good, defects = manifest.train_good(), manifest.train_defects()
    ensure_apart(defects, manifest.test())
    if not defects:
        raise DataError(
            f"{manifest.category} has no labelled defect in its training split",
            hint="put pictures into train/<kind>/, and masks, where there are any, into ground_truth/<kind>/",
        )
    base = choose_placement(base, good, work)
    folds = _cut(good, defects, base.seed)
    groups = dict(zip(good + defects, blocks_of(good + defects), strict=True))
    kept = replace(work, features_bytes=max(work.features_budget(), _KEPT_MB << 20)).quiet()
    configs = {
        name: base.with_detector(settings["kind"], {k: v for k, v in settings.items() if k != "kind"})
        for name, settings in {**unaided, **taught}.items()
    }
    scores: dict[str, list[F32]] = {name: [] for name in configs}
    for number, fold in enumerate(folds):
        for place, (name, config) in enumerate(configs.items()):
            scores[name].append(fold.scores(config, kept))
            work.report("folds", number * len(configs) + place + 1, len(folds) * len(configs))
    labels = [(fold.defective, fold.groups(groups)) for fold in folds]

    def against(first: str, second: str) -> FoldDifference:
        both = zip(labels, scores[first], scores[second], strict=True)
        level = 1 - (1 - LEVEL) / len(taught)
        return compare_folds([FoldScores(own, a, b, numbers) for (own, numbers), a, b in both], level)

    alone = {name: against(name, name).first for name in configs}
    best = max(unaided, key=alone.__getitem__)
    return DefectsTried(
        defects=len(defects),
        drawn=sum(bool(sample.masks) for sample in defects),
        defect_groups=len({groups[sample] for sample in defects}),
        good=len(good),
        tried=tuple(
            Tried(name, config, alone[name], against(name, best) if name in taught else None)
            for name, config in configs.items()
        ),
    )


@dataclass(frozen=True, slots=True)
class _Fold:
    good: tuple[Sample, ...]
    defects: tuple[Sample, ...]
    held: tuple[Sample, ...]
    """Good ones first"""

    @property
    def defective(self) -> Bool:
        return np.array([sample.label == "defect" for sample in self.held])

    def groups(self, numbers: Mapping[Sample, int]) -> I64:
        return np.array([numbers[sample] for sample in self.held], np.int64)

    def scores(self, config: PipelineConfig, work: Work) -> F32:
        """(N,) of the held ones, by a fit on the others."""
        placement = config.placement
        learned = self.defects if config.detector.learns_defects else ()
        images = PlacedImages(
            len(self.good),
            (batch.images for batch in stream(self.good, placement)),
            defects=PlacedDefects(learned, placement),
        )
        pipeline = UnfittedPipeline.prepare(config, work).fit(images, "fit", work)
        return np.concatenate([pipeline.score(batch.images).image for batch in stream(self.held, placement)])


def _cut(good: Sequence[Sample], defects: Sequence[Sample], seed: int) -> list[_Fold]:
    """Good images and defects are each cut in five; what shows a part of what is held is not learned from."""
    parts = {"good images": good, "defects": defects}
    for what, samples in parts.items():
        if (count := len(set(blocks_of(samples)))) < FOLDS:
            raise DataError(
                f"{len(samples)} {what} of {count} parts cannot be judged by {FOLDS} folds",
                hint=f"at least {FOLDS} parts; 20 and more tell something",
            )
    cuts = [k_folds(samples, FOLDS, rng_for(seed, "with defects", what)) for what, samples in parts.items()]
    folds = []
    for (fit, held), (learned, kept_back) in zip(*cuts, strict=True):
        out = {sample.group for sample in (*held, *kept_back) if sample.group is not None}
        hashes = {sample.sha256 for sample in (*held, *kept_back)}
        fit, learned = (
            tuple(s for s in side if s.group not in out and s.sha256 not in hashes) for side in (fit, learned)
        )
        ensure_apart((*fit, *learned), (*held, *kept_back))
        folds.append(_Fold(fit, learned, (*held, *kept_back)))
    return folds
