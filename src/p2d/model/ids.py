"""Pseudonyms: the only names of patients, cases and examinations outside the hospital zone.

Two forms exist. Table pseudonyms (patient ``P``, case ``C``, accession ``A``) are upper-case Crockford base32
with an ISO/IEC 7064 MOD 37,36 check character; derived UIDs are ``2.25.`` and a decimal number (PS3.5 B.2).
Identifiers are other types and live in ``p2d.model.identified``.
"""

import re
from typing import Final, Self

from p2d.model.errors import InvalidRequest

_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_FOREIGN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_DERIVED_UID: Final = re.compile(r"2\.25\.(0|[1-9][0-9]{0,38})")


class Pseudonym(str):
    """A pseudonym; a plain ``str`` is not accepted where one is asked for."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str, field: str = "pseudonym") -> Self:
        """Return *text* as a pseudonym: 1 to 64 characters of ``A-Z a-z 0-9 . _ -``.

        Raises:
            InvalidRequest: empty, too long, a wildcard, or a character outside the set.

        """
        if not _FOREIGN.fullmatch(text):
            raise InvalidRequest(
                field,
                "is not a pseudonym: empty, longer than 64 characters, or holds a character outside "
                "A-Z a-z 0-9 . _ - (wildcards are never accepted)",
                "send the pseudonym exactly as the warehouse shows it",
            )
        return cls(text)


def check_character(body: str) -> str:
    """Return the ISO/IEC 7064 MOD 37,36 check character of *body* (digits and upper-case letters)."""
    product = 36
    for character in body:
        product = (product + _ALPHABET.index(character)) % 36 or 36
        product = (product * 2) % 37
    return _ALPHABET[(37 - product) % 36]


def has_valid_check(text: str) -> bool:
    """Whether *text* is upper-case alphanumeric and ends in its own check character."""
    return len(text) > 1 and set(text) <= set(_ALPHABET) and check_character(text[:-1]) == text[-1]


def is_derived_uid(text: str) -> bool:
    """Whether *text* has the form of a UID that P2D derives (``2.25.`` and a number)."""
    return _DERIVED_UID.fullmatch(text) is not None
