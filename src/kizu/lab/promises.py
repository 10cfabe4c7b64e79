"""What a model's thresholds promise of good pictures, beside what the good test pictures measured, and why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from kizu.bundles.manifest import BundleManifest
from kizu.core.types import F64
from kizu.data.manifest import Sample
from kizu.decision.calibration import Thresholds
from kizu.decision.causes import Evidence, likely_causes
from kizu.decision.promise import Check, Kind, Measured, check_promise
from kizu.lab.held_out import read_sides
from kizu.lab.predictions import Predictions
from kizu.runs.folder import RunFolder
from kizu.runs.versions import FIRST

Promises = Mapping[Kind, Check]


def check_promises(found: Predictions, thresholds: Thresholds) -> dict[Kind, Check]:
    """Both promises on the good ones among labelled images that no threshold was set on, one for each group of them.

    Maps are looked at over the network's input, as the pixel threshold was set; brought back to an image they are
    nowhere higher.
    """
    good = np.flatnonzero(~found.defective)
    groups = group_keys([found.samples[index] for index in good])
    limit = thresholds.pixel_field((found.net_maps.shape[1], found.net_maps.shape[2]))
    above = np.float64(thresholds.pixel.value) if limit is None else limit
    shows = np.array([bool((found.net_maps[index] > above).any()) for index in good], np.bool_)
    rejected = found.scores[good].astype(np.float64) > thresholds.image.value
    return {
        "image": check_promise(thresholds.image, Measured.of(rejected, groups)),
        "pixel": check_promise(thresholds.zones or thresholds.pixel, Measured.of(shows, groups), "pixel"),
    }


def group_keys(samples: Sequence[Sample]) -> list[str]:
    """One for each sample, the same for what is not independent: its group, else its content, else itself."""
    return [f"group {s.group}" if s.group is not None else s.sha256 or s.id for s in samples]


@dataclass(frozen=True, slots=True)
class SetOn:
    """What is known of the good pictures that set a model's thresholds."""

    scores: F64 = field(default_factory=lambda: np.zeros(0))
    """(n,) as the model that runs, or fits out of fold, scored them; none: not known."""
    siblings: int = 0
    """So many share a group with one that was fitted on."""
    groups: int | None = None
    """How many groups they are of; None: none are known."""
    seen: frozenset[str] = frozenset()
    """The groups of all that the model was fitted or set on."""

    @classmethod
    def of(cls, fit: Sequence[Sample], held: Sequence[Sample], scores: F64 | None = None) -> "SetOn":
        """`held`: those that set them; the same as `fit` where each was scored by a fit without it."""
        fitted = {sample.group for sample in fit} - {None}
        is_apart = not {sample.id for sample in fit} & {sample.id for sample in held}
        has_groups = any(sample.group is not None for sample in held)
        return cls(
            scores=np.zeros(0) if scores is None or len(scores) != len(held) else scores,
            siblings=sum(sample.group in fitted for sample in held) if is_apart else 0,
            groups=len(set(group_keys(held))) if has_groups else None,
            seen=frozenset(s.group for s in (*fit, *held) if s.group is not None),
        )


def read_set_on(folder: RunFolder, manifest: BundleManifest, part: str | None = None) -> SetOn:
    """Of a run's version; of several categories those of the `part`.

    The scores are kept of the training only; an update makes another model.
    """
    fit, held = read_sides(folder, manifest.version)
    scores = np.array(folder.read_meta().calibration_scores)
    known = manifest.version == FIRST and len(scores) == len(held)
    below = "" if part is None else f"{part}/"
    kept = np.array([sample.id.startswith(below) for sample in held], np.bool_)
    return SetOn.of(
        [sample for sample in fit if sample.id.startswith(below)],
        [sample for sample in held if sample.id.startswith(below)],
        scores[kept] if known else None,
    )


def explain(promises: Promises, set_on: SetOn, good: Sequence[Sample], good_scores: F64) -> dict[Kind, Check]:
    """The same with their likely causes, and with what flatters them. `good`, `good_scores`: the m good pictures that
    were measured, and their image scores (m,)."""
    met = sum(sample.group in set_on.seen for sample in good)
    evidence = Evidence(set_on.scores, good_scores, set_on.siblings, set_on.groups)
    return {
        kind: check.flattered_by(met).model_copy(update={"causes": likely_causes(check, evidence)})
        for kind, check in promises.items()
    }


def told(promises: Promises) -> dict[str, dict[str, object]]:
    """For JSON: the numbers, and all of it in one sentence."""
    return {
        kind: {
            **check.model_dump(mode="json"),
            "rate": check.measured.rate if check.measured.groups else None,
            "interval": list(check.measured.interval) if check.measured.groups else None,
            "says": check.describe(),
        }
        for kind, check in promises.items()
    }
