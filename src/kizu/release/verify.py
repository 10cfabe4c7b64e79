"""The proof that exported files decide as their run does. `<run_dir>/consistency.json`: what was found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path

from kizu.bundles.manifest import Bundle
from kizu.bundles.sealed import seal
from kizu.core.files import scratch_folder, write_bytes, write_stored
from kizu.core.provenance import package_versions, utc_now
from kizu.core.types import Scorer
from kizu.core.work import Work
from kizu.data.manifest import Sample
from kizu.imaging.tiling import as_seen
from kizu.lab.held_out import read_sides
from kizu.lab.measured_set import read_own_manifest
from kizu.pipeline.export import build_model
from kizu.pipeline.opened import open_pipeline
from kizu.release.check_pictures import CHECK, compare_check_pictures
from kizu.release.parity import Agreement, OfPictures, Tolerances, compare_scorers
from kizu.runs.contents import ConsistencyFile
from kizu.runs.folder import RunFolder
from kizu.runtimes.model import SUFFIXES, ModelFile, read_model

DRAWN = "not exported (drawn for this check)"


def verify_run(
    folder: RunFolder,
    *,
    models: Sequence[Path] = (),
    images: int | None = None,
    random_images: int = 0,
    tolerances: Tolerances = Tolerances(),
    signed_by: Path | None = None,
    work: Work = Work(),
) -> list[Agreement]:
    """The run in Python beside `models`, else every file in its export folder, in each runtime that is installed.

    On the run's test images (the first `images` of every kind, in turn), else on the good ones it held out. Where the
    run was not exported, its graph is drawn for the occasion. A file of another bundle, or that says otherwise than
    the bundle, is not compared and does not pass. Writes `consistency.json`. `signed_by`: the public key that must
    have signed them. Raises `BundleError` for a broken file.
    """
    bundle = folder.open_bundle()
    samples = _real_images(folder, images)
    with scratch_folder() as scratch:
        files = _read_files(list(models) or _list_exported(folder), signed_by)
        if not files:
            drawn = Path(scratch, "model.onnx")
            write_bytes(drawn, seal(build_model(bundle, bundle.bundle_sha256)))
            files = {DRAWN: read_model(drawn)}
        refused = {name: why for name, model in files.items() if (why := _not_of(model, bundle, folder))}
        of_it = {name: model for name, model in files.items() if name not in refused}
        others, by_decisions = _open_in_every_runtime(of_it, work)
        found = compare_scorers(
            open_pipeline(bundle, work.with_runtime("onnxruntime")),
            others,
            samples,
            bundle.manifest.placement,
            bundle.manifest.thresholds,
            by_decisions=by_decisions,
            random_images=random_images,
            work=work,
        )
        for name, model in of_it.items():
            if model.path.suffix == ".onnx" and (model.path.parent / CHECK).is_dir():
                found.append(compare_check_pictures(name, model, bundle, work))
    found += [Agreement(name, refused=why) for name, why in refused.items()]
    for agreement in found:
        agreement.signed = _told_signature(files, agreement.name)
    with folder.writing():
        write_stored(
            folder.consistency,
            ConsistencyFile(
                bundle_sha256=bundle.bundle_sha256,
                images=len(samples),
                random_images=random_images,
                tolerances=asdict(tolerances),
                agrees=not any(agreement.failures(tolerances) for agreement in found),
                compared=tuple(agreement.as_json(tolerances) for agreement in found),
                versions=package_versions(),
                created_at=utc_now(),
            ),
        )
    return found


def scorer_of(model: ModelFile, work: Work) -> Scorer | OfPictures:
    """An exported file as `compare_scorers` takes it."""
    scorer = model.scorer(work)
    if model.picture_hw is not None:
        return OfPictures(scorer, model.picture_hw)
    return as_seen(scorer, model.manifest.placement)


def _read_files(paths: Sequence[Path], signed_by: Path | None) -> dict[str, ModelFile]:
    """By name; two of one name by their paths."""
    names = [path.name for path in paths]
    return {
        path.name if names.count(path.name) == 1 else str(path): read_model(path, signed_by=signed_by)
        for path in paths
    }


def _not_of(model: ModelFile, bundle: Bundle, folder: RunFolder) -> str:
    """Why a file is not one of this bundle; empty: it is."""
    if model.bundle_sha256 != bundle.bundle_sha256:
        version = f" (version {model.manifest.version}, in force is {bundle.manifest.version})"
        known = version if model.manifest.version != bundle.manifest.version else ""
        return f"stale: made from another bundle than {folder.path} has now{known}; run kizu export again"
    if model.manifest != bundle.manifest:
        return (
            f"its manifest was changed: {folder.path} has other thresholds or settings; run kizu export again"
        )
    return ""


def _open_in_every_runtime(
    models: dict[str, ModelFile], work: Work
) -> tuple[dict[str, Scorer | OfPictures], set[str]]:
    """The models by file and runtime, and the names of those that are judged by decisions only."""
    runtimes = [work.with_runtime("onnxruntime")]
    if find_spec("openvino"):
        runtimes.append(work.with_runtime("openvino"))
    scorers: dict[str, Scorer | OfPictures] = {}
    by_decisions = set()
    for file, model in models.items():
        for here in runtimes:
            if model.path.suffix == ".onnx" or here.runtime == "openvino":
                name = f"{file}, {here.runtime}"
                scorers[name] = scorer_of(model, here)
                if model.precision != "f32":
                    by_decisions.add(name)
    return scorers, by_decisions


def _real_images(folder: RunFolder, most: int | None) -> list[Sample]:
    samples = list(read_own_manifest(folder).test()) or read_sides(folder)[1]
    if most is None or most >= len(samples):
        return samples
    by_kind: dict[str, list[Sample]] = {}
    for sample in samples:
        by_kind.setdefault(sample.defect, []).append(sample)
    turns = (kind[turn] for turn in range(len(samples)) for kind in by_kind.values() if turn < len(kind))
    return [sample for sample, _ in zip(turns, range(most), strict=False)]


def _list_exported(folder: RunFolder) -> list[Path]:
    """Every model that lies in the export folder, whichever bundle it was made from."""
    return sorted(path for path in (folder.path / "export").glob("*") if path.suffix in SUFFIXES)


def _told_signature(files: dict[str, ModelFile], name: str) -> str:
    model = files[name if name in files else name.rsplit(", ", 1)[0]]
    if model.signed_by is None:
        return "no"
    return (
        f"by {model.signed_by[:16]}" if find_spec("cryptography") else "not checked: pip install 'kizu[sign]'"
    )
