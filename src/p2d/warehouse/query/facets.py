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
from p2d.warehouse.query.matching import is_decided_at, matching
from p2d.warehouse.query.nodes import Frame, Node
from p2d.warehouse.query.relations import TABLES, carries, column, is_missing, is_there, key_of, rows_of
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
    chosen: set[Frame] = field(default_factory=set)

    def facet(self) -> Facet:
        """Return the cells, and what has no place in them."""
        is_of_cohort = self.asked.restricted(self.patients, "cohort")
        compiler = self.asked.compiler()
        total = self._total(is_of_cohort)
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

    @property
    def _is_kept(self) -> bool:
        """Whether what matches is found once and kept, with the patients it is of.

        Where the things themselves carry all labels they are only passed over, which is quicker.
        """
        level = self.request.level
        is_own = all(self._is_own(dimension) for dimension in self.request.dimensions)
        return level not in {Frame.PATIENT, Frame.CASE} and not (is_own and level.is_imaging)

    def _total(self, is_of_cohort: Callable[[exp.Expr], exp.Expr]) -> Tally:
        level, compiler = self.request.level, self.asked.compiler()
        if not self._is_kept:
            things = matching(compiler, self.where, level, is_of_cohort)
            return read_tally(self.asked.session, compiler, things, level)
        patient = exp.column("patient_key", table="c")
        each = exp.select(patient, exp.alias_(exp.Count(this=exp.Star()), "n"), copy=False)
        each.from_(rows_of(self._kept(level, is_of_cohort), "c"), copy=False)
        sums = summed(f"SELECT {SUMS} FROM each", each.group_by(patient.copy(), copy=False))  # noqa: S608 - a constant
        (row,) = self.asked.session.rows(sums, {})
        return of_sums(*row)  # type: ignore[arg-type]  # whole numbers

    def _kept(self, frame: Frame, is_of_cohort: Callable[[exp.Expr], exp.Expr]) -> str:
        """Return the temporary table of what matches of *frame*, with columns ``k`` and ``patient_key``."""
        name = f"chosen_{frame}"
        if frame not in self.chosen:
            compiler = self.asked.compiler()
            found = matching(compiler, self.where, frame, is_of_cohort)
            patient = column(key_of(Frame.PATIENT), ROW)
            key = column(key_of(frame), ROW)
            found.select(exp.alias_(key, "k"), exp.alias_(patient, "patient_key"), copy=False)
            if frame is Frame.GROUP:
                found.distinct(copy=False)
            self.asked.session.keep_found(name, found, compiler.parameters)
            self.chosen.add(frame)
        return name

    def _things(self, compiler: Compiler, is_of_cohort: Callable[[exp.Expr], exp.Expr]) -> exp.Select:
        """Return rows ``k`` and ``patient_key`` of the matching things, beside *v* of their table."""
        level = self.request.level
        key, patient = column(key_of(level), ROW), column(key_of(Frame.PATIENT), ROW)
        if not self._is_kept:
            things = matching(compiler, self.where, level, is_of_cohort)
            return things.select(exp.alias_(key, "k"), exp.alias_(patient, "patient_key"), copy=False)
        kept = rows_of(self._kept(level, is_of_cohort), "c")
        key, patient = exp.column("k", table="c"), exp.column("patient_key", table="c")
        things = exp.select(key, patient, copy=False).from_(kept, copy=False)
        if any(self._is_own(dimension) for dimension in self.request.dimensions):
            on = exp.EQ(this=column(key_of(level), ROW), expression=key.copy())
            things.join(rows_of(TABLES[level], ROW), on=on, copy=False)
        return things

    def _labelled(self, compiler: Compiler, is_of_cohort: Callable[[exp.Expr], exp.Expr]) -> exp.Select:
        """Return rows ``k``, ``patient_key`` and one label for each dimension; NULL where there is none."""
        things = self._things(compiler, is_of_cohort)
        key, patient = (shown.this if isinstance(shown, exp.Alias) else shown for shown in things.selects[:2])
        if self.request.level is Frame.GROUP:  # a group is several rows
            things.distinct(copy=False)
        for index, dimension in enumerate(self.request.dimensions):
            name = f"d{index}"
            label = self._own_label(compiler, dimension, things, name)
            if label is None:
                values, frame = self._values(compiler, dimension, is_of_cohort)
                if things.args.get("distinct") is not None:
                    values.distinct(copy=False)
                else:  # rows of a thing that are alike are one: cheaper behind the join, of one dimension
                    things.distinct(copy=False)
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
        if not self._is_own(dimension):
            return None
        if attribute.frame is self.request.level:
            name = ROW
        else:
            key = key_of(attribute.frame)
            on = exp.EQ(this=column(key, name), expression=column(key, ROW))
            things.join(rows_of(TABLES[attribute.frame], name), on=on, copy=False)
        place = column(attribute.name, name)
        is_text = attribute.type in {Type.TEXT, Type.MULTI}
        return _label(compiler, dimension, attribute, filled_text(place) if is_text else place)

    def _is_own(self, dimension: Dimension) -> bool:
        attribute = self.asked.catalogue.attribute(dimension.attribute, "facet.attribute")
        is_own = attribute.source is Source.COLUMN and carries(TABLES[self.request.level], attribute.frame)
        return is_own and not (dimension.by in {"year", "month"} and not _is_date(attribute))

    def _values(
        self, compiler: Compiler, dimension: Dimension, is_of_cohort: Callable[[exp.Expr], exp.Expr]
    ) -> tuple[exp.Select, Frame]:
        attribute = self.asked.catalogue.attribute(dimension.attribute, "facet.attribute")
        shown = Shown(attribute, self.request.level)
        is_dated = dimension.by in {"year", "month"} and not _is_date(attribute)
        values = shown.values(
            _bound_to(compiler, is_of_cohort if self.asked.is_narrow(self.patients) else None),
            self._is_chosen(is_of_cohort),
            with_day=is_dated,
            is_decided=is_decided_at(self.where, self.request.level),
        )
        value = exp.column("day" if is_dated else "val", table="n")
        label = _label(compiler, dimension, attribute, value)
        found = exp.select(exp.column("k", table="n"), exp.alias_(label, "label"), copy=False)
        found.from_(values.subquery("n", copy=False), copy=False)
        return found.where(is_there(value.copy()), copy=False), shown.frame

    def _is_chosen(
        self, is_of_cohort: Callable[[exp.Expr], exp.Expr]
    ) -> Callable[[Frame, exp.Expr], exp.Expr]:
        def is_chosen(frame: Frame, place: exp.Expr) -> exp.Expr:
            kept = rows_of(self._kept(frame, is_of_cohort), "c")
            listed = exp.select(exp.column("k", table="c")).from_(kept, copy=False)
            return exp.In(this=place, query=listed.subquery())

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


def _bound_to(compiler: Compiler, is_of_cohort: Callable[[exp.Expr], exp.Expr] | None) -> Compiler:
    """Return a compiler restricted to the cohort, if at all, that shares the parameters of *compiler*."""
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
