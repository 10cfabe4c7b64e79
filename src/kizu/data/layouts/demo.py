"""Draws its own parts and flaws, with masks, from a seed: for tests, and for machines without data.

They are written once into `<root>/<category>`, laid out like MVTec AD, and listed from there from then on.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from kizu.core.config import Config, Stored
from kizu.core.errors import DataError
from kizu.core.files import read_stored, write_stored
from kizu.core.locks import locked_name
from kizu.core.parts import sweep_file_parts
from kizu.core.randomness import rng_for
from kizu.core.threads import spread
from kizu.data.defects import PAINTERS
from kizu.data.discs import draw_disc
from kizu.data.layouts import mvtec_ad
from kizu.data.manifest import Manifest
from kizu.imaging.codec import encode_png

CATEGORY = "disc"
_MARK = "demo.json"
"""Says that the folder is ours, what was drawn, and whether all of it was."""

Count = Annotated[int, Field(ge=1, le=10_000)]


class DemoOptions(Config):
    """How many parts are drawn, from which seed, how large."""

    seed: int = 0
    train: Count = 40
    test_good: Count = 20
    test_defect: Count = 20
    """In turn of each kind in `PAINTERS`."""
    side_px: Annotated[int, Field(ge=32, le=4096)] = 256


class Mark(Stored):
    """`demo.json`."""

    options: dict[str, Any]
    complete: bool


def scan(
    root: Path | None = None, category: str | None = None, options: DemoOptions = DemoOptions()
) -> Manifest:
    """List the drawn parts in `root`/`category`, after drawing them if they are not there yet.

    Raises `DataError` when the folder holds something else, `OutputError` when it cannot be written.
    """
    if root is None:
        raise DataError("the drawn parts need a folder to be written to", hint="give it as the data root")
    folder = root.expanduser() / (category or CATEGORY)
    if not ((folder / _MARK).is_file() and _is_drawn(folder, options)):
        with locked_name(folder):
            sweep_file_parts(folder, deep=True)
            if not _is_drawn(folder, options):
                _draw(folder, options)
    return replace(mvtec_ad.scan(folder), dataset="demo")


def _is_drawn(folder: Path, options: DemoOptions) -> bool:
    """Whether all parts are there. Raises `DataError` rather than draw among files that are not ours."""
    mark = folder / _MARK
    if mark.is_file():
        found = read_stored(mark, Mark, hint="remove the folder, and it is drawn again")
        if found.options == options.model_dump():
            return found.complete
        raise DataError(
            f"{folder} holds parts drawn with other options", hint="name another folder, or remove it"
        )
    if folder.exists() and any(folder.iterdir()):
        raise DataError(f"{folder} holds something else", hint="name another folder")
    return False


def _draw(folder: Path, options: DemoOptions) -> None:
    write_stored(folder / _MARK, Mark(options=options.model_dump(), complete=False))
    spread(lambda job: _draw_one(folder, job[0], job[1], options), _jobs(options))
    write_stored(folder / _MARK, Mark(options=options.model_dump(), complete=True))


def _jobs(options: DemoOptions) -> Iterator[tuple[str, str]]:
    """(folder and stem, kind) of each image."""
    for number in range(options.train):
        yield f"train/good/{number:03}", "good"
    for number in range(options.test_good):
        yield f"test/good/{number:03}", "good"
    kinds = list(PAINTERS)
    for number in range(options.test_defect):
        kind = kinds[number % len(kinds)]
        yield f"test/{kind}/{number // len(kinds):03}", kind


def _draw_one(folder: Path, name: str, kind: str, options: DemoOptions) -> None:
    """Each image has a stream of its own, so that it stays the same whatever the others are."""
    rng: np.random.Generator = rng_for(options.seed, "demo", name)
    disc = draw_disc(rng, options.side_px)
    if kind == "good":
        encode_png(folder / f"{name}.png", disc.image)
        return
    flawed = PAINTERS[kind](disc.image, rng, disc.part)
    encode_png(folder / f"{name}.png", flawed.image)
    encode_png(folder / "ground_truth" / f"{name.removeprefix('test/')}_mask.png", flawed.mask)
