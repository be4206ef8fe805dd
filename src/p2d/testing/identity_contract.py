"""Contract suite of the ``Identity`` port: what every connector must do, whatever stands behind it.

Subclass ``IdentityContract`` in a test module and give it a fixture ``identity`` that yields a fresh, empty
connector that may create. Needs pytest.
"""
# ruff: noqa: S101 - a contract suite asserts

from datetime import date

import pytest

from p2d.identity.port import Ambiguous, Domain, Failure, Identifier, Identity, Invalid, NotFound
from p2d.model.errors import InvalidRequest
from p2d.model.identified import AccessionNumber, CaseStay, InstanceUid, PatientId
from p2d.model.ids import Pseudonym, is_derived_uid

ONE_OF_EACH: dict[Domain, Identifier] = {
    Domain.PATIENT: PatientId("Kanari-0815"),
    Domain.CASE: CaseStay("Fall/77", PatientId("Kanari-0815"), date(2024, 3, 1), date(2024, 3, 9)),
    Domain.ACCESSION: AccessionNumber("RX 2024.17"),
    Domain.STUDY: InstanceUid("1.3.6.1.4.1.5962.1.2.3"),
}
BAD_TEXTS = ["", " ", "*", "A?", "A\\B", "A\nB", "A\0B", "A\x7fB", "A\u2028B", "A\u200eB", "x" * 65, "\ud800"]


def _of(domain: Domain, text: str) -> Identifier:
    if domain is Domain.CASE:
        return CaseStay(text, PatientId("P1"), None, None)
    if domain is Domain.PATIENT:
        return PatientId(text)
    return AccessionNumber(text) if domain is Domain.ACCESSION else InstanceUid(text)


