"""The conformance statement lists the services and transfer syntaxes that the code knows, and no others."""

import re
from pathlib import Path

from p2d.dicom.uids import IMPLEMENTATION_CLASS_UID
from p2d.dimse.services import (
    COMPRESSED,
    FIND,
    GET,
    GET_WITHOUT_BULK_DATA,
    MOVE,
    UNCOMPRESSED,
    VERIFICATION,
    VIDEO,
    storage_classes,
)
from p2d.pacs.lean.proposals import QUERY

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "conformance.md").read_text(
    encoding="utf-8"
)


def uids_of(heading: str) -> list[str]:
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"^\|[^|]*\| ([0-9.]+) \|", section, re.MULTILINE)


def test_every_service_is_stated() -> None:
    assert uids_of("Overview") == [VERIFICATION, *FIND, *GET, *MOVE, GET_WITHOUT_BULK_DATA, VERIFICATION]
    assert f"all {len(storage_classes())} storage classes" in PAGE


def test_every_transfer_syntax_is_stated() -> None:
    assert uids_of("Transfer syntaxes of objects") == [*UNCOMPRESSED, *COMPRESSED, *VIDEO]


def test_what_is_negotiated_is_stated() -> None:
    assert QUERY.window is not None
    assert f"{QUERY.window.invoked} invoked, {QUERY.window.performed} performed" in PAGE
    assert IMPLEMENTATION_CLASS_UID in PAGE
