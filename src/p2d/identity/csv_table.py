"""A site's own patient pseudonyms in a CSV file (``original,pseudonym``, UTF-8), read once, never written.

The first foreign identity manager. It creates nothing: an unknown patient is NotFound. Originals or
pseudonyms that stand in the file with more than one partner are Ambiguous, both ways.
"""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from p2d.identity.keys import normal_identifier
from p2d.identity.port import Ambiguous, Failure, Identifier, Invalid, NotFound
from p2d.model.errors import InvalidRequest, Misconfigured, P2DError
from p2d.model.identified import PatientId
from p2d.model.ids import Pseudonym

_COLUMNS: Final = ["original", "pseudonym"]


def read_pairs(
    path: Path, error: type[P2DError] = Misconfigured, field: str = "patient_table.path"
) -> Iterator[tuple[int, str, str]]:
    """Yield line, original and pseudonym of each row of the CSV file at *path*.

    Raises:
        P2DError: of the given family, naming file and line: absent, not UTF-8, not CSV, another header, or
            a row of another width. Never shows a value.

    """
    remedy = "write a UTF-8 CSV file whose first line is: original,pseudonym"
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            if next(reader, None) != _COLUMNS:
                raise error(field, f"{path.name} line 1: is not the header original,pseudonym", remedy)
            for row in reader:
                if len(row) != len(_COLUMNS):
                    raise error(field, f"{path.name} line {reader.line_num}: has not two columns", remedy)
                yield reader.line_num, row[0], row[1]
    except (OSError, UnicodeDecodeError, csv.Error):
        raise error(field, f"{path.name} is not readable as UTF-8 CSV", remedy) from None


class CsvTable:
    """Patients and their pseudonyms as the CSV file at *path* states them.

    Raises:
        Misconfigured: the file is malformed, or holds an item that could never be asked for.

    """

    def __init__(self, path: Path) -> None:
        self._pseudonyms: dict[str, Pseudonym | Ambiguous] = {}
        self._originals: dict[Pseudonym, str | Ambiguous] = {}
        for line, original, pseudonym in read_pairs(path):
            self._add(f"{path.name} line {line}", original, pseudonym)

    def _add(self, place: str, original: str, pseudonym: str) -> None:
        normal = normal_identifier(original)
        if normal is None or normal == pseudonym.strip(" "):
            problem = f"{place}: original is empty, a wildcard, overlong or equals its pseudonym"
            raise Misconfigured("patient_table.path", problem, "correct the line")
        try:
            psn = Pseudonym.parse(pseudonym.strip(" "))
        except InvalidRequest as error:
            problem = f"{place}: pseudonym {error.problem}"
            raise Misconfigured("patient_table.path", problem, "correct the line") from None
        if normal in self._pseudonyms or psn in self._originals:
            others, taken = (self._originals.get(psn), normal), (self._pseudonyms.get(normal), psn)
            self._pseudonyms |= {other: Ambiguous() for other in others if isinstance(other, str)}
            self._originals |= {other: Ambiguous() for other in taken if isinstance(other, Pseudonym)}
            return
        self._pseudonyms[normal] = psn
        self._originals[psn] = normal

    def resolve(self, pseudonyms: Sequence[Pseudonym]) -> list[Identifier | Failure]:
        """Return the patient behind each pseudonym."""
        return [self._resolve_one(pseudonym) for pseudonym in pseudonyms]

    def _resolve_one(self, pseudonym: Pseudonym) -> Identifier | Failure:
        try:
            known = self._originals.get(Pseudonym.parse(pseudonym), NotFound())
        except InvalidRequest:
            return Invalid()
        return PatientId(known) if isinstance(known, str) else known

    def pseudonymise(self, identifiers: Sequence[Identifier]) -> list[Pseudonym | Failure]:
        """Return the pseudonym of each patient; unknown ones are not created."""
        return [self._pseudonymise_one(identifier) for identifier in identifiers]

    def _pseudonymise_one(self, identifier: Identifier) -> Pseudonym | Failure:
        normal = normal_identifier(identifier.value) if isinstance(identifier, PatientId) else None
        return Invalid() if normal is None else self._pseudonyms.get(normal, NotFound())
