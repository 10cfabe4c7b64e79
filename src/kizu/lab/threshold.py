"""The threshold is the user's: what is known of the scores, what each rule would make of them, and how to set it.

Scores that were kept are enough for it. Where none were kept, or not what a rule looks at, the good images that the run
held out are scored again. Every change is a version of the run (`lab.versions`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from kizu.bundles.manifest import Bundle, BundleManifest
from kizu.core.errors import ConfigError
from kizu.core.work import Work
from kizu.data.manifest import read_manifest
from kizu.decision.calibration import (
    LABELLED_RULES,
    CalibrationConfig,
    Thresholds,
    good_thresholds,
    image_threshold,
)
from kizu.decision.offers import Offer, given_threshold, list_offers
from kizu.lab.kept_scores import Labelled, read_chosen_scores, read_or_score, read_test_scores, score_held_out
from kizu.lab.labelled_file import LabelledScores
from kizu.lab.train import read_run_config
from kizu.lab.tune import compute_thresholds
from kizu.lab.versions import Change, ThresholdsSet, put_thresholds
from kizu.runs.folder import RunFolder
from kizu.runs.scores import CalibrationScores, read_calibration, write_scores
from kizu.runs.versions import read_history

Settings = Mapping[str, Any]
"""Fields of `CalibrationConfig` that are to be other than by the rules in force."""
_PIXEL_NUMBERS: Mapping[str, tuple[str, ...]] = {
    "conformal": ("false_alarm_rate",),
    "conformal_confident": ("false_alarm_rate", "confidence"),
    "maximum": (),
    "quantile": ("pixel_quantile",),
    "mean_sigma": ("sigmas",),
}
_PIXEL: Literal["pixel"] = "pixel"
_PIXEL_FIELDS = {"pixel_rule", "pixel_quantile", "zones"}
_ON_PEAKS = ("conformal", "conformal_confident", "maximum")
"""Pixel rules that look at the highest pixel of each map alone."""


@dataclass(frozen=True, slots=True)
class Overview:
    """What is in force, and what could be."""

    version: int
    thresholds: Thresholds
    calibration: CalibrationScores
    offers: list[Offer]
    labelled: Labelled | None
    """Images of a file, or such that a threshold was chosen on before."""
    test: Labelled | None
    """To look at: no threshold is set by these."""


def look_at_thresholds(
    folder: RunFolder,
    settings: Settings | None = None,
    *,
    labelled: LabelledScores | None = None,
    work: Work = Work(),
) -> Overview:
    """Of a run of one category; nothing is changed. `settings`: numbers for the rules.

    Raises `ConfigError` for a run of several, `CalibrationError` where no scores were kept and none can be had.
    """
    bundle = _open(folder)
    scores = read_or_score(folder, bundle, work)
    known = read_chosen_scores(folder) if labelled is None else Labelled(*labelled.arrays)
    offers = list_offers(
        _config(folder, bundle, settings or {}),
        scores.good()[0],
        folds=scores.folds,
        labelled=None if known is None else (known.scores, known.defective),
    )
    return Overview(
        read_history(folder.path).in_force,
        bundle.manifest.thresholds,
        scores,
        offers,
        known,
        read_test_scores(folder),
    )


def set_by_rule(
    folder: RunFolder, settings: Settings, *, reason: str | None = None, work: Work = Work()
) -> ThresholdsSet:
    """Image and pixel threshold by the rules in force with `settings` in their place, on the good images that the run
    held out; a rule that wants labelled images takes the data set's validation split.

    A pixel threshold that these settings do not concern stays. Raises `CalibrationError` where the images cannot
    support a rule, `ConfigError` for settings that are none, `OutputError` while another command changes the run.
    """
    if _config(folder, _open(folder), settings).rule in LABELLED_RULES:
        return _set_on_validation(folder, settings, reason, work)
    with folder.locked() as still_there:
        bundle = _open(folder)
        config = _config(folder, bundle, settings)
        keeps_image = "image" in bundle.manifest.by_hand and settings.keys() <= _PIXEL_FIELDS
        stays_by_hand = "pixel" in bundle.manifest.by_hand and not _PIXEL_FIELDS & settings.keys()
        keeps_pixels = stays_by_hand or _keeps_pixels(config, bundle.manifest)
        thresholds = _thresholds_by(config, folder, bundle, keeps_pixels=keeps_pixels, work=work)
        if keeps_image:
            thresholds = thresholds.model_copy(update={"image": bundle.manifest.thresholds.image})
        by_hand: tuple[Literal["image", "pixel"], ...] = ("image",) if keeps_image else ()
        by_hand += (_PIXEL,) if stays_by_hand else ()
        change = Change(thresholds, config, by_hand=by_hand)
        told = reason or f"by the rule {thresholds.image.rule.describe()}"
        return put_thresholds(folder, bundle, change, told, still_there)


def set_by_labels(
    folder: RunFolder, labelled: LabelledScores, settings: Settings, *, reason: str | None = None
) -> ThresholdsSet:
    """The image threshold by `f1_max` or `cost` on labelled scores of a file; the others stay.

    The images are known ever after: none of them is measured with this run. Raises as `set_by_rule`.
    """
    with folder.locked() as still_there:
        bundle = _open(folder)
        manifest = bundle.manifest
        config = _config(folder, bundle, settings)
        if config.rule not in LABELLED_RULES:
            raise ConfigError(
                f"the rule {config.rule} looks at good images that were held out, not at labelled scores",
                hint=f"give --rule {' or '.join(sorted(LABELLED_RULES))}",
            )
        scores = labelled.arrays[0]
        image = image_threshold(config, scores, validation=labelled.arrays)
        change = Change(
            manifest.thresholds.model_copy(update={"image": image}),
            manifest.calibration,
            tuned_for=manifest.tuned_for,
            by_hand=_with(manifest, "image"),
            labelled=labelled.rows,
        )
        told = reason or f"by the rule {image.rule.describe()} on {len(scores)} labelled scores of a file"
        return put_thresholds(folder, bundle, change, told, still_there)


def set_by_value(
    folder: RunFolder,
    *,
    image: float | None = None,
    pixel: float | None = None,
    reason: str | None = None,
) -> ThresholdsSet:
    """The image threshold, the pixel threshold or both as given; they promise nothing. With a pixel threshold zones go.

    Raises `ConfigError` where neither is given, `CalibrationError` for a value that is not finite, `OutputError` while
    another command changes the run.
    """
    if image is None and pixel is None:
        raise ConfigError("no value was given", hint="give a score, such as 1.38")
    with folder.locked() as still_there:
        bundle = _open(folder)
        manifest = bundle.manifest
        changed, by_hand = manifest.thresholds, manifest.by_hand
        if image is not None:
            changed = changed.model_copy(update={"image": given_threshold(image)})
            by_hand = _with(manifest, "image")
        if pixel is not None:
            changed = changed.model_copy(update={"pixel": given_threshold(pixel), "zones": None})
            by_hand = tuple(sorted({*by_hand, _PIXEL}))
        change = Change(changed, manifest.calibration, tuned_for=manifest.tuned_for, by_hand=by_hand)
        given = {"image": image, "pixel": pixel}
        told = reason or " and ".join(
            f"{k} threshold {v:g} by hand" for k, v in given.items() if v is not None
        )
        return put_thresholds(folder, bundle, change, told, still_there)


def _set_on_validation(
    folder: RunFolder, settings: Settings, reason: str | None, work: Work
) -> ThresholdsSet:
    if not read_manifest(folder.manifest).validation():
        raise ConfigError(
            "labelled images are needed for this rule, and the data set has no validation split",
            hint="give labelled scores with --from, or set test defects apart: kizu evaluate --tune-on-validation",
        )
    bundle = _open(folder)
    before = bundle.manifest.version
    now = compute_thresholds(folder, _config(folder, bundle, settings), reason=reason, work=work)
    version = folder.open_bundle().manifest.version
    return ThresholdsSet(version, bundle.manifest.thresholds, now, was_there=version == before)


def _open(folder: RunFolder) -> Bundle:
    bundle = folder.open_bundle()
    if bundle.manifest.thresholds_by_category:
        raise ConfigError(
            f"{folder.path} is of several categories, and these keep the thresholds that they were trained with",
            hint="in Python: Inspector.open(run, category=...).with_threshold(...); or train one run for each",
        )
    return bundle


def _config(folder: RunFolder, bundle: Bundle, settings: Settings) -> CalibrationConfig:
    """The rules in force, with `settings`. Raises `ConfigError`."""
    base = bundle.manifest.calibration or read_run_config(folder).calibration
    return CalibrationConfig.parse({**base.model_dump(mode="json"), **settings}, where="options")


def _thresholds_by(
    config: CalibrationConfig, folder: RunFolder, bundle: Bundle, *, keeps_pixels: bool, work: Work
) -> Thresholds:
    manifest = bundle.manifest
    known = read_calibration(folder.path, manifest.version)
    enough = keeps_pixels or (config.zones is None and config.pixel_rule in _ON_PEAKS)
    if known is None or not enough:
        scores, seen = score_held_out(folder, bundle, config, work)
        write_scores(folder.path, manifest.version, scores)
        if not keeps_pixels:
            return good_thresholds(config, seen)
        known = scores
    image = known.image_threshold(config)
    if keeps_pixels:
        return manifest.thresholds.model_copy(update={"image": image})
    return Thresholds(image=image, pixel=known.pixel_threshold(config))


def _keeps_pixels(config: CalibrationConfig, manifest: BundleManifest) -> bool:
    """Whether the rules set the pixel threshold, or the zones, that are in force: of the same scores the same."""
    before = manifest.calibration
    if before is None or manifest.tuned_for is not None or "pixel" in manifest.by_hand:
        return False
    names = ("pixel_rule", "zones", *_PIXEL_NUMBERS[config.pixel_rule])
    return all(getattr(before, name) == getattr(config, name) for name in names)


def _with(manifest: BundleManifest, name: Literal["image", "pixel"]) -> tuple[Literal["image", "pixel"], ...]:
    return tuple(sorted({*manifest.by_hand, name}))
