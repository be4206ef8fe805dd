"""Labels of a facet: what a value is counted under, as the engine computes it and as it is shown."""

from datetime import date

from sqlglot import exp

from p2d.model.errors import InvalidRequest
from p2d.warehouse.query.attributes import Attribute, Source, Type
from p2d.warehouse.query.dialects import Dialect
from p2d.warehouse.query.results import Dimension, Label


def is_date(attribute: Attribute) -> bool:
    """Whether the values are days themselves."""
    return attribute.source is Source.COLUMN and attribute.type is Type.DATE


def is_of_day(dimension: Dimension, attribute: Attribute) -> bool:
    """Whether it is the day that a value is of which is counted, not the value."""
    return dimension.by in {"year", "month"} and not is_date(attribute)


def check_label(dimension: Dimension, attribute: Attribute) -> None:
    """Return if *attribute* can be counted by *dimension*.

    Raises:
        InvalidRequest: bins of what holds no numbers, or of no width.

    """
    if dimension.by == "number" and (not attribute.has_number or dimension.width <= 0):
        problem = "bins what holds no numbers, or by no width"
        raise InvalidRequest("facet.by", problem, "use value, or a width above 0")


def label_of(dialect: Dialect, dimension: Dimension, attribute: Attribute, value: exp.Expr) -> exp.Expr:
    """Return the label of *value*, or of its day; *dimension* is one that ``check_label`` lets pass."""
    if dimension.by == "year":
        return dialect.year(value.copy())
    if dimension.by == "month":
        return dialect.month(value.copy())
    if dimension.by == "value":
        if is_date(attribute):
            return exp.Cast(this=value.copy(), to=exp.DataType.build("varchar"))
        return value.copy()
    width = exp.Literal.number(repr(float(dimension.width)))
    number = exp.Cast(this=value.copy(), to=exp.DataType.build("double"))
    return exp.Floor(this=exp.Div(this=number, expression=width))


def shown(value: object, dimension: Dimension) -> Label:
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


def of_engine(label: Label, dimension: Dimension) -> Label:
    """Return the label of the engine that is shown as *label*."""
    if dimension.by == "month":
        year, month = str(label).split("-")
        return float(int(year) * 12 + int(month) - 1)
    if dimension.by == "number":
        return float(round(float(str(label)) / dimension.width))
    return label
