"""Weights from where they are published, checked by what their publisher says of them, to a backbone with a name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from kizu.backbones.added import AddedSpec, ensure_free, fetched_hash, note_fetched
from kizu.backbones.adding import Told, add_file
from kizu.backbones.cache import cache_root
from kizu.backbones.download import LARGEST, OnBytes, downloaded
from kizu.backbones.publishers import Published
from kizu.core.errors import BackboneError
from kizu.core.hashing import hash_file

_SHA256_DIGITS = 64
_MB = 1 << 20
_SPARE_MB = 1.0
"""The publisher's size is rounded."""


def fetch(
    published: Published,
    name: str,
    *,
    on_note: Callable[[str], None],
    on_bytes: OnBytes | None = None,
) -> AddedSpec:
    """Fetch the weights, check their hash, and add them as the backbone `name`.

    `on_note` is told what the hash was checked against. Raises as `downloaded` and `add_file`; `BackboneError` for
    another hash than the publisher states, or than the address gave before.
    """
    ensure_free(name)
    largest = LARGEST if published.megabytes is None else int((published.megabytes + _SPARE_MB) * _MB)
    try:
        with downloaded(
            published.address, cache_root() / "downloads", largest=largest, on_bytes=on_bytes
        ) as path:
            digest = _check(path, published, on_note)
            told = Told(published.architecture, published.licence, published.address)
            added = add_file(path, name, told, on_note=on_note)
            note_fetched(published.address, digest)
            return added
    except BackboneError as error:
        hint = (
            f"run the same command again to go on, or download it elsewhere and run"
            f" kizu backbones add {published.file} --as {name} --arch {published.architecture}"
            f" --licence {published.licence}"
        )
        raise BackboneError(error.message, hint=error.hint or hint) from error


def _check(path: Path, published: Published, on_note: Callable[[str], None]) -> str:
    """The file's SHA-256, after comparing it with all that is known of it; that is told."""
    digest = hash_file(path)
    start, before = published.sha256_start, fetched_hash(published.address)
    if not digest.startswith(start):
        raise BackboneError(
            f"{published.address} gave a file of SHA-256 {digest}; its publisher says that it begins with {start}",
            hint="what came was removed; something on the way may have changed it: try again, or from another network",
        )
    if before is not None and before != digest:
        raise BackboneError(
            f"{published.address} gave a file of SHA-256 {digest}; the first time it was {before}",
            hint="what came was removed; find out at the publisher which one is right before you use either",
        )
    if before is not None:
        on_note(f"SHA-256 {digest}: the same as when it was first fetched")
    elif start:
        digits = "all digits are" if len(start) == _SHA256_DIGITS else f"the first {len(start)} digits are"
        on_note(f"SHA-256 {digest}: {digits} those that the publisher states")
    else:
        on_note(
            f"SHA-256 {digest}: its publisher states none, so nothing but the encrypted connection vouches for it;"
            " from now on this address must give the same"
        )
    return digest
