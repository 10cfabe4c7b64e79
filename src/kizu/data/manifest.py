"""What a data set consists of: ordered, immutable samples, and one hash over all that numbers depend on."""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from kizu.core.config import Stored
from kizu.core.errors import ConfigError, DataError, ImageError
from kizu.core.files import read_jsonl, shape_as, write_jsonl
from kizu.core.hashing import hash_file, hash_value
from kizu.core.split import Split
from kizu.core.threads import in_order
from kizu.core.work import Work

Label = Literal["good", "defect"]

GOOD = "good"
"""The kind of a sample without a defect."""
UNKNOWN = "unknown"
"""The kind of a sample whose label is not known."""

_REWRITE = "write it anew from the data set"


@dataclass(frozen=True, slots=True)
class Sample:
    """One image and what is known about it."""

    id: str
    """Unique in its manifest: a relative path with forward slashes."""
    path: Path
    label: Label | None = None
    """None: not known."""
    mask_path: Path | None = None
    defect: str = UNKNOWN
    """The kind of defect; "good" for a good part."""
    split: Split | None = None
    group: str | None = None
    """Samples of one group (one part, one lot) never end up on two sides of a split."""
    sha256: str | None = None
    mask_sha256: str | None = None
    """Of the mask's bytes; of several masks over their hashes."""
    is_group_found: bool = False
    """The group was found in the pictures, and nobody gave it: it follows from what they show."""
    more_masks: tuple[Path, ...] = ()
    """Where flaws are drawn one by one, the masks beside `mask_path`: the image is flawed where any of them says so."""

    @property
    def masks(self) -> tuple[Path, ...]:
        """All masks; none for a good image, and for a defect that nobody drew."""
        return () if self.mask_path is None else (self.mask_path, *self.more_masks)


@dataclass(frozen=True, slots=True)
class Manifest:
    """The samples of one category of one data set, in a fixed order.

    Raises `DataError` when two samples have one id.
    """

    dataset: str
    category: str
    root: Path
    samples: tuple[Sample, ...]
    notes: tuple[str, ...] = ()
    """What the scan passed over, in words."""
    parts: tuple[str, ...] = ()
    """The categories that were merged into this one: a sample's id begins with its own. None for one category."""

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for sample in self.samples:
            if sample.id in seen:
                raise DataError(f"two samples of {self.dataset}/{self.category} have the id {sample.id!r}")
            seen.add(sample.id)

    def __len__(self) -> int:
        return len(self.samples)

    def train_good(self) -> tuple[Sample, ...]:
        """The good samples that may be fitted and calibrated on."""
        return self.where(lambda sample: sample.split == Split.TRAIN and sample.label == "good")

    def train_defects(self) -> tuple[Sample, ...]:
        """The labelled defects of the training split, for methods that learn from defects."""
        return self.where(lambda sample: sample.split == Split.TRAIN and sample.label == "defect")

    def validation(self) -> tuple[Sample, ...]:
        """The labelled samples that a threshold may be chosen on."""
        return self.where(lambda sample: sample.split == Split.VALIDATION)

    def test(self) -> tuple[Sample, ...]:
        """The samples that only measure."""
        return self.where(lambda sample: sample.split == Split.TEST)

    def where(self, wanted: Callable[[Sample], bool]) -> tuple[Sample, ...]:
        """The samples for which `wanted` is true, in order."""
        return tuple(sample for sample in self.samples if wanted(sample))

    def part(self, name: str) -> "Manifest":
        """The samples of one of `parts`, their ids as they are here."""
        return replace(
            self, category=name, samples=self.where(lambda s: s.id.startswith(f"{name}/")), parts=()
        )

    def group_by(self, pattern: str) -> "Manifest":
        """The manifest with each sample's group: what the pattern's first bracket matches in its id.

        Without a bracket, what all of it matches; a sample that it does not match keeps the group it has.
        Raises `ConfigError` for what is no regular expression, or matches no id at all.
        """
        try:
            finder = re.compile(pattern)
        except re.error as error:
            raise ConfigError(f"{pattern!r} is not a regular expression: {error}") from error

        def group(sample: Sample) -> Sample:
            found = finder.search(sample.id)
            return (
                sample
                if found is None
                else replace(sample, group=found[1 if finder.groups else 0], is_group_found=False)
            )

        if self.samples and not any(finder.search(sample.id) for sample in self.samples):
            raise ConfigError(
                f"{pattern!r} matches no image of {self.category}",
                hint=f"ids look like {self.samples[0].id!r}",
            )
        return replace(self, samples=tuple(map(group, self.samples)))

    def with_hashes(self, work: Work = Work()) -> "Manifest":
        """The manifest with the SHA-256 of each image and mask file that has none yet.

        Raises `ImageError` naming the first file that cannot be read.
        """
        hashed = []
        workers = work.core_count
        for _, sample in in_order(_hash, self.samples, workers=workers, ahead=4 * workers):
            hashed.append(sample)
            work.report("hashes", len(hashed), len(self.samples))
        return replace(self, samples=tuple(hashed))

    def content_hash(self) -> str:
        """SHA-256 over ids, labels, kinds, splits, given groups and the bytes of images and masks.

        Not over names and folders of the set, nor over groups that were found: they say nothing that the pictures do
        not. Reads the files that have no hash yet.
        """
        rows = [
            [s.id, s.label, s.defect, s.split, None if s.is_group_found else s.group, s.sha256, s.mask_sha256]
            for s in self.with_hashes().samples
        ]
        return hash_value(rows)

    def with_found_groups(self, group_of: Mapping[str, str]) -> "Manifest":
        """The manifest with the groups that were found, by id; whose group was given keeps it."""
        samples = (
            s
            if s.group is not None or s.id not in group_of
            else replace(s, group=group_of[s.id], is_group_found=True)
            for s in self.samples
        )
        return replace(self, samples=tuple(samples))

    def write(self, path: Path) -> None:
        """Write JSONL, whole or not at all: a line about the set, then one for each sample."""
        head = {
            "dataset": self.dataset,
            "category": self.category,
            "root": str(self.root),
            "notes": list(self.notes),
            "parts": list(self.parts),
        }
        write_jsonl(path, [head, *(_row(sample, self.root) for sample in self.samples)])


