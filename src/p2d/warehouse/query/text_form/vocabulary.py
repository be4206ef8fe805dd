"""The words of the text form, and the names a warehouse gives it to choose from."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from p2d.warehouse.query.nodes import Frame, Operator, Order, Reduce

SINGULAR: Final[Mapping[str, Frame]] = {str(frame): frame for frame in Frame}
PLURAL: Final[Mapping[str, Frame]] = {
    {"study": "studies", "series": "series"}.get(frame, f"{frame}s"): frame for frame in Frame
}
FRAMES: Final[Mapping[str, Frame]] = {**SINGULAR, **PLURAL}
COMPARISONS: Final[Mapping[str, Operator]] = {
    "=": Operator.EQUALS,
    "<": Operator.LESS,
    "<=": Operator.AT_MOST,
    ">": Operator.GREATER,
    ">=": Operator.AT_LEAST,
}
SIGNS: Final = {operator: sign for sign, operator in COMPARISONS.items()}
REDUCTIONS: Final[Mapping[str, Reduce]] = {
    "first": Reduce.FIRST,
    "last": Reduce.LAST,
    "min": Reduce.MIN,
    "max": Reduce.MAX,
    "mean": Reduce.MEAN,
    "every": Reduce.ALL,
}
COLUMN_REDUCTIONS: Final[Mapping[str, Reduce]] = {
    str(reduce): reduce for reduce in Reduce if reduce is not Reduce.ALL
}
SUBJECTS: Final[Sequence[Literal["attribute", "document", "branch"]]] = ("attribute", "document", "branch")
_KEYWORDS: Final = """
    and or not none all any of everything same at least most to times within days months years per year month
    event age exists missing contains phrase between in under number affirmed unit value plus from show
    for each cohort
    """
RESERVED: Final = frozenset({*_KEYWORDS.split(), *FRAMES, *REDUCTIONS, *COLUMN_REDUCTIONS, *SUBJECTS, *Order})
"""Words that a name or value is quoted for not to be taken for."""
HINTS: Final[Mapping[str, str]] = {
    "is": "=",
    "equals": "=",
    "less": "<",
    "greater": ">",
    "like": "contains",
    "matches": "~",
    "&": "and",
    "|": "or",
}
"""What people write, and what it is here."""
NUMBER: Final = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
ORDINAL: Final = re.compile(r"([0-9]{1,4})(?:st|nd|rd|th)")
_BARE: Final = re.compile(r"[^\W\d_][\w./:%-]*")


@dataclass(frozen=True, slots=True)
class Names:
    """What there is to ask for, where that is known.

    ``is_attribute`` tells further names of attributes, such as paths into sequences; ``values`` returns
    common values of an attribute.
    """

    attributes: frozenset[str] = frozenset()
    branches: frozenset[str] = frozenset()
    documents: frozenset[str] = frozenset()
    cohorts: frozenset[str] = frozenset()
    is_attribute: Callable[[str], bool] = lambda _: False
    values: Callable[[str], Sequence[str]] = lambda _: ()

    def of(self, subject: str) -> frozenset[str]:
        """Return the names of a subject, or of saved cohorts."""
        known = {"attribute": self.attributes, "branch": self.branches, "document": self.documents}
        return known.get(subject, self.cohorts)

    def has(self, subject: str, name: str) -> bool:
        """Whether *name* is one of a subject's."""
        return name in self.of(subject) or (subject == "attribute" and self.is_attribute(name))


def quoted(text: str) -> str:
    """Return *text* as the text form writes a name or value: bare where it is one plain word."""
    if _BARE.fullmatch(text) and text.casefold() not in RESERVED:
        return text
    return '"' + text.replace('"', '""') + '"'
