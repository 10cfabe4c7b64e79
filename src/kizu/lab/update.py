"""More good images for a finished run: a new version of its bundle.

New images go to the fit side only. Thresholds are set anew by the rules in force, on the images that these were applied
to: good ones that the run held out, or labelled ones. No version has learned them, so a promise is what it was, for
parts like those.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from kizu.bundles.manifest import Bundle, BundleManifest
from kizu.bundles.store import load, save
from kizu.core.errors import ConfigError, DataError
from kizu.core.files import new_folder, write_stored
from kizu.core.locks import StillThere
from kizu.core.provenance import package_versions, utc_now
from kizu.core.split import Split
from kizu.core.work import Work
from kizu.data.batches import LeftOut, stream
from kizu.data.listing import list_good_images
from kizu.data.manifest import Manifest, Sample, hash_image, read_manifest
from kizu.data.passed import Passed
from kizu.decision.calibration import LABELLED_RULES, Thresholds
from kizu.lab.held_out import SetOf, list_added, read_set, set_held_out_thresholds
from kizu.lab.labelled import Chosen, choose_labelled, choose_thresholds
from kizu.lab.rules import Rules, read_rules
from kizu.pipeline.opened import Pipeline, PlacedImages, open_pipeline
from kizu.runs.folder import RunFolder
from kizu.runs.versions import (
    ADDED,
    Step,
    find_next_version,
    mark_new,
    put_in_force,
    read_history,
    sweep_versions,
    version_folder,
)


@dataclass(frozen=True, slots=True)
class Updated:
    """A new version, in force."""

    version: int
    added: tuple[str, ...]
    """Ids of the images that were learned: paths below the folder."""
    skipped: Mapping[str, str]
    """Why each of the others was not, by id."""
    before: Thresholds
    thresholds: Thresholds
    was_there: bool = False
    """The same call had made it before."""


def update_run(
    folder: RunFolder,
    images: Path,
    *,
    reason: str,
    skip_broken: bool = False,
    work: Work = Work(),
) -> Updated:
    """Learn the good images in `images` beside what the version in force knows, and put the result in force.

    Images that the run knows by their content are left out: learned already, or held out to calibrate or to measure.
    Thresholds are set anew by the rules that the bundle in force says. The version that the same call, which may have
    been killed at any moment, has made and put in force before is returned as it is.
    Raises `ConfigError` for a method or settings that cannot be updated and for an empty reason, `DataError` when no
    new image is left or one that sets thresholds has changed, `CalibrationError` when the run held none out or nothing
    tells the rules, `ImageError` for a broken image unless `skip_broken`, `OutputError` while another command changes
    the run. Nothing has changed then.
    """
    if not reason.strip():
        raise ConfigError("an update needs a reason", hint="say in a few words why these images are good")
    with folder.locked() as still_there:
        sweep_versions(folder.path)
        return _update(folder, images.resolve(), reason, skip_broken, work, still_there)


def _update(
    folder: RunFolder, images: Path, reason: str, skip_broken: bool, work: Work, still_there: StillThere
) -> Updated:
    bundle, parent = folder.open_bundle().for_category(None), read_history(folder.path).in_force
    pipeline = open_pipeline(bundle, work)
    _ = pipeline.updatable  # refused before anything is read
    setting = _Setting.of(folder, bundle)
    passed = Passed()
    found = Manifest("added", "", images, list_good_images(images, passed)).with_hashes(work).samples
    work.note(*passed.notes())
    new, skipped = _sort_out_known(folder, found)
    if not new:
        known = _made_before(folder, bundle, reason, found)
        if known is None:
            why = "; ".join(sorted(set(skipped.values())))
            raise DataError(f"no image in {images} is new to this run", hint=why)
        return known
    left_out = LeftOut()
    batches = stream(
        new, bundle.manifest.placement, on_broken=left_out if skip_broken else None, refuse_flat=True
    )
    updated = pipeline.updated(PlacedImages(len(new), (batch.images for batch in batches)), work)
    broken = {sample.id: f"cannot be read ({reason})" for sample, reason in left_out.reasons.items()}
    learned = tuple(sample for sample in new if sample.id not in broken)
    if not learned:
        why = "; ".join(sorted(set(broken.values())))
        raise DataError(f"none of the {len(new)} new images in {images} can be read", hint=why)
    thresholds, chosen = setting.thresholds(updated, bundle.manifest, work)
    manifest = _described(bundle, setting, thresholds, len(learned)).model_copy(
        update={"version": find_next_version(folder.path), "reason": reason}
    )
    added = Manifest("added", manifest.category, images, learned)
    still_there()
    folder.ensure_in_force(bundle)  # where locks do not reach, as on some shares
    digest = _write(folder, Bundle(manifest, bundle.graph, updated.fitted.state()), added)
    step = Step(
        action="update",
        version=manifest.version,
        before=parent,
        at=manifest.created_at,
        bundle_sha256=digest,
        reason=reason,
        images_added=len(learned),
    )
    put_in_force(folder.path, step)
    if chosen is not None:
        write_stored(folder.probability, chosen.probability(manifest.version))
    return Updated(
        manifest.version,
        tuple(sample.id for sample in learned),
        {**skipped, **broken},
        bundle.manifest.thresholds,
        thresholds,
    )


def _made_before(folder: RunFolder, bundle: Bundle, reason: str, found: Sequence[Sample]) -> Updated | None:
    """The update that put the version in force there, where it was this very one: that was killed after it."""
    history = read_history(folder.path)
    if not history.steps:
        return None
    step = history.steps[-1]
    if (step.action, step.reason, step.bundle_sha256) != ("update", reason, bundle.stored_sha256):
        return None
    added = read_manifest(version_folder(folder.path, step.version).with_name(ADDED)).samples
    if not {sample.sha256 for sample in added} <= {sample.sha256 for sample in found}:
        return None
    return Updated(
        version=step.version,
        added=tuple(sample.id for sample in added),
        skipped={},
        before=load(version_folder(folder.path, step.before)).manifest.thresholds,
        thresholds=bundle.manifest.thresholds,
        was_there=True,
    )


@dataclass(frozen=True, slots=True)
class _Setting:
    """What sets the thresholds of a new version: the rules in force, on the images that they were applied to."""

    rules: Rules
    held: SetOf
    labelled: list[Sample]
    """Where the rules want labelled images."""

    @classmethod
    def of(cls, folder: RunFolder, bundle: Bundle) -> Self:
        """All images are as they were when the run was trained, or this raises."""
        rules = read_rules(folder, bundle)
        held = read_set(folder)
        labelled: list[Sample] = []
        if rules.tuned_for is not None:
            labelled = choose_labelled(folder, seed=bundle.manifest.seed, may_draw=False)
        elif rules.calibration.rule in LABELLED_RULES:
            labelled = list(read_manifest(folder.manifest).validation())
        _ensure_as_they_were([*held.samples, *labelled])
        return cls(rules, held, labelled)

    def thresholds(
        self, scorer: Pipeline, manifest: BundleManifest, work: Work
    ) -> tuple[Thresholds, Chosen | None]:
        """For `scorer`, and where they were chosen on labelled images, what these say beside."""

        def on_good() -> Thresholds:
            rules = self.rules.calibration
            return set_held_out_thresholds(
                scorer, self.held, manifest, rules, validation=self.labelled, work=work
            )

        if self.rules.tuned_for is None:
            return on_good(), None
        chosen = choose_thresholds(
            scorer,
            self.labelled,
            manifest.placement,
            self.rules.tuned_for,
            held=self.held,
            otherwise=on_good,
            work=work,
        )
        return chosen.thresholds, chosen


def _described(bundle: Bundle, setting: _Setting, thresholds: Thresholds, learned: int) -> BundleManifest:
    """The manifest of a bundle that was updated."""
    fitted_on = bundle.manifest.fitted_on
    counts = {"fit_count": fitted_on.fit_count + learned, "calibration_count": len(setting.held.samples)}
    return bundle.manifest.model_copy(
        update={
            "created_at": utc_now(),
            "thresholds": thresholds,
            "calibration": setting.rules.calibration,
            "tuned_for": setting.rules.tuned_for,
            "fitted_on": fitted_on.model_copy(update=counts),
            "versions": package_versions(),
            "parent": bundle.bundle_sha256,
        }
    )


def _ensure_as_they_were(samples: Sequence[Sample]) -> None:
    for sample in samples:
        if not sample.path.is_file():
            raise DataError(
                f"{sample.path}, which sets the thresholds, is gone",
                hint="put the data set back where it was",
            )
        if sample.sha256 is not None and hash_image(sample.path) != sample.sha256:
            raise DataError(
                f"{sample.path}, which sets the thresholds, has changed since the run was trained",
                hint="put the old file back, or train anew",
            )


def _sort_out_known(folder: RunFolder, found: Sequence[Sample]) -> tuple[tuple[Sample, ...], dict[str, str]]:
    """Those that the run does not know, each content once; and why the others are left out."""
    meta = folder.read_meta()
    roles = dict.fromkeys(meta.fit, "it is learned already")
    if not meta.left_out:
        roles |= dict.fromkeys(meta.calibration, "it is held out to set the thresholds")
    known: dict[str | None, str] = {}
    for sample in read_manifest(folder.manifest).samples:
        known[sample.sha256] = roles.get(sample.id, f"it is in the run's data set, split {sample.split}")
    known |= {sample.sha256: "it is learned already" for sample in list_added(folder)}
    known.pop(None, None)
    new: list[Sample] = []
    skipped: dict[str, str] = {}
    for sample in found:
        if sample.sha256 in known:
            skipped[sample.id] = known[sample.sha256]
            continue
        known[sample.sha256] = f"it is a copy of {sample.id}"
        new.append(replace(sample, split=Split.TRAIN))
    return tuple(new), skipped


def _write(folder: RunFolder, bundle: Bundle, added: Manifest) -> str:
    """The whole version or nothing, and its bundle's hash."""
    place = version_folder(folder.path, bundle.manifest.version).parent
    with new_folder(place) as temporary:
        mark_new(temporary)
        added.write(temporary / ADDED)
        return save(bundle, temporary / "bundle")
