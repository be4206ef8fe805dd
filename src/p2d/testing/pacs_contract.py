"""What every archive connector must do, as a test class to inherit; it names the port's promises.

Give it a ``pacs`` fixture: a connector to an archive that holds ``p2d.testing.datasets.three_patients``.
"""

# ruff: noqa: S101 - a suite of tests that connector authors inherit

from collections import Counter
from datetime import date
from io import BytesIO

import pytest
from pydicom.filereader import read_dataset

from p2d.dicom.elements import elements_of
from p2d.model.errors import InvalidRequest, Unavailable
from p2d.model.header import text_of
from p2d.model.identified import IdentifiedHeader, PatientId
from p2d.model.level import Choice, Level
from p2d.pacs.pick import pick
from p2d.pacs.port import Pacs, Query, RetrieveCounts
from p2d.testing.datasets import three_patients

TRUTH = {one["SOPInstanceUID"]: one for one in three_patients().listed}
PATIENTS = tuple(sorted({one["PatientID"] for one in TRUTH.values()}))
IMPLICIT = "1.2.840.10008.1.2"


def found(pacs: Pacs, level: Level, patient: str, **keys: object) -> list[IdentifiedHeader]:
    """Return all that *pacs* finds for *patient* at *level*."""
    return list(pacs.find(Query(level, PatientId(patient), **keys)))  # type: ignore[arg-type] # keys of each test


def expected(keyword: str, patient: str) -> set[str]:
    """Return the true values of *keyword* for *patient*."""
    return {one[keyword] for one in TRUTH.values() if one["PatientID"] == patient}


