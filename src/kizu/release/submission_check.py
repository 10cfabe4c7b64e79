"""Whether a submission to MVTec AD 2's server is one: every file there, named, shaped and filled as it must be.

It needs neither the model nor, unless the data set is named, the images; so it also checks what others have written.
"""

import re
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kizu.core.errors import DataError, ImageError
from kizu.core.files import scratch_folder
from kizu.core.threads import in_order
from kizu.core.types import F16, HW, Bool
from kizu.core.unpack import unpack
from kizu.core.work import Work
from kizu.data.layouts.mvtec_ad2 import PRIVATE
from kizu.imaging.codec import decode_grey, image_info, image_size
from kizu.imaging.half import ensure_tifffile, read_tiff
from kizu.release.submission import COUNTS, MAPS, MARKED, SUFFIX

_NAMED = 5


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong."""

    path: str
    """The file or folder, below the submission."""
    what: str

    def told(self) -> str:
        """In a line."""
        return f"{self.path}: {self.what}"


@dataclass(frozen=True, slots=True)
class _Pair:
    """The two maps of an image, and the image where it is known."""

    maps: str
    marked: str
    image: Path | None


def check_submission(
    path: Path, *, counts: Mapping[str, int] = COUNTS, data_root: Path | None = None, work: Work = Work()
) -> tuple[Fault, ...]:
    """What is wrong with a folder that holds `anomaly_images`, or with a tar.gz of one; none: it can be uploaded.

    `counts`: images of each category in each private set. `data_root`: the data set, to compare sizes with its images.
    Raises `DataError` when there is nothing to check, `MissingExtraError` without tifffile.
    """
    ensure_tifffile()
    if path.is_dir():
        return _check_folder(path, counts, data_root, work)
    if not path.is_file():
        raise DataError(f"{path} does not exist", hint="give the folder with anomaly_images, or its tar.gz")
    with scratch_folder(path.absolute().parent) as scratch:
        unpack(path, scratch / "all")
        inside = sorted((scratch / "all").iterdir())
        if len(inside) != 1 or not inside[0].is_dir() or inside[0].name in SUFFIX:
            names = ", ".join(entry.name for entry in inside)
            return (
                Fault(path.name, f"must hold one folder with {MAPS} and {MARKED} in it, and holds {names}"),
            )
        return _check_folder(inside[0], counts, data_root, work)


def _check_folder(
    folder: Path, counts: Mapping[str, int], data_root: Path | None, work: Work
) -> tuple[Fault, ...]:
    nested = sorted(path.parent.name for path in folder.glob(f"*/{MAPS}"))
    if nested and not (folder / MAPS).exists():
        return (Fault(nested[0], f"{MAPS} lies one folder too deep: give {folder / nested[0]}"),)
    faults = list(_unlike(folder, "", {MAPS, MARKED}, set()))
    pairs: list[_Pair] = []
    for kind in SUFFIX:
        if (folder / kind).is_dir():
            faults += _unlike(folder, kind, set(counts), set())
        for category in counts:
            if (folder / kind / category).is_dir():
                faults += _unlike(folder, f"{kind}/{category}", set(PRIVATE), set())
    for category, count in counts.items():
        for split, end in PRIVATE.items():
            stems = [f"{number:03}_{end}" for number in range(count)]
            for kind in SUFFIX:
                faults += _check_names(folder, f"{kind}/{category}/{split}", stems, SUFFIX[kind])
            for stem in stems:
                maps, marked = (f"{kind}/{category}/{split}/{stem}{SUFFIX[kind]}" for kind in (MAPS, MARKED))
                image = None if data_root is None else data_root / category / split / f"{stem}.png"
                pairs.append(_Pair(maps, marked, image))
    checked = in_order(lambda pair: list(_check_pair(folder, pair)), pairs, workers=work.core_count, ahead=32)
    for done, (_, found) in enumerate(checked, start=1):
        faults += found
        work.report("check", done, len(pairs))
    return tuple(faults)


def _check_names(folder: Path, place: str, stems: list[str], suffix: str) -> Iterator[Fault]:
    if not (folder / place).is_dir():
        return  # told already
    there = sum(entry.is_file() for entry in (folder / place).iterdir())
    if there != len(stems):
        yield Fault(place, f"holds {there} files, and {len(stems)} are wanted")
    yield from _unlike(folder, place, set(), {f"{stem}{suffix}" for stem in stems})


def _unlike(folder: Path, place: str, folders: set[str], files: set[str]) -> Iterator[Fault]:
    """What is missing in one folder, and what is there besides."""
    entries = list((folder / place).iterdir())
    found_folders = {entry.name for entry in entries if entry.is_dir()}
    found_files = {entry.name for entry in entries if not entry.is_dir()}
    for noun, wanted, found in (("folder", folders, found_folders), ("file", files, found_files)):
        for name in sorted(wanted - found):
            yield Fault(_join(place, name), f"the {noun} is missing")
        for name in sorted(found - wanted):
            yield Fault(_join(place, name), f"the {noun} does not belong here{_how_named(place, name, noun)}")


def _how_named(place: str, name: str, noun: str) -> str:
    split = place.rpartition("/")[2]
    if noun == "folder" or split not in PRIVATE:
        return ""
    suffix = SUFFIX[place.partition("/")[0]]
    is_named = re.fullmatch(rf"\d{{3}}_{PRIVATE[split]}{re.escape(suffix)}", name)
    return "" if is_named else f": names are NNN_{PRIVATE[split]}{suffix}"


def _join(place: str, name: str) -> str:
    return f"{place}/{name}" if place else name


def _check_pair(folder: Path, pair: _Pair) -> Iterator[Fault]:
    maps = yield from _read_map(folder, pair.maps)
    marked = yield from _read_marked(folder, pair.marked)
    if pair.image is not None:
        yield from _check_size(pair, maps, marked)
    if maps is None or marked is None:
        return
    if maps.shape != marked.shape:
        yield Fault(pair.marked, f"is {_size(marked.shape)}, and {pair.maps} is {_size(maps.shape)}")
    elif marked.any() and not marked.all() and maps[marked].min() < maps[~marked].max():
        yield Fault(
            pair.marked,
            f"does not follow from {pair.maps} by a threshold: a marked pixel has the score {maps[marked].min():g},"
            f" one that is not has {maps[~marked].max():g}",
        )


def _read_map(folder: Path, name: str) -> Generator[Fault, None, F16 | None]:
    path = folder / name
    if not path.is_file():
        return None
    try:
        found = read_tiff(path)
    except ImageError as error:
        yield Fault(name, error.message.removeprefix(f"{path}: "))
        return None
    if found.ndim != 2 or found.dtype != np.float16:
        yield Fault(
            name, f"holds {found.dtype.name} of the shape {found.shape}, not (height, width) of float16"
        )
        return None
    if not np.isfinite(found).all():
        yield Fault(name, f"holds {int((~np.isfinite(found)).sum())} scores that are NaN or infinite")
        return None
    if found.min() == found.max():
        yield Fault(name, f"holds one value everywhere ({float(found.min()):g})")
    return found


def _read_marked(folder: Path, name: str) -> Generator[Fault, None, Bool | None]:
    path = folder / name
    if not path.is_file():
        return None
    try:
        info = image_info(path)
        if (info.format, info.mode) != ("PNG", "L"):
            yield Fault(name, f"is {info.format} of the mode {info.mode}, not a PNG of one channel of 8 bits")
            return None
        grey = decode_grey(path)
    except ImageError as error:
        yield Fault(name, error.message.removeprefix(f"{path}: "))
        return None
    others = np.setdiff1d(np.unique(grey), (0, 255))
    if len(others):
        told = ", ".join(map(str, others[:_NAMED])) + (", ..." if len(others) > _NAMED else "")
        yield Fault(name, f"holds other values than 0 and 255: {told}")
        return None
    marked: Bool = grey == 255
    return marked


def _check_size(pair: _Pair, maps: F16 | None, marked: Bool | None) -> Iterator[Fault]:
    assert pair.image is not None
    try:
        hw: HW = image_size(pair.image)
    except ImageError as error:
        yield Fault(pair.maps, f"its image cannot be read: {error.message}")
        return
    for name, found in ((pair.maps, maps), (pair.marked, marked)):
        if found is not None and found.shape != hw:
            yield Fault(name, f"is {_size(found.shape)}, and its image is {_size(hw)}")


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
