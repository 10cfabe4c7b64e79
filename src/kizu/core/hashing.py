"""Content hashes (SHA-256, hexadecimal), of files and of values."""

import hashlib
import json
from pathlib import Path
from typing import Any


def hash_file(path: Path) -> str:
    """SHA-256 of the file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def hash_bytes(content: bytes) -> str:
    """SHA-256 of `content`."""
    return hashlib.sha256(content).hexdigest()


def hash_value(value: Any) -> str:
    """SHA-256 of a JSON value in its one canonical spelling (sorted keys, no spaces)."""
    return hash_bytes(json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode())
