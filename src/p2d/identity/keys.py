"""The key file and everything that is derived from it: pseudonyms, UIDs, date shifts, sealed originals.

One master key (32 bytes) lies in a file that only its owner reads. HKDF-SHA-256 (RFC 5869) splits it into
one subkey a purpose, so that no two purposes ever share a key; the key version takes part in the split.
It refuses to overwrite a key file, and to read one that is open to others, torn or not random.
"""

import base64
import binascii
import hmac
import json
import os
import re
import secrets
import stat
import unicodedata
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from p2d.identity.port import Domain, Invalid, NotFound
from p2d.model.errors import InvalidRequest, Misconfigured
from p2d.model.ids import Pseudonym, check_character, has_valid_check, is_derived_uid

_MASTER_BYTES: Final = 32
_MINIMUM_DISTINCT: Final = 16
_CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PREFIX: Final = {Domain.PATIENT: "P", Domain.CASE: "C", Domain.ACCESSION: "A"}
_BODY: Final = {Domain.PATIENT: 16, Domain.CASE: 16, Domain.ACCESSION: 14}
_WELL_KNOWN: Final = re.compile(r"1\.2\.840\.10008(\.[0-9]+)+")
_WILDCARDS: Final = frozenset("*?\\")
_LONGEST_IDENTIFIER: Final = 64
_LONGEST_SOURCE: Final = 1024
_UUID_BITS: Final = 128


class KeySpace(StrEnum):
    """Whose key it is: the same value means nothing in another space."""

    IDENTITY = "identity"
    PROJECT = "project"

    @property
    def form(self) -> str:
        """The ``format`` of its key files."""
        return f"p2d-{self}-key/1"


def create_key_file(path: Path, version: int = 1, space: KeySpace = KeySpace.IDENTITY) -> None:
    """Write a new random master key to *path*, readable by its owner only (0400).

    Raises:
        Misconfigured: the file exists (it is never overwritten) or cannot be written.

    """
    content = json.dumps(
        {
            "format": space.form,
            "version": version,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "key": base64.b64encode(secrets.token_bytes(_MASTER_BYTES)).decode("ascii"),
        }
    )
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o400)
    except FileExistsError:
        raise Misconfigured(
            "identity.key_file",
            f"{path} exists and is never overwritten: without it no pseudonym can be resolved",
            "keep it, or name another file",
        ) from None
    except OSError as error:
        reason = error.strerror or "unknown error"
        remedy = "name a folder that this user may write"
        raise Misconfigured("identity.key_file", f"{path} cannot be written: {reason}", remedy) from None
    with os.fdopen(descriptor, "w", encoding="ascii") as stream:
        stream.write(content + "\n")
        stream.flush()
        os.fsync(stream.fileno())


def read_key_file(path: Path, space: KeySpace = KeySpace.IDENTITY) -> "Keys":
    """Return the keys of *space* derived from the key file at *path*.

    Raises:
        Misconfigured: absent, open to others, torn, of another format, or not random.

    """
    field = "identity.key_file" if space is KeySpace.IDENTITY else "--key"
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        remedy = (
            "create it once with: p2d identity init --settings FILE"
            if space is KeySpace.IDENTITY
            else "name a file that this user may read; one that is absent is made"
        )
        raise Misconfigured(field, f"{path} is not readable", remedy) from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise Misconfigured(field, f"{path} is open to others", f"chmod 0400 {path}")
    try:
        source = json.loads(text)
        master = base64.b64decode(source["key"], validate=True)
        version = source["version"]
        is_ours = source["format"] == space.form and type(version) is int and version >= 1
    except (ValueError, KeyError, TypeError, binascii.Error):
        is_ours, master, version = False, b"", 0
    if not is_ours or len(master) != _MASTER_BYTES:
        raise Misconfigured(
            field, f"{path} is not a P2D {space} key file, or torn", "restore it from its backup"
        )
    if len(set(master)) < _MINIMUM_DISTINCT:
        raise Misconfigured(field, f"the key in {path} is not random", "create one with: p2d identity init")
    return Keys(master, version, space)


def normal_identifier(text: str) -> str | None:
    """Return *text* without leading and trailing spaces, or None where it must not be asked for.

    Refused are empty values, more than 64 characters, the wildcards and separators of C-FIND (PS3.4
    C.2.2.2.4: ``* ?``, and the backslash), control, format and unassigned characters.
    """
    trimmed = text.strip(" ")
    if not 1 <= len(trimmed) <= _LONGEST_IDENTIFIER or _WILDCARDS & set(trimmed):
        return None
    if any(unicodedata.category(c)[0] == "C" or unicodedata.category(c) in {"Zl", "Zp"} for c in trimmed):
        return None
    return trimmed


def is_well_known_uid(uid: str) -> bool:
    """Whether *uid* belongs to DICOM itself (PS3.6 Annex A) and therefore names no patient's object."""
    is_near = uid.startswith("1.2.840.10008.")  # spares nearly all UIDs the regular expression
    return is_near and len(uid) <= _LONGEST_IDENTIFIER and _WELL_KNOWN.fullmatch(uid) is not None


def trim_uid(uid: str) -> str:
    """Return *uid* without the padding that PS3.5 9.1 (NUL) and careless senders (space) add."""
    return uid.strip(" \0")


