"""Read a query from its text form; errors name line and column, what was expected and the closest word.

    QUERY      CONDITION [show [REDUCTION [N]] NAME, …] [for each FRAME]
    CONDITION  conditions joined by and, or, not and brackets; and binds closer than or
               all|any|none of (CONDITION, …)     COUNT of (CONDITION, …)     everything
               same FRAME (CONDITION)             COUNT FRAME (CONDITION) [within N days] [per year|month]
               [first|last|2nd] event [of FRAME] (CONDITION) [from DAY] [to DAY] [at age < N] [RELATION]
               patients (PSEUDONYM, …)            cohort NAME            a criterion
    RELATION   [within N SPAN | N to N SPAN | at least N SPAN] after|before|around EVENT, or during EVENT
    SPAN       days, months or years
    COUNT      at least N, at most N, N to N

A query of the text form becomes the JSON form first, so both are read by one set of rules.
"""

import re
from collections.abc import Callable, Iterator
from typing import Final

from p2d.model.errors import InvalidRequest
from p2d.warehouse.query.nodes import VERSION, Query, Span
from p2d.warehouse.query.parse import parse
from p2d.warehouse.query.text_form.criterion_grammar import (
    Fields,
    read_comparison,
    read_count,
    read_criterion,
    read_period,
    read_window,
)
from p2d.warehouse.query.text_form.cursor import Cursor
from p2d.warehouse.query.text_form.tokens import Kind, place
from p2d.warehouse.query.text_form.vocabulary import (
    COLUMN_REDUCTIONS,
    ORDINAL,
    REDUCTIONS,
    Names,
)

_RELATIONS: Final = ("after", "before", "around")
_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,9}")
_STEP: Final = re.compile(r"([^.\[\]]+)|\[([0-9]+)\]")


def parse_text(
    source: str, names: Names | None = None, check: Callable[[Query], None] = lambda _: None
) -> Query:
    """Return the query that *source* writes.

    With *names*, a bare name may be one of a document or branch too, and an unknown name is an error. *check*
    is what else the query has to pass; the JSON paths of its errors become lines and columns.

    Raises:
        InvalidRequest: not a query; ``field`` is the line and column.

    """
    cursor = Cursor(source, names)
    fields = read_query(cursor)
    try:
        query = parse(fields)
        check(query)
    except InvalidRequest as refused:
        where = place(source, _spot(cursor, fields, refused.field))
        raise InvalidRequest(where, refused.problem, refused.remedy) from None
    return query


def read_query(cursor: Cursor) -> Fields:
    """Return the whole of the source as the JSON form.

    Raises:
        InvalidRequest: not a query.

    """
    found: Fields = {"version": VERSION, "where": _condition(cursor)}
    if cursor.accept("show"):
        columns = [_column(cursor)]
        while cursor.accept(","):
            columns.append(_column(cursor))
        found["columns"] = columns
    if cursor.accept("for"):
        cursor.require("each")
        cursor.mark(found, "level", cursor.token.start)
        found["level"] = cursor.frame()
    cursor.label("and, or, the end of the query")
    if cursor.token.kind is not Kind.END:
        cursor.fail()
    return found


def _column(cursor: Cursor) -> Fields:
    start = cursor.token.start
    reduce = cursor.accept_one(COLUMN_REDUCTIONS)
    top = (
        cursor.integer()
        if reduce and cursor.token.kind is Kind.WORD and cursor.token.text.isdecimal()
        else None
    )
    found: Fields = {"attribute": cursor.name(["attribute"], "the name of an attribute")}
    if reduce is not None:
        found["reduce"] = reduce
    if top is not None:
        found["top"] = top
    cursor.mark(found, "", start)
    return found


def _condition(cursor: Cursor) -> Fields:
    cursor.enter()
    start = cursor.token.start
    found = [_conjunction(cursor)]
    while cursor.accept("or"):
        found.append(_conjunction(cursor))
    cursor.leave()
    return _group(cursor, "any", found, start)


def _conjunction(cursor: Cursor) -> Fields:
    start = cursor.token.start
    found = [_single(cursor)]
    while cursor.accept("and"):
        found.append(_single(cursor))
    return _group(cursor, "all", found, start)


def _group(cursor: Cursor, name: str, nodes: list[Fields], start: int) -> Fields:
    if len(nodes) == 1:
        return nodes[0]
    found: Fields = {name: nodes}
    cursor.mark(found, "", start)
    return found


