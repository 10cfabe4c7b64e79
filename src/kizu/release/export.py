"""A run's detector as a file for the line, and the proof that it decides as the run does.

<run_dir>/export/model.onnx           f32; model-f16.onnx, model-int8.onnx for less
<run_dir>/export/model.xml, .bin      an OpenVINO IR; model-f16.xml
<run_dir>/export/export_meta.json     what each of them is, and the metadata that an IR cannot hold
<run_dir>/consistency.json            what `verify` found
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from kizu.bundles.exported import META, ExportedFile, ExportedGraph, ExportMeta, read_export_meta
from kizu.bundles.manifest import Bundle, BundleManifest
from kizu.core.errors import ConfigError, DataError, OutputError
from kizu.core.files import scratch_folder, write_bytes, write_stored
from kizu.core.hashing import hash_file
from kizu.core.locks import locked
from kizu.core.provenance import package_versions, utc_now
from kizu.core.types import U8, Scorer
from kizu.core.work import Work
from kizu.data.batches import stream
from kizu.data.manifest import Sample
from kizu.imaging.tiling import as_seen, cut
from kizu.lab.held_out import sides
from kizu.lab.measured_set import own_manifest
from kizu.pipeline.export import MAX_CONSTANTS_MB, build_model
from kizu.pipeline.opened import open_pipeline
from kizu.release.parity import Agreement, Tolerances, compare_scorers
from kizu.runs.contents import ConsistencyFile
from kizu.runs.folder import RunFolder, open_run
from kizu.runtimes.convert import save_ir, to_half, to_int8
from kizu.runtimes.model import SUFFIXES, read_model

if TYPE_CHECKING:
    import onnx

Format = Literal["onnx", "openvino"]
Precision = Literal["f32", "f16", "int8"]
RANGE_IMAGES = 64
"""Good images that tell the ranges of 8-bit numbers."""


@dataclass(frozen=True, slots=True)
class Exported:
    """A file that was written."""

    path: Path
    agreement: Agreement | None
    """With the run, for less than f32; the others are `verify`'s."""


def export_run(
    folder: RunFolder,
    *,
    to: Format = "onnx",
    precision: Precision = "f32",
    output_dir: Path | None = None,
    max_constants_mb: float = MAX_CONSTANTS_MB,
    work: Work = Work(),
) -> Exported:
    """Write the run's detector as one graph. Less than f32 is kept only where decisions and masks hold.

    It is compared on the run's held-out good images and its test images: what they are labelled does not matter here.
    Raises `ConfigError` where what was learned is too large, where decisions do not hold, and for int8 in an IR;
    `MissingExtraError` without OpenVINO.
    """
    if to == "openvino" and precision == "int8":
        raise ConfigError("int8 is written as ONNX only", hint="OpenVINO opens that file as well")
    bundle = folder.open_bundle()
    digest = bundle.bundle_sha256
    model = build_model(bundle, digest, max_constants_mb=max_constants_mb)
    if precision == "int8":
        model = to_int8(model, _good_images(folder, bundle.manifest))
    elif precision == "f16" and to == "onnx":
        model = to_half(model)
    place = output_dir or folder.path / "export"
    name = "model" + ("" if precision == "f32" else f"-{precision}") + (".onnx" if to == "onnx" else ".xml")
    agreement = None
    with scratch_folder() as scratch:
        made = Path(scratch, name)
        _write(model, made, half=precision == "f16")
        meta = _meta(made, model, bundle, precision, digest)
        write_stored(Path(scratch, META), meta)
        if precision != "f32":
            agreement = _same_decisions(folder, bundle, made, name, work)
        if output_dir is None:
            open_run(folder.path)  # one that was removed meanwhile is not made anew around the export
        with locked(place):
            _keep(made, place)
            _write_meta(place, meta)
    return Exported(place / name, agreement)


