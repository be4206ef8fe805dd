"""Read one criterion, and the parts criteria share with frames and events, from JSON-like data."""

from collections.abc import Mapping
from datetime import date
from typing import Final, Literal, cast

from p2d.model.errors import InvalidRequest
from p2d.warehouse.query.codes import code_range
from p2d.warehouse.query.json_fields import (
    read_day,
    read_flag,
    read_integer,
    read_list,
    read_member,
    read_number,
    read_object,
    read_text,
)
from p2d.warehouse.query.nodes import (
    AttributeRef,
    Comparison,
    Count,
    Criterion,
    Operator,
    Period,
    Reduce,
    Value,
)
from p2d.warehouse.query.number_group import check_number_group
from p2d.warehouse.query.ordinal import listed
from p2d.warehouse.query.pattern import check_pattern

MOST_VALUES: Final = 10_000
SUBJECTS: Final = ("attribute", "branch", "document")
ORDERED: Final = frozenset({Operator.LESS, Operator.AT_MOST, Operator.GREATER, Operator.AT_LEAST})
COMPARING: Final = ORDERED | {Operator.EQUALS, Operator.BETWEEN}
TEXTUAL: Final = frozenset({Operator.CONTAINS, Operator.PHRASE, Operator.REGEX, Operator.NEXT_NUMBER})
COUNTED: Final = ("at_least", "at_most", "within_days", "per")
REDUCTIONS: Final = tuple(r for r in Reduce if r is not Reduce.COUNT)
"""What a criterion may reduce by; ``times`` is its way to count."""
OPERAND_REDUCTIONS: Final = tuple(r for r in REDUCTIONS if r is not Reduce.ALL)
"""What makes one value of those of an attribute that stands as operand."""
_FIELDS: Final = ("order", "unit", "ignore_case", "reduce", "times", "from", "to", "affirmed", "captured")
_OF_NUMBERS: Final = frozenset({Reduce.MIN, Reduce.MAX, Reduce.MEAN})


def read_criterion(source: Mapping[str, object], path: str) -> Criterion:
    """Return *source* as a criterion.

    Raises:
        InvalidRequest: an unknown field or operator, an operand of the wrong type, parts that do not fit.

    """
    fields = read_object(source, path, (*SUBJECTS, *Operator, *_FIELDS))
    if "order" in fields:
        fields = listed(fields, path)
    subjects = [subject for subject in SUBJECTS if subject in fields]
    if len(subjects) != 1:
        problem = "is neither a group, a frame, an event, a list nor a criterion"
        raise InvalidRequest(path, problem, "see docs/reference/cohort-language.md")
    (subject,) = subjects
    given = [operator for operator in Operator if operator in fields]
    if len(given) != 1:
        raise InvalidRequest(path, "has not exactly one operator", f"write one of {', '.join(Operator)}")
    (operator,) = given
    if subject == "document" and operator not in TEXTUAL | {Operator.EXISTS}:
        remedy = f"use exists, {', '.join(sorted(TEXTUAL))}"
        raise InvalidRequest(f"{path}.{operator}", "does not apply to documents", remedy)
    found = Criterion(
        subject=cast('Literal["attribute", "branch", "document"]', subject),
        name=read_text(fields[subject], f"{path}.{subject}"),
        operator=operator,
        values=_operands(operator, fields[operator], f"{path}.{operator}"),
        unit=read_text(fields["unit"], f"{path}.unit") if "unit" in fields else None,
        ignore_case=read_flag(fields, "ignore_case", path),
        reduce=read_member(Reduce, fields.get("reduce", "any"), f"{path}.reduce"),
        times=read_count(fields["times"], f"{path}.times") if "times" in fields else None,
        period=read_period(fields, path),
        affirmed=read_flag(fields, "affirmed", path),
        captured=read_comparison(fields["captured"], f"{path}.captured") if "captured" in fields else None,
    )
    _check(found, fields, path)
    return found


