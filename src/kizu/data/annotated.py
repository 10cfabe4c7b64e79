"""Data sets whose flaws are numbers in a JSON file: read by their layouts, drawn to masks here, once.

The rest of Kizu reads masks as pictures, hashes them and names them in results, so they are written as pictures: into
`kizu-masks` below the root, or where the option `masks_dir` says. What is there and is the same stays.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from kizu.core.config import Config
from kizu.core.errors import DataError, ImageError, OutputError
from kizu.core.files import write_bytes
from kizu.core.randomness import rng_for
from kizu.core.split import Split
from kizu.core.threads import spread
from kizu.core.types import F64, HW, Bool
from kizu.data.manifest import GOOD, Manifest, Sample
from kizu.data.passed import Passed
from kizu.data.splits import with_good_tests
from kizu.data.words import Kind, say
from kizu.imaging.codec import image_size, png_bytes
from kizu.imaging.shapes import fill_polygon, fill_runs, unpack_runs

MASKS = "kizu-masks"
_HINT = "export the annotations again"


class AnnotatedOptions(Config):
    """What labels mean, where masks go, and how much of the good images is for testing."""

    good_labels: tuple[str, ...] = ("No object",)
    """Labels of good images, beside those that say so by a word such as good, normal or OK."""
    masks_dir: Path | None = None
    """Relative to the root; None: `kizu-masks`."""
    test_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Of the good images; only where no file says the split."""
    seed: int = 0

    def is_good(self, label: str) -> bool:
        """Whether a label says that nothing is wrong."""
        return label in self.good_labels or say(label).kinds == {Kind.GOOD}


@dataclass(frozen=True, slots=True)
class Runs:
    """A mask as runs."""

    lengths: tuple[int, ...]
    hw: HW


@dataclass(frozen=True, slots=True)
class Annotation:
    """One image, and what is said about it."""

    path: Path
    where: str
    """The file and the entry, for messages."""
    defect: str
    """`GOOD` for a good one."""
    hw: HW
    """As the annotations say."""
    split: Split | None
    shapes: tuple[F64 | Runs, ...] = field(default=())
    """Polygons (K, 2) of x and y, and runs."""


def read_runs(rle: Any, where: str) -> Runs:
    """COCO's run-length encoding: {"size": [height, width], "counts": [...] or text}. Raises `DataError`."""
    try:
        height, width = (_whole(side) for side in rle["size"])
        counts = rle["counts"]
        lengths = unpack_runs(counts) if isinstance(counts, str) else [_whole(run) for run in counts]
        return Runs(tuple(lengths), (height, width))
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{where}: no runs with size and counts ({error!r})", hint=_HINT) from error
    except DataError as error:
        raise DataError(f"{where}: {error.message}", hint=error.hint) from error


def read_polygon(points: Any, where: str) -> F64:
    """A flat list x, y, x, y, ... as (K, 2). Raises `DataError`."""
    try:
        corners = np.asarray(points, np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{where}: a polygon that is no list of numbers", hint=_HINT) from error
    if corners.ndim != 1 or len(corners) < 6 or len(corners) % 2 or not np.isfinite(corners).all():
        raise DataError(f"{where}: a polygon that is no list of at least three x, y", hint=_HINT)
    return corners.reshape(-1, 2)


def read_size(height: Any, width: Any, where: str) -> HW:
    """Raises `DataError` for what are no whole numbers above 0."""
    try:
        hw = _whole(height), _whole(width)
    except (TypeError, ValueError) as error:
        raise DataError(f"{where}: no height and width", hint=_HINT) from error
    if min(hw) < 1:
        raise DataError(f"{where}: {hw[0]} x {hw[1]} is no size", hint=_HINT)
    return hw


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
        raise TypeError(f"{value!r} is no whole number")
    return int(value)


def draw(image: Annotation) -> Bool:
    """(H, W): where any of its shapes is. Raises `DataError` for one of another size than the image."""
    marked = np.zeros(image.hw, np.bool_)
    for shape in image.shapes:
        if isinstance(shape, Runs):
            if shape.hw != image.hw:
                raise DataError(
                    f"{image.where}: a mask of {shape.hw} pixels in an image of {image.hw} (height, width)",
                    hint=_HINT,
                )
            try:
                marked |= fill_runs(shape.lengths, shape.hw)
            except DataError as error:
                raise DataError(f"{image.where}: {error.message}", hint=error.hint) from error
        else:
            marked |= fill_polygon(shape, image.hw)
    return marked


def make_manifest(
    dataset: str,
    root: Path,
    images: Sequence[Annotation],
    options: AnnotatedOptions,
    passed: Passed,
) -> Manifest:
    """The set, its masks drawn. Without any split, good images are for training and a seeded part of them, with all
    others, for testing.

    Raises `DataError` for an image of another size than its annotations say, and for shapes that mark nothing of it;
    `OutputError` when masks cannot be written.
    """
    masks = root / (options.masks_dir or MASKS)
    samples = spread(lambda image: _sample(root, masks, image), images)
    without = sum(s.label == "defect" and s.mask_path is None for s in samples)
    if without:
        passed.remark(f"defects that nothing is drawn for: {without}")
    if not any(s.split in (Split.TRAIN, None) and s.label == "good" for s in samples):
        raise DataError(
            f"no good image to learn from in the annotations of {root}",
            hint="good are images without a defect; name further labels of good ones with the option good_labels",
        )
    manifest = Manifest(dataset, root.name, root, tuple(_with_split(s) for s in samples), passed.notes())
    if any(s.split is not None for s in samples) or len(manifest.train_good()) < 2:
        return manifest
    return with_good_tests(manifest, options.test_fraction, rng_for(options.seed, dataset, "test"))


def _with_split(sample: Sample) -> Sample:
    if sample.split is not None:
        return sample
    split = Split.TRAIN if sample.label == "good" else Split.TEST
    return Sample(sample.id, sample.path, sample.label, sample.mask_path, sample.defect, split)


def _sample(root: Path, masks: Path, image: Annotation) -> Sample:
    name = image.path.relative_to(root).as_posix()
    mask = None
    if image.defect != GOOD and image.shapes:
        mask = masks / f"{name}.png"
        _write(mask, _checked(image))
    label = "good" if image.defect == GOOD else "defect"
    return Sample(name, image.path, label, mask, image.defect, image.split)  # type: ignore[arg-type]


def _checked(image: Annotation) -> Bool:
    try:
        hw = image_size(image.path)
    except ImageError as error:
        raise DataError(f"{image.where}: {error.message}", hint=error.hint) from error
    if hw != image.hw:
        raise DataError(
            f"{image.where}: {image.path} is {hw[0]} x {hw[1]}, and annotated as {image.hw[0]} x {image.hw[1]}",
            hint="use the images that were annotated",
        )
    marked = draw(image)
    if not marked.any():
        raise DataError(f"{image.where}: what is drawn lies outside of the image", hint=_HINT)
    return marked


def _write(path: Path, mask: Bool) -> None:
    content = png_bytes(mask)
    try:
        if path.exists() and path.read_bytes() == content:
            return
        write_bytes(path, content, durable=False)
    except (OSError, OutputError) as error:
        raise OutputError(
            f"cannot write the mask {path}: {getattr(error, 'message', error)}",
            hint="name a folder for masks that can be written with the option masks_dir",
        ) from error
