"""P2D's own pseudonym table: SQLite, originals encrypted, found by keyed hash; the default identity manager.

The database holds pseudonyms, keyed hashes and ciphertexts only; without the key file it names nobody. It
refuses to open under another key or another span of date shifts than the one it was made with, because
either would silently give every patient new pseudonyms or a second calendar.
"""

import json
import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Final

from p2d.identity.keys import (
    Keys,
    is_own_form,
    is_well_known_uid,
    looks_own,
    normal_identifier,
    trim_uid,
    why_unresolved,
)
from p2d.identity.port import Ambiguous, Domain, Failure, Identifier, Invalid, NotFound
from p2d.model.errors import InvalidRequest, Misconfigured, Unavailable
from p2d.model.identified import AccessionNumber, CaseStay, InstanceUid, PatientId
from p2d.model.ids import Pseudonym

_WEEK: Final = 7
_SCHEMA_VERSION: Final = "1"
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS pseudonym (
    domain      TEXT NOT NULL,
    pseudonym   TEXT NOT NULL,
    lookup      TEXT NOT NULL,    -- keyed hash of the original
    part        TEXT,             -- cases only: keyed hash of the admission id alone
    original    BLOB NOT NULL,    -- AES-SIV, bound to domain and pseudonym
    key_version INTEGER NOT NULL,
    PRIMARY KEY (domain, pseudonym),
    UNIQUE (domain, lookup)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS pseudonym_part ON pseudonym (part) WHERE part IS NOT NULL;
"""
_BY: Final = {
    column: "SELECT pseudonym, lookup, part, original FROM pseudonym "  # noqa: S608 - column is one of three literals
    f"WHERE domain = ? AND {column} IN (SELECT value FROM json_each(?))"
    for column in ("pseudonym", "lookup", "part")
}
_INSERT: Final = "INSERT INTO pseudonym VALUES (?, ?, ?, ?, ?, ?)"
_UPDATE: Final = "UPDATE pseudonym SET original = ? WHERE domain = ? AND pseudonym = ?"
_COLLISIONS: Final = 16
_BUSY_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did, or with *dry run* would do: pairs added, and pairs that were there already."""

    added: int
    present: int


@dataclass(frozen=True, slots=True)
class _Asked:
    """An identifier in normal form; ``lookup`` is empty for a case whose patient is not known."""

    lookup: str
    part: str | None
    normal: str = field(repr=False)
    original: str = field(repr=False)
    has_dates: bool = False


@dataclass(frozen=True, slots=True)
class _Row:
    pseudonym: Pseudonym
    lookup: str
    part: str | None
    original: bytes = field(repr=False)


class IdentityTable:
    """The ``Identity`` port over one SQLite file; safe to share between threads."""

    def __init__(self, path: Path, keys: Keys, max_shift_days: int = 365, *, by_weeks: bool = False) -> None:
        self._keys = keys
        self._max_shift_days = max_shift_days
        self._unit_days = _WEEK if by_weeks else 1
        self._lock = threading.Lock()
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            self._connection = sqlite3.connect(
                path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute(
                "PRAGMA synchronous = FULL"
            )  # a pseudonym that left must survive power loss
            self._connection.executescript(_SCHEMA)
        except (OSError, sqlite3.Error):
            remedy = "name a file in a folder that this user may write, or restore its backup"
            raise Misconfigured("identity.database", f"{path} cannot be opened", remedy) from None
        self._pin("schema", _SCHEMA_VERSION, "use the P2D version that made it")
        self._pin("key", keys.fingerprint, "restore the key file that belongs to this database")
        self._pin(
            "max_shift_days",
            str(max_shift_days),
            "restore identity.max_shift_days: it fixes every date shift",
        )
        self._pin(
            "shift_unit_days",
            str(self._unit_days),
            "restore identity.shift_by_weeks: it fixes every date shift",
        )

    def close(self) -> None:
        """Close the database; the object must not be used afterwards."""
        with self._lock:
            self._connection.close()

    def resolve(self, domain: Domain, pseudonyms: Sequence[Pseudonym]) -> list[Identifier | Failure]:
        """Return the original behind each pseudonym; see the port."""
        with self._reading():
            rows = {row.pseudonym: row for row in self._rows(domain, "pseudonym", set(pseudonyms))}
        return [
            self._identifier(domain, rows[psn]) if psn in rows else why_unresolved(domain, psn)
            for psn in pseudonyms
        ]

    def pseudonymise(
        self, domain: Domain, identifiers: Sequence[Identifier], *, create: bool
    ) -> list[Pseudonym | Failure]:
        """Return the pseudonym of each identifier; see the port.

        A case is found by admission and patient id; where the patient id is empty by the admission id
        alone, and never created. Stays that come with dates replace the stored ones where *create* is set.
        """
        asked = [self._normal(domain, identifier) for identifier in identifiers]
        wanted = {item.lookup: item for item in asked if item is not None and item.lookup}
        parts = {item.part for item in asked if item is not None and item.part and not item.lookup}
        with self._reading():
            known = {row.lookup: row for row in self._rows(domain, "lookup", set(wanted))}
            by_part: dict[str | None, list[Pseudonym]] = {}
            for row in self._rows(domain, "part", parts) if parts else ():
                by_part.setdefault(row.part, []).append(row.pseudonym)
        if create and (wanted.keys() - known.keys() or self._changed(domain, wanted, known)):
            with self._writing():
                known = self._create(domain, wanted)
        found = {lookup: row.pseudonym for lookup, row in known.items()}
        return [_answer(item, found, by_part) for item in asked]

    def derive(self, uids: Sequence[str]) -> Mapping[str, str]:
        """Return original → derived UID; see the port.

        Raises:
            InvalidRequest: an empty item, or one longer than 1,024 characters.

        """
        return {uid: self._keys.derive_uid(uid) for uid in uids}

    def date_shift(self, patients: Sequence[Pseudonym]) -> list[int]:
        """Return each patient's shift in whole days, into the past, never 0."""
        return [self._keys.shift_days(patient, self._max_shift_days, self._unit_days) for patient in patients]

    def ping(self) -> None:
        """Ask the database whether it answers."""
        with self._reading():
            self._connection.execute("SELECT 1 FROM meta").fetchone()

    def import_patients(
        self, pairs: Sequence[tuple[int, str, str]], *, dry_run: bool = False
    ) -> ImportReport:
        """Add existing patient pseudonyms: (line, original, pseudonym); all of them or none.

        Raises:
            InvalidRequest: a malformed item, or one that contradicts the file or the table; names the line.

        """
        checked = self._checked(pairs)
        with self._writing():
            originals = {
                row.lookup: row.pseudonym for row in self._rows(Domain.PATIENT, "lookup", set(checked))
            }
            taken = self._rows(Domain.PATIENT, "pseudonym", {psn for _, psn, _ in checked.values()})
            owners = {row.pseudonym: row.lookup for row in taken}
            for lookup, (line, psn, _) in checked.items():
                if originals.get(lookup, psn) != psn or owners.get(psn, lookup) != lookup:
                    raise _conflict(line, "contradicts the table: original or pseudonym is taken")
            fresh = [
                (lookup, psn, normal)
                for lookup, (_, psn, normal) in checked.items()
                if lookup not in originals
            ]
            if not dry_run:
                self._insert(Domain.PATIENT, [(p, _Asked(k, None, n, n)) for k, p, n in fresh])
        return ImportReport(len(fresh), len(checked) - len(fresh))

    def _checked(self, pairs: Sequence[tuple[int, str, str]]) -> dict[str, tuple[int, Pseudonym, str]]:
        checked: dict[str, tuple[int, Pseudonym, str]] = {}
        pseudonyms: set[str] = set()
        for line, original, pseudonym in pairs:
            normal = normal_identifier(original)
            if normal is None:
                raise _conflict(line, "original is empty, overlong or holds a wildcard or control character")
            psn = Pseudonym.parse(pseudonym.strip(" "), f"line {line}: pseudonym")
            if looks_own(Domain.PATIENT, psn) and not is_own_form(Domain.PATIENT, psn):
                raise _conflict(line, "pseudonym has P2D's own form but a wrong check character")
            if psn == normal:
                raise _conflict(line, "pseudonym equals the original")
            lookup = self._keys.lookup(Domain.PATIENT, normal)
            if lookup in checked or psn in pseudonyms:
                raise _conflict(line, "original or pseudonym stands in the file twice")
            checked[lookup] = (line, psn, normal)
            pseudonyms.add(psn)
        return checked

    def _create(self, domain: Domain, wanted: Mapping[str, _Asked]) -> dict[str, _Row]:
        """Add what is missing and renew changed stays; inside a transaction."""
        known = {row.lookup: row for row in self._rows(domain, "lookup", set(wanted))}
        changed = self._changed(domain, wanted, known)
        self._connection.executemany(_UPDATE, [(sealed, domain, psn) for psn, sealed in changed])
        missing = [wanted[lookup] for lookup in wanted if lookup not in known]
        for counter in range(_COLLISIONS):
            candidates: dict[Pseudonym, _Asked] = {}
            collided = []
            for item in missing:
                psn = self._keys.table_pseudonym(domain, item.normal, counter)
                collided += [item] if psn in candidates else []
                candidates.setdefault(psn, item)
            taken = {row.pseudonym for row in self._rows(domain, "pseudonym", set(candidates))}
            self._insert(domain, [(psn, item) for psn, item in candidates.items() if psn not in taken])
            missing = collided + [candidates[psn] for psn in taken]
            if not missing or domain is Domain.STUDY:  # a derived UID has no second choice
                break
        return {row.lookup: row for row in self._rows(domain, "lookup", set(wanted))}

    def _insert(self, domain: Domain, items: Sequence[tuple[Pseudonym, _Asked]]) -> None:
        self._connection.executemany(
            _INSERT,
            [
                (
                    domain,
                    psn,
                    item.lookup,
                    item.part,
                    self._keys.seal(domain, psn, item.original),
                    self._keys.version,
                )
                for psn, item in items
            ],
        )

    def _changed(
        self, domain: Domain, wanted: Mapping[str, _Asked], known: Mapping[str, _Row]
    ) -> list[tuple[Pseudonym, bytes]]:
        """Return pseudonym and new ciphertext of stays whose dates differ from the stored ones."""
        if domain is not Domain.CASE:
            return []
        dated = [(known[k], item) for k, item in wanted.items() if item.has_dates and k in known]
        sealed = [
            (row.pseudonym, row.original, self._keys.seal(domain, row.pseudonym, i.original))
            for row, i in dated
        ]
        return [(psn, new) for psn, old, new in sealed if new != old]  # AES-SIV is deterministic

    def _normal(self, domain: Domain, identifier: Identifier) -> _Asked | None:
        if domain is Domain.CASE:
            return self._normal_case(identifier) if isinstance(identifier, CaseStay) else None
        kinds = {
            Domain.PATIENT: PatientId,
            Domain.ACCESSION: AccessionNumber,
            Domain.STUDY: InstanceUid,
        }
        if not isinstance(identifier, kinds[domain]) or isinstance(identifier, CaseStay):
            return None
        text = trim_uid(identifier.value) if domain is Domain.STUDY else identifier.value
        normal = normal_identifier(text)
        if normal is None or (domain is Domain.STUDY and is_well_known_uid(normal)):
            return None
        return _Asked(self._keys.lookup(domain, normal), None, normal, normal)

    def _normal_case(self, stay: CaseStay) -> _Asked | None:
        admission = normal_identifier(stay.admission_id)
        if admission is None:
            return None
        part = self._keys.lookup("admission", admission)
        if not stay.patient_id.value:
            return _Asked("", part, "", "")
        patient = normal_identifier(stay.patient_id.value)
        if patient is None or (stay.start and stay.end and stay.end < stay.start):
            return None
        normal = json.dumps([patient, admission])
        days = [day.isoformat() if day else None for day in (stay.start, stay.end)]
        original = json.dumps([admission, patient, *days])
        return _Asked(self._keys.lookup(Domain.CASE, normal), part, normal, original, has_dates=any(days))

    def _identifier(self, domain: Domain, row: _Row) -> Identifier:
        text = self._keys.unseal(domain, row.pseudonym, row.original)
        if domain is Domain.CASE:
            admission, patient, start, end = json.loads(text)
            return CaseStay(admission, PatientId(patient), _day(start), _day(end))
        if domain is Domain.PATIENT:
            return PatientId(text)
        return AccessionNumber(text) if domain is Domain.ACCESSION else InstanceUid(text)

    def _rows(self, domain: Domain, column: str, values: set[str] | set[Pseudonym]) -> list[_Row]:
        cursor = self._connection.execute(_BY[column], (domain, json.dumps(sorted(values))))
        return [_Row(Pseudonym(psn), lookup, part, bytes(original)) for psn, lookup, part, original in cursor]

    def _pin(self, name: str, value: str, remedy: str) -> None:
        with self._writing():
            self._connection.execute("INSERT OR IGNORE INTO meta VALUES (?, ?)", (name, value))
            stored = self._connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()[0]
        if stored != value:
            self.close()
            raise Misconfigured("identity.database", f"was made with another {name}", remedy)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        with self._lock, _translated():
            yield

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with self._lock, _translated():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # SQLite rolls back by itself when the disk is full
                    self._connection.execute("ROLLBACK")
                raise


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error:  # its message may quote values, so it is not passed on
        remedy = "try again; check free space and the database file"
        raise Unavailable("identity database", "is busy, full or damaged", remedy) from None


def _answer(
    item: _Asked | None, found: Mapping[str, Pseudonym], by_part: Mapping[str | None, list[Pseudonym]]
) -> Pseudonym | Failure:
    if item is None:
        return Invalid()
    if item.lookup:
        return found.get(item.lookup, NotFound())
    candidates = by_part.get(item.part, [])
    if len(candidates) > 1:
        return Ambiguous()
    return candidates[0] if candidates else NotFound()


def _conflict(line: int, problem: str) -> InvalidRequest:
    return InvalidRequest(f"line {line}", problem, "correct the file; nothing was imported")


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None
