import sqlite3
import threading
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from p2d.identity.keys import Keys
from p2d.identity.port import Domain, Identifier, Invalid, NotFound
from p2d.identity.table import IdentityTable, ImportReport
from p2d.model.errors import InvalidRequest, Misconfigured, Unavailable
from p2d.model.identified import AccessionNumber, CaseStay, InstanceUid, PatientId
from p2d.model.ids import Pseudonym
from p2d.testing.identity import TEST_KEY

CANARY_PATIENT = "KANARIENVOGEL-4711"
CANARY_CASE = "FALLKANARI-0815"
CANARY_ACCESSION = "ACCKANARI-9933"
CANARY_STUDY = "1.3.6.1.4.1.99999.1234567890"


class Colliding(Keys):
    """Keys whose first choice is the same for everyone, to prove that a collision never overwrites."""

    def table_pseudonym(self, domain: Domain, normal: str, counter: int = 0) -> Pseudonym:
        return super().table_pseudonym(domain, normal if counter else "", counter)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "identity.db"


@pytest.fixture
def opened(path: Path) -> Iterator[Callable[[], IdentityTable]]:
    tables: list[IdentityTable] = []

    def open_table() -> IdentityTable:
        tables.append(IdentityTable(path, Keys(TEST_KEY, 1)))
        return tables[-1]

    yield open_table
    for table in tables:
        table.close()


def one_of_each() -> dict[Domain, Identifier]:
    stay = CaseStay(CANARY_CASE, PatientId(CANARY_PATIENT), date(1903, 4, 5), None)
    return {
        Domain.PATIENT: PatientId(CANARY_PATIENT),
        Domain.CASE: stay,
        Domain.ACCESSION: AccessionNumber(CANARY_ACCESSION),
        Domain.STUDY: InstanceUid(CANARY_STUDY),
    }


def test_no_file_of_the_database_holds_an_original_in_plain_text(
    opened: Callable[[], IdentityTable], path: Path
) -> None:
    table = opened()
    for domain, original in one_of_each().items():
        table.pseudonymise(domain, [original], create=True)

    content = b"".join(file.read_bytes() for file in path.parent.iterdir())

    assert len(list(path.parent.iterdir())) >= 2
    for canary in (CANARY_PATIENT, CANARY_CASE, CANARY_ACCESSION, CANARY_STUDY, "1903-04-05"):
        for form in (
            canary,
            canary.lower(),
            canary.encode().hex(),
            canary.encode("utf-16-le").decode("latin1"),
        ):
            assert form.encode("latin1") not in content


def test_the_database_is_for_its_owner_only(opened: Callable[[], IdentityTable], path: Path) -> None:
    opened().pseudonymise(Domain.PATIENT, [PatientId("1")], create=True)

    assert {file.stat().st_mode & 0o077 for file in path.parent.iterdir()} == {0}


def test_pseudonyms_survive_reopening(opened: Callable[[], IdentityTable]) -> None:
    first = opened()
    made = first.pseudonymise(Domain.PATIENT, [PatientId("1"), PatientId("2")], create=True)
    first.close()

    assert opened().pseudonymise(Domain.PATIENT, [PatientId("1"), PatientId("2")], create=False) == made


def test_another_key_does_not_open_the_database(opened: Callable[[], IdentityTable], path: Path) -> None:
    opened()

    with pytest.raises(Misconfigured, match="another key"):
        IdentityTable(path, Keys(TEST_KEY[::-1], 1))


def test_another_span_of_shifts_does_not_open_the_database(
    opened: Callable[[], IdentityTable], path: Path
) -> None:
    opened()

    with pytest.raises(Misconfigured, match="max_shift_days"):
        IdentityTable(path, Keys(TEST_KEY, 1), max_shift_days=30)


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    path.write_bytes(b"not a database, but long enough to be read as one" * 100)

    with pytest.raises(Misconfigured, match="cannot be opened"):
        IdentityTable(path, Keys(TEST_KEY, 1))


