"""The warehouse's cohort interface from outside: what ``p2d cohort`` and the demo use."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from p2d.model.errors import ProtocolViolation
from p2d.warehouse.http import WarehouseClient


@dataclass(frozen=True, slots=True)
class Table:
    """Rows by column name; ``total`` counts those that a preview leaves out."""

    columns: tuple[str, ...]
    rows: tuple[Mapping[str, Any], ...]
    total: int


@dataclass(frozen=True, slots=True)
class Cohorts:
    """Asks one warehouse for cohorts; queries are JSON-like (docs/reference/cohort-language.md).

    Every method raises InvalidRequest, Refused or Unavailable as the warehouse says, and ProtocolViolation
    where its answer has another form.
    """

    client: WarehouseClient = field(repr=False)

    def count(self, query: Mapping[str, object]) -> dict[str, int]:
        """Return the numbers of patients, cases, studies, series and instances, and the coverage."""
        answer = self._ask("/cohorts/count", query)
        return {str(name): int(number) for name, number in answer.items()}

    def preview(self, query: Mapping[str, object]) -> Table:
        """Return the first rows."""
        return _table(self._ask("/cohorts/preview", query))

    def table(self, query: Mapping[str, object]) -> Table:
        """Return all rows."""
        return _table(self._ask("/cohorts/table", query))

    def patients(self, query: Mapping[str, object]) -> tuple[str, ...]:
        """Return the pseudonyms of all patients."""
        listed = self._ask("/cohorts/patients", query).get("patients")
        if not isinstance(listed, list):
            raise ProtocolViolation("warehouse", "answered without a list of patients", "update both sides")
        return tuple(str(patient) for patient in listed)

    def _ask(self, path: str, query: Mapping[str, object]) -> dict[str, Any]:
        answer = self.client.call("POST", path, json=query)
        if not isinstance(answer, dict):
            raise ProtocolViolation("warehouse", "did not answer with an object", "update both sides")
        return answer


def _table(answer: Mapping[str, Any]) -> Table:
    try:
        return Table(tuple(answer["columns"]), tuple(answer["rows"]), int(answer["total"]))
    except (KeyError, TypeError, ValueError):
        raise ProtocolViolation("warehouse", "answered without a table", "update both sides") from None
