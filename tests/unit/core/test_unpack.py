"""Archives are unpacked whole or not at all, and none of them reaches beyond its folder."""

import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from kizu.core import unpack as unpacking
from kizu.core.errors import DataError, OutputError
from kizu.core.unpack import unpack

FILES = {"set/a/000.png": b"picture", "set/licence.txt": b"words", "set/empty": b""}
Entry = tuple[str, bytes | None, bytes]
"""Name, content (None: none), kind of tar entry."""


def tar_file(path: Path, entries: list[Entry], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for name, content, kind in entries:
            member = tarfile.TarInfo(name)
            member.type = kind
            member.linkname = "/etc/hosts"
            member.size = len(content or b"")
            tar.addfile(member, io.BytesIO(content or b""))
    return path


def plain() -> list[Entry]:
    return [(name, content, tarfile.REGTYPE) for name, content in FILES.items()]


def zip_file(path: Path, files: dict[str, bytes], mode: int = 0) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in files.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = mode << 16
            packed.writestr(info, content)
    return path


def listed(folder: Path) -> list[str]:
    return sorted(
        str(path.relative_to(folder)) for path in folder.rglob("*") if not path.name.endswith(".lock")
    )


@pytest.mark.parametrize("suffix", ["tar", "tar.gz", "tar.bz2", "tar.xz", "zip"])
def test_every_kind_of_archive_is_unpacked(suffix: str, tmp_path: Path) -> None:
    archive = tmp_path / f"set.{suffix}"
    if suffix == "zip":
        zip_file(archive, FILES)
    else:
        tar_file(archive, plain(), f"w:{suffix.removeprefix('tar').removeprefix('.')}")
    seen: list[int] = []
    unpack(archive, tmp_path / "new" / "folder", on_progress=seen.append)
    for name, content in FILES.items():
        assert (tmp_path / "new" / "folder" / name).read_bytes() == content
    assert seen == [1, 2, 3]


EVIL: dict[str, Callable[[Path], Path]] = {
    "up": lambda p: tar_file(p, [*plain(), ("set/../../evil", b"x", tarfile.REGTYPE)]),
    "absolute": lambda p: tar_file(p, [("/tmp/evil", b"x", tarfile.REGTYPE)]),
    "symbolic link": lambda p: tar_file(p, [("set/evil", None, tarfile.SYMTYPE)]),
    "hard link": lambda p: tar_file(p, [("set/evil", None, tarfile.LNKTYPE)]),
    "device": lambda p: tar_file(p, [("set/evil", None, tarfile.CHRTYPE)]),
    "pipe": lambda p: tar_file(p, [("set/evil", None, tarfile.FIFOTYPE)]),
    "twice": lambda p: tar_file(p, [*plain(), ("set/a/000.png", b"other", tarfile.REGTYPE)]),
    "up in a zip": lambda p: zip_file(p, {"../evil": b"x"}),
    "absolute in a zip": lambda p: zip_file(p, {"/tmp/evil": b"x"}),
    "a drive": lambda p: zip_file(p, {"C:/evil": b"x"}),
    "backslashes": lambda p: zip_file(p, {"..\\evil": b"x"}),
    "link in a zip": lambda p: zip_file(p, {"evil": b"/etc/hosts"}, 0o120777),
    "a folder is also a file": lambda p: tar_file(
        p, [("set", b"x", tarfile.REGTYPE), ("set/a", b"x", tarfile.REGTYPE)]
    ),
}


@pytest.mark.parametrize("kind", EVIL)
def test_what_could_do_harm_is_refused_and_nothing_stays(kind: str, tmp_path: Path) -> None:
    archive = EVIL[kind](tmp_path / "evil.archive")
    with pytest.raises((DataError, OutputError)) as caught:
        unpack(archive, tmp_path / "inside" / "folder")
    assert caught.value.hint
    assert listed(tmp_path) == ["evil.archive", "inside"]


@pytest.mark.parametrize("limit", [{"most_bytes": 11}, {"most_files": 2}])
def test_limits_hold(limit: dict[str, int], tmp_path: Path) -> None:
    archive = tar_file(tmp_path / "set.tar", plain())
    with pytest.raises(DataError, match="unpacks to more than"):
        unpack(archive, tmp_path / "folder", **limit)  # type: ignore[arg-type]
    assert listed(tmp_path) == ["set.tar"]
    unpack(archive, tmp_path / "folder", most_bytes=12, most_files=3)


def test_a_file_that_swells_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "_NOT_SMALL", 1000)
    monkeypatch.setattr(unpacking, "_SUSPICIOUS", 50)
    with pytest.raises(DataError, match="unpacks to 100000 bytes from"):
        unpack(zip_file(tmp_path / "bomb.zip", {"a": bytes(100_000)}), tmp_path / "folder")


@pytest.mark.parametrize("suffix", ["tar", "tar.gz", "tar.bz2", "tar.xz", "zip"])
def test_a_damaged_archive_is_named_and_leaves_nothing(suffix: str, tmp_path: Path) -> None:
    archive = tmp_path / f"set.{suffix}"
    many = {f"{number}": bytes([number % 251]) * 3000 for number in range(200)}
    if suffix == "zip":
        zip_file(archive, many)
    else:
        tar_file(
            archive,
            [(name, content, tarfile.REGTYPE) for name, content in many.items()],
            f"w:{suffix[4:]}",
        )
    archive.write_bytes(archive.read_bytes()[: archive.stat().st_size // 2])
    with pytest.raises(DataError, match=r"set\."):
        unpack(archive, tmp_path / "folder")
    assert listed(tmp_path) == [archive.name]


def test_what_is_no_archive_or_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "page.zip").write_text("<html>please log in</html>")
    with pytest.raises(DataError, match=r"page\.zip cannot be unpacked"):
        unpack(tmp_path / "page.zip", tmp_path / "folder")
    with pytest.raises(DataError, match="does not exist"):
        unpack(tmp_path / "no.zip", tmp_path / "folder")


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match="exists"):
        unpack(tar_file(tmp_path / "set.tar", plain()), tmp_path / "folder")
    assert listed(tmp_path / "folder") == []
