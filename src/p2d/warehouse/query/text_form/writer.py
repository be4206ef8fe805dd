"""Write a query in the text form: one line where it is short, else indented; ``parse_text`` reads it back."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Final

from p2d.warehouse.query.as_json import number_json
from p2d.warehouse.query.nodes import (
    All,
    Any,
    AttributeRef,
    Cohort,
    Column,
    Comparison,
    Count,
    Criterion,
    Event,
    Frame,
    Node,
    NoneOf,
    Operator,
    Patients,
    Period,
    Query,
    Reduce,
    Relation,
    Same,
    Some,
    Value,
)
from p2d.warehouse.query.text_form.vocabulary import PLURAL, REDUCTIONS, SIGNS, quoted

WIDTH: Final = 100
_GROUPS: Final[Mapping[type[Node], str]] = {All: "all", Any: "any", NoneOf: "none"}
_INDENT: Final = "  "
_PLURALS: Final = {frame: word for word, frame in PLURAL.items()}
_REDUCED: Final = {reduce: word for word, reduce in REDUCTIONS.items()}


def as_text(query: Query) -> str:
    """Return *query* in the text form, in lines of its own where it is long."""
    line = as_line(query)
    return line if len(line) <= WIDTH else "\n".join([*_block(query.where, ""), *_tail(query)])


def as_line(query: Query) -> str:
    """Return *query* in the text form, without a line break but those inside of values."""
    return " ".join([node_text(query.where), *_tail(query)])


def _tail(query: Query) -> list[str]:
    tail = []
    if query.columns:
        tail.append(f"show {', '.join(_column(column) for column in query.columns)}")
    if query.level is not Frame.PATIENT:
        tail.append(f"for each {query.level}")
    return tail


def node_text(node: Node) -> str:
    """Return *node* in the text form, without a line break of its own."""
    word = _infix(node)
    if word is not None:
        return f" {word} ".join(_operand(n) for n in _nodes(node))
    shell = _shell(node)
    if shell is None:
        return _plain(node)
    inner = ", ".join(node_text(n) for n in shell.nodes)
    behind = "" if shell.behind is None else node_text(shell.behind)
    return f"{shell.before}{inner}{shell.after}{behind}"


@dataclass(frozen=True, slots=True)
class _Shell:
    """What stands around the nodes of a node; ``behind`` is the event that an event relates to."""

    before: str
    nodes: tuple[Node, ...]
    after: str = ")"
    behind: Node | None = None


def _infix(node: Node) -> str | None:
    if isinstance(node, All | Any) and len(node.nodes) > 1:
        return "and" if isinstance(node, All) else "or"
    return None


def _nodes(node: Node) -> tuple[Node, ...]:
    return node.nodes if isinstance(node, All | Any | NoneOf | Some) else ()


def _operand(node: Node) -> str:
    return node_text(node) if _infix(node) is None else f"({node_text(node)})"


def _shell(node: Node) -> _Shell | None:  # noqa: PLR0911 - one for each form
    match node:
        case All(()) | Patients() | Cohort() | Criterion():
            return None
        case NoneOf((inner,)):
            shell = _Shell("(", (inner,)) if _infix(inner) is not None else _shell(inner)
            return shell and replace(shell, before=f"not {shell.before}")
        case Some(nodes, least, most):
            return _Shell(f"{_bounds(least, most)} of (", nodes)
        case Same(frame, where, None):
            return _Shell(f"same {frame} (", (where,))
        case Same(frame, where, Count() as count):
            before = f"{_bounds(count.least, count.most)} {_PLURALS[frame]} ("
            return _Shell(before, (where,), f"){_window(count)}")
        case Event():
            return _event(node)
        case _:
            return _Shell(f"{_GROUPS[type(node)]} of (", _nodes(node))


def _plain(node: Node) -> str:
    match node:
        case NoneOf((inner,)):
            return f"not {node_text(inner)}"
        case Patients(pseudonyms):
            return f"patients ({', '.join(sorted(pseudonyms))})"
        case Cohort(name):
            return f"cohort {quoted(name)}"
        case Criterion():
            return _criterion(node)
        case _:
            return "everything"


def _block(node: Node, indent: str) -> list[str]:
    """Return *node* in lines of its own."""
    word = _infix(node)
    if word is None or len(indent) + len(node_text(node)) <= WIDTH:
        return _item(node, indent, "")
    lines = []
    for index, inner in enumerate(_nodes(node)):
        lines += _item(inner, indent, f"{word} " if index else "", is_operand=True)
    return lines


def _item(node: Node, indent: str, lead: str, *, is_operand: bool = False) -> list[str]:
    is_bracketed = is_operand and _infix(node) is not None
    line = indent + lead + (_operand(node) if is_operand else node_text(node))
    shell = _Shell("(", (node,)) if is_bracketed else _shell(node)
    if len(line) <= WIDTH or shell is None or (_infix(node) and not is_bracketed):
        return [line]
    lines = [f"{indent}{lead}{shell.before}"]
    for index, inner in enumerate(shell.nodes, 1):
        lines += _block(inner, indent + _INDENT)
        lines[-1] += "," if index < len(shell.nodes) else ""
    if shell.behind is None:
        return [*lines, indent + shell.after]
    return [*lines, *_item(shell.behind, indent, shell.after)]


def _bounds(least: int, most: int | None) -> str:
    if most is None:
        return f"at least {least}"
    return f"{least} to {most}" if least else f"at most {most}"


def _window(count: Count) -> str:
    within = "" if count.within_days is None else f" within {count.within_days} days"
    return within + (f" per {count.per}" if count.per else "")


def _period(period: Period | None) -> str:
    ends = {} if period is None else {"from": period.start, "to": period.end}
    return "".join(f" {word} {day.isoformat()}" for word, day in ends.items() if day is not None)


def _event(event: Event) -> _Shell:
    pick = "" if event.pick == "any" else f"{_ordinal(event.pick)} "
    frame = "" if event.frame is None else f" of {event.frame}"
    age = "" if event.age is None else f" at age {_comparison(event.age)}"
    after = f"){_period(event.period)}{age}"
    relation = event.relation
    if relation is None:
        return _Shell(f"{pick}event{frame} (", (event.where,), after)
    after = f"{after}{_distance(relation)} {relation.order} "
    return _Shell(f"{pick}event{frame} (", (event.where,), after, relation.other)


def _ordinal(pick: str | int) -> str:
    if isinstance(pick, str):
        return pick
    ending = {1: "st", 2: "nd", 3: "rd"}.get(pick % 10, "th")
    return f"{pick}{'th' if pick % 100 in {11, 12, 13} else ending}"


def _distance(relation: Relation) -> str:
    least, most, span = relation.least, relation.most, relation.span
    if most is None:
        return f" at least {least} {span}" if least else ""
    return f" {least} to {most} {span}" if least else f" within {most} {span}"


def _criterion(criterion: Criterion) -> str:
    reduce = "" if criterion.reduce is Reduce.ANY else f"{_REDUCED[criterion.reduce]} "
    subject = "" if criterion.subject == "attribute" else f"{criterion.subject} "
    affirmed = " affirmed" if criterion.affirmed else ""
    unit = "" if criterion.unit is None else f" {_unit(criterion.unit)}"
    times = ""
    if criterion.times is not None:
        count = criterion.times
        times = f" {_bounds(count.least, count.most)} times{_window(count)}"
    condition = _condition(criterion)
    period = _period(criterion.period)
    return f"{reduce}{subject}{quoted(criterion.name)}{affirmed} {condition}{unit}{times}{period}"


def _condition(criterion: Criterion) -> str:
    operator, values = criterion.operator, [_value(value) for value in criterion.values]
    match operator:
        case Operator.EXISTS:
            return "missing" if criterion.is_absence else "exists"
        case Operator.IN:
            return f"in ({', '.join(values)})"
        case Operator.UNDER:
            return f"under {values[0]}" if len(values) == 1 else f"under ({', '.join(values)})"
        case Operator.BETWEEN:
            return f"between {values[0]} and {values[1]}"
        case Operator.NEXT_NUMBER:
            way = "after"
        case Operator.REGEX:
            way = "~*" if criterion.ignore_case else "~"
        case _:
            way = SIGNS.get(operator, str(operator))
    if criterion.captured is None:
        return f"{way} {values[0]}"
    return f"number {way} {values[0]} {_comparison(criterion.captured)}"


def _unit(unit: str) -> str:
    return f"unit {quoted(unit)}" if "]" in unit or "\n" in unit else f"[{unit}]"


def _comparison(comparison: Comparison) -> str:
    values = [_value(value) for value in comparison.values]
    if comparison.operator is Operator.BETWEEN:
        return f"between {values[0]} and {values[1]}"
    return f"{SIGNS[comparison.operator]} {values[0]}"


def _value(value: Value) -> str:
    if isinstance(value, AttributeRef):
        return _reference(value)
    if isinstance(value, str):
        return quoted(value)
    return value.isoformat() if isinstance(value, date) else repr(number_json(value))


def _reference(value: AttributeRef) -> str:
    reduce = "" if value.reduce is Reduce.ANY else f"{_REDUCED[value.reduce]} "
    times = "" if value.factor == 1 else f" times {number_json(value.factor)!r}"
    plus = f" plus {number_json(value.plus)!r}" if value.plus else ""
    return f"value of {reduce}{quoted(value.name)}{times}{plus}"


def _column(column: Column) -> str:
    name = quoted(column.attribute)
    if column.top is not None:
        return f"{column.reduce} {column.top} {name}"
    return name if column.reduce is Reduce.LAST else f"{column.reduce} {name}"
