"""One file from the network: whole, checked, and gone on with where an earlier try ended.

What has come so far lies in `<name>.part` beside the file, with `<name>.part.json` saying which version of it that is;
so neither a cut connection nor a kill costs what was there. A server that cannot go on from the middle, or has another
version by now, sends all of it again. The file gets its name when it is whole and its hash is right.

Only https is spoken, and http with this very machine: what comes over anything else can be changed on its way.
"""

import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from kizu.core.config import Stored
from kizu.core.errors import ConfigError, DataError, KizuError, OutputError
from kizu.core.files import ensure_disk_room, read_stored, write_stored
from kizu.core.hashing import hash_file
from kizu.core.locks import locked_name
from kizu.core.parts import sync_file, sync_folder

OnBytes = Callable[[int, int], None]
"""Called as `on_progress(done, total)`, in bytes; a total of 0 is not known."""

TRIES = 4
"""In a row that bring nothing new; as long as something comes, it is gone on with."""
PAUSE_S = 1.0
"""Before the second try; each further one waits twice as long."""
TIMEOUT_S = 60.0
"""So long a server may say nothing."""
_CHUNK = 1 << 18
_WAITS = frozenset({408, 429, 500, 502, 503, 504})
"""Answers of a server that may give another one soon."""
_OFFLINE = "is this machine online? otherwise fetch it on one that is, and copy it to {to}"
_GO_ON = "run the same command again: it goes on from there"


class _Version(Stored):
    """`<name>.part.json`: what the bytes so far are of."""

    url: str
    validator: str | None
    """The server's own name of the version: a strong ETag, else when it was last changed."""


class _CutError(Exception):
    """The connection ended, or the server cannot just now: it may go on at another try."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a file goes, and where it lies until it is whole."""

    url: str
    to: Path

    @property
    def part(self) -> Path:
        return self.to.with_name(f"{self.to.name}.part")

    @property
    def version(self) -> Path:
        return self.to.with_name(f"{self.to.name}.part.json")

    def drop(self) -> None:
        for path in (self.part, self.version):
            path.unlink(missing_ok=True)


def download(url: str, to: Path, *, sha256: str | None, on_progress: OnBytes | None = None) -> str:
    """Fetch `url` to the file `to`, and return its SHA-256.

    `sha256`: what it must be; None: nobody has published it, and whatever came is returned for the caller to keep. A
    file that is there already and is right is not fetched again. Raises `ConfigError` for an address that is neither
    https nor of this machine; `DataError` when the server cannot be reached, refuses, keeps ending early, or sends
    another content; `OutputError` when the file cannot be written or the disk has no room for it.
    """
    _ensure_safe(url)
    place = _Place(url, to)
    with locked_name(to):
        try:
            if to.exists():
                return _known(to, sha256)
            _fetch(place, sha256, on_progress or _silent)
            found = hash_file(place.part)
            if sha256 is not None and found != sha256.lower():
                place.drop()
                raise DataError(
                    f"{url} has the SHA-256 {found}, not {sha256.lower()}",
                    hint="it was changed on its way, or by its publisher: nothing of it was kept",
                )
            sync_file(place.part)
            place.part.replace(to)
            place.version.unlink(missing_ok=True)
            sync_folder(to.parent)
        except OSError as error:
            raise OutputError(
                f"cannot write {to}: {error.strerror or error}",
                hint="check that the folder is writable and the disk has room",
            ) from error
    return found


def _known(to: Path, sha256: str | None) -> str:
    found = hash_file(to)
    if sha256 is not None and found != sha256.lower():
        raise DataError(
            f"{to} is there and has the SHA-256 {found}, not {sha256.lower()}",
            hint="move it away, and it is fetched again",
        )
    return found


def _fetch(place: _Place, sha256: str | None, on_progress: OnBytes) -> None:
    """Try until the part is whole, as long as tries bring something."""
    if not _may_go_on(place, sha256):
        place.drop()
    tries, pause, before = 0, PAUSE_S, _size(place.part)
    while True:
        try:
            return _try(place, on_progress)
        except _CutError as error:
            here = _size(place.part)
            tries, pause = (tries + 1, pause) if here <= before else (1, PAUSE_S)
            before = max(here, before)
            if tries >= TRIES:
                raise DataError(f"{place.url} ended at {here} bytes: {error}", hint=_GO_ON) from error
            time.sleep(pause)
            pause *= 2


