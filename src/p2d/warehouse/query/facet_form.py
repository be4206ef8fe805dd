"""Read what a facet counts by from JSON; errors name the JSON path, the problem and the way out."""

from typing import Final

from p2d.model.errors import InvalidRequest
from p2d.warehouse.query.json_fields import (
    read_integer,
    read_list,
    read_member,
    read_number,
    read_object,
    read_text,
)
from p2d.warehouse.query.nodes import Frame
from p2d.warehouse.query.results import Dimension, FacetRequest

MOST_DIMENSIONS: Final = 2
MOST_TOP: Final = 1000
_BY: Final = ("value", "year", "month", "number")


def read_facet_request(source: object) -> FacetRequest:
    """Return ``{"by": [{"attribute": ..., "by": ...}], "level": ..., "top": ...}`` as a request.

    Raises:
        InvalidRequest: no such object.

    """
    fields = read_object(source, "facet", ("by", "level", "top"))
    items = read_list(fields.get("by"), "facet.by", MOST_DIMENSIONS)
    return FacetRequest(
        tuple(_dimension(item, f"facet.by[{i}]") for i, item in enumerate(items)),
        read_member(Frame, fields.get("level", "patient"), "facet.level"),
        read_integer(fields.get("top", 20), "facet.top", 1, MOST_TOP),
    )


def _dimension(source: object, path: str) -> Dimension:
    if isinstance(source, str):
        return Dimension(read_text(source, path))
    fields = read_object(source, path, ("attribute", "by", "width"))
    kind = fields.get("by", "value")
    if kind not in _BY:
        raise InvalidRequest(f"{path}.by", "is not one of the known values", f"use {', '.join(_BY)}")
    if ("width" in fields) != (kind == "number"):
        remedy = "write it beside number, and only there"
        raise InvalidRequest(f"{path}.width", "is missing, or out of place", remedy)
    width = read_number(fields.get("width", 1), f"{path}.width")
    if width <= 0:
        raise InvalidRequest(f"{path}.width", "is not above 0", "write the width of one bin")
    return Dimension(read_text(fields.get("attribute"), f"{path}.attribute"), kind, width)
