"""Weights from where they are published, checked by what their publisher says of them, to a backbone with a name."""

from __future__ import annotations

from collections.abc import Callable

from kizu.backbones.added import AddedSpec, ensure_free, fetched_hash, note_fetched
from kizu.backbones.adding import Told, add_file
from kizu.backbones.cache import cache_root
from kizu.backbones.publishers import Published
from kizu.core.download import OnBytes, download
from kizu.core.errors import BackboneError, DataError
from kizu.core.hashing import hash_bytes

_SHA256_DIGITS = 64


def fetch(
    published: Published,
    name: str,
    *,
    on_note: Callable[[str], None],
    on_bytes: OnBytes | None = None,
) -> AddedSpec:
    """Fetch the weights, check their hash, and add them as the backbone `name`.

    What an interrupted try has left is gone on with. `on_note` is told what the hash was checked against. Raises
    `BackboneError` when the file cannot be had, has another hash than the publisher states or than the address gave
    before, or cannot be used; `OutputError` as `download`; and as `add_file`.
    """
    ensure_free(name)
    if published.megabytes is not None:
        on_note(f"fetching {published.megabytes:.0f} MB from {published.address}")
    path = cache_root() / "downloads" / f"{hash_bytes(published.address.encode())[:16]}-{published.file}"
    try:
        digest = download(published.address, path, sha256=None, on_progress=on_bytes)
    except DataError as error:
        raise BackboneError(error.message, hint=_elsewhere(published, name)) from error
    try:
        _check(digest, published, on_note)
        told = Told(published.architecture, published.licence, published.address)
        added = add_file(path, name, told, on_note=on_note)
    except BackboneError:
        path.unlink(missing_ok=True)
        raise
    note_fetched(published.address, digest)
    path.unlink(missing_ok=True)
    return added


def _elsewhere(published: Published, name: str) -> str:
    return (
        "run the same command again to go on, or download it elsewhere and run"
        f" kizu backbones add {published.file} --as {name} --arch {published.architecture}"
        f" --licence {published.licence}"
    )


def _check(digest: str, published: Published, on_note: Callable[[str], None]) -> None:
    """Compare a file's SHA-256 with all that is known of it; what that is, is told."""
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