def test_an_altered_row_is_not_answered(opened: Callable[[], IdentityTable], path: Path) -> None:
    table = opened()
    (psn,) = table.pseudonymise(Domain.PATIENT, [PatientId("1")], create=True)
    with sqlite3.connect(path) as other:
        other.execute("UPDATE pseudonym SET original = zeroblob(32)")
    other.close()

    with pytest.raises(Misconfigured, match="does not open"):
        table.resolve(Domain.PATIENT, [p for p in (psn,) if isinstance(p, Pseudonym)])


def test_rows_exchanged_between_pseudonyms_are_not_answered(
    opened: Callable[[], IdentityTable], path: Path
) -> None:
    table = opened()
    made = table.pseudonymise(Domain.PATIENT, [PatientId("1"), PatientId("2")], create=True)
    psns = [psn for psn in made if isinstance(psn, Pseudonym)]
    with sqlite3.connect(path) as other:
        rows = dict(other.execute("SELECT pseudonym, original FROM pseudonym").fetchall())
        other.execute("UPDATE pseudonym SET original = ? WHERE pseudonym = ?", (rows[psns[0]], psns[1]))
    other.close()

    with pytest.raises(Misconfigured):
        table.resolve(Domain.PATIENT, [psns[1]])


def test_a_collision_gives_the_next_pseudonym_and_overwrites_nothing(path: Path) -> None:
    table = IdentityTable(path, Colliding(TEST_KEY, 1))
    originals: list[Identifier] = [PatientId(str(i)) for i in range(50)]

    together = table.pseudonymise(Domain.PATIENT, originals[:30], create=True)
    later = table.pseudonymise(Domain.PATIENT, originals[30:], create=True)

    psns = [psn for psn in together + later if isinstance(psn, Pseudonym)]
    assert len(set(psns)) == 50
    assert table.resolve(Domain.PATIENT, psns) == originals
    table.close()


