"""Ordinal comparison: values in an order that the query states, such as none, mild, moderate, severe.

It is another way to write a list: what lies above, below or between is ``in``. So a query that states an
order and one that lists the values are the same query, and a value that is not in the order fulfils neither.
"""

from collections.abc import Mapping
from typing import Final

from p2d.model.errors import InvalidRequest
from p2d.warehouse.query.json_fields import read_list, read_text
from p2d.warehouse.query.nodes import Operator

MOST_PLACES: Final = 100
_SINGLE: Final = (Operator.LESS, Operator.AT_MOST, Operator.GREATER, Operator.AT_LEAST)


def listed(fields: Mapping[str, object], path: str) -> Mapping[str, object]:
    """Return the criterion *fields* with the values that its ``order`` puts where its operator asks.

    Raises:
        InvalidRequest: no order of different texts, an operator that needs none, an operand that is not in
            it, or no value lies there.

    """
    where = f"{path}.order"
    order = [
        read_text(one, f"{where}[{i}]")
        for i, one in enumerate(read_list(fields["order"], where, MOST_PLACES, least=2))
    ]
    if len(set(order)) < len(order):
        raise InvalidRequest(where, "holds a value twice", "give each value one place")
    rest = {name: value for name, value in fields.items() if name != "order"}
    for operator in _SINGLE:
        if operator in rest:
            place = _place(order, rest.pop(operator), f"{path}.{operator}")
            found = _beside(order, operator, place)
            break
    else:
        if Operator.BETWEEN not in rest:
            remedy = f"write {', '.join(_SINGLE)} or {Operator.BETWEEN} beside it"
            raise InvalidRequest(where, "goes with ordinal comparisons only", remedy)
        within = f"{path}.{Operator.BETWEEN}"
        bounds = read_list(rest.pop(Operator.BETWEEN), within, 2, least=2)
        low, high = (_place(order, bound, f"{within}[{i}]") for i, bound in enumerate(bounds))
        if high < low:
            raise InvalidRequest(within, "has bounds in the wrong order", "write [lower, upper]")
        found = order[low : high + 1]
    if not found:
        raise InvalidRequest(
            path, "lies beyond the end of the order: no value is there", "choose another place"
        )
    return {**rest, str(Operator.IN): found}


def _place(order: list[str], operand: object, path: str) -> int:
    value = read_text(operand, path)
    if value not in order:
        raise InvalidRequest(path, "is not in the order", "name one of its values")
    return order.index(value)


def _beside(order: list[str], operator: Operator, place: int) -> list[str]:
    match operator:
        case Operator.LESS:
            return order[:place]
        case Operator.AT_MOST:
            return order[: place + 1]
        case Operator.GREATER:
            return order[place + 1 :]
        case _:
            return order[place:]
