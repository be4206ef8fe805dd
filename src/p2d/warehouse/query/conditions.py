"""One criterion as a condition on the rows that hold its values; operands become bound parameters."""

from collections.abc import Callable
from datetime import date
from typing import Final

from sqlglot import exp

from p2d.model.errors import InvalidRequest
from p2d.warehouse.query.attributes import Attribute, Source, Type
from p2d.warehouse.query.nodes import Criterion, Operator, Value

Bind = Callable[[Value], exp.Expr]

_COMPARISONS: Final[dict[Operator, type[exp.Binary]]] = {
    Operator.LESS: exp.LT,
    Operator.AT_MOST: exp.LTE,
    Operator.GREATER: exp.GT,
    Operator.AT_LEAST: exp.GTE,
}
_TEXTUAL: Final = frozenset({Operator.CONTAINS, Operator.REGEX})
_EQUAL: Final = frozenset({Operator.EQUALS, Operator.IN})


def column(name: str, table: str = "v") -> exp.Column:
    """Return the column *name* of the rows *v*."""
    return exp.column(name, table=table, quoted=True)


def condition(criterion: Criterion, attribute: Attribute | None, bind: Bind) -> exp.Expr:
    """Return *criterion* as a condition on rows *v*; *attribute* is None for the text of documents.

    Raises:
        InvalidRequest: the operator or operand does not fit the attribute's type.

    """
    if attribute is None:
        name = exp.EQ(this=column("kind"), expression=bind(criterion.name))
        if criterion.operator is Operator.EXISTS:
            return name
        return exp.and_(name, _text(criterion, column("text"), bind))
    if attribute.source is Source.COLUMN:
        return _typed(criterion, attribute, bind)
    return _row(criterion, attribute, bind)


def refuse_type(criterion: Criterion, attribute: Attribute) -> InvalidRequest:
    """Return the error of an operator or operand that does not fit *attribute*."""
    holds = {Type.NUMBER: "numbers", Type.DATE: "dates"}.get(attribute.type, "text")
    return InvalidRequest(
        criterion.name,
        f"holds {holds}; {criterion.operator} does not apply to that with this operand",
        "compare numbers with numbers, dates with YYYY-MM-DD, text with equals, in, contains or regex",
    )


def _typed(criterion: Criterion, attribute: Attribute, bind: Bind) -> exp.Expr:
    place = column(attribute.name)
    is_text = attribute.type in {Type.TEXT, Type.MULTI}
    if criterion.operator is Operator.EXISTS:
        present: exp.Expr = exp.Not(this=exp.Is(this=place, expression=exp.Null()))
        return (
            exp.and_(present, exp.NEQ(this=place.copy(), expression=exp.Literal.string("")))
            if is_text
            else present
        )
    if criterion.operator in _TEXTUAL:
        if not is_text:
            raise refuse_type(criterion, attribute)
        return _text(criterion, place, bind)
    values = tuple(_typed_operand(criterion, attribute, value) for value in criterion.values)
    if criterion.operator in _EQUAL:
        if attribute.type is Type.MULTI:
            place = exp.func("string_split", place, exp.Literal.string("\\"))  # type: ignore[assignment]  # an expression like the column
            tests = [exp.Anonymous(this="list_contains", expressions=[place.copy(), bind(v)]) for v in values]
            return exp.or_(*tests)
        return exp.In(this=place, expressions=[bind(value) for value in values])
    if is_text:
        raise refuse_type(criterion, attribute)
    return _compare(criterion.operator, place, values, bind)


def _typed_operand(criterion: Criterion, attribute: Attribute, value: Value) -> Value:
    if attribute.type is Type.NUMBER and isinstance(value, float):
        return value
    if attribute.type is Type.DATE:
        found = value if isinstance(value, date) else as_date(value)
        if found is not None:
            return found
    if attribute.type in {Type.TEXT, Type.MULTI} and isinstance(value, str):
        return value
    raise refuse_type(criterion, attribute)


def as_date(value: Value) -> date | None:
    """Return *value* as a date where it is written as one."""
    try:
        return (
            date.fromisoformat(value) if isinstance(value, str) and len(value) == len("YYYY-MM-DD") else None
        )
    except ValueError:
        return None


def _row(criterion: Criterion, attribute: Attribute, bind: Bind) -> exp.Expr:
    is_fact = attribute.source is Source.FACT
    name = exp.EQ(this=column("attribute" if is_fact else "keyword"), expression=bind(criterion.name))
    texts = [column("text"), column("code")] if is_fact else [column("text")]
    if criterion.operator is Operator.EXISTS:
        return name if is_fact else exp.and_(name, _has_value())
    if criterion.operator in _TEXTUAL:
        found: exp.Expr = exp.or_(*(_text(criterion, place, bind) for place in texts))
    elif criterion.operator in _EQUAL:
        found = exp.or_(*(_equal(value, texts, bind, dates=not is_fact) for value in criterion.values))
    else:
        place = column("date" if isinstance(criterion.values[0], date) else "number")
        found = _compare(criterion.operator, place, criterion.values, bind)
    if criterion.unit is not None:
        unit = exp.Coalesce(this=column("unit"), expressions=[exp.Literal.string("")])
        found = exp.and_(found, exp.EQ(this=unit, expression=bind(criterion.unit)))
    return exp.and_(name, found)


def _has_value() -> exp.Expr:
    values = [exp.Not(this=exp.Is(this=column(c), expression=exp.Null())) for c in ("number", "date")]
    return exp.or_(*values, exp.NEQ(this=column("text"), expression=exp.Literal.string("")))


def _equal(value: Value, texts: list[exp.Column], bind: Bind, *, dates: bool) -> exp.Expr:
    if isinstance(value, float):
        return exp.EQ(this=column("number"), expression=bind(value))
    tests: list[exp.Expr] = [exp.EQ(this=place.copy(), expression=bind(value)) for place in texts]
    day = as_date(value)
    if dates and day is not None:
        tests.append(exp.EQ(this=column("date"), expression=bind(day)))
    return exp.or_(*tests)


def _compare(operator: Operator, place: exp.Expr, values: tuple[Value, ...], bind: Bind) -> exp.Expr:
    if operator is Operator.BETWEEN:
        return exp.Between(this=place, low=bind(values[0]), high=bind(values[1]))
    return _COMPARISONS[operator](this=place, expression=bind(values[0]))


def _text(criterion: Criterion, place: exp.Expr, bind: Bind) -> exp.Expr:
    sought = str(criterion.values[0])
    if criterion.operator is Operator.REGEX:
        pattern = f"(?i){sought}" if criterion.ignore_case else sought
        return exp.Anonymous(this="regexp_matches", expressions=[place.copy(), bind(pattern)])
    tests = [
        exp.Anonymous(this="contains", expressions=[exp.Lower(this=place.copy()), exp.Lower(this=bind(word))])
        for word in sought.split()
    ]
    return exp.and_(*tests)
