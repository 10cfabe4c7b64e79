"""What MVTec AD 2's evaluation server takes: maps of the images whose labels only the publisher knows.

<output>/submission.json                                                          of which models the maps are
<output>/submission/anomaly_images/<category>/test_private/NNN_regular.tiff        (H, W) float16, raw scores
<output>/submission/anomaly_images/<category>/test_private_mixed/NNN_mixed.tiff
<output>/submission/anomaly_images_thresholded/<category>/<the same>.png           0 and 255
<output>/submission.tar.gz                                                        once all of it is whole

The binary maps are those that an inspection hands in: the pixels above the pixel threshold of an image that is NG, and
none of one that is OK. `seg_f1` of `kizu evaluate` is measured on the same.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from kizu.core.config import Stored
from kizu.core.errors import ConfigError, ImageError, OutputError, ScoreError
from kizu.core.files import read_stored, write_stored
from kizu.core.locks import StillThere, locked
from kizu.core.parts import sweep_file_parts
from kizu.core.work import Work
from kizu.data.layouts.mvtec_ad2 import PRIVATE
from kizu.data.manifest import Sample
from kizu.imaging.codec import encode_png
from kizu.imaging.half import ensure_tifffile, write_half
from kizu.inspection.inspector import Inspector
from kizu.release.half import exponent_for, to_half

MAPS, MARKED = "anomaly_images", "anomaly_images_thresholded"
SUFFIX = {MAPS: ".tiff", MARKED: ".png"}
COUNTS: Mapping[str, int] = {
    "can": 321,
    "fabric": 314,
    "fruit_jelly": 255,
    "rice": 277,
    "sheet_metal": 142,
    "vial": 276,
    "wallplugs": 232,
    "walnuts": 228,
}
"""Images of each category, in each of the two private sets."""


class SubmittedModel(Stored):
    """What the maps of one category are of."""

    bundle_sha256: str
    exponent: int
    """Scores were multiplied by two to the power of this; their order is as it was."""
    image_threshold: float
    pixel_threshold: float


class SubmissionFile(Stored):
    """`submission.json`."""

    models: dict[str, SubmittedModel]


@dataclass(frozen=True, slots=True)
class Entry:
    """One category: its model, and its private images by split."""

    category: str
    inspector: Inspector
    images: Mapping[str, Sequence[Sample]]

    def model(self) -> SubmittedModel:
        """Raises `ConfigError` for a model with zones: a binary map would follow from no single threshold."""
        thresholds = self.inspector.manifest.thresholds
        if thresholds.zones is not None:
            raise ConfigError(
                f"the model of {self.category} has a pixel threshold for each zone, and a submission one for all",
                hint="set it anew without zones: kizu evaluate --compute-thresholds",
            )
        return SubmittedModel(
            bundle_sha256=self.inspector.bundle_sha256,
            exponent=exponent_for(thresholds.pixel.value),
            image_threshold=thresholds.image.value,
            pixel_threshold=thresholds.pixel.value,
        )


@dataclass(slots=True)
class Written:
    """What came of it."""

    maps: int = 0
    """Written by this call; earlier ones stay."""
    failures: list[str] = field(default_factory=list)
    """Images without a map, and why."""
    distinct: int = 0
    left: int = 0
    """Of the different scores that were looked at so many are different halves."""
    tied: int = 0
    """Unmarked pixels with the half of a marked one of their image."""

    def told(self) -> str:
        """What half precision cost, in words."""
        if not self.maps:
            return "no new map"
        lost = 1 - self.left / self.distinct
        return (
            f"{self.maps} maps; in half precision {lost:.0%} of the different scores became ties within their map,"
            f" and {self.tied} pixels below the threshold have the half of one above it"
        )


def folder_in(output: Path) -> Path:
    """The folder that is packed."""
    return output / "submission"


def archive_in(output: Path) -> Path:
    """The file to upload."""
    return output / "submission.tar.gz"


def write_maps(entries: Sequence[Entry], output: Path, work: Work = Work()) -> Written:
    """Write both maps of each private image that has none yet; an image that cannot be read does not end the others.

    Raises `MissingExtraError` without tifffile, `OutputError` when the folder cannot be written, is in use, or holds
    maps of a category that another model made, and `ConfigError` as `Entry.model`.
    """
    ensure_tifffile()
    models = {entry.category: entry.model() for entry in entries}
    written = Written()
    with locked(output) as still_there:
        sweep_file_parts(folder_in(output), deep=True)
        _claim(output, models)
        archive_in(output).unlink(missing_ok=True)  # it would lack what comes now
        for entry in entries:
            for split in PRIVATE:
                _write_split(
                    entry, split, models[entry.category].exponent, output, written, work, still_there
                )
    return written


def _claim(output: Path, models: Mapping[str, SubmittedModel]) -> None:
    path = output / "submission.json"
    known = read_stored(path, SubmissionFile).models if path.exists() else {}
    for category, model in models.items():
        if category in known and known[category] != model:
            raise OutputError(
                f"{output} holds maps of {category} that another model or other thresholds made",
                hint=f"name another --output, or remove {output}",
            )
    write_stored(path, SubmissionFile(models={**known, **models}))


def _write_split(
    entry: Entry,
    split: str,
    exponent: int,
    output: Path,
    written: Written,
    work: Work,
    still_there: StillThere,
) -> None:
    places = [folder_in(output) / kind / entry.category / split for kind in (MAPS, MARKED)]
    images = entry.images[split]
    waiting = [s for s in images if not all(path.exists() for path in _paths(s, places))]
    make = partial(_write_one, entry.inspector, exponent, places)
    done = len(images) - len(waiting)
    for _, result in work.share(partial(_same, make), waiting):
        done += 1
        if isinstance(result, str):
            written.failures.append(result)
        else:
            written.maps += 1
            written.distinct += result[0]
            written.left += result[1]
            written.tied += result[2]
        still_there()
        work.report(f"{entry.category} {PRIVATE[split]}", done, len(images))


def _same(
    write: Callable[[Sample], str | tuple[int, int, int]],
) -> Callable[[Sample], str | tuple[int, int, int]]:
    return write


def _paths(sample: Sample, places: Sequence[Path]) -> list[Path]:
    maps, marked = places
    return [maps / f"{sample.path.stem}{SUFFIX[MAPS]}", marked / f"{sample.path.stem}{SUFFIX[MARKED]}"]


def _write_one(
    inspector: Inspector, exponent: int, places: Sequence[Path], sample: Sample
) -> str | tuple[int, int, int]:
    """Both maps of one image, the binary one first; or why there are none. What it returns is of `HalfMap`."""
    try:
        found = inspector.inspect(sample.path)
        half = to_half(found.map, found.mask, exponent, str(sample.path))
    except (ImageError, ScoreError) as error:
        return error.message
    maps, marked = _paths(sample, places)
    encode_png(marked, found.mask.astype(np.uint8) * np.uint8(255))
    write_half(maps, half.values)
    return half.distinct, half.left, half.tied_with_marked
