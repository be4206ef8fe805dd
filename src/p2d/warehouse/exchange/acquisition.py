"""What holds for a whole series: header values that do not differ between the instances that were read."""

from typing import Final

import pyarrow as pa

from p2d.warehouse.exchange.columns import number_of, text_of
from p2d.warehouse.exchange.dictionary import lines

_HEADERS: Final = r"""
SELECT series_key, keyword, owner_key,
  string_agg(coalesce(as_text("number"), "date"::VARCHAR, "text"), '\' ORDER BY item) AS value,
  CASE WHEN count(*) = 1 THEN any_value("number") END AS number
FROM header WHERE series_key IS NOT NULL AND length(path) = 8 AND keyword <> ''
  AND keyword NOT IN ({typed}) GROUP BY ALL
"""
_COLUMNS: Final = """
SELECT series_key, unnest([{names}]), {level}_key, unnest([{values}]), unnest([{numbers}]) FROM {level}
"""
_ACQUISITION: Final = """
CREATE OR REPLACE TEMP TABLE acquisition AS
SELECT series_key, keyword, any_value(value) AS value, any_value(number) AS number
FROM ({parts}) WHERE value IS NOT NULL GROUP BY ALL HAVING count(DISTINCT value) = 1
"""
_OF_ONE_IMAGE: Final = frozenset({"InstanceNumber"})


def acquisition(columns: dict[str, tuple[str, ...]]) -> str:
    """Return the statement that makes the table ``acquisition`` (series_key, keyword, value, number).

    *columns* are those of ``imaging_columns``; a typed column goes before the header it came from. A value is
    given only where every instance read has the same one; where some were not read, the others speak for them
    (``series.extended_scope`` says so).
    """
    typed = ", ".join(f"'{name}'" for level in ("series", "instance") for name in columns[level])
    parts = [_HEADERS.format(typed=typed)]
    taken: set[str] = set()
    for level in ("series", "instance"):
        named = [name for name in columns[level] if name not in _OF_ONE_IMAGE and name not in taken]
        taken |= set(named)
        parts.append(
            _COLUMNS.format(
                level=level,
                names=", ".join(f"'{name}'" for name in named),
                values=", ".join(text_of(f'"{name}"') for name in named),
                numbers=", ".join(number_of(f'"{name}"') for name in named),
            )
        )
    return _ACQUISITION.format(parts=" UNION ALL ".join(parts))


def parameters() -> pa.Table:
    """Return the parameters that are exported one by one: keyword, ucum and unit (or null)."""
    rows = lines("acquisition.tsv")
    return pa.table(
        {
            name: pa.array([row[name] or None for row in rows], pa.string())
            for name in ("keyword", "ucum", "unit")
        }
    )
