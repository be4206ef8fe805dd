"""The gateway's connector to the identity process: NDJSON over HTTP, one POST per list of up to 10,000 items.

It believes nothing: an answer counts only when it has the right type, length, order and form, holds no
pass-through and gives no two items one pseudonym. It keeps no cache, follows no redirect, reads no proxy from
the environment, and puts no identifier into a URL, a log or an error.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Final, TypeVar
from urllib.parse import urlsplit

import httpx

from p2d.identity.keys import is_well_known_uid, normal_identifier, trim_uid
from p2d.identity.port import Domain, Failure, Identifier
from p2d.identity.wire import (
    MAX_BYTES,
    MAX_ITEMS,
    MEDIA_TYPE,
    VALUE,
    decode_identifier,
    decode_line,
    encode_identifier,
    encode_line,
    failure_of,
    text_member,
)
from p2d.model.errors import InvalidRequest, Misconfigured, ProtocolViolation, Refused, Unavailable
from p2d.model.identified import CaseStay
from p2d.model.ids import Pseudonym, is_derived_uid

_T = TypeVar("_T")
_LONGEST_SHIFT: Final = 3650
_PEER: Final = "identity service"
_BUSY: Final = frozenset(
    {
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)


class HttpIdentity:
    """The ``Identity`` port over HTTP; safe to share between threads.

    *timeout* in seconds bounds one whole call to the service, a slow drip included.
    """

    def __init__(self, url: str, secret: str, timeout: float) -> None:
        if urlsplit(url).scheme not in {"http", "https"}:
            raise Misconfigured("identity.url", "is not an http(s) address", "write http://HOST:PORT")
        self._timeout = timeout
        self._client = httpx.Client(
            base_url=url,
            headers={"Authorization": f"Bearer {secret}", "Accept": MEDIA_TYPE},
            timeout=timeout,
            trust_env=False,
            follow_redirects=False,
        )

    def __repr__(self) -> str:
        return "HttpIdentity()"

    def close(self) -> None:
        """Close the connections; the object must not be used afterwards."""
        self._client.close()

    def resolve(self, domain: Domain, pseudonyms: Sequence[Pseudonym]) -> list[Identifier | Failure]:
        """Return the identifier behind each pseudonym; see the port."""
        answers: list[Identifier | Failure] = []
        items = [{"pseudonym": str(pseudonym)} for pseudonym in pseudonyms]
        for item, answer in self._ask(f"/v1/{domain}/resolve", items):
            answers.append(_identifier(domain, item["pseudonym"], answer))
        return answers

    def pseudonymise(
        self, domain: Domain, identifiers: Sequence[Identifier], *, create: bool
    ) -> list[Pseudonym | Failure]:
        """Return the pseudonym of each identifier; see the port."""
        answers: list[Pseudonym | Failure] = []
        items = [encode_identifier(identifier) for identifier in identifiers]
        path = f"/v1/{domain}/pseudonymise?create={'true' if create else 'false'}"
        for item, answer in self._ask(path, items):
            answers.append(_pseudonym(domain, item, answer))
        one_to_one = zip(map(_identity_of, identifiers), answers, strict=True)
        _refuse_sharing((original, psn) for original, psn in one_to_one if isinstance(psn, Pseudonym))
        return answers

    def derive(self, uids: Sequence[str]) -> Mapping[str, str]:
        """Return original → derived UID; see the port."""
        derived: dict[str, str] = {}
        items = [{"value": uid} for uid in dict.fromkeys(uids)]
        for item, answer in self._ask("/v1/uid/derive", items):
            derived[item["value"]] = _derived(item["value"], answer)
        _refuse_sharing((trim_uid(original), new) for original, new in derived.items())
        return derived

    def date_shift(self, patients: Sequence[Pseudonym]) -> list[int]:
        """Return each patient's shift in days; see the port."""
        items = [{"pseudonym": str(patient)} for patient in patients]
        return [_shift(answer) for _, answer in self._ask("/v1/patient/date_shift", items)]

    def ping(self) -> None:
        """Ask whether the service answers and accepts our secret; see the port."""
        _, content = self._send("GET", "/v1/ping", b"")
        if _decode(content) != {"status": "ok"}:
            raise _violation("ping was answered by something else")

    def _ask(
        self, path: str, items: Sequence[Mapping[str, _T]]
    ) -> Iterator[tuple[Mapping[str, _T], dict[str, object]]]:
        for part in _parts(items, _cost):
            body = b"".join(encode_line({"i": i, **item}) for i, item in enumerate(part))
            media_type, content = self._send("POST", path, body)
            if media_type.partition(";")[0].strip().lower() != MEDIA_TYPE:
                raise _violation("answer is not NDJSON")
            lines = content.removesuffix(b"\n").split(b"\n")
            if len(lines) != len(part):
                raise _violation("answer has not as many lines as were asked for")
            for i, (item, line) in enumerate(zip(part, lines, strict=True)):
                answer = _decode(line)
                if type(answer.get("i")) is not int or answer["i"] != i:
                    raise _violation("answer is not in the order that was asked for")
                yield item, answer

    def _send(self, method: str, path: str, body: bytes) -> tuple[str, bytes]:
        headers = {"Content-Type": MEDIA_TYPE} if body else {}
        deadline = time.monotonic() + self._timeout
        content = bytearray()
        try:
            with self._client.stream(method, path, content=body, headers=headers) as response:
                _check_status(response.status_code)
                for chunk in response.iter_bytes():
                    content += chunk
                    if len(content) > 2 * MAX_BYTES:
                        raise _violation("answer is too long")
                    if time.monotonic() > deadline:
                        raise _silent()
                return response.headers.get("Content-Type", ""), bytes(content)
        except httpx.RemoteProtocolError as error:
            # httpx has one error for a peer that died in mid-answer and for one that does not speak HTTP.
            died = any(word in str(error) for word in ("disconnected", "peer closed"))
            raise (_silent() if died else _violation("answer is not HTTP")) from None
        except httpx.TransportError:
            raise _silent() from None
        except (httpx.HTTPError, httpx.InvalidURL):
            raise _violation("answer is not readable") from None


