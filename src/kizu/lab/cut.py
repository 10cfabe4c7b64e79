"""Which samples of a data set are for what: to fit, to set thresholds, to choose by, to learn flaws from."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from kizu.backbones.tuned import images_known
from kizu.core.errors import ConfigError, DataError
from kizu.core.randomness import rng_for
from kizu.core.types import U8, Bool
from kizu.data.batches import LeftOut, stream
from kizu.data.manifest import Manifest, Sample
from kizu.data.splits import blocks_of, ensure_apart, hold_out, k_folds
from kizu.decision.calibration import LABELLED_RULES
from kizu.detectors.base import NEVER_LEFT_OUT
from kizu.imaging.placement import PlacementConfig
from kizu.lab.defects import PlacedDefects, choose_defects
from kizu.lab.fit import LabelledImages, Sides
from kizu.lab.scheme import HELD_GROUPS, held_fraction, leaves_out, mark_anchors, place_grouped
from kizu.pipeline.config import PipelineConfig
from kizu.pipeline.opened import PlacedImages


@dataclass(frozen=True, slots=True)
class Cut:
    """Which samples are for what."""

    fit: tuple[Sample, ...]
    calibration: tuple[Sample, ...]
    """Not fitted on; with folds all good samples, each held out of one fit; where left out all that are, group by
    group."""
    validation: tuple[Sample, ...]
    folds: tuple[tuple[tuple[Sample, ...], tuple[Sample, ...]], ...] = ()
    parts: Mapping[str, tuple[Sample, ...]] = field(default_factory=dict)
    """`calibration` by category, for a model of several."""
    groups: Mapping[Sample, int] = field(default_factory=dict)
    """Of each good sample of one category, the number of those that it may not be parted from; `NEVER_LEFT_OUT`."""
    left_out: bool = False
    """All good samples are fitted on, and each is scored as by a fit without its group."""
    defects: tuple[Sample, ...] = ()
    """Labelled ones that every fit learns from, and which share no part with `calibration`"""
    notes: tuple[str, ...] = ()

    def scored(self, skipped: Sequence[str] = ()) -> tuple[Sample, ...]:
        """`calibration` in the order in which it is scored, without the images whose ids are `skipped`."""
        held = [sample for _, side in self.folds for sample in side] if self.folds else self.calibration
        return tuple(sample for sample in held if sample.id not in skipped)

    def _numbers(self, samples: Sequence[Sample]) -> list[int]:
        return [self.groups[sample] for sample in samples]

    def _place_held(
        self, samples: Sequence[Sample], placement: PlacementConfig, on_broken: LeftOut | None
    ) -> PlacedImages:
        if self.folds:
            return _place(samples, placement, on_broken)
        return place_grouped(samples, placement, self._numbers(samples), on_broken)

    def sides(self, config: PipelineConfig, on_broken: LeftOut | None = None) -> Sides:
        """The same as images, read when the fit comes to them."""
        placement = config.placement
        defects = PlacedDefects(self.defects, placement, on_broken)
        if self.left_out:
            return Sides(
                fit=place_grouped(self.fit, placement, self._numbers(self.fit), on_broken),
                calibration=PlacedImages(0, ()),
                left_out=True,
                validation=_label(self.validation, placement, on_broken),
            )
        return Sides(
            fit=replace(_place(self.fit, placement, on_broken), defects=defects),
            calibration=self._place_held(self.calibration, placement, on_broken),
            validation=_label(self.validation, config.placement, on_broken),
            folds=tuple(
                (
                    replace(_place(fit, placement, on_broken), defects=defects),
                    _place(held, placement, on_broken),
                )
                for fit, held in self.folds
            ),
            parts={name: self._place_held(held, placement, on_broken) for name, held in self.parts.items()},
        )


def cut_good(manifest: Manifest, config: PipelineConfig) -> Cut:
    """The good training samples of a hashed manifest, cut by the config's seed; of several categories each for itself.
    And the labelled defects beside them, for a method that learns from such.

    Raises `DataError` for fewer than two, `LeakageError` when one of them is also a test sample.
    """
    cut, notes = _cut_good(manifest, config), list[str]()
    defects = choose_defects(manifest, config, cut.calibration, notes.append)
    return replace(cut, defects=defects, notes=tuple(notes))


def _cut_good(manifest: Manifest, config: PipelineConfig) -> Cut:
    if manifest.parts:
        return _cut_parts(manifest, config)
    good = manifest.train_good()
    if len(good) < 2:
        raise DataError(
            f"{manifest.category} has {len(good)} good training image(s)",
            hint="at least 2: one to fit, one to set the threshold; 100 and more make a threshold worth having",
        )
    ensure_apart(good, manifest.test())
    known = images_known(config.embedding.backbone)
    if known:
        return _cut_known(manifest, config, known)
    if config.calibration.folds is not None:
        folds = k_folds(good, config.calibration.folds, rng_for(config.seed, "folds"))
        return Cut(good, good, manifest.validation(), tuple(folds))
    groups = dict(zip(good, blocks_of(good), strict=True))
    count = max(groups.values()) + 1
    if leaves_out(config, count):
        groups = dict(zip(good, mark_anchors(config, list(groups.values())), strict=True))
        scored = (sample for sample in good if groups[sample] != NEVER_LEFT_OUT)
        by_group = tuple(sorted(scored, key=groups.__getitem__))
        return Cut(good, by_group, manifest.validation(), groups=groups, left_out=True)
    fit, calibration = hold_out(good, held_fraction(config, count), rng_for(config.seed, "hold_out"))
    return Cut(fit, calibration, manifest.validation(), groups=groups)


def _cut_known(manifest: Manifest, config: PipelineConfig, known: frozenset[str]) -> Cut:
    """For a network that was tuned on some of the good images: those it does not know set the thresholds, up to 199
    parts of them, which promise 1 %; the others are fitted on. It would say too little of those it knows."""
    good = manifest.train_good()
    groups = dict(zip(good, blocks_of(good), strict=True))
    seen = {groups[sample] for sample in good if sample.sha256 in known}
    new = sorted(set(groups.values()) - seen)
    if config.calibration.folds is not None or config.calibration.scheme == "left_out":
        raise ConfigError(
            "a tuned backbone knows good images: those that it does not know set the thresholds",
            hint="leave folds out, and scheme: left_out",
        )
    if not new or len(new) == len(set(groups.values())):
        what = "every good image" if not new else "none of these good images"
        raise DataError(
            f"{config.embedding.backbone} was tuned on {what} of {manifest.category}",
            hint="tune on this set, keeping some images back" if new else "tune with some images kept back",
        )
    order = rng_for(config.seed, "hold_out").permutation(new)
    held = set(order[: max(HELD_GROUPS.values())].tolist())
    return Cut(
        fit=tuple(sample for sample in good if groups[sample] not in held),
        calibration=tuple(sample for sample in good if groups[sample] in held),
        validation=manifest.validation(),
        groups=groups,
    )


def _cut_parts(manifest: Manifest, config: PipelineConfig) -> Cut:
    if images_known(config.embedding.backbone):
        raise ConfigError(
            "a tuned backbone is for one category", hint="take one category, or another backbone"
        )
    if config.calibration.folds is not None or config.calibration.rule in LABELLED_RULES:
        raise ConfigError(
            "a model of several categories sets its thresholds on good images held out of the fit",
            hint="leave folds out, and take another rule than f1_max and cost",
        )
    if config.calibration.scheme == "left_out":
        raise ConfigError(
            "a model of several categories sets its thresholds on good images held out of the fit",
            hint="take scheme: held_out",
        )
    config = config.changed({"calibration": {"scheme": "held_out"}}, where="several categories")
    ensure_apart(manifest.train_good(), manifest.test())
    cuts = {name: _cut_good(manifest.part(name), config) for name in manifest.parts}
    return Cut(
        fit=tuple(sample for cut in cuts.values() for sample in cut.fit),
        calibration=tuple(sample for cut in cuts.values() for sample in cut.calibration),
        validation=(),
        parts={name: cut.calibration for name, cut in cuts.items()},
        groups={sample: number for cut in cuts.values() for sample, number in cut.groups.items()},
    )


def _place(samples: Sequence[Sample], placement: PlacementConfig, on_broken: LeftOut | None) -> PlacedImages:
    return PlacedImages(
        len(samples),
        (batch.images for batch in stream(samples, placement, on_broken=on_broken, refuse_flat=True)),
    )


def _label(
    samples: Sequence[Sample], placement: PlacementConfig, on_broken: LeftOut | None
) -> LabelledImages | None:
    if not samples:
        return None

    def batches() -> Iterator[tuple[U8, Bool]]:
        for batch in stream(samples, placement, on_broken=on_broken):
            yield batch.images, np.array([sample.label == "defect" for sample in batch.samples])

    return LabelledImages(len(samples), batches())
