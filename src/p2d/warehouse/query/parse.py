"""Read a query from JSON; every error names the JSON path, the problem and the way out, never a value.

Documents of version 1 are read as well: version 2 added to the language and changed nothing of it.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, Literal, cast

from p2d.model.errors import InvalidRequest
from p2d.model.ids import Pseudonym
from p2d.warehouse.query.criterion_form import (
    COUNTED,
    read_comparison,
    read_count,
    read_criterion,
    read_period,
)
from p2d.warehouse.query.json_fields import (
    MOST_DAYS,
    read_integer,
    read_list,
    read_member,
    read_object,
    read_text,
)
from p2d.warehouse.query.nodes import (
    VERSION,
    All,
    Any,
    Cohort,
    Column,
    Criterion,
    Event,
    Frame,
    Node,
    NoneOf,
    Order,
    Patients,
    Query,
    Reduce,
    Relation,
    Same,
    Some,
    Span,
)

DEEPEST: Final = 20
MOST_NODES: Final = 200
MOST_COLUMNS: Final = 100
MOST_PATIENTS: Final = 100_000
LATEST_PICK: Final = 1000
MOST_TOP: Final = 100
RANKED: Final = frozenset({Reduce.FIRST, Reduce.LAST, Reduce.MIN, Reduce.MAX})
"""Reductions that choose one of the values, and so may choose several."""
COHORT_NAME: Final = re.compile(r"[^\W_][\w. -]{0,62}[\w.-]|[^\W_]")
"""1 to 64 letters, digits, blanks and ``. _ -``; a letter or digit first, no blank last."""
VERSIONS: Final = frozenset({1, VERSION})
_GROUPS: Final[Mapping[str, type[All | Any | NoneOf]]] = {"all": All, "any": Any, "none": NoneOf}
_KEYED: Final = frozenset({Frame.PATIENT, Frame.CASE})
_EVENT_FIELDS: Final = ("event", "frame", "pick", "from", "to", "age", *Order, *Span)
_FURTHEST: Final[Mapping[Span, int]] = {Span.DAYS: MOST_DAYS, Span.MONTHS: 3000, Span.YEARS: 250}
"""How far two events may lie apart."""
_FORMS: Final = (
    '{"all": [...]}, {"any": [...]}, {"none": [...]}, {"n_of": [...], "least": 3}, '
    '{"same": ..., "where": ...}, {"event": ...}, {"patients": [...]}, {"cohort": ...} or a criterion'
)
_PICKS: Final[Sequence[object]] = ("any", "first", "last")


def parse(source: object) -> Query:
    """Return *source*, JSON-like data, as a query.

    Raises:
        InvalidRequest: an unknown field or operator, an operand of the wrong type, parts that cannot hold
            together, or a query too large.

    """
    fields = read_object(source, "query", ("version", "where", "columns", "level"))
    version = fields.get("version")
    if isinstance(version, bool) or version not in VERSIONS:
        raise InvalidRequest("version", "is not a version of the language", f'write "version": {VERSION}')
    if "where" not in fields:
        raise InvalidRequest("where", "is missing", f"write {_FORMS}")
    columns = read_list(fields.get("columns", []), "columns", MOST_COLUMNS, least=0)
    wanted = tuple(_column(item, f"columns[{i}]") for i, item in enumerate(columns))
    if len(set(wanted)) != len(wanted):
        raise InvalidRequest("columns", "name one column twice", "name each attribute and reduction once")
    level = read_member(Frame, fields.get("level", "patient"), "level")
    return Query(_Parser().node(fields["where"], "where", Frame.PATIENT), wanted, level)


class _Parser:
    """Counts nodes while it descends, so that a query cannot exhaust the process."""

    def __init__(self) -> None:
        self._count = 0
        self._depth = 0

    def node(self, source: object, path: str, frame: Frame | None) -> Node:
        """Return a node to be asked of *frame*; None inside an event, which holds no other event."""
        if not isinstance(source, Mapping):
            raise InvalidRequest(path, "is not an object", f"write {_FORMS}")
        self._count += 1
        self._depth += 1
        if self._depth > DEEPEST + 1 or self._count > MOST_NODES:
            problem = f"is deeper than {DEEPEST} or has more than {MOST_NODES} nodes"
            raise InvalidRequest(path, problem, "simplify it")
        found = next((read for name, read in self._readers() if name in source), None)
        node = found(source, path, frame) if found else read_criterion(source, path)
        self._depth -= 1
        return node

    def _readers(self) -> Iterator[tuple[str, Callable[[Mapping[str, object], str, Frame | None], Node]]]:
        yield from ((name, self._group) for name in _GROUPS)
        yield "n_of", self._some
        yield "same", self._same
        yield "event", self._event
        yield "patients", _patients
        yield "cohort", _cohort

    def _group(self, source: Mapping[str, object], path: str, frame: Frame | None) -> All | Any | NoneOf:
        name = next(name for name in _GROUPS if name in source)
        read_object(source, path, (name,))
        return _GROUPS[name](self._nodes(source, name, path, frame))

    def _nodes(
        self, source: Mapping[str, object], name: str, path: str, frame: Frame | None
    ) -> tuple[Node, ...]:
        where = f"{path}.{name}"
        items = read_list(source[name], where, MOST_NODES, least=0 if name == "all" else 1)
        return tuple(self.node(item, f"{where}[{i}]", frame) for i, item in enumerate(items))

    def _some(self, source: Mapping[str, object], path: str, frame: Frame | None) -> Some:
        fields = read_object(source, path, ("n_of", "least", "most"))
        nodes = self._nodes(fields, "n_of", path, frame)
        most = read_integer(fields["most"], f"{path}.most", 0, len(nodes)) if "most" in fields else None
        least = read_integer(fields.get("least", 1 if most is None else 0), f"{path}.least", 0, len(nodes))
        if most is not None and most < least:
            raise InvalidRequest(f"{path}.most", "is less than least", "swap them")
        if most is None and least == 0:
            raise InvalidRequest(f"{path}.least", "is 0, which always holds", "write 1 or more")
        return Some(nodes, least, most)

    def _same(self, source: Mapping[str, object], path: str, frame: Frame | None) -> Same:
        fields = read_object(source, path, ("same", "where", *COUNTED))
        inner = read_member(Frame, fields["same"], f"{path}.same")
        counted = {name: fields[name] for name in COUNTED if name in fields}
        count = read_count(counted, path) if counted else None
        if inner is Frame.PATIENT and count is not None and (count.within_days is not None or count.per):
            raise InvalidRequest(path, "counts patients by day, who have none", "name a frame with a date")
        asked = None if frame is None else inner
        return Same(inner, self.node(fields.get("where"), f"{path}.where", asked), count)

    def _event(self, source: Mapping[str, object], path: str, frame: Frame | None) -> Event:
        if frame not in _KEYED:
            problem = "is an event inside another frame than patient or case, or inside an event"
            raise InvalidRequest(path, problem, "move it to the outside, or into same case")
        fields = read_object(source, path, _EVENT_FIELDS)
        own = read_member(Frame, fields["frame"], f"{path}.frame") if "frame" in fields else None
        if own is Frame.PATIENT:
            problem = "is patient, and patients have no date"
            raise InvalidRequest(f"{path}.frame", problem, "name what happened: case, document, study ...")
        where = self.node(fields["event"], f"{path}.event", None)
        found = Event(
            frame=own,
            where=where,
            pick=_pick(fields.get("pick", "any"), f"{path}.pick"),
            period=read_period(fields, path),
            age=read_comparison(fields["age"], f"{path}.age") if "age" in fields else None,
            relation=self._relation(fields, path, frame),
        )
        if own is None and not has_criterion(where):
            raise InvalidRequest(
                f"{path}.frame", "is missing, and no criterion tells it", 'write "frame": ...'
            )
        return found

    def _relation(self, fields: Mapping[str, object], path: str, frame: Frame | None) -> Relation | None:
        given = [order for order in Order if order in fields]
        spans = [span for span in Span if span in fields]
        if not given:
            if spans:
                remedy = f"write one of {', '.join(Order)}"
                raise InvalidRequest(f"{path}.{spans[0]}", "relates to nothing", remedy)
            return None
        if len(given) > 1:
            raise InvalidRequest(path, "has two relations", f"write one of {', '.join(Order)}")
        (order,) = given
        where, source = f"{path}.{order}", fields[order]
        if not isinstance(source, Mapping) or "event" not in source:
            raise InvalidRequest(where, "is not an event", 'write {"event": ...}')
        if order is Order.DURING:
            source = {"frame": "case", **source}
        other = self.node(source, where, frame)
        assert isinstance(other, Event)  # noqa: S101 - what holds "event" is read as one
        if order is not Order.DURING:
            return read_relation({span: fields[span] for span in spans}, order, other, path)
        if spans:
            raise InvalidRequest(f"{path}.{spans[0]}", "does not go with during", "leave it out")
        if other.frame is not Frame.CASE:
            raise InvalidRequest(f"{where}.frame", "is not a case", 'write "frame": "case"')
        return Relation(order, other)


def read_relation(fields: Mapping[str, object], order: Order, other: Event, path: str) -> Relation:
    """Return the relation to *other* at the distance that one of *fields*, named by its unit, tells.

    Raises:
        InvalidRequest: another field, two of them, or bounds that cannot be.

    """
    read_object(fields, path, tuple(Span))
    spans = [span for span in Span if span in fields]
    if len(spans) > 1:
        problem = "stands beside another unit of time"
        raise InvalidRequest(f"{path}.{spans[1]}", problem, f"write one of {', '.join(Span)}")
    if not spans:
        return Relation(order, other)
    (span,) = spans
    return Relation(order, other, *_distance(fields[span], f"{path}.{span}", order, span), span)


def has_criterion(node: Node) -> bool:
    """Whether a criterion stands in *node*, which tells the frame of an event."""
    match node:
        case Criterion():
            return True
        case All(nodes) | Any(nodes) | NoneOf(nodes) | Some(nodes):
            return any(has_criterion(n) for n in nodes)
        case Same(_, where):
            return has_criterion(where)
        case _:
            return False


def _pick(value: object, path: str) -> Literal["any", "first", "last"] | int:
    if value in _PICKS:
        return cast('Literal["any", "first", "last"]', value)
    if isinstance(value, str):
        raise InvalidRequest(path, "is not one of the known values", "use any, first, last or a number")
    return read_integer(value, path, 1, LATEST_PICK)


def _distance(value: object, path: str, order: Order, span: Span) -> tuple[int, int | None]:
    furthest = _FURTHEST[span]
    lowest = 0 if order is Order.AROUND else -furthest
    if value is None:
        return (0, None)
    if not isinstance(value, list | tuple):
        return (0, read_integer(value, path, 0, furthest))
    if len(value) != 2:  # noqa: PLR2004 - least and most
        raise InvalidRequest(path, "has not two bounds", "write a number, or [least, most]; most may be null")
    least = read_integer(value[0], f"{path}[0]", lowest, furthest)
    most = None if value[1] is None else read_integer(value[1], f"{path}[1]", lowest, furthest)
    if most is not None and most < least:
        raise InvalidRequest(path, "has bounds in the wrong order", "write [least, most]")
    return (least, most)


def _patients(source: Mapping[str, object], path: str, _: Frame | None) -> Patients:
    where = f"{path}.patients"
    items = read_list(read_object(source, path, ("patients",))["patients"], where, MOST_PATIENTS)
    texts = (item if isinstance(item, str) else "" for item in items)
    return Patients(frozenset(Pseudonym.parse(text, f"{where}[{i}]") for i, text in enumerate(texts)))


def _cohort(source: Mapping[str, object], path: str, _: Frame | None) -> Cohort:
    return Cohort(check_cohort_name(read_object(source, path, ("cohort",))["cohort"], f"{path}.cohort"))


def check_cohort_name(value: object, path: str) -> str:
    """Return *value* if a saved cohort may be called so.

    Raises:
        InvalidRequest: not of the form ``COHORT_NAME``.

    """
    name = read_text(value, path)
    if not COHORT_NAME.fullmatch(name):
        remedy = "use 1 to 64 letters, digits, blanks and . _ -, beginning with a letter or digit"
        raise InvalidRequest(path, "is not the name of a cohort", remedy)
    return name


def _column(source: object, path: str) -> Column:
    if isinstance(source, str):
        return Column(read_text(source, path))
    fields = read_object(source, path, ("attribute", "reduce", "top"))
    reduce = read_member(Reduce, fields.get("reduce", "last"), f"{path}.reduce")
    top = read_integer(fields["top"], f"{path}.top", 1, MOST_TOP) if "top" in fields else None
    if top is not None and reduce not in RANKED:
        raise InvalidRequest(f"{path}.top", f"does not go with {reduce}", f"use {', '.join(sorted(RANKED))}")
    if reduce is Reduce.ALL:
        remedy = f"use {', '.join(r for r in Reduce if r is not Reduce.ALL)}"
        raise InvalidRequest(f"{path}.reduce", "makes no value", remedy)
    return Column(read_text(fields.get("attribute"), f"{path}.attribute"), reduce, top)
