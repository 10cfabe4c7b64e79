"""A bundle on disk: one folder, every file hashed, written under a temporary name and renamed, never a pickle.

bundle.json          the manifest, the hash of every other file, and the hash of all that
graph.onnx           image -> embedding
arrays/<name>.npy    what the detector learned
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from kizu.bundles.manifest import FORMAT, Bundle, BundleManifest
from kizu.core.errors import BundleError, ConfigError
from kizu.core.files import new_folder, read_json, write_json
from kizu.core.hashing import hash_file, hash_value
from kizu.decision.calibration import CalibrationConfig, PixelMetric, Thresholds

INDEX = "bundle.json"
GRAPH = "graph.onnx"
ARRAYS = "arrays"


def save(bundle: Bundle, folder: Path) -> str:
    """Write `bundle` as `folder`, whole or not at all, and return its hash.

    Raises `OutputError` when `folder` exists or cannot be written.
    """
    with new_folder(folder) as temporary:
        return _write(bundle, temporary)


def load(folder: Path) -> Bundle:
    """Read and verify the bundle at `folder`.

    Raises `BundleError` naming the file that is missing, changed or of another format.
    """
    index = _read_index(folder)
    for name, expected in index["files"].items():
        path = folder / name
        if not path.is_file():
            raise BundleError(
                f"{path} is missing from its bundle", hint="copy the whole folder again, or train anew"
            )
        if hash_file(path) != expected:
            raise BundleError(
                f"{path} has changed since its bundle was written",
                hint="copy the whole folder again, or train anew",
            )
    try:
        manifest = BundleManifest.parse(index["manifest"], where=str(folder / INDEX))
    except ConfigError as error:
        raise BundleError(
            error.message, hint="it was written by another version of kizu: train anew"
        ) from error
    arrays = {
        Path(name).stem: np.load(folder / name, allow_pickle=False)
        for name in index["files"]
        if name.startswith(f"{ARRAYS}/")
    }
    return Bundle(
        manifest=manifest,
        graph=(folder / GRAPH).read_bytes(),
        arrays=arrays,
        stored_sha256=str(index["sha256"]),
    )


def read_hash(folder: Path) -> str:
    """The hash of the bundle at `folder`, as its index says, without reading the rest. Raises `BundleError`."""
    return str(_read_index(folder)["sha256"])


def set_thresholds(
    folder: Path,
    bundle: Bundle,
    thresholds: Thresholds,
    *,
    calibration: CalibrationConfig | None,
    tuned_for: PixelMetric | None = None,
) -> Bundle:
    """Give the bundle at `folder`, which was read as `bundle`, other thresholds in one step, and say by which rules.

    It has another hash then. Raises `BundleError` when it is no longer the one that was read, `OutputError` when it
    cannot be written.
    """
    index = _read_index(folder)
    if index["sha256"] != bundle.stored_sha256:
        raise BundleError(f"{folder} has changed since it was read", hint="run the same command again")
    changes = {"thresholds": thresholds, "calibration": calibration, "tuned_for": tuned_for}
    manifest = bundle.manifest.model_copy(update=changes)
    body = {"manifest": manifest.model_dump(mode="json"), "files": index["files"]}
    digest = hash_value(body)
    write_json(folder / INDEX, {**body, "sha256": digest})
    return replace(bundle, manifest=manifest, stored_sha256=digest)


def _write(bundle: Bundle, folder: Path) -> str:
    (folder / ARRAYS).mkdir()
    (folder / GRAPH).write_bytes(bundle.graph)
    for name, array in bundle.arrays.items():
        np.save(folder / ARRAYS / f"{name}.npy", array, allow_pickle=False)
    files = {
        path.relative_to(folder).as_posix(): hash_file(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    body = {"manifest": bundle.manifest.model_dump(mode="json"), "files": files}
    digest = hash_value(body)
    write_json(folder / INDEX, {**body, "sha256": digest}, durable=False)
    return digest


def _read_index(folder: Path) -> dict[str, Any]:
    path = folder / INDEX
    if not path.is_file():
        raise BundleError(
            f"{folder} is not a bundle: it has no {INDEX}", hint="give a run folder or its bundle folder"
        )
    index = read_json(path, hint="copy the whole folder again", raises=BundleError)
    try:
        body = {"manifest": index["manifest"], "files": index["files"]}
        intact = hash_value(body) == index["sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise BundleError(f"{path} cannot be read: {error}", hint="copy the whole folder again") from error
    if not intact:
        raise BundleError(
            f"{path} has changed since it was written", hint="copy the whole folder again, or train anew"
        )
    if index["manifest"].get("format") != FORMAT:
        raise BundleError(
            f"{path} has format {index['manifest'].get('format')!r}, this version of kizu reads {FORMAT}",
            hint="train anew",
        )
    return dict(index)
