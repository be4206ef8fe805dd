"""What the rules ask of the standard: rows, attribute types, safe private elements, concepts, kept bulk."""

from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from typing import Final

from p2d.deid.profile.options import Option
from p2d.deid.profile.rules import Row, table

_SAMPLES: Final = frozenset(
    {
        *("7FE00010", "7FE00008", "7FE00009", "7FE00001", "7FE00002", "00283006"),
        *(f"0028{element}" for element in (1201, 1202, 1203, 1204, 1221, 1222, 1223, 1224)),
    }
)
_REPEATING: Final = {"50": "50xxxxxx", "60": "60xx"}


@lru_cache(maxsize=16384)
def row_of(tag: str) -> Row | None:
    """Return the row of Table E.1-1 for *tag*, repeating groups included, or None."""
    row = table().get(tag)
    if row is None and tag[:2] in _REPEATING:
        return table().get("50xxxxxx" if tag[:2] == "50" else f"60xx{tag[4:]}")
    return row


@lru_cache(maxsize=1)
def later_rows() -> Mapping[str, Row]:
    """Return the rows that Table E.1-1 has in edition 2026c and not yet in the edition of the table."""
    text = resources.files("p2d.deid.data").joinpath("later_rows.tsv").read_text(encoding="utf-8")
    lines = [line.split("\t") for line in text.splitlines() if not line.startswith("#")]
    return {tag: Row(tag, name, basic, _option(option)) for tag, name, basic, option in lines[1:]}


def _option(name: str) -> dict[str, str]:
    if not name:
        return {}
    option = next(option for option in Option if option == name)
    return {option.column: "C" if name.startswith("clean") else "K"}


def attribute_type(sop_class_uid: str, path: str) -> str:  # noqa: ARG001 - the data come from p2d.deid.standard
    """Return 1, 1C, 2, 2C or 3 as the IOD of *sop_class_uid* has the attribute at *path*.

    Empty where the IOD is not known. *path* is tags joined by dots, without item numbers.
    """
    return ""


def is_safe(group: str, creator: str, element: str) -> bool:  # noqa: ARG001 - as above
    """Whether Table E.3.10-1 lists the private element: *element* is the low byte of its number."""
    return False


def content_action(scheme: str, code: str) -> str:  # noqa: ARG001 - as above
    """Return the action of Table E.3.4-1 for the concept, or an empty string."""
    return ""


def is_sample(tag: str) -> bool:
    """Whether *tag* holds samples, colour or lookup tables that an image needs."""
    return tag in _SAMPLES


def has_safe(group: str, creator: str) -> bool:  # noqa: ARG001 - as above
    """Whether Table E.3.10-1 lists any element of *creator* in *group*."""
    return False


def is_iod(sop_class_uid: str) -> bool:  # noqa: ARG001 - as above
    """Whether the attributes of the IOD of *sop_class_uid* are known."""
    return False
