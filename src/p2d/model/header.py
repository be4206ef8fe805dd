"""A DICOM header as a flat list of elements; no I/O, no library types."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

Value = str | int | float
_LONGEST_COUNT: Final = 10


@dataclass(frozen=True, slots=True, init=False)
class Element:
    """One element of a header.

    ``path`` is the tag in eight upper-case hexadecimal digits; elements of sequence items carry their way:
    ``00081115[0].0020000E``. ``values`` is empty where the element is present without a value.
    """

    path: str
    vr: str
    values: tuple[Value, ...]

    def __init__(self, path: str, vr: str, values: tuple[Value, ...]) -> None:
        """Set what is not changed again, past what forbids it: headers are made of thousands of these."""
        _SET_PATH(self, path)
        _SET_VR(self, vr)
        _SET_VALUES(self, values)

    @property
    def text(self) -> str:
        r"""All values joined by a backslash, as DICOM writes them; empty without a value."""
        values = self.values
        return str(values[0]) if len(values) == 1 else "\\".join(map(str, values))


_SET_PATH, _SET_VR, _SET_VALUES = (vars(Element)[name].__set__ for name in ("path", "vr", "values"))

Elements = Mapping[str, Element]


def text_of(elements: Elements, path: str) -> str:
    """Return the text of the element at *path*, or an empty string."""
    element = elements.get(path)
    return element.text if element else ""


def count_of(elements: Elements, path: str) -> int | None:
    """Return the number at *path* of what there is of something; None where none is stated.

    What cannot be a count (VR IS, at most 2,147,483,647: PS3.5 6.2) counts as not stated.
    """
    text = text_of(elements, path).strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _LONGEST_COUNT else None
