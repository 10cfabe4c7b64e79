"""Another threshold for what is open already: the same model, the same scores, another manifest and another hash."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from kizu.bundles.manifest import Bundle, BundleManifest
from kizu.core.errors import CalibrationError, ConfigError
from kizu.core.hashing import hash_value
from kizu.core.types import F32
from kizu.decision.calibration import CalibrationConfig, Thresholds
from kizu.decision.conformal import conformal, conformal_confident
from kizu.decision.offers import given_threshold
from kizu.decision.thresholds import Threshold
from kizu.runs.scores import CalibrationScores, read_calibration
from kizu.runtimes.model import ModelFile


def change_by_value(
    manifest: BundleManifest, image: float | Threshold | None, pixel: float | Threshold | None
) -> BundleManifest:
    """The manifest of one category with these in force; with a pixel threshold zones go."""
    changes: dict[str, Threshold | None] = {}
    by_hand = set(manifest.by_hand)
    for name, given in (("image", image), ("pixel", pixel)):
        if given is not None:
            changes[name] = given if isinstance(given, Threshold) else given_threshold(given)
            by_hand.add("image" if name == "image" else "pixel")
    if pixel is not None:
        changes["zones"] = None
    thresholds = manifest.thresholds.model_copy(update=changes)
    return manifest.model_copy(update={"thresholds": thresholds, "by_hand": tuple(sorted(by_hand))})


def change_by_rate(
    manifest: BundleManifest, known: CalibrationScores, rate: float, confidence: float | None
) -> BundleManifest:
    """The manifest of one category with a conformal threshold at `rate` in force, of images and of pixels; with a
    confidence for these very thresholds. Raises `CalibrationError` where the images cannot support it."""
    rule = {"rule": "conformal", "pixel_rule": "conformal"}
    if confidence is not None:
        rule = {"rule": "conformal_confident", "pixel_rule": "conformal_confident"}
    base = (manifest.calibration or CalibrationConfig()).model_dump(mode="json")
    numbers = {"false_alarm_rate": rate, "zones": None}
    if confidence is not None:
        numbers["confidence"] = confidence
    config = CalibrationConfig.parse({**base, **rule, **numbers}, where="with_threshold")
    found = Thresholds(image=known.image_threshold(config), pixel=known.pixel_threshold(config))
    changes = {"thresholds": found, "calibration": config, "tuned_for": None, "by_hand": ()}
    return manifest.model_copy(update=changes)


def with_manifest(source: Bundle | ModelFile, manifest: BundleManifest) -> Bundle | ModelFile:
    """What was opened, under another manifest; it has another hash then, as it decides otherwise."""
    if isinstance(source, Bundle):
        return replace(source, manifest=manifest, stored_sha256=None)
    digest = hash_value([source.bundle_sha256, manifest.model_dump(mode="json")])
    return replace(source, manifest=manifest, bundle_sha256=digest)


def change_by_scores(
    manifest: BundleManifest, good_scores: F32, rate: float, confidence: float | None
) -> BundleManifest:
    """The same for the image threshold alone, on scores (N,) of good images that somebody else scored."""
    found = (
        conformal(good_scores, rate)
        if confidence is None
        else conformal_confident(good_scores, rate, confidence)
    )
    return change_by_value(manifest, found, None)


@dataclass(frozen=True, slots=True)
class KeptScores:
    """Where the scores are that the thresholds rest on. They are read when they are asked for: what only inspects does
    not need them."""

    run: Path | None = None
    version: int = 1
    known: CalibrationScores | None = None
    """In place of a run."""

    def read(self, manifest: BundleManifest, category: str | None) -> CalibrationScores:
        """Of one category. Raises `CalibrationError` where none were kept."""
        found = self.known if self.run is None else read_calibration(self.run, self.version)
        if found is None:
            raise CalibrationError(
                f"the scores that the thresholds of {manifest.category} rest on are not at hand",
                hint="open the run folder, or give good_scores of images that it was not fitted on",
            )
        return found if category is None else found.part(category)


@dataclass(frozen=True, slots=True)
class Wanted:
    """By what a threshold is to be set; as `Inspector.with_threshold` has it."""

    value: float | Threshold | None
    pixel: float | Threshold | None
    false_alarm_rate: float | None
    confidence: float | None
    good_scores: F32 | Sequence[float] | None

    def change(self, manifest: BundleManifest, kept: KeptScores, category: str | None) -> BundleManifest:
        """The manifest of one category with it in force. Raises `ConfigError` for what is not one of these,
        `CalibrationError` where images cannot support the rate."""
        by_value = self.value is not None or self.pixel is not None
        of_a_rate = self.confidence is not None or self.good_scores is not None
        if by_value == (self.false_alarm_rate is not None) or (by_value and of_a_rate):
            raise ConfigError(
                "a threshold is set by a value or by a rate",
                hint="with_threshold(1.38), or with_threshold(false_alarm_rate=0.02)",
            )
        if self.false_alarm_rate is None:
            return change_by_value(manifest, self.value, self.pixel)
        if self.good_scores is None:
            known = kept.read(manifest, category)
            return change_by_rate(manifest, known, self.false_alarm_rate, self.confidence)
        scores = np.asarray(self.good_scores, np.float32)
        return change_by_scores(manifest, scores, self.false_alarm_rate, self.confidence)
