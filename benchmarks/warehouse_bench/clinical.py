"""The clinical side of a chunk of patients: cases, letters, laboratory, echocardiography, codes."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from warehouse_bench import terms
from warehouse_bench.drawing import Bools, Ints, Weighted, chance, children, days, picked, rows
from warehouse_bench.names import Random, pseudonyms, uids
from warehouse_bench.words import Prose, phrases, woven

FIRST_DAY: Final = 14_610  # 2010-01-01
LAST_DAY: Final = 20_088  # 2024-12-31
_YEAR: Final = 365.25
_TROPONIN_LIMIT: Final = 14.0
_LETTER_WORDS: Final = 150.0
Owned = tuple[pa.Table, Ints]
"""Rows, and for each the place of the case that it belongs to."""


@dataclass(frozen=True, slots=True)
class People:
    """The patients of a chunk; failing ones have heart failure, deep ones are known down to the image."""

    names: pa.Array
    birth_year: Ints
    is_failing: Bools
    is_deep: Bools

    def __len__(self) -> int:
        return len(self.birth_year)


@dataclass(frozen=True, slots=True)
class Stays:
    """The cases of a chunk, ordered by patient; ``first`` and ``count`` find those of a patient."""

    names: pa.Array
    patient: Ints
    start: Ints
    end: Ints
    first: Ints
    count: Ints

    def __len__(self) -> int:
        return len(self.patient)


@dataclass(frozen=True, slots=True)
class Clinical:
    """What is drawn for a chunk before its images are."""

    people: People
    stays: Stays
    tables: dict[str, pa.Table]


class ClinicalSide:
    """Draws the clinical side; holds what all chunks share."""

    def __init__(self, prose: Prose) -> None:
        self._prose = prose
        self._icd, icd = terms.diagnoses()
        self._ops, ops = terms.procedures()
        self._icd_draw, self._ops_draw = Weighted(icd), Weighted(ops)
        self._nyha_draw = Weighted(terms.NYHA_SHARES)

    def draw(self, random: Random, count: int, first: int) -> Clinical:
        """Return *count* patients, numbered from *first* on, with their cases, documents and facts."""
        people = _people(random, count, first)
        stays = _stays(random, people)
        echo = _echo(random, people, stays)
        laboratory = uids(random, len(stays))
        documents = [
            self._letters(random, people, stays, echo),
            rows(
                "document",
                len(stays),
                patient=people.names.take(pa.array(stays.patient)),
                case=stays.names,
                document=laboratory,
                kind="laboratory",
                date=days(stays.start),
            ),
            _echo_documents(people, stays, echo),
        ]
        facts = [
            self._coded(random, people, stays, "ICD10", self._icd, self._icd_draw, 7.5),
            self._coded(random, people, stays, "OPS", self._ops, self._ops_draw, 3.0),
            _laboratory(random, people, stays, laboratory),
            _troponin(random, people, stays, laboratory),
            _ejection(random, people, stays, echo),
        ]
        tables = {
            "patient": rows(
                "patient",
                count,
                patient=people.names,
                sex=picked(("F", "M", "O"), random.choice(3, count, p=(0.5, 0.495, 0.005))),
                birth_year=people.birth_year.astype(np.int32),
            ),
            "case": rows(
                "case",
                len(stays),
                patient=people.names.take(pa.array(stays.patient)),
                case=stays.names,
                start=days(stays.start),
                end=days(stays.end),
                type=picked(("inpatient", "outpatient"), (stays.end == stays.start).astype(np.int64)),
            ),
            "document": pa.concat_tables(documents),
            "fact": _by_case([table for table, _ in facts], [case for _, case in facts]),
        }
        return Clinical(people, stays, tables)

    def _letters(self, random: Random, people: People, stays: Stays, echo: "Echo") -> pa.Table:
        count = len(stays)
        lengths = np.maximum(20, random.lognormal(np.log(_LETTER_WORDS / 2), 0.45, count)).astype(np.int64)
        nyha = chance(random, count, np.where(people.is_failing[stays.patient], 0.62, 0.02))
        value = np.zeros(count, np.int64)
        value[echo.case] = echo.ejection
        has_echo = np.zeros(count, np.bool_)
        has_echo[echo.case] = True
        text = woven(
            pa.repeat(
                "Sehr geehrte Kollegin, sehr geehrter Kollege, wir berichten über den Aufenthalt.", count
            ),
            self._prose.write(random, lengths),
            phrases(list(terms.NYHA), self._nyha_draw.draw(random, count), nyha),
            self._prose.write(random, lengths),
            phrases(terms.EJECTION, random.integers(0, 3, count), has_echo, value),
        )
        return rows(
            "document",
            count,
            patient=people.names.take(pa.array(stays.patient)),
            case=stays.names,
            document=uids(random, count),
            kind="discharge_letter",
            date=days(stays.end),
            text=text,
        )

    def _coded(
        self,
        random: Random,
        people: People,
        stays: Stays,
        attribute: str,
        codes: list[str],
        draw: Weighted,
        mean: float,
    ) -> Owned:
        """Return the codes of *attribute*; no code twice for one patient and day."""
        case, _ = children(random.poisson(mean, len(stays)).astype(np.int64))
        code = draw.draw(random, len(case))
        if attribute == "ICD10":
            extra = np.flatnonzero(people.is_failing[stays.patient] & chance(random, len(stays), 0.8))
            case = np.concatenate([case, extra])
            heart = codes.index(terms.HEART_FAILURE[1])
            code = np.concatenate([code, np.full(len(extra), heart)])
        patient, day = stays.patient[case], stays.start[case]
        joint = (patient * 32_768 + day) * 32_768 + code
        _, kept = np.unique(joint, return_index=True)
        table = rows(
            "fact",
            len(kept),
            patient=people.names.take(pa.array(patient[kept])),
            case=stays.names.take(pa.array(case[kept])),
            attribute=attribute,
            date=days(day[kept]),
            code=picked(codes, code[kept]),
        )
        return table, case[kept]


@dataclass(frozen=True, slots=True)
class Echo:
    """Echocardiographies, at most one a case."""

    case: Ints
    day: Ints
    ejection: Ints
    documents: pa.Array
    groups: pa.Array


def _people(random: Random, count: int, first: int) -> People:
    is_young = chance(random, count, 0.06)
    year = np.where(is_young, random.integers(1997, 2011, count), random.integers(1940, 1992, count))
    is_failing = chance(random, count, 0.15) & ~is_young
    is_deep = (first + np.arange(count)) % 50 == 7
    return People(pseudonyms(random, "P", count, 16), year, is_failing, is_deep)


def _stays(random: Random, people: People) -> Stays:
    count = 1 + random.poisson(1.345, len(people)).astype(np.int64)
    patient, _ = children(count)
    born = np.maximum(FIRST_DAY, ((people.birth_year - 1970 + 1) * _YEAR).astype(np.int64))
    start = born[patient] + (random.random(len(patient)) * (LAST_DAY - born[patient])).astype(np.int64)
    length = np.where(chance(random, len(patient), 0.3), 0, random.geometric(0.15, len(patient)))
    return Stays(
        pseudonyms(random, "C", len(patient), 16),
        patient,
        start,
        start + length,
        np.cumsum(count) - count,
        count,
    )


def _echo(random: Random, people: People, stays: Stays) -> Echo:
    is_failing = people.is_failing[stays.patient]
    case = np.flatnonzero(chance(random, len(stays), np.where(is_failing, 0.85, 0.3)))
    usual = np.where(people.is_failing, random.normal(38, 9, len(people)), random.normal(60, 6, len(people)))
    value = usual[stays.patient[case]] + random.normal(0, 6, len(case))
    day = np.minimum(stays.start[case] + 1, stays.end[case])
    ejection = np.clip(np.rint(value), 10, 78).astype(np.int64)
    return Echo(case, day, ejection, uids(random, len(case)), uids(random, len(case)))


def _echo_documents(people: People, stays: Stays, echo: Echo) -> pa.Table:
    return rows(
        "document",
        len(echo.case),
        patient=people.names.take(pa.array(stays.patient[echo.case])),
        case=stays.names.take(pa.array(echo.case)),
        document=echo.documents,
        kind="echocardiography",
        date=days(echo.day),
    )


def _by_case(tables: list[pa.Table], cases: list[Ints]) -> pa.Table:
    """Return *tables* as one, case by case: as a hospital's export comes, and no engine's favourite order."""
    order = np.argsort(np.concatenate(cases), kind="stable")
    return pa.concat_tables(tables).take(pa.array(order))


def _ejection(random: Random, people: People, stays: Stays, echo: Echo) -> Owned:
    shared = {
        "patient": people.names.take(pa.array(stays.patient[echo.case])),
        "case": stays.names.take(pa.array(echo.case)),
        "document": echo.documents,
        "group": echo.groups,
        "date": days(echo.day),
    }
    count = len(echo.case)
    ejection = echo.ejection.astype(np.float64)
    diameter = np.rint(random.normal(52, 7, count) * 10) / 10
    tables = [
        rows("fact", count, attribute="LVEF", number=ejection, unit="%", **shared),
        rows("fact", count, attribute="LVEDD", number=diameter, unit="mm", **shared),
    ]
    return pa.concat_tables(tables), np.tile(echo.case, 2)


def _laboratory(random: Random, people: People, stays: Stays, documents: pa.Array) -> Owned:
    case, kind = np.nonzero(random.random((len(stays), len(terms.LABORATORY))) < 0.5)
    usual = np.array([mean for _, _, mean in terms.LABORATORY])
    value = np.rint(usual[kind] * random.lognormal(0, 0.28, len(kind)) * 100) / 100
    table = rows(
        "fact",
        len(case),
        patient=people.names.take(pa.array(stays.patient[case])),
        case=stays.names.take(pa.array(case)),
        document=documents.take(pa.array(case)),
        attribute=picked([name for name, _, _ in terms.LABORATORY], kind),
        date=days(stays.start[case]),
        number=value,
        unit=picked([unit for _, unit, _ in terms.LABORATORY], kind),
    )
    return table, case


def _troponin(random: Random, people: People, stays: Stays, documents: pa.Array) -> Owned:
    """Return troponins with their upper limits: the two belong together by their group."""
    case = np.flatnonzero(chance(random, len(stays), 0.3))
    shared = {
        "patient": people.names.take(pa.array(stays.patient[case])),
        "case": stays.names.take(pa.array(case)),
        "document": documents.take(pa.array(case)),
        "group": uids(random, len(case)),
        "date": days(stays.start[case]),
        "unit": "ng/l",
    }
    count = len(case)
    value = np.rint(random.lognormal(1.9, 1.1, count) * 10) / 10
    limit = np.where(chance(random, count, 0.4), _TROPONIN_LIMIT, 2 * _TROPONIN_LIMIT)
    tables = [
        rows("fact", count, attribute="TROPONIN", number=value, **shared),
        rows("fact", count, attribute="TROPONIN_LIMIT", number=limit, **shared),
    ]
    return pa.concat_tables(tables), np.tile(case, 2)