class PacsContract:
    """Inherit and provide ``pacs``."""

    def test_an_echo_is_answered(self, pacs: Pacs) -> None:
        """The archive is there."""
        pacs.echo()

    @pytest.mark.parametrize("patient", PATIENTS)
    def test_each_level_finds_all_of_the_patient_and_nothing_else(self, pacs: Pacs, patient: str) -> None:
        """Counts and UIDs equal the truth, each entity once."""
        assert [one.patient_id for one in found(pacs, Level.PATIENT, patient)] == [patient]
        studies = [one.study_instance_uid for one in found(pacs, Level.STUDY, patient)]
        series = [one.series_instance_uid for one in found(pacs, Level.SERIES, patient)]
        instances = [one.sop_instance_uid for one in found(pacs, Level.INSTANCE, patient)]

        assert Counter(studies) == Counter(expected("StudyInstanceUID", patient))
        assert Counter(series) == Counter(expected("SeriesInstanceUID", patient))
        assert Counter(instances) == Counter(expected("SOPInstanceUID", patient))

    def test_instance_headers_carry_the_elements_of_all_levels(self, pacs: Pacs) -> None:
        """Upper levels are joined; an archive may leave keys empty that it does not support."""
        headers = found(pacs, Level.INSTANCE, "P-1")

        for header in headers:
            true = TRUTH[header.sop_instance_uid]
            for path, keyword in (
                ("00100010", "PatientName"),
                ("00080020", "StudyDate"),
                ("00080050", "AccessionNumber"),
                ("0020000D", "StudyInstanceUID"),
                ("0020000E", "SeriesInstanceUID"),
                ("00080060", "Modality"),
                ("00200013", "InstanceNumber"),
            ):
                assert text_of(header.elements, path) == true[keyword], keyword
            for path, keyword in (("0008103E", "SeriesDescription"), ("00080016", "SOPClassUID")):
                assert text_of(header.elements, path) in {true[keyword], ""}, keyword

    @pytest.mark.parametrize("full", [Choice.FIRST, Choice.MIDDLE, None])
    def test_what_need_not_be_answered_in_full_is_found_all_the_same(
        self, pacs: Pacs, full: Choice | None
    ) -> None:
        """All instances are listed with UIDs and number; those chosen carry what they carry otherwise."""
        whole = {one.sop_instance_uid: one for one in found(pacs, Level.INSTANCE, "P-2")}

        some = {one.sop_instance_uid: one for one in found(pacs, Level.INSTANCE, "P-2", full=full)}

        assert some.keys() == whole.keys()
        for uid, header in some.items():
            for path in ("0020000D", "0020000E", "00200013", "00080060"):
                assert text_of(header.elements, path) == text_of(whole[uid].elements, path)
        for header in pick(whole.values(), full) if full else ():
            assert some[header.sop_instance_uid].elements == header.elements

    def test_series_state_their_true_number_of_instances_or_none(self, pacs: Pacs) -> None:
        """A connector that promises counts gives true ones; another may, and lies as little."""
        true = Counter(one["SeriesInstanceUID"] for one in TRUTH.values())
        told = {
            one.series_instance_uid: text_of(one.elements, "00201209")
            for one in found(pacs, Level.SERIES, "P-1")
        }

        for uid, count in told.items():
            assert count == str(true[uid]) or (count == "" and not pacs.abilities().counts)

    def test_an_unknown_patient_has_nothing(self, pacs: Pacs) -> None:
        """No error, no rows."""
        assert found(pacs, Level.INSTANCE, "P-999") == []

    @pytest.mark.parametrize("key", ["", " ", "*", "P-?", "P-1\\P-2", "P-1\n", "P" * 65])
    def test_keys_that_could_match_others_are_refused(self, pacs: Pacs, key: str) -> None:
        """Nothing is sent."""
        with pytest.raises(InvalidRequest) as caught:
            found(pacs, Level.STUDY, key)

        assert "P-1" not in str(caught.value)

    def test_days_bound_studies_at_every_level(self, pacs: Pacs) -> None:
        """Both bounds are inclusive, and hold below study level."""
        both = {"first_day": date(2020, 1, 2), "last_day": date(2021, 3, 4)}

        assert len(found(pacs, Level.STUDY, "P-1", **both)) == 1
        assert len(found(pacs, Level.INSTANCE, "P-1", **both)) == 13
        assert len(found(pacs, Level.INSTANCE, "P-1", first_day=date(2020, 1, 3))) == 9
        assert len(found(pacs, Level.SERIES, "P-1", last_day=date(2020, 1, 2))) == 2
        assert found(pacs, Level.STUDY, "P-1", last_day=date(2020, 1, 1)) == []

    def test_upper_keys_narrow_the_answer(self, pacs: Pacs) -> None:
        """Study, series, accession number and instance each hold by themselves."""
        one = next(each for each in TRUTH.values() if each["PatientID"] == "P-2" and each["Modality"] == "MR")

        of_series = found(
            pacs,
            Level.INSTANCE,
            "P-2",
            study_instance_uid=one["StudyInstanceUID"],
            series_instance_uid=one["SeriesInstanceUID"],
        )
        of_instance = found(pacs, Level.INSTANCE, "P-2", sop_instance_uid=one["SOPInstanceUID"])

        assert len(of_series) == 10
        assert [each.sop_instance_uid for each in of_instance] == [one["SOPInstanceUID"]]
        assert len(found(pacs, Level.SERIES, "P-1", accession_number="ACC-11")) == 2
        assert found(pacs, Level.STUDY, "P-1", accession_number="ACC-21") == []

    def test_a_study_of_another_patient_is_not_found(self, pacs: Pacs) -> None:
        """Patient and study keys hold together."""
        (study,) = expected("StudyInstanceUID", "P-2")

        assert found(pacs, Level.INSTANCE, "P-1", study_instance_uid=study) == []

    def test_the_owner_of_a_study_or_accession_number_is_found_by_that_key_alone(self, pacs: Pacs) -> None:
        """Whose study it is, without knowing the patient."""
        (study,) = expected("StudyInstanceUID", "P-3")

        assert [one.value for one in pacs.owners(study_instance_uid=study)] == ["P-3"]
        assert [one.value for one in pacs.owners(accession_number="ACC-12")] == ["P-1"]
        assert pacs.owners(accession_number="ACC-99") == []

    def test_days_alone_find_the_studies_of_all_patients(self, pacs: Pacs) -> None:
        """Each study once for each archive that lists it, with its patient, its day and nobody's name."""
        studies = list(pacs.studies(date(2021, 12, 15), date(2022, 1, 14)))
        other = list(pacs.studies(date(2020, 1, 2), date(2020, 1, 2)))

        assert {(one.patient_id, one.study_instance_uid) for one in studies} == {
            ("P-3", *expected("StudyInstanceUID", "P-3"))
        }
        assert [one.patient_id for one in other[:1]] == ["P-1"]
        for some in (studies, other):
            assert max(Counter((one.study_instance_uid, one.archives) for one in some).values()) == 1
        assert {text_of(one.elements, "00080020") for one in studies} == {"20220101"}
        assert not any("00100010" in one.elements for one in [*studies, *other])
        assert list(pacs.studies(date(2020, 1, 3), date(2020, 1, 5))) == []

    def test_of_days_a_modality_is_kept_apart(self, pacs: Pacs) -> None:
        """By the archive or by what it answers; one that does neither is believed to hold it."""
        day = date(2021, 3, 5)
        stated = [text_of(one.elements, "00080061") for one in pacs.studies(day, day)]

        assert {one.patient_id for one in pacs.studies(day, day, "MR")} == {"P-1"}
        assert len(list(pacs.studies(day, day, "CT"))) in {0, stated.count("")}

    def test_a_study_of_a_day_states_its_true_numbers_or_none(self, pacs: Pacs) -> None:
        """What is new or changed is told by them; of several archives each states its own."""
        day = date(2019, 7, 1)

        for one in pacs.studies(day, day):
            most = {"00201206": 2, "00201208": 18}
            for path, number in most.items():
                told = text_of(one.elements, path)
                assert told in {"", str(number)} or (one.archives and int(told) < number)

    @pytest.mark.parametrize(
        ("first", "last", "modality"),
        [
            (date(2020, 1, 2), date(2020, 1, 1), ""),
            (date(2020, 1, 1), date(2020, 2, 1), ""),
            (date(2020, 1, 1), date(2020, 1, 1), "*"),
        ],
    )
    def test_days_are_asked_for_in_bounds(self, pacs: Pacs, first: date, last: date, modality: str) -> None:
        """Nothing is sent: no range that is reversed or too long, no wildcard."""
        with pytest.raises(InvalidRequest):
            pacs.studies(first, last, modality)

    @pytest.mark.parametrize(
        "keys", [{}, {"accession_number": "*"}, {"study_instance_uid": "1.2.*"},
                 {"study_instance_uid": "1.2.3", "accession_number": "ACC-11"}],
    )  # fmt: skip
    def test_owners_are_asked_for_by_exactly_one_exact_key(self, pacs: Pacs, keys: dict[str, str]) -> None:
        """Nothing is sent."""
        with pytest.raises(InvalidRequest):
            pacs.owners(**keys)

    def test_all_images_of_a_patient_arrive_once_and_whole(self, pacs: Pacs) -> None:
        """The data set that arrives is the one that was asked for."""
        headers = found(pacs, Level.INSTANCE, "P-3")
        counts = RetrieveCounts()

        arrived = list(pacs.retrieve(PatientId("P-3"), headers, counts))

        assert Counter(one.header.sop_instance_uid for one in arrived) == Counter(
            expected("SOPInstanceUID", "P-3")
        )
        assert (counts.refused, counts.duplicates) == (0, 0)
        assert counts.octets >= sum(len(one.content) for one in arrived)
        for one in arrived:
            implicit = one.transfer_syntax_uid == IMPLICIT
            content = BytesIO(one.content[one.offset :])
            elements = elements_of(read_dataset(content, implicit, is_little_endian=True))
            assert text_of(elements, "00080018") == one.header.sop_instance_uid
            assert text_of(elements, "00080016") == one.sop_class_uid
            assert text_of(elements, "00280010") == "8"
            assert "7FE00010" in elements

    def test_the_first_image_of_each_series_arrives(self, pacs: Pacs) -> None:
        """Picking works on what the archive answers."""
        chosen = pick(found(pacs, Level.INSTANCE, "P-1"), Choice.FIRST)

        arrived = list(pacs.retrieve(PatientId("P-1"), chosen))

        assert {one.header.sop_instance_uid for one in arrived} == {one.sop_instance_uid for one in chosen}
        assert len(arrived) == 3

    def test_what_the_archive_lacks_does_not_arrive_and_stops_nothing(self, pacs: Pacs) -> None:
        """A gap is a gap, not an error."""
        headers = found(pacs, Level.INSTANCE, "P-2")
        gone = dict(headers[0].elements)
        element = gone["00080018"]
        gone["00080018"] = type(element)(element.path, element.vr, ("1.2.3.4.5.6.7.8.9",))

        arrived = list(pacs.retrieve(PatientId("P-2"), [*headers, IdentifiedHeader(Level.INSTANCE, gone)]))

        assert {one.header.sop_instance_uid for one in arrived} == expected("SOPInstanceUID", "P-2")

    def test_a_retrieve_left_early_leaves_the_archive_usable(self, pacs: Pacs) -> None:
        """A caller may stop taking."""
        headers = found(pacs, Level.INSTANCE, "P-3")

        arriving = pacs.retrieve(PatientId("P-3"), headers)
        next(arriving)
        arriving.close()  # type: ignore[attr-defined] # connectors write it as a generator

        assert len(found(pacs, Level.INSTANCE, "P-3")) == 20

    def test_a_stopped_archive_takes_no_work_until_it_is_resumed(self, pacs: Pacs) -> None:
        """The kill switch holds for every operation."""
        headers = found(pacs, Level.INSTANCE, "P-3")
        pacs.stop()
        try:
            with pytest.raises(Unavailable):
                found(pacs, Level.STUDY, "P-3")
            with pytest.raises(Unavailable):
                list(pacs.studies(date(2022, 1, 1), date(2022, 1, 1)))
            with pytest.raises(Unavailable):
                list(pacs.retrieve(PatientId("P-3"), headers))
            with pytest.raises(Unavailable):
                pacs.echo()
        finally:
            pacs.resume()

        assert len(found(pacs, Level.INSTANCE, "P-3")) == 20

    def test_a_stop_ends_a_retrieve_that_runs(self, pacs: Pacs) -> None:
        """Whoever takes objects is told; nothing is taken as whole."""
        headers = found(pacs, Level.INSTANCE, "P-3")
        arriving = pacs.retrieve(PatientId("P-3"), headers)
        next(arriving)
        pacs.stop()
        try:
            with pytest.raises(Unavailable):
                list(arriving)
        finally:
            pacs.resume()

    def test_headers_alone_arrive_whole_up_to_the_pixel_data(self, pacs: Pacs) -> None:
        """A connector may drop pixel data; no element before it is lost."""
        headers = found(pacs, Level.INSTANCE, "P-1")

        arrived = list(pacs.retrieve(PatientId("P-1"), headers, pixels=False))

        assert {one.header.sop_instance_uid for one in arrived} == expected("SOPInstanceUID", "P-1")
        for one in arrived:
            implicit = one.transfer_syntax_uid == IMPLICIT
            content = BytesIO(one.content[one.offset :])
            elements = elements_of(read_dataset(content, implicit, is_little_endian=True))
            assert text_of(elements, "00280010") == "8"
            assert text_of(elements, "00100010").startswith("Müller")
            assert ("7FE00010" in elements) is not one.is_cut
            assert one.is_cut or not pacs.abilities().headers_alone
