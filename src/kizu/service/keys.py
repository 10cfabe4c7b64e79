"""Who may call: keys by name and role. Only their hashes are kept.

A key is 256 random bits, so one SHA-256 is enough: what slow hashes are for, guessing, is hopeless here.
"""

import re
import secrets
from pathlib import Path
from threading import Lock
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from kizu.core.config import Stored
from kizu.core.errors import ConfigError
from kizu.core.files import read_stored, write_stored
from kizu.core.hashing import hash_bytes
from kizu.core.locks import locked_name
from kizu.core.provenance import utc_now

Role = Literal["detect", "admin"]
"""`detect`: inspect, and see what is served. `admin`: that, and open new versions."""
_BYTES = 32
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class StoredKey(Stored):
    """A key as it lies on disk."""

    name: str
    role: Role
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    created_at: str


class KeysFile(Stored):
    """The contents of the file."""

    keys: tuple[StoredKey, ...] = ()

    @model_validator(mode="after")
    def _each_name_once(self) -> Self:
        if len({key.name for key in self.keys}) != len(self.keys):
            raise ValueError("two keys have one name")
        return self


class Caller(NamedTuple):
    """Whose key it is."""

    name: str
    role: Role


def read_keys(path: Path) -> KeysFile:
    """Raises `ConfigError` naming the file where it is missing or broken."""
    return read_stored(path, KeysFile, hint="make it with kizu serve-key add", raises=ConfigError)


def add_key(path: Path, name: str, role: Role) -> str:
    """A new key, which is told only now. Raises `ConfigError` for a name that is taken or is none."""
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{name!r} is no name for a key", hint="letters, digits, . _ and -, at most 64")
    secret = f"kizu_{secrets.token_urlsafe(_BYTES)}"
    with locked_name(path):
        known = read_keys(path).keys if path.exists() else ()
        if any(key.name == name for key in known):
            raise ConfigError(f"{path} has a key of {name}", hint="remove it first: kizu serve-key remove")
        made = StoredKey(
            name=name,
            role=role,
            sha256=hash_bytes(secret.encode()),
            created_at=utc_now(),
        )
        write_stored(path, KeysFile(keys=(*known, made)))
    return secret


def remove_key(path: Path, name: str) -> None:
    """From then on nobody gets in with it. Raises `ConfigError` where there is none of that name."""
    with locked_name(path):
        known = read_keys(path).keys
        left = tuple(key for key in known if key.name != name)
        if len(left) == len(known):
            raise ConfigError(
                f"{path} has no key of {name!r}", hint=f"it has: {', '.join(k.name for k in known)}"
            )
        write_stored(path, KeysFile(keys=left))


class Keys:
    """The file, read again whenever it has changed, so that a key can be taken back while the service runs."""

    def __init__(self, path: Path) -> None:
        """Raises `ConfigError` for a file that is missing, broken or holds no key."""
        self._path = path
        self._lock = Lock()
        self._stamp: tuple[int, int, int] | None = None
        self._callers: dict[str, Caller] = {}
        if not self._known():
            raise ConfigError(f"{path} holds no key", hint=f"kizu serve-key add NAME --keys-file {path}")

    def find(self, secret: str) -> Caller | None:
        """Whose key it is; None: nobody's. Raises `ConfigError` where the file cannot be read now."""
        return self._known().get(hash_bytes(secret.encode("utf-8", "surrogatepass")))

    def _known(self) -> dict[str, Caller]:
        with self._lock:
            try:
                found = self._path.stat()
            except OSError as error:
                raise ConfigError(
                    f"{self._path}: {error.strerror}", hint="kizu serve-key add makes it"
                ) from error
            stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
            if stamp != self._stamp:
                self._callers = {key.sha256: Caller(key.name, key.role) for key in read_keys(self._path).keys}
                self._stamp = stamp
            return self._callers
