"""Criteria that have to hold together are asked of those who are left, and of nobody twice."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np
import pytest
from sqlglot import exp

from p2d.model.errors import InvalidRequest
from p2d.testing.warehouse_rows import batch, patient_psn, small_study, uid
from p2d.warehouse.duckdb.dialect import DuckDbDialect
from p2d.warehouse.duckdb.engine import DuckDbWarehouse
from p2d.warehouse.query.criterion_cache import CriterionCache
from p2d.warehouse.query.dialects import Dialect
from p2d.warehouse.query.evaluation import Evaluation
from p2d.warehouse.query.frames import Placement
from p2d.warehouse.query.nodes import All, Frame, Value
from p2d.warehouse.query.parse import parse
from p2d.warehouse.query.session import Keys, Session

PATIENTS = range(1, 11)
NYHA = {"document": "letter", "regex": "NYHA (III|IV)"}


@dataclass
class Listening:
    """A session that remembers of which tables keys were asked, and how many came."""

    session: Session
    asked: list[tuple[str, int]] = field(default_factory=list)
    other: Dialect | None = None

    @property
    def dialect(self) -> Dialect:
        return self.session.dialect if self.other is None else self.other

    @property
    def version(self) -> int:
        return self.session.version

    def keys(self, query: exp.Expr, parameters: Mapping[str, Value]) -> Keys:
        tables = {table.name for table in query.find_all(exp.Table)}
        found = self.session.keys(query, parameters)
        kind = next(one for one in ("document", "series", "fact", "patient") if one in tables)
        self.asked.append((kind, len(found)))
        return found

    def rows(self, query: exp.Expr, parameters: Mapping[str, Value]) -> list[tuple[object, ...]]:
        return self.session.rows(query, parameters)

    def names(self, query: exp.Expr, parameters: Mapping[str, Value]) -> list[str]:
        return self.session.names(query, parameters)

    def keep(self, name: str, keys: Keys) -> None:
        self.session.keep(name, keys)

    def keep_found(self, name: str, query: exp.Expr, parameters: Mapping[str, Value]) -> None:
        self.session.keep_found(name, query, parameters)

    def terms(self, pieces: frozenset[str]) -> tuple[str, ...] | None:
        return self.session.terms(pieces)


class WithTextIndex(DuckDbDialect):
    """A dialect of an engine that finds words sooner than images."""

    has_text_index = True


@pytest.fixture
def warehouse() -> Iterator[DuckDbWarehouse]:
    """Hold ten patients: the n-th has an LVEF of 10 n, and a letter of NYHA III where n is odd."""
    made = DuckDbWarehouse(None)
    people = [{"patient": patient_psn(n)} for n in PATIENTS]
    facts = [
        {"patient": patient_psn(n), "attribute": "LVEF", "number": 10.0 * n, "date": date(2020, 1, n)}
        for n in PATIENTS
    ]
    letters = [
        {
            "patient": patient_psn(n),
            "document": uid(n),
            "kind": "letter",
            "text": f"NYHA {'III' if n % 2 else 'I'}.",
        }
        for n in PATIENTS
    ]
    made.load(batch({"patient": people, "fact": facts, "document": letters}, "clinical", "clinical"))
    yield made
    made.close()


@pytest.fixture
def listening(warehouse: DuckDbWarehouse) -> Iterator[Listening]:
    with warehouse.session() as session:
        yield Listening(session)


def found(
    listening: Listening,
    warehouse: DuckDbWarehouse,
    cache: CriterionCache,
    where: Any,
    *,
    narrows: bool = True,
) -> list[str]:
    listening.asked.clear()
    node = parse({"version": 2, "where": where}).where
    keys = Evaluation(listening, warehouse.catalogue(), cache, narrows).patients(node)
    listed = (
        exp.select("patient")
        .from_("patient")
        .where(f"patient_key IN ({', '.join(map(str, keys)) or 'NULL'})")
    )
    return sorted(str(name) for (name,) in listening.rows(listed, {}))


def failing(below: int) -> dict[str, object]:
    return {"all": [NYHA, {"attribute": "LVEF", "less": below}]}


def names(*numbers: int) -> list[str]:
    return sorted(patient_psn(n) for n in numbers)


def test_letters_are_read_of_those_who_are_left(listening: Listening, warehouse: DuckDbWarehouse) -> None:
    cache = CriterionCache()

    assert found(listening, warehouse, cache, failing(45)) == names(1, 3)
    assert listening.asked == [("fact", 4), ("document", 2)]


def test_nobody_is_asked_about_twice(listening: Listening, warehouse: DuckDbWarehouse) -> None:
    cache = CriterionCache()
    found(listening, warehouse, cache, failing(45))

    narrower = found(listening, warehouse, cache, failing(35)), [*listening.asked]
    wider = found(listening, warehouse, cache, failing(75)), [*listening.asked]
    again = found(listening, warehouse, cache, failing(75)), [*listening.asked]

    assert narrower == (names(1, 3), [("fact", 3)])
    assert wider == (names(1, 3, 5, 7), [("fact", 7), ("document", 2)])  # of the fifth to the seventh
    assert again == (names(1, 3, 5, 7), [])


def test_what_is_known_of_everybody_is_not_asked(listening: Listening, warehouse: DuckDbWarehouse) -> None:
    cache = CriterionCache()
    found(listening, warehouse, cache, NYHA)

    assert found(listening, warehouse, cache, failing(45)) == names(1, 3)
    assert listening.asked == [("fact", 2)]  # of the five whose letters are so


@pytest.mark.parametrize(
    ("where", "numbers"),
    [
        ({"all": [{"attribute": "LVEF", "less": 45}, {"none": [NYHA]}]}, (2, 4)),
        (
            {
                "all": [
                    {"attribute": "LVEF", "less": 65},
                    {"any": [NYHA, {"document": "letter", "contains": "I."}]},
                ]
            },
            (1, 2, 3, 4, 5, 6),
        ),
        (
            {
                "all": [
                    {"attribute": "LVEF", "less": 65},
                    {"n_of": [NYHA, {"attribute": "LVEF", "less": 25}], "least": 0, "most": 0},
                ]
            },
            (4, 6),
        ),
    ],
)
def test_groups_are_asked_of_those_who_are_left(
    listening: Listening, warehouse: DuckDbWarehouse, where: Any, numbers: tuple[int, ...]
) -> None:
    assert found(listening, warehouse, CriterionCache(), where) == names(*numbers)


def test_what_some_were_asked_gives_way_to_what_all_were() -> None:
    cache, node = CriterionCache(most_bytes=10_000), All(())
    asked, kept = np.arange(4), np.arange(2)

    cache.put_some(node, 1, asked, kept)
    before = cache.get(node, 1), cache.size
    cache.put(node, 1, np.arange(9))
    cache.put_some(node, 1, asked, kept)

    assert before == (None, 1024 + 6 * 8)
    assert cache.get_some(node, 1) is None
    known = cache.get(node, 1)
    assert known is not None
    assert known.tolist() == list(range(9))
    assert cache.size == 1024 + 9 * 8


def test_numbers_are_asked_of_everybody_whoever_is_left(
    listening: Listening, warehouse: DuckDbWarehouse
) -> None:
    cache = CriterionCache()
    found(listening, warehouse, cache, failing(45), narrows=False)
    somebody = [table for table, _ in listening.asked]
    found(listening, warehouse, CriterionCache(), failing(5), narrows=False)

    assert somebody == [table for table, _ in listening.asked] == ["fact", "document"]


WRONG = {"attribute": "LVEF", "less": {"attribute": "StudyDate", "reduce": "mean"}}


@pytest.mark.parametrize("rare", [5, 45])
@pytest.mark.parametrize("ask", ["count", "cohort", "table"])
def test_what_is_no_question_is_refused_whether_anybody_is_left_or_not(
    warehouse: DuckDbWarehouse, ask: str, rare: int
) -> None:
    where = {"all": [{"attribute": "LVEF", "less": rare}, WRONG]}
    query = parse({"version": 2, "where": where})

    with pytest.raises(InvalidRequest, match="mean"):
        getattr(warehouse, ask)(query, *([10] if ask == "table" else []))


@pytest.mark.parametrize(
    ("other", "regex", "order"),
    [
        (None, "NYHA (III|IV)", ["fact", "series", "document"]),
        (WithTextIndex(), "NYHA (III|IV)", ["fact", "document", "series"]),
        (WithTextIndex(), "[IV]+", ["fact", "series", "document"]),
    ],
)
def test_texts_with_a_word_come_before_images_where_an_index_knows_them(
    warehouse: DuckDbWarehouse, other: Dialect | None, regex: str, order: list[str]
) -> None:
    warehouse.load(batch(small_study(2), "images"))
    where = {
        "all": [
            {"attribute": "Modality", "equals": "CT"},
            {"document": "letter", "regex": regex},
            {"attribute": "LVEF", "less": 60},
        ]
    }
    query = parse({"version": 2, "where": where})
    with warehouse.session() as session:
        listening = Listening(session, other=other)
        asked = Evaluation(listening, warehouse.catalogue(), CriterionCache(), narrows=True)
        placed = Placement(asked.catalogue).place(query.where, Frame.PATIENT)
        asked.patients(placed)

    assert [kind for kind, _ in listening.asked] == order
