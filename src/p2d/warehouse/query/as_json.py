"""Write a query as JSON-like data that ``parse`` reads back to an equal query."""

from datetime import date
from typing import Final

from p2d.warehouse.query.nodes import (
    VERSION,
    All,
    Any,
    AttributeRef,
    Cohort,
    Column,
    Comparison,
    Count,
    Criterion,
    Event,
    Node,
    NoneOf,
    Operator,
    Order,
    Patients,
    Period,
    Query,
    Reduce,
    Relation,
    Same,
    Some,
    Value,
)

_LARGEST_INTEGER: Final = 2**53


def query_json(query: Query) -> dict[str, object]:
    """Return *query* as JSON-like data of the newest version; equal queries give equal data."""
    return {
        "version": VERSION,
        "where": node_json(query.where),
        "columns": [column_json(column) for column in query.columns],
        "level": str(query.level),
    }


def node_json(node: Node) -> dict[str, object]:  # noqa: PLR0911 - one for each kind of node
    """Return *node* as JSON-like data."""
    match node:
        case All(nodes):
            return {"all": [node_json(n) for n in nodes]}
        case Any(nodes):
            return {"any": [node_json(n) for n in nodes]}
        case NoneOf(nodes):
            return {"none": [node_json(n) for n in nodes]}
        case Some(nodes, least, most):
            upper = {} if most is None else {"most": most}
            return {"n_of": [node_json(n) for n in nodes], "least": least, **upper}
        case Same(frame, where, count):
            counted = {} if count is None else _count(count)
            return {"same": str(frame), "where": node_json(where), **counted}
        case Event():
            return _event(node)
        case Patients(pseudonyms):
            return {"patients": sorted(pseudonyms)}
        case Cohort(name):
            return {"cohort": name}
        case Criterion():
            return _criterion(node)


def column_json(column: Column) -> dict[str, object]:
    """Return *column* as the JSON-like data that ``parse`` reads."""
    found: dict[str, object] = {"attribute": column.attribute, "reduce": str(column.reduce)}
    return found if column.top is None else {**found, "top": column.top}


def number_json(value: float) -> float | int:
    """Return a whole *value* as an integer, so that it is written without a point."""
    return int(value) if value == int(value) and abs(value) < _LARGEST_INTEGER else value


def _value(value: Value) -> object:
    if isinstance(value, AttributeRef):
        return _reference(value)
    if isinstance(value, date):
        return value.isoformat()
    return value if isinstance(value, str) else number_json(value)


def _reference(reference: AttributeRef) -> dict[str, object]:
    found: dict[str, object] = {"attribute": reference.name}
    if reference.reduce is not Reduce.ANY:
        found["reduce"] = str(reference.reduce)
    if reference.factor != 1:
        found["factor"] = number_json(reference.factor)
    if reference.plus:
        found["plus"] = number_json(reference.plus)
    return found


def _criterion(criterion: Criterion) -> dict[str, object]:
    values = [_value(v) for v in criterion.values]
    operand: object = values[0]
    if criterion.operator in {Operator.IN, Operator.BETWEEN} or len(values) > 1:
        operand = values
    if criterion.operator is Operator.EXISTS:
        operand = values == ["true"]
    found: dict[str, object] = {criterion.subject: criterion.name, str(criterion.operator): operand}
    if criterion.unit is not None:
        found["unit"] = criterion.unit
    if criterion.ignore_case:
        found["ignore_case"] = True
    if criterion.reduce is not Reduce.ANY:
        found["reduce"] = str(criterion.reduce)
    if criterion.times is not None:
        found["times"] = _count(criterion.times)
    found.update(_period(criterion.period))
    if criterion.affirmed:
        found["affirmed"] = True
    if criterion.captured is not None:
        found["captured"] = _comparison(criterion.captured)
    return found


def _count(count: Count) -> dict[str, object]:
    found: dict[str, object] = {"at_least": count.least}
    if count.most is not None:
        found["at_most"] = count.most
    if count.within_days is not None:
        found["within_days"] = count.within_days
    if count.per is not None:
        found["per"] = count.per
    return found


def _period(period: Period | None) -> dict[str, object]:
    days = {} if period is None else {"from": period.start, "to": period.end}
    return {name: day.isoformat() for name, day in days.items() if day is not None}


def _comparison(comparison: Comparison) -> dict[str, object]:
    values = [number_json(v) for v in comparison.values]
    return {str(comparison.operator): values if comparison.operator is Operator.BETWEEN else values[0]}


def _event(event: Event) -> dict[str, object]:
    found: dict[str, object] = {"event": node_json(event.where)}
    if event.frame is not None:
        found["frame"] = str(event.frame)
    if event.pick != "any":
        found["pick"] = event.pick
    found.update(_period(event.period))
    if event.age is not None:
        found["age"] = _comparison(event.age)
    if event.relation is not None:
        found.update(_relation(event.relation))
    return found


def _relation(relation: Relation) -> dict[str, object]:
    found: dict[str, object] = {str(relation.order): _event(relation.other)}
    if relation.order is Order.DURING or (relation.least, relation.most) == (0, None):
        return found
    both = [relation.least, relation.most]
    return {**found, str(relation.span): relation.most if relation.least == 0 else both}