def is_own_form(domain: Domain, pseudonym: str) -> bool:
    """Whether *pseudonym* has the form that this module gives to *domain*, check character included."""
    prefix = _PREFIX.get(domain)
    if prefix is None:
        return False
    body = pseudonym[1:-1]
    is_shaped = pseudonym.startswith(prefix) and len(body) == _BODY[domain] and set(body) <= set(_CROCKFORD)
    return is_shaped and has_valid_check(pseudonym)


def looks_own(domain: Domain, pseudonym: str) -> bool:
    """Whether *pseudonym* has prefix and length of P2D's own form, be its check character right or wrong."""
    return pseudonym.startswith(_PREFIX.get(domain, " ")) and len(pseudonym) == _BODY[domain] + 2


def why_unresolved(domain: Domain, pseudonym: str) -> NotFound | Invalid:
    """Return why *pseudonym*, which the table of *domain* does not hold, has no answer.

    Imported patient pseudonyms have any form, so that only a wrong check character makes one Invalid.
    """
    try:
        Pseudonym.parse(pseudonym)
    except InvalidRequest:
        return Invalid()
    if domain is Domain.STUDY:
        return NotFound() if is_derived_uid(pseudonym) else Invalid()
    is_foreign = domain is Domain.PATIENT and not looks_own(domain, pseudonym)
    return NotFound() if is_foreign or is_own_form(domain, pseudonym) else Invalid()


class Keys:
    """Subkeys of one master key; derives, seals and opens. Never shows a key."""

    __slots__ = ("_lookup", "_pseudonym", "_shift", "_siv", "_uid", "fingerprint", "version")

    def __init__(self, master: bytes, version: int, space: KeySpace = KeySpace.IDENTITY) -> None:
        def subkey(purpose: str, length: int = 32) -> bytes:
            info = f"p2d {space} v{version} {purpose}".encode()
            return HKDF(algorithm=SHA256(), length=length, salt=None, info=info).derive(master)

        self.version = version
        self.fingerprint = subkey("fingerprint", 16).hex()
        self._uid = subkey("uid")
        self._shift = subkey("date shift")
        self._lookup = subkey("lookup")
        self._pseudonym = {domain: subkey(f"pseudonym {domain}") for domain in _PREFIX}
        self._siv = AESSIV(subkey("original", 64))

    def __repr__(self) -> str:
        return f"Keys(version={self.version})"

    def derive_uid(self, uid: str) -> str:
        """Return the UID that stands for *uid*: ``2.25.`` and a UUIDv8 in decimal (PS3.5 B.2, RFC 9562).

        UIDs of DICOM itself (``1.2.840.10008.…``) name no patient's object and stay. Longer source keys
        than a UID (up to 1,024 characters) are accepted.

        Raises:
            InvalidRequest: empty or longer than 1,024 characters.

        """
        trimmed = trim_uid(uid)
        if not 1 <= len(trimmed) <= _LONGEST_SOURCE:
            raise InvalidRequest("uids", "holds an empty or overlong item", "send 1 to 1,024 characters")
        if is_well_known_uid(trimmed):
            return trimmed
        digest = hmac.digest(self._uid, trimmed.encode("utf-8", "surrogatepass"), "sha256")
        number = int.from_bytes(digest[: _UUID_BITS // 8], "big")
        number = number & ~(0xF << 76) | 8 << 76  # version 8: "vendor specific" (RFC 9562 5.8)
        number = number & ~(0x3 << 62) | 2 << 62  # variant 10 (RFC 9562 4.1)
        return f"2.25.{number}"

    def shift_days(self, patient: str, max_shift_days: int, unit_days: int = 1) -> int:
        """Return the shift of *patient* (a pseudonym) in whole days: -1 to -*max_shift_days*, never 0.

        With *unit_days* 7 it is a number of whole weeks, which keeps the day of the week.
        """
        digest = hmac.digest(self._shift, patient.encode(), "sha256")
        return -unit_days * (1 + int.from_bytes(digest[:16], "big") % max(max_shift_days // unit_days, 1))

    def table_pseudonym(self, domain: Domain, normal: str, counter: int = 0) -> Pseudonym:
        """Return the pseudonym of the *normal* form of an identifier; *counter* grows after a collision."""
        if domain is Domain.STUDY:
            return Pseudonym(self.derive_uid(normal))
        message = f"{counter}\0{normal}".encode()
        number = int.from_bytes(hmac.digest(self._pseudonym[domain], message, "sha256"), "big")
        body = _PREFIX[domain] + "".join(_CROCKFORD[number >> 5 * i & 31] for i in range(_BODY[domain]))
        return Pseudonym(body + check_character(body))

    def lookup(self, purpose: str, normal: str) -> str:
        """Return the keyed hash under which the table finds *normal* without holding it."""
        digest = hmac.digest(self._lookup, f"{purpose}\0{normal}".encode(), "sha256")
        return base64.b64encode(digest).decode("ascii")

    def seal(self, domain: Domain, pseudonym: str, original: str) -> bytes:
        """Return *original* encrypted with AES-SIV (RFC 5297), bound to its domain and pseudonym."""
        return self._siv.encrypt(original.encode(), [domain.encode(), pseudonym.encode()])

    def unseal(self, domain: Domain, pseudonym: str, sealed: bytes) -> str:
        """Return what ``seal`` was given.

        Raises:
            Misconfigured: the row was altered, or written under another key.

        """
        try:
            return self._siv.decrypt(sealed, [domain.encode(), pseudonym.encode()]).decode()
        except (InvalidTag, ValueError):
            remedy = "restore the database and its key file from the same backup"
            raise Misconfigured(
                "identity.database", "holds a row that its key does not open", remedy
            ) from None
