"""Folders as one file to hand in: the same content makes the same bytes."""

import gzip
import tarfile
from pathlib import Path

from kizu.core.files import replace_whole
from kizu.core.work import Work


def pack_folder(folder: Path, archive: Path, work: Work = Work()) -> None:
    """Write all files below `folder`, under its name, to a tar.gz. Raises `OutputError`."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    with (
        replace_whole(archive) as temporary,
        temporary.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=6) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for number, path in enumerate(files, start=1):
            member = tarfile.TarInfo(f"{folder.name}/{path.relative_to(folder).as_posix()}")
            member.size = path.stat().st_size
            with path.open("rb") as content:
                tar.addfile(member, content)
            work.report("pack", number, len(files))
