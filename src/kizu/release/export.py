"""A run's detector as a file for the line.

<run_dir>/export/model.onnx           f32; model-f16.onnx, model-int8.onnx for less
<run_dir>/export/model-1024x1536.onnx the same for whole pictures of that size, resized inside
<run_dir>/export/model.xml, .bin      an OpenVINO IR; model-f16.xml
<run_dir>/export/export_meta.json     what each of them is, and the metadata that an IR cannot hold
<run_dir>/export/check/               pictures with the scores that they must get
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from kizu.bundles.exported import (
    META,
    ExportedFile,
    ExportedGraph,
    ExportMeta,
    read_export_meta,
    write_export_meta,
)
from kizu.bundles.manifest import Bundle, BundleManifest
from kizu.bundles.references import METADATA
from kizu.bundles.sealed import Sign, seal
from kizu.bundles.store import ensure_outside
from kizu.core.errors import ConfigError, OutputError
from kizu.core.files import scratch_folder, write_bytes
from kizu.core.hashing import hash_file
from kizu.core.locks import locked
from kizu.core.provenance import package_versions, utc_now
from kizu.core.types import HW, U8
from kizu.core.work import Work
from kizu.data.batches import stream
from kizu.imaging.tiling import cut
from kizu.lab.held_out import read_sides
from kizu.lab.measured_set import read_own_manifest
from kizu.pipeline.export import MAX_CONSTANTS_MB, build_model
from kizu.pipeline.opened import open_pipeline
from kizu.pipeline.resize import take_pictures
from kizu.release.check_pictures import write_check_pictures
from kizu.release.parity import Agreement, compare_scorers
from kizu.release.verify import scorer_of
from kizu.runs.folder import RunFolder, open_run
from kizu.runtimes.convert import save_ir, to_half, to_int8
from kizu.runtimes.model import read_model

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
    picture_hw: HW | None = None,
    output_dir: Path | None = None,
    max_constants_mb: float = MAX_CONSTANTS_MB,
    sign: Sign | None = None,
    work: Work = Work(),
) -> Exported:
    """Write the run's detector as one graph. Less than f32 is kept only where decisions and masks hold.

    It is compared on the run's held-out good images and its test images: what they are labelled does not matter here.
    `picture_hw`: it takes whole pictures of this size, and resizes them itself. Raises `ConfigError` where what was
    learned is too large, where decisions do not hold, for int8 in an IR, and for pictures that cannot be resized
    inside; `MissingExtraError` without OpenVINO; `OutputError` for a place inside a bundle.
    """
    if to == "openvino" and precision == "int8":
        raise ConfigError("int8 is written as ONNX only", hint="OpenVINO opens that file as well")
    place = output_dir or folder.path / "export"
    ensure_outside(place)
    bundle = folder.open_bundle()
    digest = bundle.bundle_sha256
    model = build_model(bundle, digest, max_constants_mb=max_constants_mb)
    references = folder.read_references()
    if references is not None:
        model.metadata_props.add(key=METADATA, value=references.to_json())
    if precision == "int8":
        model = to_int8(model, _good_images(folder, bundle.manifest))
    elif precision == "f16" and to == "onnx":
        model = to_half(model)
    if picture_hw is not None:
        model = take_pictures(model, picture_hw, bundle.manifest.placement)
    name = _name(to, precision, picture_hw)
    agreement = None
    with scratch_folder() as scratch:
        made = Path(scratch, name)
        if to == "openvino":
            save_ir(model, made, half=precision == "f16")
        else:
            made.write_bytes(seal(model, sign))
        meta = _meta(made, model, bundle, precision, sign if to == "openvino" else None)
        write_export_meta(Path(scratch, META), meta)
        read_model(made)  # what would be refused on the line is not written
        if precision != "f32":
            agreement = _same_decisions(folder, bundle, made, name, work)
        if output_dir is None:
            open_run(folder.path)  # one that was removed meanwhile is not made anew around the export
        with locked(place):
            _keep(made, place)
            _write_meta(place, meta)
            write_check_pictures(place, bundle, picture_hw, work)
    return Exported(place / name, agreement)


def _name(to: Format, precision: Precision, picture_hw: HW | None) -> str:
    parts = ["model"]
    if precision != "f32":
        parts.append(precision)
    if picture_hw is not None:
        parts.append(f"{picture_hw[0]}x{picture_hw[1]}")
    return "-".join(parts) + (".onnx" if to == "onnx" else ".xml")


def _good_images(folder: RunFolder, manifest: BundleManifest) -> Iterator[U8]:
    fit, _ = read_sides(folder)
    for batch in stream(fit[:RANGE_IMAGES], manifest.placement, batch_size=1):
        yield from (tile[None] for tile in cut(batch.images, manifest.placement))


def _same_decisions(folder: RunFolder, bundle: Bundle, path: Path, name: str, work: Work) -> Agreement:
    """Raises `ConfigError` where decisions flip away from the threshold, masks differ or a score is lost."""
    here = work.with_runtime("openvino" if path.suffix == ".xml" else "onnxruntime")
    samples = [*read_sides(folder)[1], *read_own_manifest(folder).test()]
    (agreement,) = compare_scorers(
        open_pipeline(bundle, work.with_runtime("onnxruntime")),
        {name: scorer_of(read_model(path), here)},
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
    path: Path, model: onnx.ModelProto, bundle: Bundle, precision: Precision, sign: Sign | None
) -> ExportMeta:
    """What is told of one graph; `sign`: of an IR, whose signature it holds."""
    files = [file for file in (path, path.with_suffix(".bin")) if file.exists()]
    metadata = {prop.key: prop.value for prop in model.metadata_props}
    graph = ExportedGraph(
        precision=precision,
        files={file.name: ExportedFile(sha256=hash_file(file), bytes=file.stat().st_size) for file in files},
        opset=next(o.version for o in model.opset_import if o.domain in ("", "ai.onnx")),
        inputs={port.name: _sides(port) for port in model.graph.input},
        outputs={port.name: _sides(port) for port in model.graph.output},
        created_at=utc_now(),
        metadata=metadata,
    )
    meta = ExportMeta(
        bundle_sha256=bundle.bundle_sha256,
        models={path.name: graph},
        thresholds=bundle.manifest.thresholds,
        metadata=metadata,
        versions=package_versions(),
    )
    if sign is None:
        return meta
    signed = graph.model_copy(update={"signature": sign(meta.content_sha256(path.name))})
    return meta.model_copy(update={"models": {path.name: signed}})


def _write_meta(place: Path, meta: ExportMeta) -> None:
    """`export_meta.json`: this model beside those that were exported from the same bundle before."""
    path = place / META
    before = read_export_meta(path) if path.exists() else None
    if before is not None and before.bundle_sha256 == meta.bundle_sha256:
        meta = meta.model_copy(update={"models": before.models | meta.models})
    write_export_meta(path, meta)


def _sides(port: Any) -> tuple[int | str, ...]:
    return tuple(side.dim_param or side.dim_value for side in port.type.tensor_type.shape.dim)
