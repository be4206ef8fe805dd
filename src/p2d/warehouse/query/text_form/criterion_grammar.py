"""Criteria of the text form, as the JSON-like data that ``parse`` reads.

[first|last|min|max|mean|every] [attribute|branch|document] NAME [affirmed] OPERATOR OPERAND
[of (VALUE, …)] [[UNIT]] [COUNT times [within N days] [per year|month]] [from DAY] [to DAY]
"""

import re
from typing import Final

from p2d.model.errors import InvalidRequest
from p2d.warehouse.query.nodes import Operator
from p2d.warehouse.query.text_form.cursor import Cursor, Expected
from p2d.warehouse.query.text_form.tokens import Kind
from p2d.warehouse.query.text_form.vocabulary import COMPARISONS, NUMBER, REDUCTIONS, SUBJECTS

Fields = dict[str, object]
_ORDINAL: Final = ("less", "at_most", "greater", "at_least", "between")
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_WORDS: Final = {"contains": Operator.CONTAINS, "phrase": Operator.PHRASE}


def read_criterion(cursor: Cursor, reduce: str | None = None) -> Fields:
    """Return the criterion that is next; *reduce* was read before it.

    Raises:
        InvalidRequest: something else is next.

    """
    start = cursor.token.start
    if reduce is None:
        reduce = cursor.accept_one(REDUCTIONS)
    subject, name = _subject(cursor)
    found: Fields = {subject: name}
    cursor.mark(found, "", start)
    if reduce is not None:
        found["reduce"] = str(REDUCTIONS[reduce])
    if cursor.accept("affirmed"):
        found["affirmed"] = True
    _read_operator(cursor, found)
    _read_order(cursor, found)
    _read_clauses(cursor, found)
    return found


def _subject(cursor: Cursor) -> tuple[str, str]:
    for subject in SUBJECTS:
        if cursor.accept(subject):
            return subject, cursor.name([subject], f"the name of the {subject}")
    names = cursor.names
    if names is None:
        return "attribute", cursor.name(["attribute"], "a condition")
    name = cursor.name(SUBJECTS, "a condition")
    return next(subject for subject in SUBJECTS if names.has(subject, name)), name


def _read_operator(cursor: Cursor, found: Fields) -> None:
    sign = cursor.accept_one(COMPARISONS, is_loud=True)
    start = cursor.token.start
    operator = "" if sign is None else str(COMPARISONS[sign])
    if sign is not None:
        found[operator] = _operand(cursor, found, is_ordered=sign != "=")
    elif cursor.accept("between", is_loud=True):
        operator = "between"
        low = _operand(cursor, found, is_ordered=True)
        cursor.require("and")
        found[operator] = [low, _operand(cursor, found, is_ordered=True)]
    elif cursor.accept("in", is_loud=True):
        operator = "in"
        found[operator] = _listed(cursor, found)
    elif cursor.accept("under", is_loud=True):
        operator = "under"
        found[operator] = _codes(cursor)
    elif cursor.accept("exists", is_loud=True):
        found["exists"] = True
    elif cursor.accept("missing", is_loud=True):
        found["exists"] = False
    elif cursor.accept("number", is_loud=True):
        operator = _read_captured(cursor, found)
    else:
        operator = _read_text_operator(cursor, found)
    cursor.mark(found, operator, start)


def _read_order(cursor: Cursor, found: Fields) -> None:
    """Add the order behind a comparison: ``>= moderate of (none, mild, moderate, severe)``.

    Behind a number it is read, but not offered: ``ECOG >= 2 of (0, 1, 2, 3, 4)`` compares what is written.
    """
    operator = next((one for one in _ORDINAL if one in found), None)
    if operator is None:
        return
    written = found[operator]
    operands = written if isinstance(written, list) else [written]
    if any(isinstance(one, dict) or (isinstance(one, str) and _DAY.fullmatch(one)) for one in operands):
        return
    start = cursor.token.start
    is_offered = all(isinstance(one, str) for one in operands) or cursor.token.text == "of"
    if is_offered and cursor.accept("of"):
        found["order"] = [_as_text(one) for one in _listed(cursor, found)]
        found[operator] = (
            [_as_text(one) for one in written] if isinstance(written, list) else _as_text(written)
        )
        cursor.mark(found, "order", start)


def _as_text(operand: object) -> object:
    """Return a number as it is mostly written, anything else as it is."""
    return f"{operand:g}" if isinstance(operand, float) else operand


def _read_text_operator(cursor: Cursor, found: Fields) -> str:
    if cursor.token.text == "!":
        raise InvalidRequest(cursor.here, "says != , which has two meanings", "write not (NAME = VALUE)")
    operator = cursor.accept_one([*_WORDS, "~*", "~"], is_loud=True) or cursor.fail()
    if operator in _WORDS:
        found[operator] = _value_text(cursor, found, "the words to look for")
        return operator
    found["regex"] = cursor.text("a regular expression")
    if operator == "~*":
        found["ignore_case"] = True
    return "regex"


