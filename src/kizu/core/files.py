"""Own files: written whole or not at all, and read with an error that names the file, the line and what to do."""

import errno
import json
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from kizu.core.config import Config
from kizu.core.errors import ConfigError, DataError, KizuError, OutputError
from kizu.core.locks import PATIENCE_S, hold, locked_name, sweep_builds
from kizu.core.parts import file_part, folder_part, make_folder, name_lock, sync_file, sync_folder

_JSON: dict[str, Any] = {"allow_nan": False, "ensure_ascii": False}
_COPY_AGAIN = "copy it again from where it is whole, or make it anew"

C = TypeVar("C", bound=Config)


@contextmanager
def replace_whole(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """Yield a temporary path in `path`'s folder; on success it becomes `path` in one step, on failure it is removed.

    A new file gets the mode that `open` gives it, under the user's umask; a replaced one keeps its own. `durable`: it
    outlives a power cut, with the folders that were made for it; what is made again without loss need not wait for the
    disk. What a kill leaves is removed by the next one who holds the folder (`core.locks`). Raises `OutputError` when
    the folder cannot be written (read-only, full disk).
    """
    temporary: Path | None = None
    try:
        make_folder(path.parent, durable=durable)
        temporary = file_part(path)
        temporary.open("xb").close()
        yield temporary
        if durable:
            sync_file(temporary)
        _keep_mode(path, temporary)
        temporary.replace(path)
        if durable:
            sync_folder(path.parent)
    except OSError as error:
        raise _cannot_write(path, error) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


@contextmanager
def new_folder(
    path: Path, *, hint: str = "what is there is never overwritten: choose another name"
) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; on success it becomes `path` in one step, on failure it is removed.

    Who builds `path` holds its name meanwhile. What killed builds have left beside it, also of other folders, is
    removed first. All that is in it is on the disk before it gets its name. Raises `OutputError` when `path` exists
    (with `hint`), is being built by another command, or cannot be written, and when the temporary folder was removed
    by somebody meanwhile.
    """
    with locked_name(path):
        if path.exists():
            raise OutputError(f"{path} exists", hint=hint)
        sweep_builds(path.parent, but=name_lock(path))
        temporary = folder_part(path)
        try:
            if temporary.exists():
                shutil.rmtree(temporary)
            temporary.mkdir()
            with _held_open(temporary):
                yield temporary
                for inside in sorted(temporary.rglob("*"), reverse=True):
                    sync_folder(inside) if inside.is_dir() else sync_file(inside)
                sync_folder(temporary)
            temporary.replace(path)
            sync_folder(path.parent)
        except OutputError as error:
            error.message = error.message.replace(str(temporary), str(path))  # nobody knows the other name
            raise
        except OSError as error:
            raise _cannot_write(path, error) from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def scratch_folder(place: Path | None = None) -> Iterator[Path]:
    """A folder for what is not kept, in `place` (None: the system's temporary folder), gone afterwards.

    What killed commands have left of theirs there is removed first. Raises `OutputError` naming it when it is full.
    """
    told = place or Path("the temporary folder (TMPDIR)")
    try:
        told = place or Path(tempfile.gettempdir())
        told.stat()  # a lock would make it
        path = told / secrets.token_hex(8)
        with hold(name_lock(path), told, PATIENCE_S):
            sweep_builds(told, but=name_lock(path))
            temporary = folder_part(path)
            temporary.mkdir(mode=0o700)
            try:
                yield temporary
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        if error.filename is not None and not Path(error.filename).is_relative_to(told):
            raise
        raise _cannot_write(told, error) from error


def ensure_disk_room(folder: Path, size: int, told: str) -> None:
    """Raises `OutputError` where the disk of `folder` has not `size` bytes free for what is `told`."""
    free = shutil.disk_usage(folder).free
    if free < size:
        raise OutputError(
            f"{told} takes {size >> 20} MB, and {free >> 20} MB are free", hint="name a larger disk"
        )


def is_writable(folder: Path) -> bool:
    """Whether files may be made in `folder`, or where it is missing, whether it may be made: by rights, not by room."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    return os.access(there, os.W_OK | os.X_OK)


def write_bytes(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Write `content` to `path`, whole or not at all; `durable` and errors as for `replace_whole`."""
    with replace_whole(path, durable=durable) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str, *, durable: bool = True) -> None:
    """Write `text` (UTF-8) to `path`, whole or not at all; of a name that is no UTF-8 the odd bytes as `\\udce9`."""
    write_bytes(path, text.encode(errors="backslashreplace"), durable=durable)


def write_json(path: Path, value: Any, *, durable: bool = True) -> None:
    """Write `value` as indented JSON; NaN and infinity are refused."""
    write_bytes(path, _as_utf8(json.dumps(value, indent=2, **_JSON)), durable=durable)


def write_jsonl(path: Path, rows: Iterable[Any]) -> None:
    """Write each of `rows` as a line of JSON; NaN and infinity are refused."""
    write_bytes(path, b"".join(_as_utf8(json.dumps(row, **_JSON)) for row in rows))


def write_stored(path: Path, content: Config) -> None:
    """Write what `read_stored` reads."""
    write_json(path, content.model_dump(mode="json"))


def read_json(path: Path, *, hint: str = _COPY_AGAIN, raises: type[KizuError] = DataError) -> dict[str, Any]:
    """The JSON object that an own file holds.

    Raises `raises` naming the file when it is missing, cannot be read, or holds anything else.
    """
    try:
        return _object(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise _cannot_read(path, error, hint, raises) from error


def read_jsonl(
    path: Path, *, hint: str = _COPY_AGAIN, raises: type[KizuError] = DataError
) -> Iterator[dict[str, Any]]:
    """The JSON objects that an own file holds, one to a line. Raises `raises` naming the file and the line.

    Lines end at a line feed alone: names in them may hold what else Unicode calls the end of a line.
    """
    try:
        with path.open(encoding="utf-8", newline="\n") as stream:
            for number, line in enumerate(stream, start=1):
                try:
                    row = _object(line)
                except (ValueError, RecursionError) as error:
                    raise _cannot_read(f"{path}, line {number}", error, hint, raises) from error
                yield row
    except (OSError, UnicodeDecodeError) as error:
        raise _cannot_read(path, error, hint, raises) from error


def read_stored(
    path: Path, kind: type[C], *, hint: str = _COPY_AGAIN, raises: type[KizuError] = DataError
) -> C:
    """The same as `read_json`, as `kind`; what has another shape is refused likewise."""
    return shape_as(read_json(path, hint=hint, raises=raises), kind, str(path), hint=hint, raises=raises)


def read_rows(
    path: Path, kind: type[C], *, hint: str = _COPY_AGAIN, raises: type[KizuError] = DataError
) -> list[C]:
    """The same as `read_jsonl`, as `kind`. A file without a line is refused: what is written has one."""
    rows = [
        shape_as(row, kind, f"{path}, line {number}", hint=hint, raises=raises)
        for number, row in enumerate(read_jsonl(path, hint=hint, raises=raises), start=1)
    ]
    if not rows:
        raise raises(f"{path} is empty", hint=hint)
    return rows


def shape_as(
    values: dict[str, Any],
    kind: type[C],
    where: str,
    *,
    hint: str = _COPY_AGAIN,
    raises: type[KizuError] = DataError,
) -> C:
    """What was read, as `kind`. Raises `raises` in plain words; `where` names the file, and the line."""
    try:
        return kind.parse(values, where=where)
    except ConfigError as error:
        raise raises(error.message, hint=hint) from error


@contextmanager
def _held_open(folder: Path) -> Iterator[None]:
    """Raises `FileNotFoundError` at the end of the block when it is no longer that very folder: others write into one
    that they make anew, and what came before would be missing."""
    if os.name == "nt":  # a folder that is held open cannot be renamed there, nor removed
        yield
        return
    handle = os.open(folder, os.O_RDONLY)  # so that no other gets its number
    try:
        yield
        if not os.path.samestat(os.fstat(handle), folder.stat()):
            raise FileNotFoundError(errno.ENOENT, "its folder was removed meanwhile", str(folder))
    finally:
        os.close(handle)


def _keep_mode(path: Path, temporary: Path) -> None:
    try:
        wanted = stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        return
    if wanted != stat.S_IMODE(temporary.stat().st_mode):
        temporary.chmod(wanted)


def _as_utf8(text: str) -> bytes:
    """A line. A name that is no UTF-8 holds lone surrogates; with a backslash they are JSON's way to write them."""
    return f"{text}\n".encode("utf-8", "backslashreplace")


def _object(text: str) -> dict[str, Any]:
    found = json.loads(text, parse_constant=_no_number)
    if not isinstance(found, dict):
        raise ValueError(f"it holds {type(found).__name__}, not an object")
    return found


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is not a number")


def _cannot_read(path: Path | str, error: Exception, hint: str, raises: type[KizuError]) -> KizuError:
    if isinstance(error, FileNotFoundError):
        return raises(f"{path} is missing", hint=hint)
    told = error.strerror if isinstance(error, OSError) else error
    return raises(f"{path} cannot be read: {told}", hint=hint)


def _cannot_write(path: Path, error: OSError) -> OutputError:
    return OutputError(
        f"cannot write {path}: {error.strerror or error}",
        hint="check that the folder is writable and the disk has room",
    )
