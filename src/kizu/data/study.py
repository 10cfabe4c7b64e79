"""The study split: labelled defects for choosing, others for measuring, drawn once and then read.

Train is most of train/good; validation is the rest of it and a part of the test defects, of every kind; test is what is
left. Parted as `hold_out` parts: groups and copies of a file stay on one side.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from kizu.core.config import Stored
from kizu.core.errors import DataError
from kizu.core.files import read_stored, write_stored
from kizu.core.split import Split
from kizu.data.manifest import Manifest, Sample
from kizu.data.splits import ensure_apart, hold_out

GOOD_FRACTION, DEFECT_FRACTION = 0.2, 0.3
_REDRAW = "draw the split anew under another name, and say so beside its numbers"


class StudyRow(Stored):
    """One image of `study.json`."""

    id: str
    split: Split
    sha256: str | None
    mask_sha256: str | None


class StudyFile(Stored):
    """`study.json`: which side each image is on."""

    seed: int
    samples: tuple[StudyRow, ...]


@dataclass(frozen=True, slots=True)
class StudySplit:
    """Which sample is on which side, and the content it had."""

    seed: int
    sides: dict[str, Split]
    """By id."""
    contents: dict[str, tuple[str | None, str | None]]
    """SHA-256 of image and mask, by id."""

    def apply(self, manifest: Manifest) -> Manifest:
        """The hashed manifest with these sides. Raises `DataError` when a file changed, vanished or came."""
        found = {sample.id: (sample.sha256, sample.mask_sha256) for sample in manifest.samples}
        for name in sorted(self.contents.keys() ^ found.keys()):
            verb = "is gone" if name in self.contents else "was not there"
            raise DataError(f"{name} {verb} when the study split was drawn", hint=_REDRAW)
        for name, content in self.contents.items():
            if found[name] != content:
                raise DataError(f"{name} has changed since the study split was drawn", hint=_REDRAW)
        return _with_sides(manifest, self.sides)

    def without_chosen(self, manifest: Manifest) -> Manifest:
        """Any hashed manifest, its test split without the images that thresholds are chosen on, known by content."""
        chosen = {self.contents[name][0] for name, side in self.sides.items() if side is Split.VALIDATION}
        sides = {s.id: Split.VALIDATION for s in manifest.test() if s.sha256 in chosen}
        return _with_sides(manifest, sides)


def draw_study(
    manifest: Manifest,
    rng: np.random.Generator,
    *,
    seed: int,
    good_fraction: float = GOOD_FRACTION,
    defect_fraction: float = DEFECT_FRACTION,
) -> StudySplit:
    """Cut a hashed manifest. `seed` is only noted: `rng` decides.

    Kinds with a single image stay in test. Raises `DataError` when there are no two good images, or no kind of defect
    with two images to part.
    """
    _, held = hold_out(manifest.train_good(), good_fraction, rng)
    chosen = {sample.id for sample in held}
    defects = [sample for sample in manifest.test() if sample.label == "defect"]
    for kind, count in sorted(Counter(sample.defect for sample in defects).items()):
        if count >= 2:
            _, some = hold_out([s for s in defects if s.defect == kind], defect_fraction, rng)
            chosen.update(sample.id for sample in some)
    if not chosen & {sample.id for sample in defects}:
        raise DataError(
            "no kind of defect has two test images, so none can be parted",
            hint="threshold on good images only",
        )
    sides = {
        s.id: Split.VALIDATION if s.id in chosen else s.split for s in manifest.samples if s.split is not None
    }
    cut = _with_sides(manifest, sides)
    for one, other in ((cut.train_good(), cut.validation()), (cut.validation(), cut.test())):
        ensure_apart(one, other)
    return StudySplit(seed, sides, {s.id: (s.sha256, s.mask_sha256) for s in manifest.samples})


def load_or_draw(path: Path, manifest: Manifest, rng: np.random.Generator, *, seed: int) -> Manifest:
    """The manifest cut as `path` says; where there is no such file, cut anew and written there.

    Raises `DataError` when the file cannot be read, or its images are not those of the manifest.
    """
    if not path.exists():
        write_study(path, draw_study(manifest, rng, seed=seed))
    cut = read_study(path).apply(manifest)
    for one, other in _pairs(cut):
        ensure_apart(one, other)
    return cut


def write_study(path: Path, study: StudySplit) -> None:
    """As JSON."""
    rows = tuple(
        StudyRow(id=name, split=side, sha256=study.contents[name][0], mask_sha256=study.contents[name][1])
        for name, side in study.sides.items()
    )
    write_stored(path, StudyFile(seed=study.seed, samples=rows))


def read_study(path: Path) -> StudySplit:
    """What `write_study` wrote. Raises `DataError`."""
    content = read_stored(path, StudyFile, hint=_REDRAW)
    return StudySplit(
        content.seed,
        {row.id: row.split for row in content.samples},
        {row.id: (row.sha256, row.mask_sha256) for row in content.samples},
    )


def _pairs(manifest: Manifest) -> list[tuple[Sequence[Sample], Sequence[Sample]]]:
    parts: list[Callable[[], tuple[Sample, ...]]] = [manifest.train_good, manifest.validation, manifest.test]
    return [(parts[i](), parts[j]()) for i, j in ((0, 1), (0, 2), (1, 2))]


def _with_sides(manifest: Manifest, sides: dict[str, Split]) -> Manifest:
    return replace(
        manifest, samples=tuple(replace(s, split=sides.get(s.id, s.split)) for s in manifest.samples)
    )
