"""The report as one HTML page to read, print and sign: no script, nothing loaded from elsewhere."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final

from jinja2 import Environment, StrictUndefined

from p2d.deid.report.document import Document
from p2d.deid.report.tally import Outcome

_TEMPLATE: Final = "report.html"
_OUTCOMES: Final = tuple(str(outcome) for outcome in Outcome)
_DATES: Final[Mapping[str, str]] = {
    "true": (
        "Dates were not moved: the site keeps true dates. Dates of examinations can be compared with other "
        "records and count as a quasi-identifier."
    ),
    "shifted by days": (
        "Every date of a patient was moved by the same number of whole days, derived from a key that is kept "
        "apart from the data. Intervals between dates of a patient hold and times of day stay; days of the "
        "week do not."
    ),
    "shifted by weeks": (
        "Every date of a patient was moved by the same number of whole weeks, derived from a key that is "
        "kept apart from the data. Intervals between dates of a patient, days of the week and times of day "
        "hold."
    ),
    "removed": "Dates were treated as Table E.1-1 says: removed, emptied or replaced by a dummy.",
}


def page(document: Document) -> str:
    """Return *document* as a whole HTML page with its digest and room for signatures."""
    body: Mapping[str, Any] = document.body
    attributes: Sequence[Mapping[str, Any]] = body["attributes"]
    totals = {outcome: sum(row.get(outcome, 0) for row in attributes) for outcome in _OUTCOMES}
    shown = [outcome for outcome in _OUTCOMES if totals[outcome]]
    html: str = _template().render(
        **body,
        digest=document.digest,
        outcomes=shown,
        totals=totals,
        counted=sum(totals.values()),
        withheld=sum(body["objects"]["withheld"].values()),
        date_statements=list(dict.fromkeys(_DATES[profile["dates"]] for profile in body["profiles"])),
        reviewed=body.get("review"),
    )
    return html


@lru_cache(maxsize=1)
def _template() -> Any:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["thousands"] = lambda number: f"{number:,}".replace(",", "\u202f")
    return environment.from_string(files("p2d.deid.report").joinpath(_TEMPLATE).read_text(encoding="utf-8"))