def _parts(items: Sequence[_T], weight: Callable[[_T], int]) -> Iterator[list[_T]]:
    part: list[_T] = []
    size = 0
    for item in items:
        cost = weight(item)
        if part and (len(part) == MAX_ITEMS or size + cost > MAX_BYTES):
            yield part
            part, size = [], 0
        part.append(item)
        size += cost
    if part:
        yield part


def _cost(item: Mapping[str, object]) -> int:
    """Return an upper bound of the line's length: JSON escapes take up to 12 bytes a character."""
    return 128 + sum(12 * len(str(value)) for value in item.values())


def _identifier(domain: Domain, pseudonym: str, answer: Mapping[str, object]) -> Identifier | Failure:
    if answer.get("status") != VALUE:
        return _failure(answer)
    try:
        found = decode_identifier(domain, answer)
    except ValueError:
        raise _violation("an identifier is incomplete") from None
    texts = [found.admission_id, found.patient_id.value] if isinstance(found, CaseStay) else [found.value]
    if any(normal_identifier(text) != text or text == pseudonym for text in texts):
        raise _violation("an identifier is empty, a sentinel, a wildcard or the pseudonym itself")
    return found


def _pseudonym(
    domain: Domain, item: Mapping[str, object], answer: Mapping[str, object]
) -> Pseudonym | Failure:
    if answer.get("status") != VALUE:
        return _failure(answer)
    try:
        psn = Pseudonym.parse(text_member(answer, VALUE))
    except (ValueError, InvalidRequest):
        raise _violation("a pseudonym is not in the form of one") from None
    originals = {str(value).strip(" \0") for value in item.values()}
    if psn in originals or (domain is Domain.STUDY and not is_derived_uid(psn)):
        raise _violation("a pseudonym is the original itself, or not a derived UID")
    return psn


def _derived(original: str, answer: Mapping[str, object]) -> str:
    new = answer.get(VALUE)
    if answer.get("status") != VALUE or not isinstance(new, str):
        raise _violation("a UID came back without its derived one")
    trimmed = trim_uid(original)
    fine = new == trimmed if is_well_known_uid(trimmed) else is_derived_uid(new) and new != trimmed
    if not fine:
        raise _violation("a derived UID is the original itself, or not a derived UID")
    return new


def _shift(answer: Mapping[str, object]) -> int:
    days = answer.get(VALUE)
    if answer.get("status") != VALUE or type(days) is not int or not 1 <= -days <= _LONGEST_SHIFT:
        raise _violation("a date shift is missing, 0, or out of range")
    return days


def _failure(answer: Mapping[str, object]) -> Failure:
    try:
        return failure_of(answer.get("status"))
    except ValueError:
        raise _violation("an item has an unknown status") from None


def _identity_of(identifier: Identifier) -> str:
    value = identifier.admission_id if isinstance(identifier, CaseStay) else identifier.value
    return value.strip(" \0")


def _refuse_sharing(pairs: Iterable[tuple[str, str]]) -> None:
    """Refuse answers that give two originals one pseudonym: their data would be merged for ever."""
    owners: dict[str, str] = {}
    for original, pseudonym in pairs:
        if owners.setdefault(pseudonym, original) != original:
            raise _violation("two different items have one pseudonym")


def _decode(line: bytes) -> dict[str, object]:
    try:
        return decode_line(line)
    except ValueError:
        raise _violation("a line of the answer is not a JSON object") from None


def _check_status(status: int) -> None:
    if status == HTTPStatus.OK:
        return
    if status == HTTPStatus.UNAUTHORIZED:
        raise Refused(_PEER, "does not accept our secret", "compare the secret files of gateway and identity")
    if status == HTTPStatus.FORBIDDEN:
        remedy = "add the right under [[clients]] in identity's settings"
        raise Refused(_PEER, "gives this client no right to the domain and direction", remedy)
    if status in _BUSY:
        raise Unavailable(_PEER, f"is busy (HTTP {status})", "try again")
    if status == HTTPStatus.UNPROCESSABLE_ENTITY:
        raise InvalidRequest("items", "hold one that identity refuses", "send non-empty items of sane length")
    raise _violation(f"answered HTTP {status}")


def _violation(problem: str) -> ProtocolViolation:
    return ProtocolViolation(_PEER, problem, "check that identity.url is P2D's identity process")


def _silent() -> Unavailable:
    return Unavailable(_PEER, "does not answer", "check that identity runs and identity.url is right")
