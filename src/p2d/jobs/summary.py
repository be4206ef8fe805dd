"""A run's summary, signed: whoever holds the public key can see that its numbers are the gateway's own.

Ed25519 (RFC 8032) over the canonical JSON of the summary: keys sorted, no white space, UTF-8.
"""

import base64
import binascii
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from p2d.jobs.report import RunReport
from p2d.model.errors import InvalidRequest, Misconfigured

_OTHERS: Final = 0o077
_FIELDS: Final = frozenset({"summary", "signature", "algorithm"})


def summary_of(report: RunReport) -> dict[str, object]:
    """Return what is signed of *report*: its numbers and verdict, without the request's pseudonyms."""
    document = report.as_json()
    document.pop("request")
    document.pop("notes")
    return document


def make_keys(private: Path, public: Path) -> None:
    """Write a new pair of keys as PEM files, the private one readable by its owner only.

    Raises:
        Misconfigured: a file exists already or cannot be written.

    """
    key = Ed25519PrivateKey.generate()
    _written(private, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), 0o600)
    _written(public, key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), 0o644)


def _written(path: Path, content: bytes, mode: int) -> None:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
    except OSError as error:
        raise Misconfigured(
            str(path), f"cannot be written ({error.strerror})", "name a new file in a writable folder"
        ) from None


def signing_key(path: Path) -> Ed25519PrivateKey:
    """Return the private key in the PEM file at *path*.

    Raises:
        Misconfigured: absent, readable by others, or no Ed25519 key.

    """
    try:
        if path.stat().st_mode & _OTHERS:
            raise Misconfigured(str(path), "is readable by others", f"chmod 600 {path}")
        key = load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise Misconfigured(
            str(path), "holds no Ed25519 private key", "make one: p2d ledger keys PRIVATE PUBLIC"
        )
    return key


def signed(report: RunReport, key: Ed25519PrivateKey) -> dict[str, object]:
    """Return the summary of *report* with its signature."""
    summary = summary_of(report)
    signature = base64.b64encode(key.sign(canonical(summary))).decode()
    return {"summary": summary, "algorithm": "Ed25519", "signature": signature}


def canonical(summary: Mapping[str, object]) -> bytes:
    """Return the bytes that are signed."""
    return json.dumps(summary, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def verified(content: bytes, public: Path) -> dict[str, object]:
    """Return the summary in the signed document *content* once its signature holds.

    Raises:
        InvalidRequest: not a signed summary, or changed after it was signed.
        Misconfigured: *public* holds no Ed25519 public key.

    """
    try:
        key = load_pem_public_key(public.read_bytes())
    except (OSError, ValueError):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise Misconfigured(str(public), "holds no Ed25519 public key", "name the gateway's public key")
    try:
        document = json.loads(content)
        summary, signature = document["summary"], base64.b64decode(document["signature"], validate=True)
        is_whole = isinstance(summary, dict) and set(document) == _FIELDS
    except (ValueError, KeyError, TypeError, binascii.Error, RecursionError):
        is_whole = False
    if not is_whole:
        raise InvalidRequest(
            "summary", "is not a signed summary of a run", "name a file of p2d ledger --sign"
        )
    try:
        key.verify(signature, canonical(summary))
    except (InvalidSignature, UnicodeEncodeError):
        raise InvalidRequest(
            "summary", "does not match its signature", "do not rely on it: ask for it anew"
        ) from None
    return dict(summary)
