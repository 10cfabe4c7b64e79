"""Versions of a run's bundle that learn nothing new: the same model with other thresholds, and the way back.

What is in force is never changed where it lies. A version with other thresholds holds the same files as the one that it
was made from, has a reason, and can be taken back as any other.
"""

from dataclasses import dataclass, field, replace
from typing import Literal

from kizu.bundles.manifest import Bundle, BundleManifest
from kizu.bundles.store import load, save_beside
from kizu.core.errors import ConfigError
from kizu.core.files import new_folder, write_json
from kizu.core.locks import StillThere
from kizu.core.provenance import utc_now
from kizu.decision.calibration import CalibrationConfig, PixelMetric, Thresholds
from kizu.runs.contents import ThresholdsFile, ToldThresholds
from kizu.runs.folder import RunFolder
from kizu.runs.scores import LabelledScore, list_labelled, write_labelled
from kizu.runs.versions import (
    FIRST,
    LABELLED,
    Step,
    find_next_version,
    mark_new,
    put_in_force,
    read_history,
    sweep_versions,
    version_folder,
)


@dataclass(frozen=True, slots=True)
class Change:
    """Other thresholds, and what set them: as a bundle's manifest says it."""

    thresholds: Thresholds
    calibration: CalibrationConfig | None
    tuned_for: PixelMetric | None = None
    by_hand: tuple[Literal["image", "pixel"], ...] = ()
    labelled: tuple[LabelledScore, ...] = field(default=(), repr=False)
    """Images of a file that they were chosen on; these are not measured with this run."""

    def of(self, manifest: BundleManifest) -> BundleManifest:
        """The manifest, changed."""
        names = ("thresholds", "calibration", "tuned_for", "by_hand")
        return manifest.model_copy(update={name: getattr(self, name) for name in names})


@dataclass(frozen=True, slots=True)
class ThresholdsSet:
    """What is in force after it."""

    version: int
    before: Thresholds
    thresholds: Thresholds
    was_there: bool = False
    """These were in force already: nothing was changed."""


def put_thresholds(
    folder: RunFolder, bundle: Bundle, change: Change, reason: str, still_there: StillThere
) -> ThresholdsSet:
    """Make a version with other thresholds, and put it in force. For who holds the run, whose version in force was read
    as `bundle`.

    Where all that would change is in force already, as after a call that was killed late, nothing is made. Raises
    `ConfigError` for an empty reason, `BundleError`, `OutputError`; nothing has changed then.
    """
    if not reason.strip():
        raise ConfigError("other thresholds need a reason", hint="say in a few words why")
    sweep_versions(folder.path)
    before, known = read_history(folder.path).in_force, folder.read_thresholds()
    wanted = change.of(bundle.manifest)
    if wanted == bundle.manifest and change.labelled == tuple(list_labelled(folder.path, before)):
        if before != FIRST:
            write_thresholds(folder, known, bundle, bundle)
        return ThresholdsSet(before, bundle.manifest.thresholds, wanted.thresholds, was_there=True)
    number = find_next_version(folder.path)
    manifest = wanted.model_copy(
        update={
            "version": number,
            "reason": reason,
            "parent": bundle.bundle_sha256,
            "created_at": utc_now(),
        }
    )
    still_there()
    folder.ensure_in_force(bundle)  # where locks do not reach, as on some shares
    place = version_folder(folder.path, number)
    with new_folder(place.parent) as temporary:
        mark_new(temporary)
        if change.labelled:
            write_labelled(temporary / LABELLED, change.labelled)
        digest = save_beside(folder.bundle, bundle, manifest, temporary / place.name)
    step = Step(
        action="thresholds",
        version=number,
        before=before,
        at=manifest.created_at,
        bundle_sha256=digest,
        reason=reason,
    )
    put_in_force(folder.path, step)
    write_thresholds(folder, known, bundle, replace(bundle, manifest=manifest, stored_sha256=digest))
    return ThresholdsSet(number, bundle.manifest.thresholds, manifest.thresholds)


def roll_back(folder: RunFolder, to: int | None = None, *, reason: str | None = None) -> Step:
    """Put an earlier version in force again: `to`, or the one that the present one was made from.

    It is read and checked first. Raises `ConfigError` when there is no such version or it is in force, `BundleError`
    when it is damaged, `OutputError` while another command changes the run.
    """
    with folder.locked():
        sweep_versions(folder.path)
        history = read_history(folder.path)
        target = history.parent(history.in_force) if to is None else to
        if target is None:
            raise ConfigError("version 1 is in force, and there is none before it")
        if target == history.in_force:
            raise ConfigError(f"version {target} is in force already")
        place = version_folder(folder.path, target)
        if not place.is_dir():
            numbers = sorted({1, *(step.version for step in history.steps)})
            raise ConfigError(
                f"there is no version {target}", hint=f"there are {', '.join(map(str, numbers))}"
            )
        bundle, known = load(place), folder.read_thresholds()
        step = Step(
            action="rollback",
            version=target,
            before=history.in_force,
            at=utc_now(),
            bundle_sha256=bundle.bundle_sha256,
            reason=reason,
        )
        put_in_force(folder.path, step)
        if known is not None:
            write_thresholds(folder, known, None, bundle)
    return step


def write_thresholds(
    folder: RunFolder, known: ThresholdsFile | None, before: Bundle | None, now: Bundle
) -> None:
    """`thresholds.json`: those in force, and those that were, the oldest first.

    Those that the file, or the training, tells as in force were, whatever came between: an update set others, or the
    same call put these in force before and was killed. `known`: what it says now; `before`: the bundle that was in
    force, where it is at hand.
    """
    told = (
        ToldThresholds.of(folder.read_meta().thresholds) if known is None else ToldThresholds.of_file(known)
    )
    if known is not None and known.bundle_sha256 == now.bundle_sha256:
        return
    earlier = [*(() if known is None else known.before), told]
    was = told if before is None else ToldThresholds.of(before.manifest.thresholds)
    if was not in (told, ToldThresholds.of(now.manifest.thresholds)):
        earlier.append(was)
    content = ThresholdsFile(
        **dict(ToldThresholds.of(now.manifest.thresholds)),
        bundle_sha256=now.bundle_sha256,
        written_at=utc_now(),
        before=tuple(earlier),
    )
    write_json(folder.thresholds, content.as_json())
