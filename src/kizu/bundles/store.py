"""A bundle on disk: one folder, every file hashed, written under a temporary name and renamed, never a pickle.

bundle.json          the manifest, the hash of every other file, and the hash of all that
graph.onnx           image -> embedding
arrays/<name>.npy    what the detector learned
"""

import os
import re
import shutil
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kizu.bundles.manifest import FORMAT, Bundle, BundleManifest
from kizu.core.errors import BundleError, ConfigError, OutputError
from kizu.core.files import new_folder, read_json, write_json
from kizu.core.hashing import hash_file, hash_value
from kizu.core.registry import did_you_mean

INDEX = "bundle.json"
GRAPH = "graph.onnx"
ARRAYS = "arrays"
_ARRAY = re.compile(rf"{ARRAYS}/\w[\w.-]*\.npy", re.ASCII)
_WRITTEN_BEFORE = ("inspections",)
"""What earlier versions wrote into a bundle that was given as a run. It is not read."""
_AGAIN = "copy the whole folder again, or train anew"


def save(bundle: Bundle, folder: Path | str) -> str:
    """Write `bundle` as `folder`, whole or not at all, and return its hash.

    Raises `OutputError` when `folder` exists or cannot be written.
    """
    with new_folder(Path(folder)) as temporary:
        return _write(bundle, temporary)


def load(folder: Path | str) -> Bundle:
    """Read and verify the bundle at `folder`.

    Raises `BundleError` naming the file that is missing, changed, unknown, unreadable or of another format.
    """
    folder = Path(folder)
    index = _read_index(folder)
    _ensure_exact(folder, index["files"])
    for name, expected in index["files"].items():
        path = folder / name
        if not path.is_file():
            raise BundleError(f"{path} is missing from its bundle", hint=_AGAIN)
        if _hash(path) != expected:
            raise BundleError(f"{path} has changed since its bundle was written", hint=_AGAIN)
    return Bundle(
        manifest=_parse_manifest(folder, index),
        graph=_read_bytes(folder / GRAPH),
        arrays={_array(name): _read_array(folder / name) for name in index["files"] if name != GRAPH},
        stored_sha256=str(index["sha256"]),
    )


def read_hash(folder: Path) -> str:
    """The hash of the bundle at `folder`, as its index says, without reading the rest. Raises `BundleError`."""
    return str(_read_index(folder)["sha256"])


def read_bundle_manifest(folder: Path) -> BundleManifest:
    """What the bundle at `folder` says of itself, without reading or checking the rest. Raises `BundleError`."""
    return _parse_manifest(folder, _read_index(folder))


def ensure_outside(path: Path) -> None:
    """Raises `OutputError` where `path` is a bundle or lies in one: what is in a bundle is all hashed."""
    whole = path.resolve()
    for folder in (whole, *whole.parents):
        if is_bundle(folder):
            raise OutputError(
                f"{path} is inside the bundle {folder}, which nothing else may be written to",
                hint=f"choose a place beside it, such as {folder.parent / (path.name or 'out')}",
            )


def is_bundle(folder: Path) -> bool:
    """Whether a bundle lies there, whole or not."""
    return (folder / INDEX).is_file()


def save_beside(folder: Path, bundle: Bundle, manifest: BundleManifest, place: Path) -> str:
    """Write as `place` what the bundle at `folder`, which was read as `bundle`, holds, under another manifest; whole or
    not at all. Its hash is returned.

    Files of a bundle are never changed where they lie, so that both may have the same ones (hard links): another
    threshold costs a few kilobytes. Where the file system has no links, or the user no right to them, they are copied.
    Raises `BundleError` when it is no longer the one that was read, `OutputError` when `place` cannot be written.
    """
    index = _read_index(folder)
    if index["sha256"] != bundle.stored_sha256:
        raise BundleError(f"{folder} has changed since it was read", hint="run the same command again")
    body = {"manifest": manifest.model_dump(mode="json"), "files": index["files"]}
    digest = hash_value(body)
    with new_folder(place) as temporary:
        (temporary / ARRAYS).mkdir()
        for name, expected in index["files"].items():
            if not _link_or_copy(folder / name, temporary / name) and _hash(temporary / name) != expected:
                raise BundleError(f"{folder / name} has changed since it was read", hint=_AGAIN)
        write_json(temporary / INDEX, {**body, "sha256": digest}, durable=False)
    return digest


