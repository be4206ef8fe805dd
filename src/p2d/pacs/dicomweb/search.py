"""QIDO-RS (PS3.18 10.6): one search read to its last page, the hierarchy joined from few of them.

A page that a server cut short looks like the last one. It is believed to be the last only where it holds
fewer rows than the server has been seen to put on one page; otherwise the next page is asked for until one is
empty.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

from p2d.dimse.spool import Allowance, TooManyBytes
from p2d.model.errors import ProtocolViolation, Unavailable
from p2d.model.header import Element, text_of
from p2d.model.identified import IdentifiedHeader, PatientId
from p2d.model.level import Level
from p2d.pacs.days import DAY_KEYS
from p2d.pacs.dicomweb.connection import WebConnection
from p2d.pacs.dicomweb.json_array import NotJson, objects_of
from p2d.pacs.dicomweb.json_model import NotDicomJson, elements_of
from p2d.pacs.dicomweb.multipart import media_type_of
from p2d.pacs.owners import patients_in
from p2d.pacs.port import Query
from p2d.pacs.query import (
    ACCESSION_NUMBER,
    KEYS,
    PATIENT_ID,
    STUDY_DATE,
    UNIQUE,
    date_range,
    is_uid,
    is_within,
)
from p2d.pacs.turnstile import about_to_ask

Row = dict[str, Element]

JSON: Final = "application/dicom+json"
JSON_TYPES: Final = frozenset({JSON, "application/json"})
PAGE: Final = 1000
"""Rows asked for at a time."""

MOST_ROWS: Final = 1_000_000
"""Rows of one search at most; they are held in memory, and an archive could send them without end."""

MOST_BYTES: Final = 512 << 20
"""Bytes of one search at most, for the same reason."""

_LONGEST_ROW: Final = 1 << 20
_CUT: Final = ("additional results", "exceeded")
"""What a Warning says where a page was cut short (PS3.18 8.3.4.4)."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """One search: where, for what, and the return keys."""

    path: str = field(repr=False)
    level: Level
    keys: Mapping[str, str] = field(repr=False)
    returns: tuple[str, ...]
    may_lack_uid: bool = False


class Search:
    """Searches over one connection; safe to share between threads."""

    def __init__(self, connection: WebConnection, *, page: int = PAGE) -> None:
        self._connection = connection
        self._page = page
        self._longest_page: dict[Level, int] = {}

    def rows(self, path: str, level: Level, keys: Mapping[str, str], mark: int) -> list[Row]:
        """Return all answers at *level* to *keys* (path → value) below *path*, the level's return keys added.

        Raises:
            Unavailable: the archive failed, or its answers changed while they were read page by page.
            ProtocolViolation: an answer that is none, pages that repeat themselves, or too many rows.

        """
        return self._rows(_Asked(path, level, keys, KEYS[level]), mark)

    def of_day(self, keys: Mapping[str, str], mark: int) -> list[Row]:
        """Return the studies of all patients that match *keys*; those without a valid UID are among them.

        Raises:
            Unavailable, ProtocolViolation: as ``rows``.

        """
        return self._rows(_Asked("studies", Level.STUDY, keys, DAY_KEYS, may_lack_uid=True), mark)

    def _rows(self, asked: "_Asked", mark: int) -> list[Row]:
        level = asked.level
        rows: list[Row] = []
        seen: set[str] = set()
        allowance = Allowance(MOST_BYTES)
        while True:
            some, is_cut = self._one_page(asked, len(rows), mark, allowance)
            uids = {text_of(row, UNIQUE[level]) for row in some}
            if asked.may_lack_uid:
                uids = {uid for uid in uids if is_uid(uid)}
            elif not all(map(is_uid, uids)):
                raise ProtocolViolation("pacs", f"QIDO-RS at {level} level answers without a valid UID")
            if seen & uids:
                raise _repeated(whole=len(uids) > 1 and uids <= seen)
            if not some and is_cut:
                raise ProtocolViolation("pacs", "QIDO-RS says that there are more results and sends none")
            seen |= uids
            rows += some
            if len(rows) > MOST_ROWS:
                raise ProtocolViolation("pacs", f"QIDO-RS brought more than {MOST_ROWS:,} rows")
            if not some or (not is_cut and self._is_last(level, len(some))):
                return rows

    def _is_last(self, level: Level, count: int) -> bool:
        """Whether a page of *count* rows cannot be one that the server cut short without a word."""
        longest = self._longest_page.get(level, 0)
        self._longest_page[level] = max(longest, count)
        return count > self._page or (count < self._page and count < longest)

    def _one_page(
        self, asked: "_Asked", offset: int, mark: int, allowance: Allowance
    ) -> tuple[list[Row], bool]:
        parameters: dict[str, str | list[str]] = {key: value for key, value in asked.keys.items() if value}
        parameters["includefield"] = ",".join(asked.returns)
        parameters["limit"] = str(self._page)
        if offset:
            parameters["offset"] = str(offset)
        rows: list[Row] = []
        about_to_ask()
        with self._connection.get(asked.path, parameters, JSON, mark) as answer:
            if answer.status == HTTPStatus.NO_CONTENT:
                return [], False
            if answer.status not in {HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT}:
                raise ProtocolViolation("pacs", f"QIDO-RS answered HTTP {answer.status}", "correct pacs.url")
            if media_type_of(answer.content_type)[0] not in JSON_TYPES:
                raise ProtocolViolation("pacs", "QIDO-RS did not answer in DICOM JSON", "correct pacs.url")
            try:
                for one in objects_of(_counted(answer.chunks, allowance), _LONGEST_ROW):
                    rows.append(elements_of(one))
                    if len(rows) > MOST_ROWS:
                        raise ProtocolViolation("pacs", f"QIDO-RS brought more than {MOST_ROWS:,} rows")
            except TooManyBytes:
                raise ProtocolViolation("pacs", f"QIDO-RS brought more than {MOST_BYTES >> 20} MiB") from None
            except (NotJson, NotDicomJson) as error:
                raise ProtocolViolation("pacs", f"a QIDO-RS answer is not readable: {error}") from None
            is_cut = any(word in answer.warning.lower() for word in _CUT)
            return rows, is_cut or answer.status == HTTPStatus.PARTIAL_CONTENT

    def headers(self, query: Query, mark: int) -> list[IdentifiedHeader]:
        """Return what *query* asks for, each entity once, upper levels joined.

        Raises:
            Unavailable, ProtocolViolation: as ``rows``; also an answer about something else than was asked.

        """
        level = query.level
        rows = self._studies(query, mark)
        if level is Level.PATIENT:
            rows = [{path: row[path] for path in KEYS[level] if path in row} for row in rows[:1]]
        elif level is not Level.STUDY:
            rows = [below for study in rows for below in self._below(query, study, mark)]
        return [IdentifiedHeader(level, row) for row in rows]

    def _studies(self, query: Query, mark: int) -> list[Row]:
        keys = {
            PATIENT_ID: query.patient_id.value,
            UNIQUE[Level.STUDY]: query.study_instance_uid,
            STUDY_DATE: date_range(query.first_day, query.last_day),
            ACCESSION_NUMBER: query.accession_number,
        }
        rows = self._asked("studies", Level.STUDY, query, keys, {}, mark)
        return [row for row in rows if is_within(IdentifiedHeader(Level.STUDY, row), query)]

    def _below(self, query: Query, study: Row, mark: int) -> list[Row]:
        """Return series or instances of one study: two searches, however many series it has."""
        uid = text_of(study, UNIQUE[Level.STUDY])
        path = f"studies/{quote(uid, safe='')}"
        above = {UNIQUE[Level.STUDY]: uid}
        own = {UNIQUE[Level.SERIES]: query.series_instance_uid}
        series = self._asked(f"{path}/series", Level.SERIES, query, own, above, mark)
        series = [{**row, **study} for row in series]
        if query.level is Level.SERIES or not series:
            return series
        if query.series_instance_uid:
            path += f"/series/{quote(query.series_instance_uid, safe='')}"
        own = {UNIQUE[Level.INSTANCE]: query.sop_instance_uid}
        instances = self._asked(f"{path}/instances", Level.INSTANCE, query, own, above, mark)
        by_uid = {text_of(row, UNIQUE[Level.SERIES]): row for row in series}
        only = series[0] if query.series_instance_uid else None
        return [_joined(row, by_uid, only) for row in instances]

    def _asked(
        self,
        path: str,
        level: Level,
        query: Query,
        keys: Mapping[str, str],
        above: Mapping[str, str],
        mark: int,
    ) -> list[Row]:
        """Ask for this patient alone and return the answers that were checked, each entity once."""
        rows = self.rows(path, level, keys, mark)
        _check(rows, level, query, {**keys, **above})
        unique = UNIQUE[level]
        return list({text_of(row, unique): row for row in reversed(rows)}.values())[::-1]

    def owners(self, keys: Mapping[str, str], mark: int) -> list[PatientId]:
        """Return the patients of the studies that match *keys*, each once, in the archive's order.

        Raises:
            ProtocolViolation: an answer without PatientID, or more patients than one examination can have.

        """
        return patients_in(self.rows("studies", Level.STUDY, keys, mark), keys)


def _counted(chunks: Iterable[bytes], allowance: Allowance) -> Iterator[bytes]:
    for chunk in chunks:
        allowance.take(len(chunk))
        yield chunk


def _joined(row: Row, series: Mapping[str, Row], only: Row | None) -> Row:
    uid = text_of(row, UNIQUE[Level.SERIES])
    parent = series.get(uid) if uid else only
    if parent is None:
        # written between the two searches, or a search cut short: neither answer can be taken as whole
        raise Unavailable("pacs", "QIDO-RS lists an instance whose series it does not list", "try again")
    return {**row, **parent}


def _check(rows: Iterable[Row], level: Level, query: Query, stated: Mapping[str, str]) -> None:
    """Raise ProtocolViolation when an answer is about something else than was *stated*."""
    uids = {path: uid for path in UNIQUE.values() if path != PATIENT_ID and (uid := stated.get(path))}
    asked = query.patient_id.value.strip()
    foreign = strange = 0
    for row in rows:
        patient = text_of(row, PATIENT_ID)
        foreign += patient != asked if patient or level is Level.STUDY else 0
        strange += any(text_of(row, path) not in {"", uid} for path, uid in uids.items())
    if foreign or strange:
        raise ProtocolViolation(
            "pacs",
            f"QIDO-RS at {level} level answered with {foreign} row(s) of another patient, "
            f"{strange} of another study or series",
            "see the archive's conformance statement",
        )


def _repeated(*, whole: bool) -> Unavailable | ProtocolViolation:
    if whole:
        return ProtocolViolation("pacs", "QIDO-RS repeats itself: it does not keep to offset", "use DIMSE")
    return Unavailable("pacs", "the answers changed while they were read page by page", "try again")
