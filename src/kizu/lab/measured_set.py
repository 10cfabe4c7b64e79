"""Which test images a run is measured on: never such as it has learned from, or its thresholds were chosen on.

Images are known by their content, so that neither another folder nor another name makes them strangers.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from kizu.bundles.manifest import Bundle, BundleManifest
from kizu.core.errors import LeakageError
from kizu.core.split import Split
from kizu.core.work import Work
from kizu.data.manifest import Manifest, Sample, read_manifest
from kizu.data.study import read_study
from kizu.lab.held_out import read_sides
from kizu.runs.contents import MeasuredOn
from kizu.runs.folder import RunFolder
from kizu.runs.scores import list_labelled

NAMED = 5
"""So many images are named in an error."""


@dataclass(frozen=True, slots=True)
class MeasuredSet:
    """Test images, and the set that they are of."""

    samples: tuple[Sample, ...]
    data: MeasuredOn
    is_own: bool
    """The test split is that of the run's own data set, wherever it lies now."""


def read_own_manifest(folder: RunFolder, work: Work = Work()) -> Manifest:
    """The manifest of a run, without the test images that thresholds were chosen on, which is told."""
    manifest = read_manifest(folder.manifest)
    cut = _without_chosen(folder, manifest, is_own=True)
    work.note(*_tell_left_out(manifest, cut))
    return cut


def choose_measured(
    folder: RunFolder, bundle: Bundle, given: Manifest | None = None, *, work: Work = Work()
) -> MeasuredSet:
    """The test split of `given`, None for the run's own, without the images that thresholds were chosen on: these are
    told by name.

    `bundle`: what was read from `folder` and will be measured. Raises `LeakageError` naming test images that it was
    fitted or calibrated on, `DataError` when the run's own set is no longer what the study split was drawn on.
    """
    own = read_manifest(folder.manifest)
    whole = own if given is None else given.with_hashes(work)
    refuse_known(folder, bundle, whole)
    cut = _without_chosen(folder, whole, is_own=given is None)
    work.note(*_tell_left_out(whole, cut))
    data = MeasuredOn(
        dataset=whole.dataset,
        category=whole.category,
        manifest_sha256=whole.content_hash(),
        left_out=len(_left_out(whole, cut)),
        left_out_ids=_left_out(whole, cut),
    )
    return MeasuredSet(cut.test(), data, _test_content(whole) == _test_content(own))


def refuse_known(folder: RunFolder, bundle: Bundle, manifest: Manifest) -> None:
    """Raise `LeakageError` naming the test images of a hashed manifest that `bundle` was fitted or calibrated on."""
    known = read_known_content(folder, bundle.manifest)
    met = [sample.id for sample in manifest.test() if sample.sha256 is not None and sample.sha256 in known]
    if met:
        raise LeakageError(
            f"{folder.path} was fitted or calibrated on {len(met)} test image(s) of"
            f" {manifest.dataset}/{manifest.category}: {tell_names(met)}",
            hint="measure on images that the run has never seen",
        )


def read_known_content(folder: RunFolder, bundle: BundleManifest) -> frozenset[str]:
    """The hashes of the images that a version of the run was fitted on, or its thresholds were set on."""
    fit, held = read_sides(folder, bundle.version)
    known = {sample.sha256 for sample in (*fit, *held)}
    if Split.VALIDATION in (bundle.thresholds.image.split, bundle.thresholds.pixel.split):
        known |= {sample.sha256 for sample in read_manifest(folder.manifest).validation()}
    return frozenset(sha256 for sha256 in known if sha256 is not None)


def tell_names(names: Sequence[str]) -> str:
    """The first few of them, and how many more."""
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")


def _without_chosen(folder: RunFolder, manifest: Manifest, *, is_own: bool) -> Manifest:
    """The images that thresholds were chosen on are validation: those of `study.json`, and those of files with labelled
    scores, in whatever version."""
    cut = manifest
    if folder.study.exists():
        study = read_study(folder.study)
        cut = study.apply(manifest) if is_own else study.without_chosen(manifest)
    chosen = {row.sha256 for row in list_labelled(folder.path)} - {None}
    if not chosen:
        return cut
    samples = (
        replace(s, split=Split.VALIDATION) if s.split is Split.TEST and s.sha256 in chosen else s
        for s in cut.samples
    )
    return replace(cut, samples=tuple(samples))


def _left_out(whole: Manifest, cut: Manifest) -> tuple[str, ...]:
    kept = {sample.id for sample in cut.test()}
    return tuple(sample.id for sample in whole.test() if sample.id not in kept)


def _tell_left_out(whole: Manifest, cut: Manifest) -> list[str]:
    names = _left_out(whole, cut)
    if not names:
        return []
    return [
        f"{len(names)} of {len(whole.test())} test images are left out, for thresholds of this run were chosen on them:"
        f" {tell_names(names)}"
    ]


def _test_content(manifest: Manifest) -> Counter[tuple[str | None, ...]]:
    return Counter((s.sha256, s.mask_sha256, s.label, s.defect) for s in manifest.test())
