"""Who made an exported file: Ed25519 signatures under its hash, by `cryptography` (extra `sign`).

A signature is the public key and the signature, both in hexadecimal. The key in the file only says which one it claims;
whether that is one to trust is decided by the key that the reader brings.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kizu.bundles.sealed import Sign
from kizu.core.errors import BundleError, ConfigError, MissingExtraError

_PURPOSE = b"kizu export "
"""Stands before the hash that is signed, so that a signature made for something else is none for a model."""
_MAKE = "openssl genpkey -algorithm ed25519 -out key.pem; openssl pkey -in key.pem -pubout -out pub.pem"


def signer(key: Path) -> Sign:
    """Signs hashes with the private key in the PEM file `key`.

    Raises `ConfigError` for a file that is no Ed25519 private key without a password, `MissingExtraError` without
    `cryptography`.
    """
    ed25519, serialization = _library()
    content = _read(key)
    try:
        private = serialization.load_pem_private_key(content, password=None)
    except (ValueError, TypeError) as error:  # TypeError: it has a password
        raise ConfigError(f"{key} is not a private key that can be read: {error}", hint=_MAKE) from error
    if not isinstance(private, ed25519.Ed25519PrivateKey):
        raise ConfigError(f"{key} is not an Ed25519 key", hint=_MAKE)
    public = private.public_key().public_bytes_raw().hex()

    def sign(digest: str) -> str:
        return f"{public} {private.sign(_PURPOSE + digest.encode()).hex()}"

    return sign


def check_signature(signature: str, digest: str, *, where: str, key: Path | None = None) -> str:
    """The public key that signed, in hexadecimal; with `key`, a PEM file, it must be that one.

    Raises `BundleError` for a signature that does not fit, `ConfigError` for a `key` that is no Ed25519 public key.
    """
    ed25519, _ = _library()
    from cryptography.exceptions import InvalidSignature

    try:
        public, signed = (bytes.fromhex(part) for part in signature.split(" "))
        ed25519.Ed25519PublicKey.from_public_bytes(public).verify(signed, _PURPOSE + digest.encode())
    except (ValueError, InvalidSignature) as error:
        raise BundleError(
            f"the signature of {where} does not fit what it holds",
            hint="do not use it: ask for the file again from who made it",
        ) from error
    if key is not None and _public_key(key) != public:
        raise BundleError(
            f"{where} was signed by the key {public.hex()[:16]}…, not by that of {key}",
            hint="do not use it unless you know who signed it; then give that key",
        )
    return public.hex()


def _public_key(key: Path) -> bytes:
    ed25519, serialization = _library()
    try:
        public = serialization.load_pem_public_key(_read(key))
    except ValueError as error:
        raise ConfigError(f"{key} is not a public key: {error}", hint=_MAKE) from error
    if not isinstance(public, ed25519.Ed25519PublicKey):
        raise ConfigError(f"{key} is not an Ed25519 key", hint=_MAKE)
    return bytes(public.public_bytes_raw())


def _read(key: Path) -> bytes:
    try:
        return key.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read the key {key}: {error.strerror}", hint=_MAKE) from error


def _library() -> tuple[Any, Any]:
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError as error:
        raise MissingExtraError("signing needs cryptography", hint="pip install 'kizu[sign]'") from error
    return ed25519, serialization
