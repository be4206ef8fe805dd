"""Read a query from JSON; every error names the JSON path, the problem and the way out, never a value."""

from collections.abc import Mapping, Sequence
from datetime import date
from enum import StrEnum
from typing import Final, TypeVar

from p2d.model.errors import InvalidRequest
from p2d.warehouse.query.nodes import (
    VERSION,
    All,
    Any,
    Column,
    Criterion,
    Frame,
    Node,
    NoneOf,
    Operator,
    Query,
    Reduce,
    Same,
    Value,
)
from p2d.warehouse.query.pattern import check_pattern

DEEPEST: Final = 20
MOST_NODES: Final = 200
MOST_COLUMNS: Final = 100
MOST_VALUES: Final = 10_000
_LONGEST_TEXT: Final = 1000
_GROUPS: Final[Mapping[str, type[All | Any | NoneOf]]] = {"all": All, "any": Any, "none": NoneOf}
_TEXT_ONLY: Final = frozenset({Operator.EXISTS, Operator.CONTAINS, Operator.REGEX})
_ORDERED: Final = frozenset({Operator.LESS, Operator.AT_MOST, Operator.GREATER, Operator.AT_LEAST})
_FORMS: Final = '{"all": [...]}, {"any": [...]}, {"none": [...]}, {"same": ..., "where": ...} or a criterion'
_E = TypeVar("_E", bound=StrEnum)


def parse(source: object) -> Query:
    """Return *source*, JSON-like data, as a query.

    Raises:
        InvalidRequest: an unknown field or operator, an operand of the wrong type, or a query too large.

    """
    fields = _object(source, "query", ("version", "where", "columns", "level"))
    if fields.get("version") != VERSION or isinstance(fields.get("version"), bool):
        raise InvalidRequest("version", "is not a version of the language", f'write "version": {VERSION}')
    if "where" not in fields:
        raise InvalidRequest("where", "is missing", f"write {_FORMS}")
    columns = _list(fields.get("columns", []), "columns", MOST_COLUMNS)
    wanted = tuple(_column(item, f"columns[{i}]") for i, item in enumerate(columns))
    if len(set(wanted)) != len(wanted):
        raise InvalidRequest("columns", "name one column twice", "name each attribute and reduction once")
    return Query(
        where=_Parser().node(fields["where"], "where", 0),
        columns=wanted,
        level=_level(fields.get("level", "patient")),
    )


class _Parser:
    """Counts nodes while it descends, so that a query cannot exhaust the process."""

    def __init__(self) -> None:
        self._count = 0

    def node(self, source: object, path: str, depth: int) -> Node:
        self._count += 1
        if depth > DEEPEST or self._count > MOST_NODES:
            problem = f"is deeper than {DEEPEST} or has more than {MOST_NODES} nodes"
            raise InvalidRequest(path, problem, "simplify it")
        if not isinstance(source, Mapping):
            raise InvalidRequest(path, "is not an object", f"write {_FORMS}")
        for name, kind in _GROUPS.items():
            if name in source:
                items = _list(_object(source, path, (name,))[name], f"{path}.{name}", MOST_NODES)
                if not items:
                    raise InvalidRequest(f"{path}.{name}", "is empty", "list at least one node")
                nodes = (self.node(item, f"{path}.{name}[{i}]", depth + 1) for i, item in enumerate(items))
                return kind(tuple(nodes))
        if "same" in source:
            fields = _object(source, path, ("same", "where"))
            frame = _member(Frame, fields["same"], f"{path}.same")
            return Same(frame, self.node(fields.get("where"), f"{path}.where", depth + 1))
        return _criterion(source, path)


def _criterion(source: Mapping[str, object], path: str) -> Criterion:
    operators = tuple(str(operator) for operator in Operator)
    fields = _object(source, path, ("attribute", "document", "unit", "ignore_case", *operators))
    if ("attribute" in fields) == ("document" in fields):
        raise InvalidRequest(path, "is neither a group, a frame nor a criterion", f"write {_FORMS}")
    subject = "attribute" if "attribute" in fields else "document"
    name = _text(fields[subject], f"{path}.{subject}")
    given = [operator for operator in Operator if operator in fields]
    if len(given) != 1:
        raise InvalidRequest(path, "has not exactly one operator", f"write one of {', '.join(operators)}")
    operator = given[0]
    if subject == "document" and operator not in _TEXT_ONLY:
        raise InvalidRequest(
            f"{path}.{operator}", "does not apply to documents", "use contains, regex, exists"
        )
    ignore_case = fields.get("ignore_case", False)
    if not isinstance(ignore_case, bool) or ("ignore_case" in fields and operator is not Operator.REGEX):
        raise InvalidRequest(f"{path}.ignore_case", "is not true or false beside a regex", "leave it out")
    unit = _text(fields["unit"], f"{path}.unit") if "unit" in fields else None
    if unit is not None and (subject == "document" or operator in _TEXT_ONLY):
        raise InvalidRequest(f"{path}.unit", "applies to comparisons only", "leave it out")
    values = _operands(operator, fields[operator], f"{path}.{operator}")
    return Criterion(
        "attribute" if subject == "attribute" else "document", name, operator, values, unit, ignore_case
    )