class IdentityContract:
    """Claims about the port; each test gets its own empty connector."""

    @pytest.mark.parametrize("domain", list(Domain))
    def test_resolving_a_pseudonym_gives_the_identifier_back(
        self, identity: Identity, domain: Domain
    ) -> None:
        """Resolve undoes pseudonymise."""
        original = ONE_OF_EACH[domain]

        (psn,) = identity.pseudonymise(domain, [original], create=True)

        assert isinstance(psn, Pseudonym)
        assert identity.resolve(domain, [psn]) == [original]

    @pytest.mark.parametrize("domain", list(Domain))
    def test_unknown_identifiers_are_not_found_and_not_created(
        self, identity: Identity, domain: Domain
    ) -> None:
        """Without create nothing is added."""
        original = ONE_OF_EACH[domain]

        twice = [identity.pseudonymise(domain, [original], create=False) for _ in range(2)]

        assert twice == [[NotFound()], [NotFound()]]

    @pytest.mark.parametrize("domain", list(Domain))
    @pytest.mark.parametrize("text", BAD_TEXTS)
    def test_identifiers_that_could_match_others_are_invalid(
        self, identity: Identity, domain: Domain, text: str
    ) -> None:
        """Wildcards, control characters, empty and overlong values are never asked for or stored."""
        assert identity.pseudonymise(domain, [_of(domain, text)], create=True) == [Invalid()]

    @pytest.mark.parametrize("domain", list(Domain))
    @pytest.mark.parametrize("text", ["", "*", "P?", "*** PSEUDONYM NOT FOUND ***", "x" * 65, "a b"])
    def test_texts_that_are_no_pseudonyms_are_invalid(
        self, identity: Identity, domain: Domain, text: str
    ) -> None:
        """What cannot be a pseudonym is not looked up."""
        assert identity.resolve(domain, [Pseudonym(text)]) == [Invalid()]

    def test_a_mistyped_own_pseudonym_is_invalid(self, identity: Identity) -> None:
        """The check character tells a typing error from an unknown patient."""
        (psn,) = identity.pseudonymise(Domain.PATIENT, [PatientId("4711")], create=True)
        assert isinstance(psn, Pseudonym)
        mistyped = Pseudonym(psn[:3] + ("2" if psn[3] == "1" else "1") + psn[4:])

        assert identity.resolve(Domain.PATIENT, [mistyped]) == [Invalid()]

    def test_a_well_formed_unknown_pseudonym_is_not_found(self, identity: Identity) -> None:
        """Unknown is not invalid."""
        unknown = [Pseudonym("PSN-1"), Pseudonym("SITE.0001")]

        assert identity.resolve(Domain.PATIENT, unknown) == [NotFound(), NotFound()]
        assert identity.resolve(Domain.STUDY, [Pseudonym("2.25.17")]) == [NotFound()]

    @pytest.mark.parametrize("count", [0, 1, 1_000, 10_001])
    def test_answers_have_the_length_and_order_of_the_question(self, identity: Identity, count: int) -> None:
        """Lists of any length keep their order, failures in place."""
        originals: list[Identifier] = [PatientId("*" if i % 7 == 3 else f"K{i:06d}") for i in range(count)]

        answers = identity.pseudonymise(Domain.PATIENT, originals, create=True)
        back = identity.resolve(Domain.PATIENT, [a for a in answers if isinstance(a, Pseudonym)])

        assert [isinstance(answer, Failure) for answer in answers] == [i % 7 == 3 for i in range(count)]
        assert back == [original for original in originals if original != PatientId("*")]

    def test_duplicates_are_answered_each_and_alike(self, identity: Identity) -> None:
        """A duplicate is neither dropped nor given a second pseudonym."""
        answers = identity.pseudonymise(
            Domain.PATIENT, [PatientId("1"), PatientId("2"), PatientId("1")], create=True
        )

        assert len(answers) == 3
        assert answers[0] == answers[2] != answers[1]

    def test_pseudonyms_are_the_same_at_every_call(self, identity: Identity) -> None:
        """Creating again creates nothing."""
        first = identity.pseudonymise(Domain.ACCESSION, [AccessionNumber("A1")], create=True)

        assert identity.pseudonymise(Domain.ACCESSION, [AccessionNumber("A1")], create=True) == first
        assert identity.pseudonymise(Domain.ACCESSION, [AccessionNumber(" A1 ")], create=False) == first

    def test_a_case_is_found_without_its_dates(self, identity: Identity) -> None:
        """An AdmissionID from the archive comes without a stay."""
        stay = ONE_OF_EACH[Domain.CASE]
        assert isinstance(stay, CaseStay)
        created = identity.pseudonymise(Domain.CASE, [stay], create=True)

        with_patient = CaseStay(stay.admission_id, stay.patient_id, None, None)
        without_patient = CaseStay(stay.admission_id, PatientId(""), None, None)

        assert identity.pseudonymise(Domain.CASE, [with_patient], create=True) == created
        assert identity.pseudonymise(Domain.CASE, [without_patient], create=False) == created
        assert identity.resolve(Domain.CASE, [p for p in created if isinstance(p, Pseudonym)]) == [stay]

    def test_one_admission_id_of_two_patients_is_ambiguous_alone(self, identity: Identity) -> None:
        """Two patients may share an AdmissionID; then it takes the patient to tell."""
        stays: list[Identifier] = [CaseStay("F1", PatientId(p), None, None) for p in ("1", "2")]
        created = identity.pseudonymise(Domain.CASE, stays, create=True)

        alone = identity.pseudonymise(Domain.CASE, [CaseStay("F1", PatientId(""), None, None)], create=False)

        assert alone == [Ambiguous()]
        assert created[0] != created[1]

    def test_a_stay_learns_its_end(self, identity: Identity) -> None:
        """A patient admitted yesterday is discharged one day; the pseudonym stays."""
        patient, start = PatientId("1"), date(2024, 1, 1)
        running = identity.pseudonymise(Domain.CASE, [CaseStay("F1", patient, start, None)], create=True)

        ended = CaseStay("F1", patient, start, date(2024, 1, 5))
        renewed = identity.pseudonymise(Domain.CASE, [ended], create=True)

        assert renewed == running
        assert identity.resolve(Domain.CASE, [p for p in renewed if isinstance(p, Pseudonym)]) == [ended]

    def test_uids_are_derived_and_those_of_dicom_kept(self, identity: Identity) -> None:
        """PS3.6 Annex A UIDs name no patient's object."""
        uids = ["1.2.3", "1.2.840.10008.1.2.1", "1.2.3", "1.2.8400"]

        derived = identity.derive(uids)

        assert set(derived) == set(uids)
        assert derived["1.2.840.10008.1.2.1"] == "1.2.840.10008.1.2.1"
        assert is_derived_uid(derived["1.2.3"])
        assert derived["1.2.3"] != derived["1.2.8400"]

    def test_a_study_has_its_derived_uid_as_pseudonym(self, identity: Identity) -> None:
        """Table and derivation agree."""
        uid = "1.2.276.0.7230010.3.1.2.1"

        assert identity.pseudonymise(Domain.STUDY, [InstanceUid(uid)], create=True) == [
            identity.derive([uid])[uid]
        ]

    def test_a_uid_of_dicom_itself_is_no_study(self, identity: Identity) -> None:
        """It would pass through unchanged."""
        own = InstanceUid("1.2.840.10008.5.1.4.1.1.2")

        assert identity.pseudonymise(Domain.STUDY, [own], create=True) == [Invalid()]

    def test_more_uids_than_one_call_takes_are_derived(self, identity: Identity) -> None:
        """The connector splits long lists."""
        uids = [f"1.2.{i}" for i in range(10_500)]

        derived = identity.derive(uids)

        assert len(set(derived.values())) == len(uids)

    def test_an_empty_uid_is_refused(self, identity: Identity) -> None:
        """There is nothing to derive from."""
        with pytest.raises(InvalidRequest):
            identity.derive(["1.2.3", ""])

    def test_date_shifts_are_whole_days_into_the_past_and_stable(self, identity: Identity) -> None:
        """Never 0, at most a year, the same at every call, in the order asked."""
        patients = [Pseudonym(f"PSN-{i}") for i in range(400)]

        shifts = identity.date_shift(patients)

        assert all(-365 <= shift <= -1 for shift in shifts)
        assert identity.date_shift(patients[::-1]) == shifts[::-1]
        assert len(set(shifts)) > 100

    def test_ping_is_silent(self, identity: Identity) -> None:
        """It raises where the service does not answer."""
        identity.ping()
