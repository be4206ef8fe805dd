"""As few queries as the archive's answers allow, and never a wrong one for it."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from p2d.dimse.identifiers import answer
from p2d.model.errors import ProtocolViolation
from p2d.model.header import Element, text_of
from p2d.model.identified import IdentifiedHeader, PatientId
from p2d.model.level import Level
from p2d.pacs.counted import Row
from p2d.pacs.governor.port import NotNow, Why
from p2d.pacs.hierarchy import HIERARCHICAL, RELATIONAL, WORDS, Finder, Question, Way
from p2d.pacs.port import Query
from p2d.pacs.proof import proved
from p2d.pacs.query import KEYS, UNIQUE
from p2d.testing.archive_index import ArchiveIndex
from p2d.testing.datasets import three_patients

INDEX = ArchiveIndex(three_patients().listed)
UPPER = frozenset((*KEYS[Level.STUDY], *KEYS[Level.SERIES]))
KEYWORDS = {
    "00100020": "PatientID", "0020000D": "StudyInstanceUID", "0020000E": "SeriesInstanceUID",
    "00080018": "SOPInstanceUID", "00080050": "AccessionNumber", "00080020": "StudyDate",
}  # fmt: skip
ALL = Query(Level.INSTANCE, PatientId("P-1"))
OWN = sum(one["PatientID"] == "P-1" for one in three_patients().listed)


class Archive:
    """Answers questions from the index; *answers_above* are upper keys that it answers at IMAGE level."""

    def __init__(self, answers_above: frozenset[str] = frozenset()) -> None:
        self.asked: list[Level] = []
        self.answers_above = answers_above
        self.loses: set[str] = set()
        self.ignores_patient = False

    def __call__(self, questions: Sequence[Question]) -> list[list[Row]]:
        return [self._rows(one) for one in questions]

    def _rows(self, question: Question) -> list[Row]:
        self.asked.append(question.level)
        keys = {KEYWORDS[path]: value for path, value in question.keys.items()}
        if (
            self.ignores_patient
            and question.level is not Level.STUDY
            and not question.keys.get(UNIQUE[Level.STUDY])
        ):
            keys["PatientID"] = ""
        own = {*KEYS[question.level], *UNIQUE.values()}
        tags = tuple(
            sorted(int(path, 16) for path in question.returns if path in own or path in self.answers_above)
        )
        return [
            answer(INDEX.answer(WORDS[question.level], one, tags))
            for one in INDEX.entities(WORDS[question.level], keys)
            if one["SOPInstanceUID"] not in self.loses
        ]


def texts(headers: Sequence[IdentifiedHeader]) -> list[dict[str, str]]:
    paths = {*UPPER, *KEYS[Level.INSTANCE]}
    some = [{path: text_of(one.elements, path) for path in paths} for one in headers]
    return sorted(some, key=lambda one: one["00080018"])


TRUE = texts(Finder(Archive(), ALL).headers())


def test_level_by_level_takes_a_query_for_each_study_and_series() -> None:
    archive = Archive()

    headers = Finder(archive, ALL, HIERARCHICAL).headers()

    assert len(headers) == OWN
    assert archive.asked == [Level.STUDY, *[Level.SERIES] * 2, *[Level.INSTANCE] * 3]


@pytest.mark.parametrize(
    ("answers_above", "levels"),
    [
        (frozenset(), [Level.STUDY, Level.SERIES, Level.INSTANCE]),
        (frozenset(KEYS[Level.SERIES]), [Level.STUDY, Level.INSTANCE]),
        (frozenset(KEYS[Level.STUDY]), [Level.SERIES, Level.INSTANCE]),
        (UPPER, [Level.INSTANCE]),
    ],
)
def test_at_once_takes_a_query_for_each_level_that_is_not_answered_below(
    answers_above: frozenset[str], levels: list[Level]
) -> None:
    archive = Archive(answers_above)
    way = replace(RELATIONAL, answered=answers_above)

    headers = Finder(archive, ALL, way).headers()

    assert archive.asked == levels
    assert texts(headers) == TRUE


def test_keys_that_nobody_answers_are_not_asked() -> None:
    never = frozenset({"00380010", "00181030"})
    archive = Archive(UPPER - never)
    way = replace(RELATIONAL, answered=UPPER - never, unsupported=never)

    Finder(archive, ALL, way).headers()

    assert archive.asked == [Level.INSTANCE]


def test_what_is_answered_above_is_found_out_with_the_proof() -> None:
    answered = frozenset((*KEYS[Level.SERIES], "00080050"))

    way = proved(Archive(answered), PatientId("P-1"))

    assert way is not None
    assert (way.series, way.instance) == (True, True)
    assert {"00080060", "0020000E", "00080050"} <= way.answered
    assert "00081030" not in way.answered
    archive = Archive(answered)
    assert texts(Finder(archive, ALL, way).headers()) == TRUE


def test_a_patient_without_instances_proves_nothing() -> None:
    assert proved(Archive(), PatientId("P-999")) is None


@pytest.mark.parametrize("trouble", ["foreign", "short"])
def test_an_archive_that_answers_otherwise_at_once_is_asked_level_by_level(trouble: str) -> None:
    archive = Archive()
    if trouble == "foreign":
        archive.ignores_patient = True

    def ask(questions: Sequence[Question]) -> list[list[Row]]:
        found = archive(questions)
        is_at_once = questions[-1].level is Level.INSTANCE and not questions[-1].keys.get(UNIQUE[Level.STUDY])
        return [rows[1:] for rows in found] if trouble == "short" and is_at_once else found

    way = proved(ask, PatientId("P-1"))

    assert way is not None
    assert not way.is_relational


def test_an_image_whose_series_is_not_listed_is_not_lost() -> None:
    class Odd(Archive):
        def __call__(self, questions: Sequence[Question]) -> list[list[Row]]:
            found = super().__call__(questions)
            return [
                rows[1:] if one.level is Level.SERIES else rows
                for one, rows in zip(questions, found, strict=True)
            ]

    headers = Finder(Odd(), ALL, RELATIONAL).headers()

    assert len(headers) == OWN


def test_rows_of_no_study_are_a_violation() -> None:
    def ask(questions: Sequence[Question]) -> list[list[Row]]:
        answers = Archive()(questions)
        for one, rows in zip(questions, answers, strict=True):
            for row in rows if one.level is not Level.STUDY else []:
                del row[UNIQUE[Level.STUDY]]
        return answers

    with pytest.raises(ProtocolViolation, match="of no study or series"):
        Finder(ask, ALL, RELATIONAL).headers()


def test_nameless_answers_to_a_question_by_patient_alone_are_foreign() -> None:
    def ask(questions: Sequence[Question]) -> list[list[Row]]:
        uid = Element("0020000D", "UI", ("1.2.3",))
        return [[{uid.path: uid}] for _ in questions]

    with pytest.raises(ProtocolViolation, match=r"1 row\(s\) of another patient"):
        Finder(ask, Query(Level.SERIES, PatientId("P-1")), Way(series=True, patient_root=False)).headers()


@pytest.mark.parametrize("told", ["\u00b2", "9" * 5000, "-3", "many", ""])
def test_a_number_that_is_none_is_a_count_that_was_not_stated(told: str) -> None:
    class Odd(Archive):
        def __call__(self, questions: Sequence[Question]) -> list[list[Row]]:
            odd = {path: Element(path, "IS", (told,)) for path in ("00201206", "00201208", "00201209")}
            return [[{**row, **odd} for row in rows] for rows in super().__call__(questions)]

    assert len(Finder(Odd(), ALL, HIERARCHICAL).headers()) == OWN


def test_a_governor_that_forbids_to_ask_proves_nothing_about_the_archive() -> None:
    forbidden = NotNow("main", Why.STOPPED, "is stopped")

    def ask(questions: Sequence[Question]) -> list[list[Row]]:
        if any(one.level is Level.INSTANCE and not one.keys.get(UNIQUE[Level.SERIES]) for one in questions):
            raise forbidden
        return Archive()(questions)

    with pytest.raises(NotNow):
        proved(ask, ALL.patient_id)