def read_count(source: object, path: str) -> Count:
    """Return an object of ``at_least``, ``at_most``, ``within_days`` and ``per`` as a count.

    Without ``at_least`` it is 1, or 0 where ``at_most`` is given.

    Raises:
        InvalidRequest: no such object, or a count that cannot be or is always so.

    """
    fields = read_object(source, path, COUNTED)
    if not fields:
        raise InvalidRequest(path, "says nothing", f"write one of {', '.join(COUNTED)}")
    most = read_integer(fields["at_most"], f"{path}.at_most", 0) if "at_most" in fields else None
    least = read_integer(fields.get("at_least", 1 if most is None else 0), f"{path}.at_least", 0)
    days = read_integer(fields["within_days"], f"{path}.within_days", 0) if "within_days" in fields else None
    per = fields.get("per")
    if "per" in fields and per not in {"year", "month"}:
        raise InvalidRequest(f"{path}.per", "is not one of the known values", "use year, month")
    if most is not None and most < least:
        raise InvalidRequest(f"{path}.at_most", "is less than at_least", "swap them")
    if days is not None and (most is not None or per is not None):
        remedy = "leave at_most and per out beside within_days"
        raise InvalidRequest(path, "says both within days and at most or per", remedy)
    if least == 0 and (most is None or per is not None):
        raise InvalidRequest(f"{path}.at_least", "is 0, which always holds", "write 1 or more")
    return Count(least, most, days, cast('Literal["year", "month"] | None', per))


def read_period(fields: Mapping[str, object], path: str) -> Period | None:
    """Return the fields ``from`` and ``to`` as a period; None where both are missing.

    Raises:
        InvalidRequest: not a day, or the end before the start.

    """
    if "from" not in fields and "to" not in fields:
        return None
    start = read_day(fields["from"], f"{path}.from") if "from" in fields else None
    end = read_day(fields["to"], f"{path}.to") if "to" in fields else None
    if start is not None and end is not None and end < start:
        raise InvalidRequest(f"{path}.to", "lies before from", "swap them")
    return Period(start, end)


def read_comparison(source: object, path: str) -> Comparison:
    """Return ``{OPERATOR: NUMBER}`` or ``{"between": [lower, upper]}`` as a comparison.

    Raises:
        InvalidRequest: not exactly one operator, or no number.

    """
    fields = read_object(source, path, sorted(COMPARING))
    if len(fields) != 1:
        raise InvalidRequest(path, "has not exactly one operator", f"use {', '.join(sorted(COMPARING))}")
    ((name, operand),) = fields.items()
    operator, where = Operator(name), f"{path}.{name}"
    if operator is not Operator.BETWEEN:
        return Comparison(operator, (read_number(operand, where),))
    low, high = (read_number(v, f"{where}[{i}]") for i, v in enumerate(_two_bounds(operand, where)))
    if high < low:
        raise InvalidRequest(where, "has bounds in the wrong order", "write [lower, upper]")
    return Comparison(operator, (low, high))


def _operands(operator: Operator, operand: object, path: str) -> tuple[Value, ...]:  # noqa: PLR0911 - one for each form
    match operator:
        case Operator.EXISTS:
            if not isinstance(operand, bool):
                raise InvalidRequest(path, "is not true or false", "write true or false")
            return ("true" if operand else "false",)
        case Operator.CONTAINS | Operator.PHRASE | Operator.NEXT_NUMBER:
            return (_words(operand, path),)
        case Operator.REGEX:
            return (check_pattern(read_text(operand, path), path),)
        case Operator.IN:
            items = read_list(operand, path, MOST_VALUES)
            return tuple(_plain(item, f"{path}[{i}]") for i, item in enumerate(items))
        case Operator.UNDER:
            items = [operand] if isinstance(operand, str) else read_list(operand, path, MOST_VALUES)
            return tuple(_code(item, f"{path}[{i}]") for i, item in enumerate(items))
        case Operator.BETWEEN:
            return _bounds(operand, path)
        case Operator.EQUALS:
            return (_referred(operand, path) or _plain(operand, path),)
        case _:
            return (_ordered(operand, path),)


def _words(operand: object, path: str) -> str:
    text = read_text(operand, path)
    if not any(character.isalnum() for character in text):
        raise InvalidRequest(path, "holds no word", "write the words to look for")
    return text


def _code(operand: object, path: str) -> str:
    code = read_text(operand, path)
    ends = code_range(code)
    if ends is not None and ends[1] < ends[0]:
        raise InvalidRequest(path, "is a range in the wrong order", "write the lower code first")
    return code


