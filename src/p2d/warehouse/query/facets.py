"""Facets: how often values, years, months or bins of numbers occur among what a query finds."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from sqlglot import exp

from p2d.model.errors import InvalidRequest
from p2d.warehouse.query.attributes import Attribute, Source, Type
from p2d.warehouse.query.cells import Shown
from p2d.warehouse.query.compile import Compiler
from p2d.warehouse.query.evaluation import Evaluation
from p2d.warehouse.query.holders import ROW, filled_text
from p2d.warehouse.query.matching import matching
from p2d.warehouse.query.nodes import Frame, Node
from p2d.warehouse.query.relations import TABLES, carries, column, is_missing, is_there, key_of
from p2d.warehouse.query.results import Dimension, Facet, FacetRequest, Label
from p2d.warehouse.query.session import Keys
from p2d.warehouse.query.sums import read_tally, summed
from p2d.warehouse.query.tally import NOTHING, SUMS, Tally, of_sums

MOST_DIMENSIONS: Final = 2
MOST_CELLS: Final = 1000


def read_facet(asked: Evaluation, where: Node, request: FacetRequest, patients: Keys) -> Facet:
    """Return the facet of the cohort *patients*.

    Raises:
        InvalidRequest: no or too many dimensions, an unknown attribute, or one without years or numbers.

    """
    if not 1 <= len(request.dimensions) <= MOST_DIMENSIONS:
        problem = f"has not 1 to {MOST_DIMENSIONS} dimensions"
        raise InvalidRequest("facet.dimensions", problem, "name one or two attributes")
    return _Reading(asked, where, request, patients).facet()


@dataclass(slots=True)
class _Reading:
    asked: Evaluation
    where: Node
    request: FacetRequest
    patients: Keys
    chosen: dict[Frame, Callable[[exp.Expr], exp.Expr]] = field(default_factory=dict)

    def facet(self) -> Facet:
        """Return the cells, and what has no place in them."""
        is_of_cohort = self.asked.restricted(self.patients, "cohort")
        compiler = self.asked.compiler()
        total = read_tally(self.asked.session, compiler, self._things(is_of_cohort), self.request.level)
        labelled = self._labelled(compiler, is_of_cohort)
        labels = [exp.column(f"l{i}", table="b") for i in range(len(self.request.dimensions))]
        found = self._cells(compiler, labelled.copy(), labels)
        cells = [cell for cell in found if None not in cell[0]]
        without = [tally for values, tally in found if None in values]
        missing = without[0] if without else NOTHING
        if len(without) > 1:
            is_without = exp.or_(*(is_missing(label.copy()) for label in labels), copy=False)
            missing = self._tally(compiler, labelled.copy(), is_without)
        shown, rest = cells[: self.request.top], cells[self.request.top :]
        others = self._others(compiler, labelled.copy(), labels, shown) if rest else NOTHING
        return Facet(tuple(shown), others, missing, total)

    def _things(self, is_of_cohort: Callable[[exp.Expr], exp.Expr]) -> exp.Select:
        """Return the matching things as rows *v* of their table; what matches is found once."""
        level = self.request.level
        things = exp.Select().from_(exp.to_table(TABLES[level], alias=ROW), copy=False)
        if level in {Frame.PATIENT, Frame.CASE}:
            return things.where(is_of_cohort(column(key_of(Frame.PATIENT), ROW)), copy=False)
        return things.where(self._is_chosen(is_of_cohort)(level, column(key_of(level), ROW)), copy=False)

    def _labelled(self, compiler: Compiler, is_of_cohort: Callable[[exp.Expr], exp.Expr]) -> exp.Select:
        """Return rows ``k``, ``patient_key`` and one label for each dimension; NULL where there is none."""
        level = self.request.level
        things = self._things(is_of_cohort)
        key, patient = column(key_of(level), ROW), column(key_of(Frame.PATIENT), ROW)
        things.select(exp.alias_(key, "k"), exp.alias_(patient, "patient_key"), copy=False)
        if level is Frame.GROUP:
            things.distinct(copy=False)
        for index, dimension in enumerate(self.request.dimensions):
            name = f"d{index}"
            label = self._own_label(compiler, dimension, things, name)
            if label is None:
                values, frame = self._values(compiler, dimension, is_of_cohort)
                own = patient if frame is Frame.PATIENT else key
                on = exp.EQ(this=exp.column("k", table=name), expression=own.copy())
                things.join(values.subquery(name, copy=False), on=on, join_type="left", copy=False)
                label = exp.column("label", table=name)
            things.select(exp.alias_(label, f"l{index}"), copy=False)
        return things

    def _own_label(
        self, compiler: Compiler, dimension: Dimension, things: exp.Select, name: str
    ) -> exp.Expr | None:
        """Return the label that the thing itself, or what it lies in, carries; None for one of many."""
        attribute = self.asked.catalogue.attribute(dimension.attribute, "facet.attribute")
        table = TABLES[self.request.level]
        is_own = attribute.source is Source.COLUMN and carries(table, attribute.frame)
        if not is_own or (dimension.by in {"year", "month"} and not _is_date(attribute)):
            return None
        if attribute.frame is self.request.level:
            name = ROW
        else:
            key = key_of(attribute.frame)
            on = exp.EQ(this=column(key, name), expression=column(key, ROW))
            things.join(exp.to_table(TABLES[attribute.frame], alias=name), on=on, copy=False)
        place = column(attribute.name, name)
        is_text = attribute.type in {Type.TEXT, Type.MULTI}
        return _label(compiler, dimension, attribute, filled_text(place) if is_text else place)

    def _values(
        self, compiler: Compiler, dimension: Dimension, is_of_cohort: Callable[[exp.Expr], exp.Expr]
    ) -> tuple[exp.Select, Frame]:
        attribute = self.asked.catalogue.attribute(dimension.attribute, "facet.attribute")
        shown = Shown(attribute, self.request.level)
        is_dated = dimension.by in {"year", "month"} and not _is_date(attribute)
        values = shown.values(
            _bound_to(compiler, is_of_cohort), self._is_chosen(is_of_cohort), with_day=is_dated
        )
        value = exp.column("day" if is_dated else "val", table="n")
        label = _label(compiler, dimension, attribute, value)
        found = exp.select(exp.column("k", table="n"), exp.alias_(label, "label"), copy=False).distinct()
        found.from_(values.subquery("n", copy=False), copy=False)
        return found.where(is_there(value.copy()), copy=False), shown.frame

    def _is_chosen(
        self, is_of_cohort: Callable[[exp.Expr], exp.Expr]
    ) -> Callable[[Frame, exp.Expr], exp.Expr]:
        def is_chosen(frame: Frame, place: exp.Expr) -> exp.Expr:
            if frame not in self.chosen:
                compiler = self.asked.compiler()
                found = matching(compiler, self.where, frame, is_of_cohort)
                found.select(exp.alias_(column(key_of(frame), ROW), "k"), copy=False)
                keys = self.asked.session.keys(found, compiler.parameters)
                self.chosen[frame] = self.asked.restricted(keys, f"chosen_{frame}")
            return self.chosen[frame](place)

        return is_chosen

    def _cells(
        self, compiler: Compiler, labelled: exp.Select, labels: list[exp.Column]
    ) -> list[tuple[tuple[Label, ...], Tally]]:
        """Return all cells, the commonest first; a label is None where there is none."""
        patient = exp.column("patient_key", table="b")
        number = exp.alias_(exp.Count(this=exp.Star()), "n")  # labels of a thing differ in these rows
        each = exp.select(*(label.copy() for label in labels), patient, number, copy=False)
        each.from_(labelled.subquery("b", copy=False), copy=False)
        each.group_by(*(label.copy() for label in labels), patient.copy(), copy=False)
        names = ", ".join(label.name for label in labels)
        sums = summed(f"SELECT {names}, {SUMS} FROM each GROUP BY {names}", each)  # noqa: S608 - constants
        found = []
        for row in self.asked.session.rows(sums, compiler.parameters):
            *values, things, patients, keys, squares = row
            tally = of_sums(things, patients, keys, squares)  # type: ignore[arg-type]  # whole numbers
            written = tuple(_written(v, d) for v, d in zip(values, self.request.dimensions, strict=True))
            found.append((written, tally))
        if len(found) > MOST_CELLS and self.request.top > MOST_CELLS:
            raise InvalidRequest("facet.top", f"makes more than {MOST_CELLS} cells", "ask for fewer")
        return sorted(found, key=lambda cell: (-cell[1].number, [(v is None, str(v)) for v in cell[0]]))

    def _others(
        self,
        compiler: Compiler,
        labelled: exp.Select,
        labels: list[exp.Column],
        shown: list[tuple[tuple[Label, ...], Tally]],
    ) -> Tally:
        """Return those with a value beyond the cells shown."""
        is_shown = []
        for values, _ in shown:
            pairs = zip(labels, values, self.request.dimensions, strict=True)
            is_shown.append(
                exp.and_(
                    *(
                        exp.EQ(this=label.copy(), expression=compiler.bind(_read(v, d)))  # type: ignore[arg-type]  # no NULL in cells
                        for label, v, d in pairs
                    ),
                    copy=False,
                )
            )
        is_full = [is_there(label.copy()) for label in labels]
        condition = exp.and_(*is_full, exp.Not(this=exp.Paren(this=exp.or_(*is_shown))), copy=False)
        return self._tally(compiler, labelled, condition)

    def _tally(self, compiler: Compiler, labelled: exp.Select, condition: exp.Expr | None) -> Tally:
        things = exp.Count(this=exp.Distinct(expressions=[exp.column("k", table="b")]))
        patient = exp.column("patient_key", table="b")
        each = exp.select(patient, exp.alias_(things, "n"), copy=False)
        each.from_(labelled.subquery("b", copy=False), copy=False).group_by(patient.copy(), copy=False)
        if condition is not None:
            each.where(condition, copy=False)
        sums = summed(f"SELECT {SUMS} FROM each", each)  # noqa: S608 - a constant
        (row,) = self.asked.session.rows(sums, compiler.parameters)
        return of_sums(*row)  # type: ignore[arg-type]  # whole numbers


def _bound_to(compiler: Compiler, is_of_cohort: Callable[[exp.Expr], exp.Expr]) -> Compiler:
    """Return a compiler restricted to the cohort that shares the parameters of *compiler*."""
    found = Compiler(compiler.criteria.catalogue, compiler.dialect, None, is_of_cohort)
    found.parameters = compiler.parameters
    return found


def _is_date(attribute: Attribute) -> bool:
    return attribute.source is Source.COLUMN and attribute.type is Type.DATE


def _label(compiler: Compiler, dimension: Dimension, attribute: Attribute, value: exp.Expr) -> exp.Expr:
    if dimension.by == "year":
        return compiler.dialect.year(value.copy())
    if dimension.by == "month":
        return compiler.dialect.month(value.copy())
    if dimension.by == "value":
        if _is_date(attribute):
            return exp.Cast(this=value.copy(), to=exp.DataType.build("varchar"))
        return value.copy()
    if not attribute.has_number or dimension.width <= 0:
        raise InvalidRequest(
            "facet.by", "bins what holds no numbers, or by no width", "use value, or a width above 0"
        )
    width = exp.Literal.number(repr(float(dimension.width)))
    number = exp.Cast(this=value.copy(), to=exp.DataType.build("double"))
    return exp.Floor(this=exp.Div(this=number, expression=width))


def _written(value: object, dimension: Dimension) -> Label:
    """Return a label as it is shown: months as ``2020-03``, bins by their lower bound."""
    if value is None:
        return None
    if dimension.by == "month":
        year, month = divmod(int(str(value)), 12)
        return f"{year:04d}-{month + 1:02d}"
    if dimension.by == "number":
        return float(str(value)) * dimension.width
    if isinstance(value, date):
        return value.isoformat()
    assert isinstance(value, str | float | int)  # noqa: S101 - what sessions return
    return value


def _read(label: Label, dimension: Dimension) -> Label:
    """Return the label of the engine that is shown as *label*."""
    if dimension.by == "month":
        year, month = str(label).split("-")
        return float(int(year) * 12 + int(month) - 1)
    if dimension.by == "number":
        return float(round(float(str(label)) / dimension.width))
    return label