def _operands(operator: Operator, operand: object, path: str) -> tuple[Value, ...]:
    if operator is Operator.EXISTS:
        if not isinstance(operand, bool):
            raise InvalidRequest(path, "is not true or false", "write true or false")
        return ("true" if operand else "false",)
    if operator is Operator.CONTAINS:
        text = _text(operand, path)
        if not text.split():
            raise InvalidRequest(path, "holds no word", "write the words to look for")
        return (text,)
    if operator is Operator.REGEX:
        return (check_pattern(_text(operand, path), path),)
    if operator is Operator.IN:
        items = _list(operand, path, MOST_VALUES)
        if not items:
            raise InvalidRequest(path, "is empty", "list at least one value")
        return tuple(_plain(item, f"{path}[{i}]") for i, item in enumerate(items))
    if operator is Operator.BETWEEN:
        return _bounds(operand, path)
    return (_ordered(operand, path) if operator in _ORDERED else _plain(operand, path),)


def _bounds(operand: object, path: str) -> tuple[Value, Value]:
    items = _list(operand, path, 2)
    if len(items) != 2:  # noqa: PLR2004 - lower and upper bound
        raise InvalidRequest(path, "has not two bounds", "write [lower, upper]")
    low, high = (_ordered(item, f"{path}[{i}]") for i, item in enumerate(items))
    if isinstance(low, date) != isinstance(high, date) or low > high:  # type: ignore[operator]  # both are of one type here
        raise InvalidRequest(path, "has bounds of two types or in the wrong order", "write [lower, upper]")
    return (low, high)


def _plain(value: object, path: str) -> Value:
    if isinstance(value, str):
        return _text(value, path)
    return _number(value, path, "write a text or a number")


def _ordered(value: object, path: str) -> float | date:
    if isinstance(value, str):
        try:
            if len(value) != len("YYYY-MM-DD"):
                raise ValueError  # noqa: TRY301 - one way out for both
            return date.fromisoformat(value)
        except ValueError:
            problem = "is neither a number nor a date"
            raise InvalidRequest(path, problem, "write 45 or 2020-03-01") from None
    return _number(value, path, "write a number or a date as YYYY-MM-DD")


def _number(value: object, path: str, remedy: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 1e300:  # noqa: PLR2004 - inside float64
        raise InvalidRequest(path, "has the wrong type", remedy)
    return float(value)


def _column(source: object, path: str) -> Column:
    if isinstance(source, str):
        return Column(_text(source, path))
    fields = _object(source, path, ("attribute", "reduce"))
    reduce = _member(Reduce, fields.get("reduce", "last"), f"{path}.reduce")
    return Column(_text(fields.get("attribute"), f"{path}.attribute"), reduce)


def _level(value: object) -> Frame:
    level = _member(Frame, value, "level")
    if level is Frame.DOCUMENT:
        raise InvalidRequest(
            "level", "is not the grain of a table", "use patient, case, study, series, instance"
        )
    return level


def _object(source: object, path: str, known: Sequence[str]) -> Mapping[str, object]:
    if not isinstance(source, Mapping):
        raise InvalidRequest(path, "is not an object", "send a JSON object")
    unknown = sorted(str(key) for key in source if key not in known)
    if unknown:
        raise InvalidRequest(
            path,
            f"holds {len(unknown)} field(s) that do not belong there",
            f"known there: {', '.join(known)}",
        )
    return source


def _list(value: object, path: str, most: int) -> Sequence[object]:
    if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
        raise InvalidRequest(path, "is not a list", "send a JSON list")
    if len(value) > most:
        raise InvalidRequest(path, f"has more than {most} entries", "shorten it")
    return value


def _text(value: object, path: str) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= _LONGEST_TEXT or "\0" in value:
        raise InvalidRequest(path, f"is not a text of 1 to {_LONGEST_TEXT} characters", "send a JSON string")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise InvalidRequest(path, "is not valid Unicode", "send UTF-8") from None
    return value


def _member(vocabulary: type[_E], value: object, path: str) -> _E:
    try:
        return vocabulary(_text(value, path))
    except ValueError:
        raise InvalidRequest(path, "is not one of the known values", f"use {', '.join(vocabulary)}") from None