def _single(cursor: Cursor) -> Fields:
    start = cursor.token.start
    if cursor.accept("("):
        found = _condition(cursor)
        cursor.require(")")
        return found
    if cursor.accept("not"):
        cursor.enter()
        found = {"none": [_single(cursor)]}
        cursor.leave()
    elif cursor.accept("everything"):
        found = {"all": []}
    elif cursor.accept("same"):
        frame = cursor.frame()
        found = {"same": frame, "where": _bracketed(cursor)}
    elif cursor.accept("patients"):
        found = {"patients": [cursor.text("a pseudonym") for _ in _items(cursor)]}
    elif cursor.accept("cohort"):
        found = {"cohort": cursor.name(["cohort"], "the name of a saved cohort")}
    elif (count := read_count(cursor)) is not None:
        found = _counted(cursor, count)
    elif cursor.sees("event") or ORDINAL.fullmatch(cursor.token.text):
        return _event(cursor, None)
    else:
        return _worded(cursor, start)
    cursor.mark(found, "", start)
    return found


def _worded(cursor: Cursor, start: int) -> Fields:
    """Read what begins with a word that both a group or an event and a criterion may begin with."""
    for word in ("all", "any", "none"):
        if cursor.accept(word):
            cursor.require("of")
            found: Fields = {word: [_condition(cursor) for _ in _items(cursor)]}
            cursor.mark(found, "", start)
            return found
    reduce = cursor.accept_one(REDUCTIONS)
    if reduce in {"first", "last"} and cursor.sees("event"):
        return _event(cursor, reduce)
    found = read_criterion(cursor, reduce)
    cursor.mark(found, "", start)
    return found


def _items(cursor: Cursor) -> Iterator[None]:
    """Yield for each item between brackets, parted by commas, that the caller is to read."""
    cursor.require("(")
    yield
    while cursor.require(",", ")") == ",":
        yield


def _bracketed(cursor: Cursor) -> Fields:
    cursor.require("(")
    found = _condition(cursor)
    cursor.require(")")
    return found


def _counted(cursor: Cursor, count: Fields) -> Fields:
    if cursor.accept("of", is_loud=True):
        bounds = {f"{name.removeprefix('at_')}": number for name, number in count.items()}
        return {"n_of": [_condition(cursor) for _ in _items(cursor)], **bounds}
    frame = cursor.frame(is_plural=True)
    found: Fields = {"same": frame, "where": _bracketed(cursor), **count}
    read_window(cursor, found)
    return found


def _event(cursor: Cursor, pick: str | None) -> Fields:
    start = cursor.token.start
    found: Fields = {}
    if pick is None:
        pick = cursor.accept_one(("first", "last"))
    ordinal = None if pick else ORDINAL.fullmatch(cursor.token.text)
    if ordinal:
        cursor.take()
        found["pick"] = int(ordinal[1])
    elif pick:
        found["pick"] = pick
    cursor.require("event")
    if cursor.accept("of"):
        cursor.mark(found, "frame", cursor.token.start)
        found["frame"] = cursor.frame()
    found["event"] = _bracketed(cursor)
    cursor.mark(found, "", start)
    while read_period(cursor, found):
        pass
    distance = _event_clauses(cursor, found)
    _relate(cursor, found, distance)
    return found


def _event_clauses(cursor: Cursor, found: Fields) -> Fields | None:
    """Read the age, and the distance that a relation begins with; return this as a field."""
    if cursor.accept("at"):
        if cursor.require("age", "least") == "least":
            return _distance(cursor, [cursor.integer(), None])
        found["age"] = read_comparison(cursor)
        while read_period(cursor, found):
            pass
        if cursor.accept("at"):
            cursor.require("least")
            return _distance(cursor, [cursor.integer(), None])
    if cursor.accept("within"):
        return _distance(cursor, cursor.integer())
    if cursor.token.kind is Kind.WORD and _WHOLE.fullmatch(cursor.token.text):
        least = cursor.integer()
        cursor.require("to")
        return _distance(cursor, [least, cursor.integer()])
    return None


def _distance(cursor: Cursor, number: object) -> Fields:
    return {cursor.require(*Span): number}


def _relate(cursor: Cursor, found: Fields, distance: Fields | None) -> None:
    if distance is not None:
        order: str | None = cursor.require(*_RELATIONS)
        found.update(distance)
    else:
        order = cursor.accept_one((*_RELATIONS, "during"))
    if order is not None:
        cursor.enter()
        found[order] = _event(cursor, None)
        cursor.leave()


def _spot(cursor: Cursor, fields: Fields, path: str) -> int:
    """Return where the part of the query at the JSON *path* begins in the source."""
    at: object = fields
    spot = cursor.spots.get((id(fields), path), 0)
    for step in _STEP.finditer(path):
        name, index = step[1], step[2]
        if isinstance(at, dict):
            spot = cursor.spots.get((id(at), str(name)), spot)
            at = at.get(name)
        elif isinstance(at, list) and index is not None:
            at = at[int(index)]
        else:
            break
        if isinstance(at, dict):
            spot = cursor.spots.get((id(at), ""), spot)
    return spot