def _two_bounds(operand: object, path: str) -> tuple[object, object]:
    items = read_list(operand, path, 2)
    if len(items) != 2:  # noqa: PLR2004 - lower and upper bound
        raise InvalidRequest(path, "has not two bounds", "write [lower, upper]")
    return (items[0], items[1])


def _bounds(operand: object, path: str) -> tuple[Value, Value]:
    low, high = (_ordered(v, f"{path}[{i}]") for i, v in enumerate(_two_bounds(operand, path)))
    if isinstance(low, AttributeRef) or isinstance(high, AttributeRef):
        return (low, high)
    if isinstance(low, date) != isinstance(high, date) or low > high:  # type: ignore[operator]  # both are of one type here
        raise InvalidRequest(path, "has bounds of two types or in the wrong order", "write [lower, upper]")
    return (low, high)


def _referred(value: object, path: str) -> AttributeRef | None:
    if not isinstance(value, Mapping):
        return None
    fields = read_object(value, path, ("attribute", "reduce", "factor", "plus"))
    reduce = read_member(Reduce, fields.get("reduce", "any"), f"{path}.reduce")
    if reduce not in OPERAND_REDUCTIONS:
        remedy = f"use {', '.join(OPERAND_REDUCTIONS)}"
        raise InvalidRequest(f"{path}.reduce", "makes no value to compare with", remedy)
    return AttributeRef(
        read_text(fields.get("attribute"), f"{path}.attribute"),
        reduce,
        read_number(fields.get("factor", 1.0), f"{path}.factor"),
        read_number(fields.get("plus", 0.0), f"{path}.plus"),
    )


def _plain(value: object, path: str) -> str | float:
    if isinstance(value, str):
        return read_text(value, path)
    return read_number(value, path, "write a text or a number")


def _ordered(value: object, path: str) -> float | date | AttributeRef:
    referred = _referred(value, path)
    if referred is not None:
        return referred
    if isinstance(value, str):
        return read_day(value, path)
    return read_number(value, path, 'write a number, a date as YYYY-MM-DD or {"attribute": ...}')


def _check(found: Criterion, fields: Mapping[str, object], path: str) -> None:
    """Refuse parts that say nothing, or cannot be, beside one another."""
    operator, reduce = found.operator, found.reduce
    if "ignore_case" in fields and operator is not Operator.REGEX:
        raise InvalidRequest(f"{path}.ignore_case", "applies to regex only", "leave it out")
    if found.unit is not None and operator not in COMPARING | {Operator.IN}:
        raise InvalidRequest(f"{path}.unit", "applies to comparisons only", "leave it out")
    if found.affirmed and (found.subject != "document" or operator not in TEXTUAL):
        raise InvalidRequest(f"{path}.affirmed", "applies to texts of documents only", "leave it out")
    _check_reduction(found, path)
    if found.times is not None and (reduce is not Reduce.ANY or found.is_absence):
        problem = "does not go with a reduction, nor with exists false"
        raise InvalidRequest(f"{path}.times", problem, "leave one of them out")
    if operator is Operator.NEXT_NUMBER and found.captured is None:
        remedy = 'write "captured": {"less": 45}'
        raise InvalidRequest(f"{path}.captured", "is missing beside next_number", remedy)
    if found.captured is None:
        return
    if operator is Operator.REGEX:
        check_number_group(str(found.values[0]), f"{path}.regex")
    elif operator is not Operator.NEXT_NUMBER:
        raise InvalidRequest(f"{path}.captured", "needs regex or next_number", "leave it out")


def _check_reduction(found: Criterion, path: str) -> None:
    where = f"{path}.reduce"
    if found.reduce is Reduce.ANY:
        return
    if found.reduce is Reduce.COUNT:
        raise InvalidRequest(where, "counts, which criteria do otherwise", 'write "times": {"at_least": 3}')
    if found.operator is Operator.EXISTS:
        raise InvalidRequest(where, "does not go with exists", "leave it out, or compare the value")
    if found.reduce not in _OF_NUMBERS:
        return
    if found.operator not in COMPARING | {Operator.IN} or any(isinstance(v, str) for v in found.values):
        raise InvalidRequest(where, "goes with numbers and dates only", "use first, last, all or any")
    if found.reduce is Reduce.MEAN and any(isinstance(v, date) for v in found.values):
        raise InvalidRequest(where, "has no meaning for dates", "use min, max, first or last")
