"""One criterion on the values of one key, and the fine print of what is a value.

- A fact has a number, a day, and two texts: code and text. A number operand compares with the number, a date
  operand with the day, a text with code or text, each taken as it is; ``under`` with the code, with the text
  only where there is no code. A header element has number, date and text, and a text operand of ``equals``
  or ``in`` that is written YYYY-MM-DD compares with its date, too. A column of several values
  (``ModalitiesInStudy``) compares as each of them, is searched as a whole.
- Values without the part that the operand asks for are none: a number without a date for a date, a text for a
  number. So ``reduce`` *all* is not spoilt by them, and *all*, *mean* and so on of no value never hold. The
  empty text is no value, but a fact without any value exists, and so does a document without text.
- The unit NULL and the empty unit are the same; the unit limits the criterion's own values only, and so does
  the period. Values are never converted.
- First, last, min and max choose the values that are alike in rank (day and value, or value); where a text
  criterion leaves several (one code, two texts), one that fulfils it is enough. The value of a fact's or
  header's text is its code, else its text, else its date, by code point.
- An operand that is an attribute stands for all values of that attribute that belong to the same key,
  whatever their unit or day; one that fulfils the comparison is enough (``between``: one as lower bound and
  one as upper). Dates are compared where one of the two is a date column; otherwise numbers, and for
  ``equals`` also texts, unless a mean is taken.
- A value that is compared as a number and as a text ranks by its number, one without behind all others.
- With a reduction the operand is one of these values, or their mean; with a factor or a summand it is
  calculated from each. Such an operand is a number, or a day where one of the two is a date column.
- ``exists: false`` holds where no value is (of the unit, in the period); of an extended header only for what
  has a series whose headers were read; of a branch where it holds for every attribute of it.
- ``under``: a code that starts with the operand (``I5`` covers ``I50.1``), or in a range: ``A...B``, or
  ``A-B`` of two ICD codes, a letter and digits each (``5-35`` is a prefix). A range holds codes from A on
  whose first characters, as many as B has, are not greater than B (``I00-I99`` holds ``I99.8``,
  ``5-35...5-37`` holds ``5-372.01``), by code point. Dots and case are as written.
- ``times`` counts values: facts, documents, items of header elements, or studies, series and instances that
  have the column; ``reduce`` is not asked then. At most n alone (``least`` 0) holds also for what has none.
"""

import re
from collections.abc import Callable, Sequence
from datetime import date
from typing import Any, Final

from p2d.testing.cohort_comparison import Dated, chosen, compares, is_in, mean, reduced, suffices
from p2d.testing.cohort_texts import TEXTUAL, text_holds
from p2d.testing.cohort_world import Thing, Value, World, related
from p2d.warehouse.query.attributes import Attribute, Source, Type
from p2d.warehouse.query.nodes import AttributeRef, Criterion, Operator, Reduce

Negated = Callable[[str], str | None]
_RANGE: Final = re.compile(r"([A-Z][0-9][0-9.]*)-([A-Z][0-9][0-9.]*)|(.+)\.\.\.(.+)")
_EQUAL: Final = frozenset({Operator.EQUALS, Operator.IN})


def criterion_holds(world: World, criterion: Criterion, thing: Thing, negated: Negated) -> bool:
    """Whether the values that belong to *thing* are as *criterion* asks."""
    if criterion.is_absence:
        return _is_absent(world, criterion, thing)
    judge = _Judge(world, criterion, thing, negated)
    judged = [(value, judge.verdict(value)) for value in _looked_at(world, criterion, thing)]
    found = [(value, *verdict) for value, verdict in judged if verdict is not None]
    if criterion.times is not None:
        return suffices(criterion.times, [value.day for value, is_so, _ in found if is_so])
    match criterion.reduce:
        case Reduce.ANY:
            return any(is_so for _, is_so, _ in found)
        case Reduce.ALL:
            return bool(found) and all(is_so for _, is_so, _ in found)
        case Reduce.MEAN:
            average = judge.verdict(Value(thing, None, number=mean([rank for _, _, rank in found])))
            return average is not None and average[0]
        case _:
            ranked: list[Dated] = [(value.day, rank) for value, _, rank in found]
            return any(found[place][1] for place in chosen(criterion.reduce, ranked))


def fulfilling(world: World, criterion: Criterion, thing: Thing, negated: Negated) -> list[Value]:
    """Return the values that belong to *thing* and fulfil the condition, each on its own."""
    judge = _Judge(world, criterion, thing, negated)
    judged = [(value, judge.verdict(value)) for value in _looked_at(world, criterion, thing)]
    return [value for value, verdict in judged if verdict is not None and verdict[0]]


def _looked_at(world: World, criterion: Criterion, thing: Thing) -> list[Value]:
    if criterion.subject == "document":
        return _within(world.documents(criterion.name), criterion, thing)
    return [v for a in world.named(criterion) for v in _within(world.values(a), criterion, thing)]


def _within(values: Sequence[Value], criterion: Criterion, thing: Thing) -> list[Value]:
    """Return those of *values* that belong to *thing*, in the unit and period of *criterion*."""
    return [
        value
        for value in values
        if (criterion.unit is None or value.unit == criterion.unit)
        and is_in(criterion.period, value.day)
        and related(value.owner, thing)
    ]


