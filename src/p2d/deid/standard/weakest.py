"""The single action that a code of Table E.1-1 means for an attribute of a given type (PS3.15 Table E.1-1a).

A combined code is the standard's way of saying "remove as much as the IOD allows": type 3 may go (X), type 2
may be empty (Z), type 1 needs a value (D). 1C and 2C count as 1 and 2, because an attribute is only asked
about when it is in the object, so its condition is taken to hold.
"""

from typing import Final

_DEMAND: Final = {"1": "D", "1C": "D", "2": "Z", "2C": "Z", "3": "X"}
_ORDER: Final = "XZD"
_INSTANCE_UIDS: Final = "U*"


def conforming_action(code: str, attribute_type: str) -> str:
    """Return X, Z, D or U for *code* as printed in Table E.1-1 and the attribute's type in its IOD.

    Of what *code* offers, the strongest removal that keeps the object conformant: at type 1 that is a value
    (D, for X/Z/U* the new UIDs, U), at type 2 an empty one (Z), at type 3 nothing (X); where *code* does not
    offer it, the next in the order X, Z, D. An unknown type (``""``) gets what conforms at every type and is
    offered: D (U) before Z before X. A plain Z at type 1 becomes D: the standard's Z may be a dummy value,
    and an empty one would not conform. Other plain codes (X, D, U, K, C) and the empty code return unchanged:
    they do not depend on the type.
    """
    demanded = _DEMAND.get(attribute_type, "")
    if "/" not in code:
        return "D" if (code, demanded) == ("Z", "D") else code
    offered = code.split("/")
    letters = [letter for letter in _ORDER if letter in offered]
    if _INSTANCE_UIDS in offered:
        letters.append("U")
    elif demanded == "D":
        return "D"
    if not demanded:
        return letters[-1]
    return next((letter for letter in letters if _conforms(letter, demanded)), letters[-1])


def _conforms(letter: str, demanded: str) -> bool:
    return letter == "U" or _ORDER.index(letter) >= _ORDER.index(demanded)