def _may_go_on(place: _Place, sha256: str | None) -> bool:
    """Whether the part is of this address, and it would be noticed if it were of another version."""
    if not place.part.exists():
        return False
    try:
        version = read_stored(place.version, _Version)
    except KizuError:
        return False
    return version.url == place.url and (version.validator is not None or sha256 is not None)


def _try(place: _Place, on_progress: OnBytes) -> None:
    """One request for what is missing. Raises `_CutError` when it ends early."""
    start = _size(place.part)
    headers = {"User-Agent": "kizu", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
        validator = read_stored(place.version, _Version).validator
        if validator is not None:
            headers["If-Range"] = validator
    try:
        answer = _opener(place.url).open(
            urllib.request.Request(place.url, headers=headers), timeout=TIMEOUT_S
        )
    except urllib.error.HTTPError as error:
        with error:
            _refused(place, error, start)
        return
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        reason = getattr(error, "reason", None) or error
        if start:
            raise _CutError(str(reason)) from error
        raise DataError(
            f"cannot reach {urlsplit(place.url).hostname}: {reason}", hint=_OFFLINE.format(to=place.to)
        ) from error
    with answer:
        _take(place, answer, start, on_progress)


def _refused(place: _Place, error: urllib.error.HTTPError, start: int) -> None:
    """Returns where the part is whole already, and raises otherwise."""
    if error.code == 416 and start:
        if error.headers.get("Content-Range", "") == f"bytes */{start}":
            return
        place.drop()
        raise _CutError("the file has become shorter") from error
    if error.code in _WAITS:
        raise _CutError(f"the server says {error.code} {error.reason}") from error
    raise DataError(
        f"{place.url}: the server says {error.code} {error.reason}",
        hint="the address has changed, or it wants to be asked in a browser",
    ) from error


def _take(place: _Place, answer: Any, start: int, on_progress: OnBytes) -> None:
    """Append what comes, or begin anew where the server does."""
    if answer.headers.get("Content-Encoding", "identity") != "identity":
        raise DataError(
            f"{place.url} comes in the encoding {answer.headers['Content-Encoding']}", hint="that is not read"
        )
    if answer.status == 206 and not answer.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
        place.drop()
        raise _CutError("the server sent another part than was asked for")
    if answer.status != 206:
        start = 0
        place.part.unlink(missing_ok=True)
        write_stored(place.version, _Version(url=place.url, validator=_validator(answer)))
    length = answer.headers.get("Content-Length")
    total = start + int(length) if length is not None and length.isdecimal() else 0
    ensure_disk_room(place.to.parent, total - start, str(place.to))
    with place.part.open("ab") as stream:
        done = _copy(answer, stream, start, total, on_progress)
    if total and done < total:
        raise _CutError(f"{total} were announced")


def _copy(answer: Any, stream: IO[bytes], done: int, total: int, on_progress: OnBytes) -> int:
    on_progress(done, total)
    while True:
        try:
            block = answer.read1(_CHUNK)
        except (http.client.HTTPException, OSError) as error:
            raise _CutError(str(error)) from error
        if not block:
            return done
        stream.write(block)
        done += len(block)
        on_progress(done, total)


def _validator(answer: Any) -> str | None:
    tag = answer.headers.get("ETag")
    if tag is not None and not tag.startswith(
        "W/"
    ):  # a weak one says that the meaning is the same, not the bytes
        return str(tag)
    changed = answer.headers.get("Last-Modified")
    return None if changed is None else str(changed)


def _silent(done: int, total: int) -> None:
    """Nobody is told."""


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _is_here(url: str) -> bool:
    name = urlsplit(url).hostname or ""
    try:
        return name == "localhost" or ip_address(name).is_loopback
    except ValueError:
        return False


def _ensure_safe(url: str) -> None:
    scheme = urlsplit(url).scheme
    if scheme != "https" and not (scheme == "http" and _is_here(url)):
        raise ConfigError(f"{url} is not fetched: only https is", hint="give an address with https://")


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """An address that leads elsewhere is held to the same rule, and from outside none leads to this machine."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        _ensure_safe(newurl)
        if _is_here(newurl) and not _is_here(req.full_url):
            raise ConfigError(f"{req.full_url} leads to {newurl}, on this machine", hint="it is not followed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener(url: str) -> urllib.request.OpenerDirector:
    """By the proxy that the environment names, but for this machine."""
    proxies = [urllib.request.ProxyHandler({})] if _is_here(url) else []
    return urllib.request.build_opener(_SafeRedirects, *proxies)
