"""The hierarchy of one patient from as few C-FIND queries as the archive allows (PS3.4 C.4.1, C.6).

How a query travels is the connector's affair: it gives a function that answers questions. Every answer is
compared with what was asked; one about another patient is a violation, whatever the archive's reason.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from p2d.model.errors import ProtocolViolation
from p2d.model.header import text_of
from p2d.model.identified import IdentifiedHeader
from p2d.model.level import Choice, Level
from p2d.pacs.counted import Row, incomplete, united
from p2d.pacs.lists import LIST_LENGTH
from p2d.pacs.pick import pick
from p2d.pacs.port import Query
from p2d.pacs.query import ACCESSION_NUMBER, KEYS, PATIENT_ID, STUDY_DATE, UNIQUE, date_range, is_within

WORDS: Final = {
    Level.PATIENT: "PATIENT",
    Level.STUDY: "STUDY",
    Level.SERIES: "SERIES",
    Level.INSTANCE: "IMAGE",
}
"""Values of QueryRetrieveLevel (0008,0052)."""

_ALWAYS: Final = frozenset(UNIQUE.values())
_BRIEF: Final = (*UNIQUE.values(), "00200013")
"""UIDs and InstanceNumber: what tells where an instance is, and which is the first."""


@dataclass(frozen=True, slots=True)
class Question:
    """One C-FIND: *keys* to match, *returns* to be filled, in the Patient Root or Study Root model."""

    level: Level
    keys: Mapping[str, str] = field(repr=False)
    returns: tuple[str, ...]
    patient_root: bool = False

    @property
    def identifier(self) -> dict[str, str]:
        """All keys of the identifier, path → value."""
        return {**dict.fromkeys(self.returns, ""), **self.keys}


Ask = Callable[[Sequence[Question]], list[list[Row]]]
"""Returns all answers to each question, after its final status 0x0000; else raises as ``Pacs.find``."""


@dataclass(frozen=True, slots=True)
class Way:
    """What may be asked by PatientID alone (a relational query, PS3.4 C.4.1.3.2), and how.

    ``answered`` are the return keys of upper levels that are answered at INSTANCE level too, ``unsupported``
    those that are not worth asking.
    """

    series: bool = False
    instance: bool = False
    patient_root: bool = True
    answered: frozenset[str] = frozenset()
    unsupported: frozenset[str] = frozenset()

    @property
    def is_relational(self) -> bool:
        """Whether anything at all is asked by PatientID alone."""
        return self.series or self.instance

    def returns(self, level: Level) -> tuple[str, ...]:
        """Return the keys to ask for at *level*."""
        return tuple(path for path in KEYS[level] if path in _ALWAYS or path not in self.unsupported)

    def answers(self, level: Level) -> bool:
        """Whether INSTANCE answers hold all that *level* would."""
        return all(path in self.answered or path == PATIENT_ID for path in self.returns(level))


HIERARCHICAL: Final = Way()
RELATIONAL: Final = Way(series=True, instance=True)


@dataclass(frozen=True, slots=True)
class Finder:
    """The entities of one query, level by level or at once."""

    ask: Ask
    query: Query
    way: Way = HIERARCHICAL

    def headers(self) -> list[IdentifiedHeader]:
        """Return what the query asks for, each entity once, upper levels joined."""
        level = self.query.level
        if level is Level.PATIENT:
            rows = self._asked([self._question(level, {}, patient_root=True)])
        elif level is Level.STUDY:
            rows = self._studies()
        elif not self._is_narrowed and self._is_at_once(level):
            rows = self._completed(*self._at_once(level))
        else:
            studies = self._studies()
            series = self._series(studies)
            rows = self._instances(studies, series) if level is Level.INSTANCE else series
            rows = self._completed(rows, studies, series)
        return [IdentifiedHeader(level, row) for row in rows]

    @property
    def _is_narrowed(self) -> bool:
        query = self.query
        return bool(query.study_instance_uid or query.accession_number or query.first_day or query.last_day)

    def _is_at_once(self, level: Level) -> bool:
        if level is Level.SERIES:
            return self.way.series
        return self.way.instance and (self.way.series or self.way.answers(Level.SERIES))

    def _own(self, level: Level) -> dict[str, str]:
        """Return the query's own keys at *level* and above it, but for the study's."""
        keys = {UNIQUE[Level.SERIES]: self.query.series_instance_uid}
        if level is Level.INSTANCE:
            keys[UNIQUE[Level.INSTANCE]] = self.query.sop_instance_uid
        return {path: value for path, value in keys.items() if value}

    def _at_once(self, level: Level) -> tuple[list[Row], list[Row], list[Row]]:
        """Ask by PatientID alone, upper levels only where their elements are not answered at *level*.

        Return the rows, and the studies and series that were asked for by themselves.
        """
        way, root = self.way, self.way.patient_root
        upper = [
            one
            for one in (Level.STUDY, Level.SERIES)
            if one is not level and (level is Level.SERIES or not way.answers(one))
        ]
        own = self._question(level, self._own(level), patient_root=root)
        if level is Level.INSTANCE:
            more = [p for one in (Level.STUDY, Level.SERIES) if one not in upper for p in way.returns(one)]
            returns = own.returns if self.query.full is Choice.ALL else _BRIEF
            own = Question(own.level, own.keys, tuple(dict.fromkeys((*returns, *more))), own.patient_root)
        questions = [
            self._question(one, self._own(one) if one is Level.SERIES else {}, patient_root=root)
            for one in upper
        ]
        answers = self._answers([*questions, own])
        rows = answers.pop()
        if level is Level.INSTANCE:
            rows = self._in_full(rows, root)
        found = dict(zip(upper, answers, strict=True))
        studies, series = found.get(Level.STUDY, []), found.get(Level.SERIES, [])
        series = _joined(series, studies, Level.STUDY, strict=False) if studies else series
        for one in reversed(upper):
            rows = _joined(rows, series if one is Level.SERIES else studies, one, strict=False)
        self._check_place(rows, level)
        return rows, studies, series

    def _in_full(self, rows: list[Row], patient_root: bool) -> list[Row]:  # noqa: FBT001 - as Question's
        """Return *rows*, those that the query wants in full asked for again by lists of their UIDs."""
        choice = self.query.full
        if choice is None or choice is Choice.ALL or not rows:
            return rows
        uids = [
            one.sop_instance_uid for one in pick((IdentifiedHeader(Level.INSTANCE, r) for r in rows), choice)
        ]
        unique = UNIQUE[Level.INSTANCE]
        questions = [
            self._question(
                Level.INSTANCE, {unique: "\\".join(uids[at : at + LIST_LENGTH])}, patient_root=patient_root
            )
            for at in range(0, len(uids), LIST_LENGTH)
        ]
        whole = {text_of(row, unique): row for found in self._answers(questions) for row in found}
        if not whole.keys() >= set(uids):  # it does not match lists
            (found,) = self._answers(
                [self._question(Level.INSTANCE, self._own(Level.INSTANCE), patient_root=patient_root)]
            )
            whole = {text_of(row, unique): row for row in found}
        return [{**row, **whole.get(text_of(row, unique), {})} for row in rows]

    def _check_place(self, rows: Iterable[Row], level: Level) -> None:
        above = (Level.STUDY,) if level is Level.SERIES else (Level.STUDY, Level.SERIES)
        lost = sum(any(not text_of(row, UNIQUE[one]) for one in above) for row in rows)
        if lost:
            raise ProtocolViolation(
                "pacs",
                f"C-FIND at {WORDS[level]} level answered with {lost} row(s) of no study or series",
                'use query = "hierarchical" and see the archive\'s conformance statement',
            )

    def _studies(self) -> list[Row]:
        keys = {
            UNIQUE[Level.STUDY]: self.query.study_instance_uid,
            STUDY_DATE: date_range(self.query.first_day, self.query.last_day),
            ACCESSION_NUMBER: self.query.accession_number,
        }
        rows = self._asked([self._question(Level.STUDY, keys)])
        return [row for row in rows if is_within(IdentifiedHeader(Level.STUDY, row), self.query)]

    def _series(self, studies: list[Row]) -> list[Row]:
        own = self._own(Level.SERIES)
        questions = [self._question(Level.SERIES, {**_upper(one, Level.STUDY), **own}) for one in studies]
        return self._below(studies, questions, Level.STUDY)

    def _instances(self, studies: list[Row], series: list[Row]) -> list[Row]:
        own = {UNIQUE[Level.INSTANCE]: self.query.sop_instance_uid}
        if not self.way.instance:
            return self._of_each(series, own)
        own = self._own(Level.INSTANCE)
        with_series = {text_of(one, UNIQUE[Level.STUDY]) for one in series}
        found = self._answers(
            [
                self._question(
                    Level.INSTANCE, {**_upper(one, Level.STUDY), **own}, patient_root=self.way.patient_root
                )
                for one in studies
                if text_of(one, UNIQUE[Level.STUDY]) in with_series
            ]
        )
        return _joined([row for rows in found for row in rows], series, Level.SERIES)

    def _of_each(self, series: list[Row], own: Mapping[str, str]) -> list[Row]:
        questions = [
            self._question(Level.INSTANCE, {**_upper(one, Level.STUDY, Level.SERIES), **own})
            for one in series
        ]
        return self._below(series, questions, Level.SERIES)

    def _completed(self, rows: list[Row], studies: list[Row], series: list[Row]) -> list[Row]:
        """Return *rows* with what counts, *studies* and *series* show to be missing, asked for once more.

        Some archives end answers at a limit without a word, and answers got lost on the way before.
        """
        level = self.query.level
        if self._own(level):
            return rows
        more = self._series(incomplete(Level.STUDY, [*rows, *series], studies))
        if level is Level.SERIES:
            return united(level, rows, more)
        short = incomplete(Level.SERIES, rows, united(Level.SERIES, series, more))
        return united(level, rows, self._of_each(short, {}))

    def _below(self, upper: list[Row], questions: Sequence[Question], level: Level) -> list[Row]:
        """Return the answers to *questions*, one for each of *upper*, joined with it."""
        answers = self._answers(questions)
        return [row for one, rows in zip(upper, answers, strict=True) for row in _joined(rows, [one], level)]

    def _question(self, level: Level, keys: Mapping[str, str], *, patient_root: bool = False) -> Question:
        stated = {PATIENT_ID: self.query.patient_id.value, **keys}
        return Question(level, stated, self.way.returns(level), patient_root)

    def _asked(self, questions: Sequence[Question]) -> list[Row]:
        return [row for rows in self._answers(questions) for row in rows]

    def _answers(self, questions: Sequence[Question]) -> list[list[Row]]:
        """Return the answers that were checked, each entity once, to each of *questions*."""
        if not questions:
            return []
        answers = []
        for question, rows in zip(questions, self.ask(questions), strict=True):
            self._check(rows, question)
            unique = UNIQUE[question.level]
            answers.append(list({text_of(row, unique): row for row in reversed(rows)}.values())[::-1])
        return answers

    def _check(self, rows: Sequence[Row], question: Question) -> None:
        """Raise ProtocolViolation when an answer is about something else than was asked."""
        must_name_patient = question.patient_root or not question.keys.get(UNIQUE[Level.STUDY])
        uids = {path: question.keys[path] for path in UNIQUE.values() if question.keys.get(path)}
        asked = uids.pop(PATIENT_ID).strip()
        unique = UNIQUE[question.level]
        asked_for = [(path, {"", *text.split("\\")}) for path, text in uids.items()]
        foreign = strange = nameless = 0
        for row in rows:
            patient = text_of(row, PATIENT_ID)
            foreign += patient != asked if patient or must_name_patient else 0
            strange += any(text_of(row, path) not in allowed for path, allowed in asked_for)
            nameless += not text_of(row, unique)
        if foreign or strange or nameless:
            raise ProtocolViolation(
                "pacs",
                f"C-FIND at {WORDS[question.level]} level answered with {foreign} row(s) of another patient, "
                f"{strange} of another study or series, {nameless} without unique key",
                'use query = "hierarchical" and see the archive\'s conformance statement',
            )


def _upper(row: Row, *levels: Level) -> dict[str, str]:
    return {UNIQUE[level]: text_of(row, UNIQUE[level]) for level in levels}


def _joined(rows: list[Row], upper: list[Row], level: Level, *, strict: bool = True) -> list[Row]:
    """Return *rows* with the elements of their entity at *level*.

    Rows outside *upper* are left out where *strict*; else they stay as they are, for the archive holds what
    it does not list above.
    """
    path = UNIQUE[level]
    by_uid = {text_of(one, path): one for one in upper}
    only = upper[0] if len(upper) == 1 else None
    joined = []
    for row in rows:
        uid = text_of(row, path)
        parent = by_uid.get(uid) if uid else only
        if parent is not None:
            joined.append({**row, **parent})
        elif not strict:
            joined.append(row)
    return joined
