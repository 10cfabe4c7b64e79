"""Fetch one large file over HTTPS, going on where an earlier try has stopped."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from kizu.core.errors import BackboneError, OutputError
from kizu.core.hashing import hash_bytes
from kizu.core.locks import PATIENCE_S, hold
from kizu.core.parts import make_folder

TIMEOUT_S = 30.0
"""Without a byte."""
LARGEST = 4 << 30
"""Bytes of a file whose size nobody has stated."""
_CHUNK = 1 << 20
_PARTIAL, _WHOLE, _BEYOND_END = 206, 200, 416
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_log = logging.getLogger(__name__)

OnBytes = Callable[[int, int | None], None]
"""Told of the bytes that are there, and of all there will be (None: the server does not say)."""


@dataclass(frozen=True, slots=True)
class _Part:
    """What is there of a file, and what the server called that version of it."""

    path: Path

    @property
    def told(self) -> Path:
        return self.path.with_suffix(".json")

    def start(self) -> tuple[int, str | None]:
        """(bytes that are there, their version); (0, None) where it cannot be told that the rest will fit to them."""
        try:
            version = json.loads(self.told.read_text(encoding="utf-8"))["version"]
            size = self.path.stat().st_size
        except (OSError, ValueError, KeyError, TypeError):
            return 0, None
        return (size, version) if isinstance(version, str) and version else (0, None)

    def note(self, version: str | None) -> None:
        self.told.write_text(json.dumps({"version": version}), encoding="utf-8")

    def remove(self) -> None:
        for path in (self.told, self.path):
            path.unlink(missing_ok=True)


@contextmanager
def downloaded(
    address: str, folder: Path, *, largest: int = LARGEST, on_bytes: OnBytes | None = None
) -> Iterator[Path]:
    """Yield the whole file of `address` in `folder`; when the block ends well, or it proves to be useless there
    (`BackboneError`), it is removed.

    What an interrupted try has left is gone on with, if the server says that it is the same version. Redirections are
    followed to HTTPS only. Raises `BackboneError` when the server cannot be reached, refuses, cuts the connection or
    sends more than `largest` bytes; `OutputError` where the folder cannot be written, has no room, or another command
    is fetching the same.
    """
    _ensure_private(address)
    part = _Part(folder / f"{hash_bytes(address.encode())[:16]}.download")
    try:
        make_folder(folder)
    except OSError as error:
        raise _cannot_write(folder, error) from error
    with hold(part.path.with_suffix(".lock"), part.path, PATIENCE_S):
        _fetch(address, part, largest, on_bytes)
        try:
            yield part.path
        except BackboneError:
            part.remove()
            raise
        part.remove()


def _fetch(address: str, part: _Part, largest: int, on_bytes: OnBytes | None) -> None:
    there, version = part.start()
    headers = {"User-Agent": "kizu", "Accept-Encoding": "identity"}
    if version is not None and there:
        headers |= {"Range": f"bytes={there}-", "If-Range": version}
    try:
        with build_opener(_ToHttpsOnly).open(Request(address, headers=headers), timeout=TIMEOUT_S) as answer:
            _receive(address, answer, part, largest, on_bytes)
    except HTTPError as error:
        if error.code == _BEYOND_END and there:  # all of it is there, or more: begin anew
            part.remove()
            _fetch(address, part, largest, on_bytes)
            return
        raise _refused(address, f"the server answers {error.code} {error.reason}") from error
    except (URLError, HTTPException, TimeoutError, ConnectionError) as error:
        raise _refused(
            address, str(getattr(error, "reason", None) or error or type(error).__name__)
        ) from error


def _receive(address: str, answer: HTTPResponse, part: _Part, largest: int, on_bytes: OnBytes | None) -> None:
    """Write what comes behind what is there, or anew where the server sends all of it."""
    there = part.path.stat().st_size if answer.status == _PARTIAL else 0
    if answer.status == _PARTIAL:
        start = (answer.headers.get("Content-Range") or "").partition("bytes ")[2].partition("-")[0]
        if start != str(there):
            part.remove()
            raise _refused(address, f"the server sends from byte {start or 'unknown'}, not from {there}")
        _log.info("download goes on address=%s at=%d", address, there)
    elif answer.status != _WHOLE:
        raise _refused(address, f"the server answers {answer.status}")
    declared = answer.headers.get("Content-Length") or ""
    total = there + int(declared) if declared.isdecimal() else None
    if (total or 0) > largest:
        part.remove()
        raise _refused(address, f"it would be {total} bytes, which is more than the file that is meant")
    try:
        _ensure_room(part.path.parent, (total or 0) - there)
        if not there:
            part.note(_version(answer))
        with part.path.open("ab" if there else "wb") as stream:
            while there <= largest and (chunk := _read(answer)):
                stream.write(chunk)
                there += len(chunk)
                if on_bytes is not None:
                    on_bytes(there, total)
    except URLError:
        raise
    except OSError as error:
        raise _cannot_write(part.path, error) from error
    if there > largest:
        part.remove()
        raise _refused(
            address, f"it sends more than {largest} bytes, which is more than the file that is meant"
        )
    if total is not None and there < total:
        raise _refused(address, f"the connection ended after {there} of {total} bytes")


def _read(answer: HTTPResponse) -> bytes:
    """The next bytes. Raises `URLError` for whatever happens on the way, to tell it from a disk's failures."""
    try:
        return answer.read(_CHUNK)
    except OSError as error:
        raise URLError(error.strerror or str(error)) from error


def _version(answer: HTTPResponse) -> str | None:
    """What tells this version of the file from another; a weak tag does not."""
    tag = answer.headers.get("ETag")
    return tag if tag and not tag.startswith("W/") else answer.headers.get("Last-Modified")


class _ToHttpsOnly(HTTPRedirectHandler):
    def redirect_request(self, req, fp, code, msg, headers, newurl):  # type: ignore[no-untyped-def]
        _ensure_private(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _ensure_private(address: str) -> None:
    """Raises `BackboneError` unless nobody between here and the server can change what it sends."""
    parts = urlsplit(address)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise BackboneError(f"{address} is not fetched: anybody on the way could change it", hint="use https")


def _ensure_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise OutputError(
            f"there is no room in {folder}: {needed >> 20} MB are to come, {free >> 20} MB are free",
            hint="make room, or move the cache with KIZU_CACHE",
        )


def _refused(address: str, told: str) -> BackboneError:
    return BackboneError(f"cannot fetch {address}: {told}")


def _cannot_write(path: Path, error: OSError) -> OutputError:
    return OutputError(
        f"cannot write {path}: {error.strerror or error}",
        hint="make room or check the folder's rights; KIZU_CACHE moves it, and the download goes on where it stopped",
    )
