"""Categories that choices were made on, and how a copy of one is recognised."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import SerializerFunctionWrapHandler, model_serializer

from kizu.core.config import Config
from kizu.core.work import Work
from kizu.data.manifest import Manifest
from kizu.data.marks import ImageMark, find_alike, find_shared, mark_images

SHARED_PART = 0.05
"""What shares more of its pictures than this is taken for the same set."""


class DevSet(Config):
    """A category that choices were made on."""

    dataset: str
    category: str
    manifest_sha256: str
    images: tuple[ImageMark, ...] | None = None
    """Its pictures. None: noted before pictures were, so that only name and whole content can be compared."""

    @model_serializer(mode="wrap")
    def _as_before(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """What was frozen without pictures keeps its hash."""
        values: dict[str, Any] = handler(self)
        if self.images is None:
            del values["images"]
        return values

    @property
    def name(self) -> str:
        """Data set and category."""
        return f"{self.dataset}/{self.category}"


@dataclass(frozen=True, slots=True)
class Looked:
    """What a category has to do with those that choices were made on."""

    leak: str | None
    """Why it counts as one of them; None: it does not."""
    caveats: tuple[str, ...]
    """What is to be said beside its numbers."""


def dev_set(manifest: Manifest, work: Work = Work()) -> DevSet:
    """The record of a category. Reads its files. Raises `ImageError`."""
    hashed = manifest.with_hashes(work)
    return DevSet(
        dataset=manifest.dataset,
        category=manifest.category,
        manifest_sha256=hashed.content_hash(),
        images=mark_images(hashed.samples, work),
    )


def look_for_dev(dev: Sequence[DevSet], manifest: Manifest, marks: Sequence[ImageMark]) -> Looked:
    """Compare a hashed manifest and its marks with every set: by name, by content, and picture by picture.

    It counts as one when it has more than `SHARED_PART` of its pictures, of its test pictures, or of the set's own in
    common with it. Fewer are a caveat, and so are pictures that only look the same.
    """
    here = f"{manifest.dataset}/{manifest.category}"
    content = manifest.content_hash()
    tests = {sample.id for sample in manifest.test()}
    leak = None
    caveats = []
    for known in dev:
        shared = find_shared(marks, known.images or ())
        in_test = find_shared([mark for mark in marks if mark.id in tests], known.images or ())
        if (known.dataset, known.category) == (manifest.dataset, manifest.category):
            leak = leak or f"{here} is a category that this pipeline was designed on"
        elif known.manifest_sha256 == content:
            leak = leak or f"{here} is {known.name}, a category that this pipeline was designed on"
        elif max(shared.part, in_test.part) > SHARED_PART:
            leak = leak or (
                f"{here} has {len(shared.pairs)} of its images from {known.name}, which this pipeline was designed on:"
                f" {shared.describe()}"
            )
        elif shared.pairs:
            caveats.append(
                f"{here} shares {len(shared.pairs)} image(s) with {known.name}, which the pipeline was designed on:"
                f" {shared.describe()}."
            )
        caveats += _alike(here, known, marks)
    return Looked(leak, tuple(caveats) if leak is None else ())


def name_unchecked(dev: Sequence[DevSet]) -> tuple[str, ...]:
    """What cannot be recognised, in sentences."""
    return tuple(
        f"{known.name} was noted without its images, by an older version: a copy of it is recognised by its name or its"
        " whole content, and not when an image was added, removed or packed anew."
        for known in dev
        if known.images is None
    )


def _alike(here: str, known: DevSet, marks: Sequence[ImageMark]) -> list[str]:
    pairs = find_alike(marks, known.images or ())
    if not pairs:
        return []
    first = f"{pairs[0][0]} and {pairs[0][1]}"
    return [
        f"{len(pairs)} image(s) of {here} look the same as images of {known.name}, which the pipeline was designed on"
        f" ({first}): see whether they are copies that were compressed anew."
    ]
