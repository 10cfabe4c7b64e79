"""Backbones by name: what there is, what is added, fetched and removed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kizu.backbones import BACKBONES
from kizu.backbones.added import AddedSpec, added_names, read_added
from kizu.backbones.adding import Told, add_file
from kizu.backbones.base import BackboneSpec, Triple
from kizu.backbones.convert import Converted, Wanted, convert_model
from kizu.backbones.fetching import fetch as fetch_published
from kizu.backbones.publishers import Published, fetchable
from kizu.backbones.store import load_backbone
from kizu.core.errors import BackboneError, ConfigError, MissingExtraError
from kizu.core.registry import look_up
from kizu.core.work import Work
from kizu.tasks.backbone_options import AddOptions, ConvertOptions, FetchOptions
from kizu.tasks.options import parse_size

if TYPE_CHECKING:
    from kizu.core.download import OnBytes


@dataclass(frozen=True, slots=True)
class Listed:
    """A backbone that can be named, and what is known of it."""

    name: str
    summary: str
    spec: BackboneSpec | None
    missing: str | None = None
    """Why it cannot be used, and what to do, where `spec` is None."""


def list_backbones() -> list[Listed]:
    """Those that come with Kizu, then those that were added."""
    found = []
    for name, entry in BACKBONES.items():
        try:
            found.append(Listed(name, entry.summary, load_backbone(name).spec))
        except MissingExtraError as error:
            found.append(Listed(name, entry.summary, None, f"not installed: {error.hint or error.message}"))
    return found + [_added(name) for name in added_names()]


def list_fetchable() -> dict[str, Published]:
    """What `kizu backbones fetch` knows, without what is there already."""
    there = {*BACKBONES, *added_names()}
    return {name: published for name, published in fetchable().items() if name not in there}


def add(options: AddOptions, work: Work = Work()) -> AddedSpec:
    """Add a file as a backbone. Raises as `add_file`."""
    told = Told(
        architecture=options.arch,
        licence=options.licence,
        source=options.source,
        mean=_triple("--mean", options.mean),
        std=_triple("--std", options.std),
    )
    with work.limit():
        return add_file(options.file, options.name, told, on_note=work.note)


def fetch(options: FetchOptions, work: Work = Work()) -> AddedSpec:
    """Fetch published weights as a backbone. Raises as `fetch_published`; `ConfigError` for an unknown name."""
    published = look_up(fetchable(), options.name, noun="published backbone")
    with work.limit():
        return fetch_published(
            published, options.known_as or options.name, on_note=work.note, on_bytes=_in_megabytes(work)
        )


def convert(options: ConvertOptions, work: Work = Work()) -> Converted:
    """Write a model of timm as an ONNX file. Raises as `convert_model`."""
    wanted = Wanted(options.name, parse_size(options.image_size), options.weights, options.licence)
    with work.limit():
        return convert_model(wanted, options.output)


def _in_megabytes(work: Work) -> OnBytes:
    def told(there: int, total: int) -> None:
        if total:
            work.report("download, MB", there >> 20, max(1, total >> 20))

    return told


def _added(name: str) -> Listed:
    try:
        added = read_added(name)
    except BackboneError as error:
        return Listed(name, "was added", None, f"damaged: {error.message}; {error.hint}")
    return Listed(name, f"{added.architecture}, added {added.added_at[:10]}", added.as_spec())


def _triple(flag: str, text: str | None) -> Triple | None:
    """ "0.5,0.5,0.5" -> one number per channel. Raises `ConfigError` naming the flag."""
    if text is None:
        return None
    try:
        red, green, blue = (float(part) for part in text.split(","))
    except ValueError as error:
        raise ConfigError(
            f"{flag} {text!r} is not three numbers", hint="give red, green, blue: 0.485,0.456,0.406"
        ) from error
    return red, green, blue