def read_fit_hash(folder: Path) -> str:
    """The hash of what makes scores, graph and arrays, whatever the thresholds. Raises `BundleError`."""
    return hash_value(_read_index(folder)["files"])


def _link_or_copy(source: Path, target: Path) -> bool:
    """Whether it is a link. One that could not be synced, as it may not be written, is a copy."""
    if os.access(source, os.W_OK):
        try:
            target.hardlink_to(source)
            return True
        except OSError:
            pass  # none on this file system, or too many, or another's file
    shutil.copyfile(source, target)
    return False


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
            f"{folder} is not a bundle: it has no {INDEX}",
            hint=did_you_mean(folder, "give a run folder or its bundle folder"),
        )
    index = read_json(path, hint="copy the whole folder again", raises=BundleError)
    try:
        body = {"manifest": index["manifest"], "files": index["files"]}
        intact = hash_value(body) == index["sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise BundleError(f"{path} cannot be read: {error}", hint="copy the whole folder again") from error
    if not intact:
        raise BundleError(f"{path} has changed since it was written", hint=_AGAIN)
    if not isinstance(index["manifest"], dict) or not isinstance(index["files"], dict):
        raise BundleError(f"{path} holds no manifest or no list of files", hint=_AGAIN)
    if index["manifest"].get("format") != FORMAT:
        raise BundleError(
            f"{path} has format {index['manifest'].get('format')!r}, this version of kizu reads {FORMAT}",
            hint="train anew",
        )
    return index


def _parse_manifest(folder: Path, index: dict[str, Any]) -> BundleManifest:
    try:
        return BundleManifest.parse(index["manifest"], where=str(folder / INDEX))
    except ConfigError as error:
        raise BundleError(
            error.message, hint="it was written by another version of kizu: train anew"
        ) from error


def _ensure_exact(folder: Path, listed: dict[str, str]) -> None:
    """The graph and arrays by their plain names, each of them listed, and nothing beside them."""
    for name in listed:
        if name != GRAPH and not _ARRAY.fullmatch(name):
            raise BundleError(f"{folder / INDEX} lists {name!r}, which is no file of a bundle", hint=_AGAIN)
    if GRAPH not in listed:
        raise BundleError(f"{folder / INDEX} does not list {GRAPH}", hint=_AGAIN)
    try:
        inside = [*folder.iterdir(), *(folder / ARRAYS).glob("*")]
    except OSError as error:
        raise BundleError(f"cannot read {folder}: {error.strerror}", hint=_AGAIN) from error
    known = {INDEX, ARRAYS, *listed}
    for path in sorted(inside):
        name = path.relative_to(folder).as_posix()
        if name not in known and name not in _WRITTEN_BEFORE and not _is_of_the_system(path.name):
            raise BundleError(f"{path} is in a bundle that does not list it", hint="move it elsewhere")


def _is_of_the_system(name: str) -> bool:
    """What file managers and network shares leave in every folder."""
    return name.startswith(".") or name in ("Thumbs.db", "desktop.ini")


def _array(name: str) -> str:
    return name.removeprefix(f"{ARRAYS}/").removesuffix(".npy")


_NO_ARRAY = (
    OSError, ValueError, EOFError, MemoryError, OverflowError, RecursionError, SyntaxError, TypeError, TokenError,
)  # fmt: skip
"""What NumPy raises over a file that is no array: it reads a header as Python."""


def _read_array(path: Path) -> NDArray[Any]:
    try:
        with path.open("rb") as stream:
            array: NDArray[Any] = np.lib.format.read_array(stream, allow_pickle=False)
    except _NO_ARRAY as error:
        raise BundleError(f"{path} is not an array that can be read: {error}", hint=_AGAIN) from error
    return array


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BundleError(f"cannot read {path}: {error.strerror}", hint=_AGAIN) from error


def _hash(path: Path) -> str:
    try:
        return hash_file(path)
    except OSError as error:
        raise BundleError(f"cannot read {path}: {error.strerror}", hint=_AGAIN) from error
