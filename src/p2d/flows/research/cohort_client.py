"""The warehouse's cohort interface from outside: what ``p2d cohort`` and the demo use."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

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

    def count(self, query: Mapping[str, object]) -> dict[str, int | None]:
        """Return the numbers of patients, cases, studies, series and instances, and the coverage.

        None stands for a number that is too small to be shown.
        """
        answer = self._ask("/cohorts/count", query)
        return {str(name): None if number is None else int(number) for name, number in answer.items()}

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

    def parse(self, text: str) -> dict[str, object]:
        """Return a query as text in its JSON form; the warehouse knows attributes from documents."""
        query = self._ask("/cohorts/parse", {"text": text}).get("query")
        if not isinstance(query, dict):
            raise ProtocolViolation("warehouse", "answered without a query", "update both sides")
        return query

    def save(self, name: str, cohort: Mapping[str, object], *, shared: bool) -> None:
        """Save *cohort*, an object with ``query`` or ``patients``, as *name*, whatever was called so."""
        self._ask("/cohorts/saved", {"name": name, **cohort, "shared": shared})

    def saved(self) -> tuple[Mapping[str, Any], ...]:
        """Return one's own saved cohorts and those others share."""
        listed = self.client.call("GET", "/cohorts/saved")
        if not isinstance(listed, dict) or not isinstance(listed.get("cohorts"), list):
            raise ProtocolViolation("warehouse", "answered without saved cohorts", "update both sides")
        return tuple(listed["cohorts"])

    def delete(self, name: str) -> None:
        """Forget the saved cohort *name*.

        Raises:
            NotFound: there is none of one's own.

        """
        self.client.call("DELETE", f"/cohorts/saved/{quote(name, safe='')}")

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