def _read_captured(cursor: Cursor, found: Fields) -> str:
    way = cursor.require("after", "~", "~*")
    if way == "after":
        found["next_number"] = cursor.text("the words before the number")
    else:
        found["regex"] = cursor.text("a regular expression with one group")
    if way == "~*":
        found["ignore_case"] = True
    found["captured"] = read_comparison(cursor)
    return "next_number" if way == "after" else "regex"


def read_comparison(cursor: Cursor) -> Fields:
    """Return the comparison of a number that is next: ``< 45`` or ``between 18 and 65``."""
    start = cursor.token.start
    if cursor.accept("between", is_loud=True):
        low = float(cursor.number())
        cursor.require("and")
        found: Fields = {"between": [low, float(cursor.number())]}
    else:
        operator = COMPARISONS[cursor.require(*COMPARISONS)]
        found = {str(operator): float(cursor.number())}
    cursor.mark(found, "", start)
    return found


def _read_clauses(cursor: Cursor, found: Fields) -> None:
    while True:
        cursor.offer(Expected("unit"))
        start = cursor.token.start
        if cursor.token.kind is Kind.UNIT and "unit" not in found:
            found["unit"] = cursor.take().text
            cursor.mark(found, "unit", start)
        elif "unit" not in found and cursor.accept("unit"):
            found["unit"] = cursor.text("a unit")
            cursor.mark(found, "unit", start)
        elif "times" not in found and (count := read_count(cursor)) is not None:
            cursor.require("times")
            read_window(cursor, count)
            cursor.mark(count, "", start)
            found["times"] = count
        elif not read_period(cursor, found):
            return


def read_count(cursor: Cursor) -> Fields | None:
    """Return ``at least 3``, ``at most 5`` or ``3 to 5`` as a count, or None where something else is next."""
    if cursor.accept("at"):
        bound = cursor.require("least", "most")
        return {f"at_{bound}": cursor.integer()}
    token = cursor.token
    if token.kind is Kind.WORD and token.text.isdecimal():
        least = cursor.integer()
        cursor.require("to")
        return {"at_least": least, "at_most": cursor.integer()}
    return None


def read_window(cursor: Cursor, count: Fields) -> None:
    """Add ``within N days`` and ``per year`` or ``per month``, where they are next, to *count*."""
    if cursor.accept("within"):
        count["within_days"] = cursor.integer()
        cursor.require("days")
    if cursor.accept("per"):
        count["per"] = cursor.require("year", "month")


def read_period(cursor: Cursor, found: Fields) -> bool:
    """Add ``from DAY`` or ``to DAY``, whichever is next, to *found*; whether there was one."""
    for field in ("from", "to"):
        if field not in found and cursor.accept(field):
            cursor.mark(found, field, cursor.token.start)
            found[field] = cursor.text("a day as YYYY-MM-DD")
            return True
    return False


def _operand(cursor: Cursor, found: Fields, *, is_ordered: bool) -> object:
    if cursor.accept("value"):
        return _reference(cursor)
    cursor.offer_values(found)
    cursor.label("a number or a day as YYYY-MM-DD" if is_ordered else "a value")
    if cursor.token.kind is Kind.STRING:
        return cursor.take().text
    if cursor.token.kind is not Kind.WORD:
        cursor.fail()
    text = cursor.take().text
    return float(text) if NUMBER.fullmatch(text) else text


def _reference(cursor: Cursor) -> Fields:
    """Read ``of [first|last|min|max|mean] NAME [times F] [plus N]``."""
    cursor.require("of")
    reduce = cursor.accept_one([word for word in REDUCTIONS if word != "every"])
    found: Fields = {"attribute": cursor.name(["attribute"], "the name of an attribute")}
    if reduce is not None:
        found["reduce"] = str(REDUCTIONS[reduce])
    for word, field in (("times", "factor"), ("plus", "plus")):
        if cursor.accept(word):
            found[field] = float(cursor.number())
    return found


def _value_text(cursor: Cursor, found: Fields, label: str) -> str:
    cursor.offer_values(found)
    return cursor.text(label)


def _listed(cursor: Cursor, found: Fields) -> list[object]:
    cursor.require("(")
    values = [_operand(cursor, found, is_ordered=False)]
    while cursor.require(",", ")") == ",":
        values.append(_operand(cursor, found, is_ordered=False))
    return values


def _codes(cursor: Cursor) -> list[str]:
    if not cursor.accept("(", is_loud=True):
        return [cursor.text("a code")]
    codes = [cursor.text("a code")]
    while cursor.require(",", ")") == ",":
        codes.append(cursor.text("a code"))
    return codes
