"""The warehouse's port over its REST interface: what the gateway and ``p2d load`` use. Loads no engine."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

import httpx

from p2d.model.errors import (
    InvalidRequest,
    NotFound,
    P2DError,
    ProtocolViolation,
    Refused,
    Unavailable,
)
from p2d.warehouse.batch import Batch, Receipt
from p2d.warehouse.wire import MEDIA_TYPE, encode, sealed

_FAMILIES: Final[Mapping[int, type[P2DError]]] = {
    HTTPStatus.UNAUTHORIZED: Refused,
    HTTPStatus.FORBIDDEN: Refused,
    HTTPStatus.NOT_FOUND: NotFound,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: InvalidRequest,
    HTTPStatus.UNPROCESSABLE_ENTITY: InvalidRequest,
    HTTPStatus.TOO_MANY_REQUESTS: Unavailable,
    HTTPStatus.SERVICE_UNAVAILABLE: Unavailable,
}


class WarehouseClient:
    """Calls a warehouse with one bearer *secret* and turns its answers into P2D's errors."""

    def __init__(self, url: str, secret: str, timeout: float) -> None:
        headers = {"Authorization": f"Bearer {secret}"}
        self._http = httpx.Client(base_url=url, headers=headers, timeout=timeout, trust_env=False)

    def call(self, method: str, path: str, **more: Any) -> Any:
        """Return the JSON that the warehouse answers with.

        Raises:
            InvalidRequest, Refused, NotFound: as the warehouse says, with its field and remedy.
            Unavailable: silent, busy, or closing the connection.
            ProtocolViolation: another status, or not JSON.

        """
        try:
            response = self._http.request(method, path, **more)
        except httpx.HTTPError as error:
            problem = f"does not answer ({type(error).__name__})"
            raise Unavailable("warehouse", problem, "check that it runs: p2d serve warehouse") from None
        if response.is_success:
            try:
                return response.json()
            except ValueError:
                raise ProtocolViolation("warehouse", "answered with something other than JSON") from None
        raise _error(response)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()


class HttpWarehouse:
    """The port over ``POST /load`` and ``GET /receipts/{id}``; safe to share between threads."""

    def __init__(self, url: str, secret: str, timeout: float) -> None:
        self._client = WarehouseClient(url, secret, timeout)

    def load(self, batch: Batch) -> Receipt:
        """Commit *batch* at the warehouse and return its receipt.

        Raises:
            InvalidRequest, Refused, Unavailable: as the warehouse says.
            ProtocolViolation: the receipt is for something else than was sent.

        """
        headers = {"Content-Type": MEDIA_TYPE}
        batch = sealed(batch)
        receipt = _receipt(self._client.call("POST", "/load", content=encode(batch), headers=headers))
        if (receipt.batch_id, receipt.digest) != (batch.batch_id, batch.digest):
            raise ProtocolViolation("warehouse", "gave a receipt for another batch", "update both sides")
        return receipt

    def receipt(self, batch_id: str) -> Receipt | None:
        """Return the receipt of a committed batch, or None; errors as ``load``."""
        try:
            return _receipt(self._client.call("GET", f"/receipts/{quote(batch_id, safe='')}"))
        except NotFound:
            return None

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


def _receipt(answer: Any) -> Receipt:
    try:
        rows = {str(table): int(count) for table, count in answer["rows"].items()}
        return Receipt(str(answer["batch_id"]), str(answer["digest"]), rows)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise ProtocolViolation("warehouse", "answered without a receipt", "update both sides") from None


def _error(response: httpx.Response) -> P2DError:
    family = _FAMILIES.get(response.status_code, ProtocolViolation)
    try:
        body = response.json()
        field, detail = str(body.get("field") or "warehouse"), str(body.get("detail") or "")
        remedy = str(body.get("remedy") or "")
    except (ValueError, AttributeError):
        return family("warehouse", f"answered {response.status_code} without a problem document")
    return family(field, detail.removeprefix(f"{field}: ") or f"answered {response.status_code}", remedy)
