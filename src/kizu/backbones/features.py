"""Embeddings kept on disk, so that studies that look at the same images again do not compute them again.

Off unless somebody says how much may be kept (`Work.features_bytes`, KIZU_FEATURES_MB); they lie beside the drawn
graphs. An entry's name is
a hash of all that it depends on: the embedder's graph, the runtime, and the pixels as the network takes them. `kizu
cache` tells how much there is, and removes it.
"""

import io
import logging
import os
import shutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Lock

import numpy as np

from kizu.backbones.cache import cache_root
from kizu.core.errors import OutputError
from kizu.core.files import write_bytes
from kizu.core.hashing import hash_bytes
from kizu.core.types import F32, U8

KEPT_PART = 0.9
"""When there is no more room, the entries that were used longest ago go until this part of the limit is left."""
_DIGEST = 64
"""Characters of the hash after each entry's array."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CacheSize:
    """What is on disk."""

    folder: Path
    entries: int
    bytes: int


class FeatureCache:
    """Embeddings (h, w, D) by key, in one folder, at most `limit_bytes` of them. Safe to share by threads."""

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self._folder = folder
        self._limit = limit_bytes
        self._lock = Lock()
        self._held = sum(size for _, _, size in _entries(folder))

    def key(self, graph_sha256: str, image: U8) -> str:
        """The name of what the graph makes of `image` (H, W, 3)."""
        return hash_bytes(f"{graph_sha256} {image.shape} ".encode() + image.tobytes())

    def get(self, key: str) -> F32 | None:
        """The embedding, or None where it is not there or cannot be read."""
        path = self._path(key)
        try:
            stored = path.read_bytes()
            os.utime(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            _log.warning("feature cache unreadable path=%s reason=%s: computed again", path, error)
            return None
        content, digest = stored[:-_DIGEST], stored[-_DIGEST:]
        if hash_bytes(content).encode() != digest:
            _log.warning("feature cache damaged path=%s: computed again", path)
            return None
        embedding: F32 = np.load(io.BytesIO(content), allow_pickle=False)
        return embedding

    def put(self, key: str, embedding: F32) -> None:
        """Keep it. A folder that cannot be written costs time and nothing else."""
        array = io.BytesIO()
        np.save(array, embedding, allow_pickle=False)
        content = array.getvalue()
        stored = (
            content + hash_bytes(content).encode()
        )  # what is damaged is computed again, and never scored with
        try:
            write_bytes(self._path(key), stored, durable=False)
        except OutputError as error:
            _log.warning("feature cache not written reason=%s", error.message)
            return
        with self._lock:
            self._held += len(stored)
            if self._held > self._limit:
                self._held = _shrink(self._folder, int(KEPT_PART * self._limit))

    def _path(self, key: str) -> Path:
        return self._folder / key[:2] / f"{key}.npy"


def features_folder() -> Path:
    """Where embeddings are kept."""
    return cache_root() / "features"


def feature_cache(limit_bytes: int) -> FeatureCache | None:
    """The cache of at most so many bytes, one per process; None for 0."""
    return _open_cache(features_folder(), limit_bytes) if limit_bytes else None


@cache
def _open_cache(folder: Path, limit_bytes: int) -> FeatureCache:
    return FeatureCache(folder, limit_bytes)


def cache_size() -> CacheSize:
    """How much is kept."""
    folder = features_folder()
    sizes = [size for _, _, size in _entries(folder)]
    return CacheSize(folder, len(sizes), sum(sizes))


def clean_cache() -> None:
    """Remove all embeddings. Raises `OutputError` where that cannot be done."""
    _open_cache.cache_clear()
    try:
        shutil.rmtree(features_folder())
    except FileNotFoundError:
        return
    except OSError as error:
        raise OutputError(f"cannot remove {features_folder()}: {error.strerror}") from error


def _entries(folder: Path) -> list[tuple[float, Path, int]]:
    """(last use, file, bytes) of each; what vanishes meanwhile is passed over."""
    found = []
    for path in folder.glob("*/*.npy"):
        try:
            status = path.stat()
        except FileNotFoundError:
            continue
        found.append((status.st_mtime, path, status.st_size))
    return found


def _shrink(folder: Path, wanted: int) -> int:
    """Remove what was used longest ago until `wanted` bytes are left -> the bytes left."""
    entries = sorted(_entries(folder))
    held = sum(size for _, _, size in entries)
    for _, path, size in entries:
        if held <= wanted:
            break
        path.unlink(missing_ok=True)
        held -= size
    return held
