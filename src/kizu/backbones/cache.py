"""Drawn graphs, kept under the user's cache folder (KIZU_CACHE moves it), by hash of all that they depend on.

A graph that was drawn once needs its weights' package no longer. A damaged copy is drawn again; a folder that cannot be
written costs a little time and nothing else.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from kizu.core.errors import OutputError
from kizu.core.files import write_bytes, write_text
from kizu.core.hashing import hash_bytes, hash_value
from kizu.core.provenance import package_versions

if TYPE_CHECKING:
    import onnx

CACHE_VARIABLE = "KIZU_CACHE"
_log = logging.getLogger(__name__)


def cache_root() -> Path:
    """Where all that can be made again is kept."""
    from platformdirs import user_cache_path

    given = os.environ.get(CACHE_VARIABLE)
    return Path(given) if given else user_cache_path("kizu")


def cache_folder() -> Path:
    """Where graphs are kept."""
    return cache_root() / "backbones"


def load_cached(name: str, weights_sha256: str, draw: Callable[[], onnx.ModelProto]) -> onnx.ModelProto:
    """What `draw` gives, read from the cache when an intact copy is there."""
    import onnx

    versions = {package: package_versions().get(package) for package in ("kizu", "onnx")}
    key = hash_value([name, weights_sha256, versions])
    path = cache_folder() / f"{name}-{key[:16]}.onnx"
    digest = path.with_suffix(".sha256")
    try:
        content = path.read_bytes()
        if hash_bytes(content) == digest.read_text(encoding="ascii"):
            return onnx.load_model_from_string(content)
        _log.warning("cache damaged path=%s: drawn again", path)
    except FileNotFoundError:
        pass
    except (OSError, UnicodeDecodeError) as error:
        _log.warning("cache unreadable path=%s reason=%s", path, error)
    model = draw()
    content = model.SerializeToString()
    try:
        write_bytes(path, content, durable=False)
        write_text(digest, hash_bytes(content), durable=False)
    except OutputError as error:
        _log.warning("cache not written reason=%s", error.message)
    return model