def is_under(code: str, operand: str) -> bool:
    """Whether *code* is at or below *operand*, a prefix or a range."""
    found = _RANGE.fullmatch(operand)
    if found is None:
        return code.startswith(operand)
    low, high = (found[1], found[2]) if found[1] else (found[3], found[4])
    return low <= code and code[: len(high)] <= high


class _Judge:
    """Decides about single values: None for what is no value, else whether it fulfils and how it ranks."""

    def __init__(self, world: World, criterion: Criterion, thing: Thing, negated: Negated) -> None:
        self._world = world
        self._criterion = criterion
        self._thing = thing
        self._negated = negated

    def verdict(self, value: Value) -> tuple[bool, Any] | None:
        operator, operands = self._criterion.operator, self._criterion.values
        if operator is Operator.EXISTS:
            return (True, 0) if value.is_present else None
        if operator in TEXTUAL:
            tests = [text_holds(self._criterion, text, self._negated) for text in value.texts]
            return (any(tests), _text_rank(value)) if tests else None
        if operator is Operator.UNDER:
            codes = value.members[:1] if value.owner.frame is None else value.members
            is_so = any(is_under(code, str(operand)) for code in codes for operand in operands)
            return (is_so, _text_rank(value)) if codes else None
        asked = {kind for operand in operands for kind in self._kinds(operand)}
        kinds = [kind for kind in (Type.NUMBER, Type.DATE, Type.TEXT) if kind in asked]
        parts = [self._part(value, kind) for kind in kinds]
        found = [part for part in parts if part is not None]
        if not found:
            return None
        return any(is_so for is_so, _ in found), None if parts[0] is None else parts[0][1]

    def _kinds(self, operand: object) -> Sequence[Type]:
        own = {attribute.type for attribute in self._world.named(self._criterion)}
        if isinstance(operand, AttributeRef):
            other = self._world.attribute(operand.name)
            if Type.DATE in {*own, other.type}:
                return [Type.DATE]
            is_text_too = (
                self._criterion.operator in _EQUAL
                and operand == AttributeRef(operand.name)
                and self._criterion.reduce is not Reduce.MEAN
            )
            return [Type.NUMBER, Type.TEXT] if is_text_too else [Type.NUMBER]
        if isinstance(operand, float):
            return [Type.NUMBER]
        return [Type.DATE] if isinstance(operand, date) or own == {Type.DATE} else [Type.TEXT]

    def _part(self, value: Value, kind: Type) -> tuple[bool, Any] | None:
        operands = _operands(self._world, self._criterion, self._thing, kind)
        operator = Operator.IN if self._criterion.operator is Operator.EQUALS else self._criterion.operator
        if kind is Type.TEXT:
            is_so = any(compares(operator, text, operands) for text in value.members)
            return (is_so, _text_rank(value)) if value.members else None
        own = value.number if kind is Type.NUMBER else value.moment
        if own is None:
            return None
        return self._compares(operator, own, operands), own

    def _compares(self, operator: Operator, own: float | date, operands: Sequence[Any]) -> bool:
        if operator in _EQUAL:
            return own in operands
        if operator is Operator.BETWEEN:
            low, high = (_of(self._world, o, self._thing, type(own)) for o in self._criterion.values)
            return any(compares(operator, own, (least, most)) for least in low for most in high)
        return any(compares(operator, own, (operand,)) for operand in operands)


def _operands(world: World, criterion: Criterion, thing: Thing, kind: Type) -> list[Any]:
    """Return the operands of *kind*; an attribute stands for its values that belong to *thing*."""
    python = {Type.NUMBER: float, Type.DATE: date}.get(kind, str)
    return [value for operand in criterion.values for value in _of(world, operand, thing, python)]


def _of(world: World, operand: object, thing: Thing, kind: type) -> list[Any]:
    if isinstance(operand, AttributeRef):
        values = [v for v in world.values(world.attribute(operand.name)) if related(v.owner, thing)]
        if kind is str and operand != AttributeRef(operand.name):
            return []
        if kind is str:
            return [text for value in values for text in value.members]
        dated = [(value.day, value.number if kind is float else value.moment) for value in values]
        return _reduced(operand, [(day, value) for day, value in dated if value is not None])
    if kind is date and isinstance(operand, str):
        return [date.fromisoformat(operand)]
    return [operand] if isinstance(operand, kind) else []


def _reduced(operand: AttributeRef, found: Sequence[Dated]) -> list[Any]:
    """Return the values that *operand* stands for: all of them, or the one its reduction makes of them."""
    values = [value for _, value in found]
    if operand.reduce is not Reduce.ANY:
        one = reduced(operand.reduce, found)
        values = [] if one is None else [one]
    if (operand.factor, operand.plus) == (1.0, 0.0):
        return values
    return [value * operand.factor + operand.plus for value in values]


def _text_rank(value: Value) -> str:
    return value.texts[0] if value.texts else value.members[0]


def _is_absent(world: World, criterion: Criterion, thing: Thing) -> bool:
    if criterion.subject == "document":
        return not _looked_at(world, criterion, thing)
    return all(_lacks(world, criterion, attribute, thing) for attribute in world.named(criterion))


def _lacks(world: World, criterion: Criterion, attribute: Attribute, thing: Thing) -> bool:
    if attribute.source is Source.HEADER and not any(related(series, thing) for series in world.extracted()):
        return False
    return not any(value.is_present for value in _within(world.values(attribute), criterion, thing))
