"""Regular files only, never waited for; and what kept us from reading is another error than what is in the file."""

import contextlib
import errno
import os
import socket
import sys
import threading
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from kizu.core.errors import ConfigError, ImageError, UnreadableError
from kizu.imaging import opening
from kizu.imaging.codec import decode, decode_mask, image_info, png_bytes

PICTURE = png_bytes(np.arange(48, dtype=np.uint8).reshape(4, 4, 3))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "part.png").write_bytes(PICTURE)
    return tmp_path / "part.png"


PASSING = (
    "EMFILE",
    "ENFILE",
    "ENOMEM",
    "EIO",
    "ESTALE",
    "ETIMEDOUT",
    "ENOTCONN",
    "EACCES",
    "EPERM",
    "EBUSY",
    "ENOENT",
)


@pytest.mark.parametrize("name", PASSING)
def test_a_file_that_cannot_be_opened_now_is_unreadable(
    path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def fail(*_: object) -> int:
        raise OSError(getattr(errno, name), os.strerror(getattr(errno, name)))

    monkeypatch.setattr(opening.os, "open", fail)
    for look in (decode, decode_mask, image_info):
        with pytest.raises(UnreadableError, match=r"part\.png") as caught:
            look(path)
        assert caught.value.path == path
        assert caught.value.hint


class _Failing(BytesIO):
    """The file, until a share goes away or memory ends."""

    def __init__(self, content: bytes, after: int, error: Exception) -> None:
        super().__init__(content)
        self._left, self._error = after, error

    def read(self, size: int | None = -1) -> bytes:
        self._left -= 1
        if self._left < 0:
            raise self._error
        return super().read(size)


@pytest.mark.parametrize("after", range(12))
@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error"), MemoryError()])
def test_whenever_reading_fails_it_is_unreadable_and_never_damaged(
    path: Path, monkeypatch: pytest.MonkeyPatch, after: int, error: Exception
) -> None:
    monkeypatch.setattr(opening, "_open_regular", lambda _: _Failing(PICTURE, after, error))
    with pytest.raises(UnreadableError, match=r"part\.png: cannot be read now"):
        decode(path)


@pytest.mark.parametrize("content", [b"", b"text", PICTURE[:-30], PICTURE[:20] + b"\xff" + PICTURE[21:]])
def test_bad_content_is_no_failed_reading(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(ImageError) as caught:
        decode(path)
    assert not isinstance(caught.value, UnreadableError)


@pytest.mark.skipif(sys.platform == "win32", reason="no such kinds of file")
@pytest.mark.parametrize("kind", ["pipe", "socket", "device"])
def test_what_is_no_regular_file_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path may only be short
    with socket.socket(socket.AF_UNIX) as listening:
        if kind == "pipe":
            os.mkfifo("x.png")
        elif kind == "socket":
            listening.bind("x.png")
        else:
            Path("x.png").symlink_to("/dev/zero")
        caught: list[Exception] = []

        def look() -> None:
            try:
                decode(Path("x.png"))
            except ImageError as error:
                caught.append(error)

        thread = threading.Thread(target=look, daemon=True)
        thread.start()
        thread.join(5)
        assert not thread.is_alive(), "waits for a writer"
    assert len(caught) == 1
    assert type(caught[0]) is ImageError


def test_no_handle_stays_open(path: Path, tmp_path: Path) -> None:
    if not Path("/proc/self/fd").exists():
        pytest.skip("needs /proc")
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "bad.png").write_bytes(PICTURE[:-30])
    before = len(list(Path("/proc/self/fd").iterdir()))
    for name in ("part.png", "pipe.png", "bad.png", "missing.png", "."):
        for _ in range(3):
            with contextlib.suppress(ImageError):
                decode(tmp_path / name)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_wrong_setting_is_no_fault_of_the_picture(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kizu.core.room import pixel_room

    monkeypatch.setenv("KIZU_MEGAPIXELS", "many")
    pixel_room.cache_clear()
    with pytest.raises(ConfigError, match="KIZU_MEGAPIXELS"):
        decode(path)
    pixel_room.cache_clear()
