"""The warehouse's exports from outside: what ``p2d warehouse export`` uses."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from p2d.model.errors import Incomplete, ProtocolViolation
from p2d.warehouse.http import WarehouseClient

_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class Exports:
    """Orders exports of one warehouse with the operator's secret.

    Every method raises InvalidRequest, Refused or Unavailable as the warehouse says, and ProtocolViolation
    where its answer has another form.
    """

    client: WarehouseClient = field(repr=False)

    def order(self, wanted: Mapping[str, object]) -> str:
        """Begin the export *wanted* (form, to, database, files, instances, parts) and return its id."""
        return str(_answer(self.client.call("POST", "/exports", json=dict(wanted)))["export"])

    def state(self, export: str) -> Mapping[str, Any]:
        """Return how *export* stands."""
        return _answer(self.client.call("GET", f"/exports/{export}"))

    def wait(self, export: str, show: Callable[[int], None] = lambda _: None) -> Mapping[str, Any]:
        """Return *export* when it is done; *show* is told the rows written so far.

        Raises:
            Incomplete: it failed, for the reason that the warehouse gives.

        """
        while True:
            found = self.state(export)
            show(int(found["rows"]))
            if found["state"] == "failed":
                error = found["error"] or {}
                problem = f"{error.get('field', 'export')}: {error.get('problem', 'failed')}"
                raise Incomplete("export", problem, str(error.get("remedy", "")))
            if found["state"] == "done":
                return found
            time.sleep(_SECONDS)


def _answer(answer: Any) -> Mapping[str, Any]:
    if not isinstance(answer, dict) or not {"export", "state", "rows", "tables"} <= set(answer):
        raise ProtocolViolation("warehouse", "answered without an export", "update both sides")
    return answer