def test_a_locked_database_is_unavailable_and_recovers(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("p2d.identity.table._BUSY_SECONDS", 0.05)
    table = IdentityTable(path, Keys(TEST_KEY, 1))
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(Unavailable):
        table.pseudonymise(Domain.PATIENT, [PatientId("1")], create=True)
    other.execute("ROLLBACK")
    other.close()

    assert isinstance(table.pseudonymise(Domain.PATIENT, [PatientId("1")], create=True)[0], Pseudonym)
    table.close()


def test_threads_and_two_open_tables_agree_on_pseudonyms(opened: Callable[[], IdentityTable]) -> None:
    tables = [opened(), opened()]
    originals: list[Identifier] = [PatientId(str(i)) for i in range(200)]
    answers: list[list[object]] = []

    def ask(table: IdentityTable) -> None:
        answers.append(list(table.pseudonymise(Domain.PATIENT, originals, create=True)))

    threads = [threading.Thread(target=ask, args=(tables[i % 2],)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(answers) == 6
    assert all(answer == answers[0] for answer in answers)


def test_identifiers_of_another_domain_are_invalid(opened: Callable[[], IdentityTable]) -> None:
    table = opened()

    for domain in Domain:
        others = [original for other, original in one_of_each().items() if other is not domain]
        assert table.pseudonymise(domain, others, create=True) == [Invalid()] * 3


def test_a_stay_that_ends_before_it_begins_is_invalid(opened: Callable[[], IdentityTable]) -> None:
    stay = CaseStay("F1", PatientId("1"), date(2024, 2, 2), date(2024, 2, 1))

    assert opened().pseudonymise(Domain.CASE, [stay], create=True) == [Invalid()]


def test_a_case_without_patient_is_never_created(opened: Callable[[], IdentityTable]) -> None:
    stay = CaseStay("F1", PatientId(""), None, None)

    assert opened().pseudonymise(Domain.CASE, [stay], create=True) == [NotFound()]


def test_a_renewed_stay_without_dates_keeps_the_known_ones(opened: Callable[[], IdentityTable]) -> None:
    table, patient = opened(), PatientId("1")
    stay = CaseStay("F1", patient, date(2024, 1, 1), date(2024, 1, 2))
    (psn,) = table.pseudonymise(Domain.CASE, [stay], create=True)

    table.pseudonymise(Domain.CASE, [CaseStay("F1", patient, None, None)], create=True)

    assert isinstance(psn, Pseudonym)
    assert table.resolve(Domain.CASE, [psn]) == [stay]


def test_imported_pseudonyms_are_answered_both_ways(opened: Callable[[], IdentityTable]) -> None:
    table = opened()

    report = table.import_patients([(2, "4711", "PSN-1"), (3, " 4712 ", "SITE.2")])

    assert report == ImportReport(added=2, present=0)
    assert table.pseudonymise(Domain.PATIENT, [PatientId("4712")], create=True) == ["SITE.2"]
    assert table.resolve(Domain.PATIENT, [Pseudonym("PSN-1")]) == [PatientId("4711")]


def test_an_import_can_be_repeated(opened: Callable[[], IdentityTable]) -> None:
    table = opened()
    table.import_patients([(2, "1", "PSN-1")])

    assert table.import_patients([(2, "1", "PSN-1"), (3, "2", "PSN-2")]) == ImportReport(1, 1)


@pytest.mark.parametrize(
    ("original", "pseudonym"),
    [
        ("", "PSN-9"),
        ("4*", "PSN-9"),
        ("known", "PSN-9"),
        ("9", "PSN-KNOWN"),
        ("1", "PSN-9"),
        ("9", "PSN-1"),
        ("9", "*"),
        ("9", ""),
        ("9", "9"),
        ("9", "P00000000000000000"),
    ],
)
def test_one_bad_pair_stops_the_whole_import_and_names_its_line(
    opened: Callable[[], IdentityTable], original: str, pseudonym: str
) -> None:
    table = opened()
    table.import_patients([(2, "known", "PSN-KNOWN")])

    with pytest.raises(InvalidRequest, match="line 3"):
        table.import_patients([(2, "1", "PSN-1"), (3, original, pseudonym)])

    assert table.resolve(Domain.PATIENT, [Pseudonym("PSN-1")]) == [NotFound()]


def test_a_dry_run_imports_nothing(opened: Callable[[], IdentityTable]) -> None:
    table = opened()

    report = table.import_patients([(2, "1", "PSN-1")], dry_run=True)

    assert report == ImportReport(added=1, present=0)
    assert table.resolve(Domain.PATIENT, [Pseudonym("PSN-1")]) == [NotFound()]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(st.lists(st.text(max_size=20), max_size=20), st.sampled_from([Domain.PATIENT, Domain.ACCESSION]))
def test_what_gets_a_pseudonym_gets_its_trimmed_self_back(
    opened: Callable[[], IdentityTable], texts: list[str], domain: Domain
) -> None:
    table = opened()
    kind: Callable[[str], Identifier] = PatientId if domain is Domain.PATIENT else AccessionNumber

    made = table.pseudonymise(domain, [kind(text) for text in texts], create=True)

    for text, psn in zip(texts, made, strict=True):
        if isinstance(psn, Pseudonym):
            assert table.resolve(domain, [psn]) == [kind(text.strip(" "))]
        else:
            assert psn == Invalid()


def test_shifts_by_weeks_keep_the_day_of_the_week_and_are_fixed(path: Path) -> None:
    patients = [Pseudonym(f"P{number}") for number in range(50)]
    table = IdentityTable(path, Keys(TEST_KEY, 1), by_weeks=True)

    shifts = table.date_shift(patients)
    table.close()

    assert all(shift % 7 == 0 and -365 <= shift < 0 for shift in shifts)
    assert len(set(shifts)) > 10
    with pytest.raises(Misconfigured):
        IdentityTable(path, Keys(TEST_KEY, 1))