class ManifestHead(Stored):
    """The first line of a manifest: the set."""

    dataset: str
    category: str
    root: str
    notes: tuple[str, ...]
    parts: tuple[str, ...] = ()


class ManifestRow(Stored):
    """Each other line: a sample, its paths below the root."""

    id: str
    path: str
    label: Label | None
    mask: str | None
    defect: str
    split: Split | None
    group: str | None
    sha256: str | None
    mask_sha256: str | None
    is_group_found: bool = False
    more_masks: tuple[str, ...] = ()

    def sample(self, root: Path) -> Sample:
        """The same, with whole paths."""
        return Sample(
            id=self.id,
            path=root / self.path,
            label=self.label,
            mask_path=None if self.mask is None else root / self.mask,
            defect=self.defect,
            split=self.split,
            group=self.group,
            sha256=self.sha256,
            mask_sha256=self.mask_sha256,
            is_group_found=self.is_group_found,
            more_masks=tuple(root / mask for mask in self.more_masks),
        )


def read_manifest(path: Path, *, root: Path | None = None) -> Manifest:
    """What `Manifest.write` wrote; `root` is where the images lie now, when that has changed.

    Raises `DataError` naming the file and the line.
    """
    lines = read_jsonl(path, hint=_REWRITE)
    first = next(lines, None)
    if first is None:
        raise DataError(f"the manifest {path} is empty", hint=_REWRITE)
    head = shape_as(first, ManifestHead, f"{path}, line 1", hint=_REWRITE)
    base = Path(head.root) if root is None else root
    samples = tuple(
        shape_as(line, ManifestRow, f"{path}, line {number}", hint=_REWRITE).sample(base)
        for number, line in enumerate(lines, start=2)
    )
    return Manifest(head.dataset, head.category, base, samples, head.notes, head.parts)


def merge_manifests(manifests: Sequence[Manifest]) -> Manifest:
    """Several categories as one, for a model that knows them all. Groups stay apart as their categories do.

    Raises `DataError` unless there are at least two with different names.
    """
    names = tuple(manifest.category for manifest in manifests)
    if len(set(names)) < 2 or len(set(names)) < len(names):
        raise DataError(f"{', '.join(names) or 'nothing'} cannot be merged", hint="name different categories")
    samples = tuple(
        replace(s, id=f"{m.category}/{s.id}", group=None if s.group is None else f"{m.category}/{s.group}")
        for m in manifests
        for s in m.samples
    )
    notes = tuple(f"{m.category}: {note}" for m in manifests for note in m.notes)
    dataset = "+".join(dict.fromkeys(m.dataset for m in manifests))
    root = Path(os.path.commonpath([m.root.absolute() for m in manifests]))
    return Manifest(dataset, "+".join(names), root, samples, notes, names)


def hash_image(path: Path) -> str:
    """SHA-256 of the file's bytes. Raises `ImageError` naming a file that cannot be read."""
    try:
        return hash_file(path)
    except OSError as error:
        raise ImageError(f"{path}: cannot be read ({error.strerror})", path=path) from error


def _hash(sample: Sample) -> Sample:
    mask = sample.mask_sha256
    if mask is None and sample.mask_path is not None:
        hashes = [hash_image(path) for path in sample.masks]
        mask = hashes[0] if len(hashes) == 1 else hash_value(hashes)
    return replace(sample, sha256=sample.sha256 or hash_image(sample.path), mask_sha256=mask)


def _row(sample: Sample, root: Path) -> dict[str, Any]:
    return {
        "id": sample.id,
        "path": _relative(sample.path, root),
        "label": sample.label,
        "mask": None if sample.mask_path is None else _relative(sample.mask_path, root),
        "defect": sample.defect,
        "split": sample.split,
        "group": sample.group,
        "sha256": sample.sha256,
        "mask_sha256": sample.mask_sha256,
        **({"is_group_found": True} if sample.is_group_found else {}),
        **(
            {"more_masks": [_relative(mask, root) for mask in sample.more_masks]} if sample.more_masks else {}
        ),
    }


def _relative(path: Path, root: Path) -> str:
    return Path(os.path.relpath(path, root)).as_posix()
