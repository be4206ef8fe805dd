"""What a mapping file says about values, applied to facts of any format: units converted, limits checked."""

from collections.abc import Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from p2d.clinical.chunk import Fault
from p2d.clinical.mapping import IntakeMapping, Limit, UnitConversion

_UNIT: Final = "has a unit that the mapping does not allow for its attribute"
_RANGE: Final = "is outside the limits of its attribute"


def with_units(facts: pa.Table, conversions: Sequence[UnitConversion]) -> pa.Table:
    """Return *facts* with units as *conversions* say; one for an attribute goes before one for all."""
    number, unit = facts["number"], facts["unit"]
    done: Any = pa.repeat(pa.scalar(False), facts.num_rows)
    for one in sorted(conversions, key=lambda c: c.attribute is None):
        hit = pc.equal(facts["unit"], one.unit)
        if one.attribute is not None:
            hit = pc.and_(hit, pc.equal(facts["attribute"], one.attribute))
        hit = pc.and_(pc.fill_null(hit, False), pc.invert(done))
        done = pc.or_(done, hit)
        number = pc.if_else(hit, pc.add(pc.multiply(number, one.factor), one.offset), number)
        unit = pc.if_else(hit, pa.scalar(one.into), unit)
    if not conversions:
        return facts
    names = facts.schema.names
    return facts.set_column(names.index("number"), "number", number).set_column(
        names.index("unit"), "unit", unit
    )


def out_of_limits(facts: pa.Table, limits: Sequence[Limit]) -> list[Fault]:
    """Return the rows of *facts* whose unit or number *limits* do not allow, after conversion."""
    faults = []
    for limit in limits:
        mine = pc.and_(
            pc.fill_null(pc.equal(facts["attribute"], limit.attribute), False), pc.is_valid(facts["number"])
        )
        if limit.units is not None:
            allowed = pc.is_in(pc.fill_null(facts["unit"], ""), pa.array(limit.units, pa.string()))
            faults.append(Fault("unit", pc.and_(mine, pc.invert(allowed)), _UNIT))
        for bound, outside in ((limit.least, pc.less), (limit.most, pc.greater)):
            if bound is not None:
                faults.append(Fault("number", pc.and_(mine, outside(facts["number"], bound)), _RANGE))
    return faults


def settled(facts: pa.Table, mapping: IntakeMapping) -> tuple[pa.Table, tuple[Fault, ...]]:
    """Return *facts* in the units of *mapping*, and what its limits do not allow."""
    converted = with_units(facts, mapping.unit)
    return converted, tuple(out_of_limits(converted, mapping.limit))
