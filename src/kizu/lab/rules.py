"""By which rules the thresholds of a run's bundle were set: the bundle says so, or an older one lets it be known."""

from typing import NamedTuple

from kizu.bundles.manifest import Bundle
from kizu.core.errors import CalibrationError
from kizu.core.split import Split
from kizu.decision.calibration import LABELLED_RULES, CalibrationConfig, PixelMetric
from kizu.lab.train import read_run_config
from kizu.runs.folder import RunFolder


class Rules(NamedTuple):
    """What sets a run's thresholds."""

    calibration: CalibrationConfig
    tuned_for: PixelMetric | None
    """As in a bundle's manifest."""


def read_rules(folder: RunFolder, bundle: Bundle) -> Rules:
    """Of the bundle, which was read from `folder`.

    One of a time when bundles did not say so was set by the run's `config.yaml`, or tuned, which its thresholds tell.
    Raises `CalibrationError` where it was given others later and nothing tells by which rule, and where a value, or
    labelled scores from a file, set them.
    """
    manifest = bundle.manifest
    if manifest.by_hand:
        how = {name: getattr(manifest.thresholds, name).rule.describe() for name in manifest.by_hand}
        told = " and ".join(f"the {name} threshold ({rule})" for name, rule in how.items())
        raise CalibrationError(
            f"no rule and no images of {folder.path} set {told}, so it cannot be set anew for other scores",
            hint=f"set it by a rule first: kizu threshold {folder.path} --rule conformal",
        )
    if manifest.calibration is not None:
        return Rules(manifest.calibration, manifest.tuned_for)
    config = read_run_config(folder).calibration
    image, pixel = manifest.thresholds.image, manifest.thresholds.pixel
    was_tuned = image.split is Split.VALIDATION and config.rule not in LABELLED_RULES
    if was_tuned and pixel.split is Split.VALIDATION:
        return Rules(config, "iou" if pixel.rule.name == "pixel_iou_max" else "f1")
    later = folder.read_thresholds()
    if was_tuned or (later is not None and later.bundle_sha256 == bundle.stored_sha256):
        raise CalibrationError(
            f"the thresholds of {folder.path} were set after its training, and its bundle does not say by which rules",
            hint=f"say so once more: kizu evaluate --model {folder.path} --compute-thresholds --rule RULE",
        )
    return Rules(config, None)
