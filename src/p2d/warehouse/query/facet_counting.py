"""What a facet counts: the matching things with their labels, and of which patients they are."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Final

from sqlglot import exp

from p2d.warehouse.query.attributes import Attribute, Source, Type
from p2d.warehouse.query.cells import Shown
from p2d.warehouse.query.compile import Compiler
from p2d.warehouse.query.evaluation import Evaluation
from p2d.warehouse.query.facet_labels import check_label, is_of_day, label_of, shown
from p2d.warehouse.query.holders import ROW, filled_text
from p2d.warehouse.query.matching import is_decided_at, is_told_by_things, matching
from p2d.warehouse.query.nodes import Frame, Node
from p2d.warehouse.query.relations import TABLES, carries, column, is_there, key_of, rows_of
from p2d.warehouse.query.results import Dimension, FacetRequest, Label
from p2d.warehouse.query.sums import read_tally, summed, tally_of_each
from p2d.warehouse.query.tally import SUMS, Tally, of_sums

Cell = tuple[tuple[Label, ...], Tally]
"""The labels, one of each dimension and None where there is none, and how many things carry them."""

_LABELLED: Final = "labelled"


def counting_of(asked: Evaluation, where: Node, request: FacetRequest) -> "Counting":
    """Return what counts for *request* among the cohort *where*, placed.

    Raises:
        InvalidRequest: an unknown attribute, or bins of what has no numbers or of no width.

    """
    attributes = [asked.catalogue.attribute(one.attribute, "facet.attribute") for one in request.dimensions]
    kinds = list(zip(request.dimensions, attributes, strict=True))
    for dimension, attribute in kinds:
        check_label(dimension, attribute)
    cohort = _Cohort(asked, where, request.level)
    is_own = all(_is_own(request.level, dimension, attribute) for dimension, attribute in kinds)
    return (OwnLabels if is_own else JoinedLabels)(cohort, kinds)


def _is_own(level: Frame, dimension: Dimension, attribute: Attribute) -> bool:
    """Whether a thing of *level*, or what it lies in, carries the label: one thing has one then."""
    is_own = attribute.source is Source.COLUMN and carries(TABLES[level], attribute.frame)
    return is_own and not is_of_day(dimension, attribute)


class _Cohort:
    """The patients whose things are counted, and what matches of them.

    Where each thing that matches tells that its patient is of the cohort, this is not asked for.
    """

    def __init__(self, asked: Evaluation, where: Node, level: Frame) -> None:
        self.asked = asked
        self.where = where
        self.level = level
        self._restriction: Callable[[exp.Expr], exp.Expr] | None = None
        self._is_narrow = False
        self._kept: set[Frame] = set()
        if not is_told_by_things(where, level):
            patients = asked.patients(where)
            self._restriction = asked.restricted(patients, "cohort")
            self._is_narrow = asked.is_narrow(len(patients))

    def matching(self, compiler: Compiler, level: Frame) -> exp.Select:
        """Return the matching things of *level*: rows *v* of its table, without columns."""
        return matching(compiler, self.where, level, self._is_of_cohort)

    def kept(self, level: Frame) -> str:
        """Return the temporary table of the matching things of *level*, columns ``k`` and ``patient_key``."""
        name = f"chosen_{level}"
        if level not in self._kept:
            compiler = self.asked.compiler()
            found = self.matching(compiler, level)
            patient = column(key_of(Frame.PATIENT), ROW)
            key = column(key_of(level), ROW)
            found.select(exp.alias_(key, "k"), exp.alias_(patient, "patient_key"), copy=False)
            if level is Frame.GROUP:  # a group is several rows
                found.distinct(copy=False)
            self.asked.session.keep_found(name, found, compiler.parameters)
            self._kept.add(level)
        return name

    def is_chosen(self, frame: Frame, place: exp.Expr) -> exp.Expr:
        """Return the condition that a key of *frame* matches."""
        return self._is_in_kept(frame, "k", place)

    def restriction(self, total: Tally) -> Callable[[exp.Expr], exp.Expr] | None:
        """Return the condition that a patient key is of the cohort where that narrows a search, else None.

        *total* counts the things of the level.
        """
        if self._restriction is not None:
            return self._restriction if self._is_narrow else None
        if not self.asked.is_narrow(total.patients):
            return None
        return lambda place: self._is_in_kept(self.level, "patient_key", place)

    def _is_of_cohort(self, place: exp.Expr) -> exp.Expr:
        return exp.true() if self._restriction is None else self._restriction(place)

    def _is_in_kept(self, frame: Frame, name: str, place: exp.Expr) -> exp.Expr:
        listed = exp.select(exp.column(name, table="c")).from_(rows_of(self.kept(frame), "c"), copy=False)
        return exp.In(this=place, query=listed.subquery())


class Counting(ABC):
    """Counts the things of a cohort by their labels; a thing with several counts for each."""

    def __init__(self, cohort: _Cohort, kinds: Sequence[tuple[Dimension, Attribute]]) -> None:
        self._cohort = cohort
        self._kinds = kinds
        self._session = cohort.asked.session
        self.compiler = cohort.asked.compiler()

    @property
    def labels(self) -> list[exp.Column]:
        """The labels, new expressions for a condition of ``tally``."""
        return [exp.column(f"l{i}", table="b") for i in range(len(self._kinds))]

    @abstractmethod
    def cells(self) -> list[Cell]:
        """Return every combination of labels that occurs."""

    @abstractmethod
    def tally(self, condition: exp.Expr) -> Tally:
        """Return how many things have labels that fulfil *condition*, each once."""

    @abstractmethod
    def total(self) -> Tally:
        """Return how many things there are."""

    def _counted(self, labelled: exp.Select) -> exp.Select:
        """Return how often each combination of labels occurs in *labelled* of each patient, as ``n``."""
        patient = exp.column("patient_key", table="b")
        number = exp.alias_(exp.Count(this=exp.Star()), "n")
        each = exp.select(*self.labels, patient, number, copy=False)
        each.from_(labelled.subquery("b", copy=False), copy=False)
        return each.group_by(*self.labels, patient.copy(), copy=False)

    def _cells(self, each: exp.Select) -> list[Cell]:
        names = ", ".join(label.name for label in self.labels)
        sums = summed(f"SELECT {names}, {SUMS} FROM each GROUP BY {names}", each)  # noqa: S608 - constants
        found: list[Cell] = []
        for row in self._session.rows(sums, self.compiler.parameters):
            *values, things, patients, keys, squares = row
            tally = of_sums(things, patients, keys, squares)  # type: ignore[arg-type]  # whole numbers
            labels = (shown(v, dimension) for v, (dimension, _) in zip(values, self._kinds, strict=True))
            found.append((tuple(labels), tally))
        return found

    def _own_label(
        self, dimension: Dimension, attribute: Attribute, things: exp.Select, name: str
    ) -> exp.Expr:
        """Return the label that *things*, rows *v*, carry; what they lie in is joined as *name*."""
        place = ROW
        if attribute.frame is not self._cohort.level:
            place, key = name, key_of(attribute.frame)
            on = exp.EQ(this=column(key, name), expression=column(key, ROW))
            things.join(rows_of(TABLES[attribute.frame], name), on=on, copy=False)
        value: exp.Expr = column(attribute.name, place)
        if attribute.type in {Type.TEXT, Type.MULTI}:
            value = filled_text(value)
        return label_of(self.compiler.dialect, dimension, attribute, value)


class OwnLabels(Counting):
    """Of things that carry all labels themselves.

    They are passed over once; how many there are by labels and patient is kept, and everything told of that.
    """

    def __init__(self, cohort: _Cohort, kinds: Sequence[tuple[Dimension, Attribute]]) -> None:
        super().__init__(cohort, kinds)
        self._session.keep_found(_LABELLED, self._counted(self._things()), self.compiler.parameters)
        self.compiler = cohort.asked.compiler()  # what is asked of the kept has its own parameters

    def cells(self) -> list[Cell]:
        """Return every combination of labels that occurs."""
        patient, number = self._numbers()
        return self._cells(exp.select(*self.labels, patient, number).from_(rows_of(_LABELLED, "b")))

    def tally(self, condition: exp.Expr) -> Tally:
        """Return how many things have labels that fulfil *condition*."""
        each = self._by_patient().where(condition, copy=False)
        return tally_of_each(self._session, each, self.compiler.parameters)

    def total(self) -> Tally:
        """Return how many things there are."""
        return tally_of_each(self._session, self._by_patient(), {})

    @staticmethod
    def _numbers() -> tuple[exp.Column, exp.Column]:
        return exp.column("patient_key", table="b"), exp.column("n", table="b")

    def _by_patient(self) -> exp.Select:
        patient, number = self._numbers()
        each = exp.select(patient, exp.alias_(exp.Sum(this=number), "n"), copy=False)
        return each.from_(rows_of(_LABELLED, "b"), copy=False).group_by(patient.copy(), copy=False)

    def _things(self) -> exp.Select:
        """Return the patient and the labels of every matching thing, once."""
        level = self._cohort.level
        things = self._cohort.matching(self.compiler, level)
        patient = column(key_of(Frame.PATIENT), ROW)
        things.select(exp.alias_(patient, "patient_key"), copy=False)
        if level is Frame.GROUP:  # a group is several rows
            things.select(exp.alias_(column(key_of(level), ROW), "k"), copy=False).distinct(copy=False)
        for index, (dimension, attribute) in enumerate(self._kinds):
            label = self._own_label(dimension, attribute, things, f"d{index}")
            things.select(exp.alias_(label, f"l{index}"), copy=False)
        return things


class JoinedLabels(Counting):
    """Of things that have a label by other rows, several perhaps.

    What matches is found once and kept, with the patients it is of; patients and cases are found again.
    """

    def __init__(self, cohort: _Cohort, kinds: Sequence[tuple[Dimension, Attribute]]) -> None:
        super().__init__(cohort, kinds)
        self._total = self._count()
        self._labelled = self._label()

    def cells(self) -> list[Cell]:
        """Return every combination of labels that occurs."""
        return self._cells(self._counted(self._labelled.copy()))  # labels of a thing differ in its rows

    def tally(self, condition: exp.Expr) -> Tally:
        """Return how many things have labels that fulfil *condition*, each once."""
        things = exp.Count(this=exp.Distinct(expressions=[exp.column("k", table="b")]))
        patient = exp.column("patient_key", table="b")
        each = exp.select(patient, exp.alias_(things, "n"), copy=False)
        each.from_(self._labelled.copy().subquery("b", copy=False), copy=False).where(condition, copy=False)
        each.group_by(patient.copy(), copy=False)
        return tally_of_each(self._session, each, self.compiler.parameters)

    def total(self) -> Tally:
        """Return how many things there are."""
        return self._total

    @property
    def _is_searched(self) -> bool:
        """Whether what matches has to be searched: patients and cases are found by the cohort at once."""
        return self._cohort.level not in {Frame.PATIENT, Frame.CASE}

    def _count(self) -> Tally:
        level = self._cohort.level
        if not self._is_searched:
            compiler = self._cohort.asked.compiler()
            return read_tally(self._session, compiler, self._cohort.matching(compiler, level), level)
        patient = exp.column("patient_key", table="c")
        each = exp.select(patient, exp.alias_(exp.Count(this=exp.Star()), "n"), copy=False)
        each.from_(rows_of(self._cohort.kept(level), "c"), copy=False)
        return tally_of_each(self._session, each.group_by(patient.copy(), copy=False), {})

    def _things(self) -> tuple[exp.Select, exp.Expr, exp.Expr]:
        """Return the matching things, beside *v* of their table where it is needed, their key and patient."""
        level = self._cohort.level
        if not self._is_searched:
            things = self._cohort.matching(self.compiler, level)
            return things, column(key_of(level), ROW), column(key_of(Frame.PATIENT), ROW)
        key, patient = exp.column("k", table="c"), exp.column("patient_key", table="c")
        things = exp.Select().from_(rows_of(self._cohort.kept(level), "c"), copy=False)
        if any(_is_own(level, dimension, attribute) for dimension, attribute in self._kinds):
            on = exp.EQ(this=column(key_of(level), ROW), expression=key.copy())
            things.join(rows_of(TABLES[level], ROW), on=on, copy=False)
        return things, key, patient

    def _label(self) -> exp.Select:
        """Return rows ``k``, ``patient_key`` and one label for each dimension; NULL where there is none."""
        things, key, patient = self._things()
        things.select(exp.alias_(key, "k"), exp.alias_(patient, "patient_key"), copy=False)
        is_several = self._cohort.level is Frame.GROUP  # a group is several rows
        for index, (dimension, attribute) in enumerate(self._kinds):
            name = f"d{index}"
            if _is_own(self._cohort.level, dimension, attribute):
                label = self._own_label(dimension, attribute, things, name)
            else:
                values, frame = self._values(dimension, attribute)
                if is_several:  # rows that are alike are one: cheaper behind the join, where it is the first
                    values.distinct(copy=False)
                is_several = True
                own = patient if frame is Frame.PATIENT else key
                on = exp.EQ(this=exp.column("k", table=name), expression=own.copy())
                things.join(values.subquery(name, copy=False), on=on, join_type="left", copy=False)
                label = exp.column("label", table=name)
            things.select(exp.alias_(label, f"l{index}"), copy=False)
        return things.distinct(copy=False)

    def _values(self, dimension: Dimension, attribute: Attribute) -> tuple[exp.Select, Frame]:
        """Return rows of a key ``k`` and a ``label``, and whose key it is."""
        level, compiler = self._cohort.level, self.compiler
        told = Shown(attribute, level)
        is_dated = is_of_day(dimension, attribute)
        values = told.values(
            _bound_to(compiler, self._cohort.restriction(self._total)),
            self._cohort.is_chosen,
            with_day=is_dated,
            is_decided=is_decided_at(self._cohort.where, level),
        )
        value = exp.column("day" if is_dated else "val", table="n")
        label = label_of(compiler.dialect, dimension, attribute, value)
        found = exp.select(exp.column("k", table="n"), exp.alias_(label, "label"), copy=False)
        found.from_(values.subquery("n", copy=False), copy=False)
        return found.where(is_there(value.copy()), copy=False), told.frame


def _bound_to(compiler: Compiler, only: Callable[[exp.Expr], exp.Expr] | None) -> Compiler:
    """Return a compiler restricted by *only*, if at all, that shares the parameters of *compiler*."""
    found = Compiler(compiler.criteria.catalogue, compiler.dialect, None, only)
    found.parameters = compiler.parameters
    return found