def verify_run(
    folder: RunFolder,
    *,
    models: Sequence[Path] = (),
    images: int | None = None,
    random_images: int = 0,
    tolerances: Tolerances = Tolerances(),
    work: Work = Work(),
) -> list[Agreement]:
    """The run in Python beside its exported graph in every runtime that is installed, and `models` likewise.

    On the run's test images (the first `images` of every kind, in turn), else on the good ones it held out. Where the
    run was not exported, its graph is made for the occasion. Writes `consistency.json`. Raises `DataError` for a model
    of another bundle.
    """
    bundle = folder.open_bundle()
    digest = bundle.bundle_sha256
    samples = _real_images(folder, images)
    with scratch_folder() as scratch:
        paths = list(models) or _list_exported(folder, digest)
        if not paths:
            paths = [Path(scratch, "model.onnx")]
            write_bytes(paths[0], build_model(bundle, digest).SerializeToString())
        others, by_decisions = _open_in_every_runtime(folder, bundle, paths, work)
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
    with folder.writing():
        write_stored(
            folder.consistency,
            ConsistencyFile(
                bundle_sha256=digest,
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


def _open_in_every_runtime(
    folder: RunFolder, bundle: Bundle, paths: Sequence[Path], work: Work
) -> tuple[dict[str, Scorer], set[str]]:
    """The models by file and runtime, and the names of those that are judged by decisions only."""
    runtimes = [work.with_runtime("onnxruntime")]
    if find_spec("openvino"):
        runtimes.append(work.with_runtime("openvino"))
    scorers: dict[str, Scorer] = {}
    by_decisions = set()
    for path in paths:
        model = read_model(path)
        if model.bundle_sha256 != bundle.bundle_sha256:
            raise DataError(
                f"{path} was made from another bundle than {folder.path} has now",
                hint="run kizu export again",
            )
        for here in runtimes:
            if path.suffix == ".onnx" or here.runtime == "openvino":
                name = f"{path.name}, {here.runtime}"
                scorers[name] = as_seen(model.scorer(here), bundle.manifest.placement)
                if model.precision != "f32":
                    by_decisions.add(name)
    return scorers, by_decisions


def _real_images(folder: RunFolder, most: int | None) -> list[Sample]:
    samples = list(own_manifest(folder).test()) or sides(folder)[1]
    if most is None or most >= len(samples):
        return samples
    by_kind: dict[str, list[Sample]] = {}
    for sample in samples:
        by_kind.setdefault(sample.defect, []).append(sample)
    turns = (kind[turn] for turn in range(len(samples)) for kind in by_kind.values() if turn < len(kind))
    return [sample for sample, _ in zip(turns, range(most), strict=False)]


def _good_images(folder: RunFolder, manifest: BundleManifest) -> Iterator[U8]:
    fit, _ = sides(folder)
    for batch in stream(fit[:RANGE_IMAGES], manifest.placement, batch_size=1):
        yield from (tile[None] for tile in cut(batch.images, manifest.placement))


def _same_decisions(folder: RunFolder, bundle: Bundle, path: Path, name: str, work: Work) -> Agreement:
    """Raises `ConfigError` where decisions flip away from the threshold, masks differ or a score is lost."""
    here = work.with_runtime("openvino" if path.suffix == ".xml" else "onnxruntime")
    samples = [*sides(folder)[1], *own_manifest(folder).test()]
    (agreement,) = compare_scorers(
        open_pipeline(bundle, work.with_runtime("onnxruntime")),
        {name: as_seen(read_model(path).scorer(here), bundle.manifest.placement)},
        samples,
        bundle.manifest.placement,
        bundle.manifest.thresholds,
        by_decisions={name},
        work=work,
    )
    failures = agreement.failures()
    if failures:
        far = max(agreement.flips, key=lambda flip: flip.distance, default=None)
        told = "" if far is None else f"; {far.image}: {far.true_score:.5g} becomes {far.score:.5g}"
        raise ConfigError(
            f"{name} does not decide as the run does on {agreement.images} images: {', '.join(failures)}{told}",
            hint="nothing was kept: export as f32",
        )
    return agreement


def _write(model: onnx.ModelProto, path: Path, *, half: bool) -> None:
    if path.suffix == ".xml":
        save_ir(model, path, half=half)
    else:
        path.write_bytes(model.SerializeToString())


def _keep(made: Path, place: Path) -> None:
    """Move the file, and an IR's weights before it, to `place`, each whole."""
    try:
        weights = made.with_suffix(".bin")
        if weights.exists():
            write_bytes(place / weights.name, weights.read_bytes())
        write_bytes(place / made.name, made.read_bytes())
    except OSError as error:
        raise OutputError(f"cannot read {made} back: {error.strerror}") from error


def _meta(
    path: Path, model: onnx.ModelProto, bundle: Bundle, precision: Precision, digest: str
) -> ExportMeta:
    files = [file for file in (path, path.with_suffix(".bin")) if file.exists()]
    graph = ExportedGraph(
        precision=precision,
        files={file.name: ExportedFile(sha256=hash_file(file), bytes=file.stat().st_size) for file in files},
        opset=next(o.version for o in model.opset_import if o.domain in ("", "ai.onnx")),
        inputs={port.name: _sides(port) for port in model.graph.input},
        outputs={port.name: _sides(port) for port in model.graph.output},
        created_at=utc_now(),
    )
    return ExportMeta(
        bundle_sha256=digest,
        models={path.name: graph},
        thresholds=bundle.manifest.thresholds,
        metadata={prop.key: prop.value for prop in model.metadata_props},
        versions=package_versions(),
    )


def _write_meta(place: Path, meta: ExportMeta) -> None:
    """`export_meta.json`: this model beside those that were exported from the same bundle before."""
    path = place / META
    before = read_export_meta(path) if path.exists() else None
    if before is not None and before.bundle_sha256 == meta.bundle_sha256:
        meta = meta.model_copy(update={"models": before.models | meta.models})
    write_stored(path, meta)


def _list_exported(folder: RunFolder, digest: str) -> list[Path]:
    """The files of the last export that are of this bundle."""
    path = folder.path / "export" / META
    if not path.exists():
        return []
    meta = read_export_meta(path)
    if meta.bundle_sha256 != digest:
        return []
    return [path.with_name(name) for name in meta.models if Path(name).suffix in SUFFIXES]


def _sides(port: Any) -> tuple[int | str, ...]:
    return tuple(side.dim_param or side.dim_value for side in port.type.tensor_type.shape.dim)
