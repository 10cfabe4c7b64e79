"""The seal of an exported ONNX file: its last bytes, which tell the hash of all bytes before them.

    model                  as ONNX serialises it, with `kizu.sealed` among its metadata
    kizu.signature         of a signed file: who signed the hash of the model
    kizu.content_sha256    hash of everything before this entry

Both are entries of the ONNX metadata, so that any reader of ONNX shows them; and they lie at the end, so that whoever
checks them needs no reader of ONNX: not one byte is outside the hash. A hash finds accidents. It does not say who made
a file: whoever changes one can write another hash. That is what a signature is for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kizu.core.errors import BundleError

if TYPE_CHECKING:
    import onnx

SEALED = "kizu.sealed"
"""Metadata: that the file ends in a seal. Files of before had none."""
SHA256 = "kizu.content_sha256"
SIGNATURE = "kizu.signature"

Sign = Callable[[str], str]
"""From a hash to the signature that stands in the file, of `SIGNATURE_LENGTH` characters."""
SIGNATURE_LENGTH = 64 + 1 + 128
"""A public key and a signature in hexadecimal, with a blank between."""


@dataclass(frozen=True, slots=True)
class Seal:
    """What a whole file says of itself."""

    content_sha256: str
    """Of the model without its seal: what is signed."""
    signature: str | None


def seal(model: onnx.ModelProto, sign: Sign | None = None) -> bytes:
    """`model` as the bytes of a sealed file, signed where `sign` is given."""
    sealed = type(model)()
    sealed.CopyFrom(model)
    sealed.metadata_props.add(key=SEALED, value="1")
    content = bytes(sealed.SerializeToString())
    if sign is not None:
        content += _entry(SIGNATURE, sign(_hash(content)))
    return content + _entry(SHA256, _hash(content))


def read_seal(content: bytes, *, where: str) -> Seal | None:
    """The seal of a file's bytes; None: it has none, which is for the caller to judge by `SEALED`.

    Raises `BundleError` naming `where` when the bytes are not those that were sealed.
    """
    whole = memoryview(content)
    body, found = _split(whole, SHA256, 64)
    if found is None:
        return None
    if _hash(body) != found:
        raise BundleError(
            f"{where} has changed since it was exported: it hashes to {_hash(body)}, not to {found}",
            hint="copy it again from where it is whole, or export it again",
        )
    body, signature = _split(body, SIGNATURE, SIGNATURE_LENGTH)
    return Seal(_hash(body), signature)


def _split(content: memoryview, key: str, length: int) -> tuple[memoryview, str | None]:
    """What lies before the entry at the end, and the entry's value; None: there is no such entry."""
    head = _entry(key, "?" * length)[:-length]
    start = len(content) - length - len(head)
    if start < 0 or content[start : start + len(head)] != head:
        return content, None
    return content[:start], bytes(content[-length:]).decode("latin-1")


def _entry(key: str, value: str) -> bytes:
    """One entry of the metadata as the bytes of an ONNX file: appended to a model's, they are one of its own."""
    import onnx

    model = onnx.ModelProto()
    model.metadata_props.add(key=key, value=value)
    return bytes(model.SerializeToString())


def _hash(content: bytes | memoryview) -> str:
    return hashlib.sha256(content).hexdigest()
