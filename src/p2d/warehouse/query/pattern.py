r"""Regular expressions that mean the same in every engine: the subset of RE2 and Python's ``re``.

Refused with a reason: look-around, back-references, atomic groups, possessive quantifiers, inline flags,
comments, what only one dialect knows, and what a backtracking engine could take for ever over (``(a+)+``,
``.*.*.*.*``; see ``regex_cost``), on every engine alike. ``.`` does not match a line break and ``$`` matches
at the very end only; ``\w``, ``\d``, ``\s`` and ``\b`` know ASCII only, so a word boundary beside an umlaut
is not one.
"""

import re
import warnings
from typing import Final

from p2d.model.errors import InvalidRequest
from p2d.warehouse.query.regex_cost import costly_form

LONGEST: Final = 500
_LARGEST_REPEAT: Final = 255  # PostgreSQL's bound; RE2's is 1,000
_REFUSED: Final = (
    (re.compile(r"\(\?<?[=!]"), "uses look-around, which no engine of the warehouse has"),
    (re.compile(r"\(\?P=|\\[1-9]"), "uses a back-reference, which no engine of the warehouse has"),
    (re.compile(r"\(\?\("), "uses a conditional group, which no engine of the warehouse has"),
    (re.compile(r"\(\?>|[*+?}]\+"), "uses an atomic group or possessive quantifier"),
    (re.compile(r"\(\?(?![:P])"), "uses an inline flag or comment; write ignore_case instead"),
    (re.compile(r"\\[ZzAaQEpPCGuUNxk0<>]"), "uses an escape that engines read differently"),
    (re.compile(r"\[\[|\[:|&&|--|~~|\|\|"), "uses a character class form that engines read differently"),
)
_ESCAPED: Final = re.compile(r"\\\\")
_REPEAT: Final = re.compile(r"\{([0-9]*),?([0-9]*)\}")


def check_pattern(pattern: str, field: str) -> str:
    """Return *pattern* if it is in the subset.

    Raises:
        InvalidRequest: empty, too long, malformed, or outside the subset; the problem says which.

    """
    if not 1 <= len(pattern) <= LONGEST:
        raise InvalidRequest(field, f"is empty or longer than {LONGEST} characters", "shorten it")
    plain = _ESCAPED.sub("", pattern)
    for form, problem in _REFUSED:
        if form.search(plain):
            raise InvalidRequest(field, problem, "write it without; see the cohort language's page")
    for repeat in _REPEAT.finditer(plain):
        if any(int(bound) > _LARGEST_REPEAT for bound in repeat.groups() if bound):
            raise InvalidRequest(field, f"repeats more than {_LARGEST_REPEAT} times", "repeat less often")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            re.compile(pattern)
    except (re.error, OverflowError, RecursionError, FutureWarning, DeprecationWarning):
        raise InvalidRequest(field, "is not a regular expression", "check its brackets") from None
    try:
        costly = costly_form(pattern)
    except (ValueError, RecursionError):
        raise InvalidRequest(
            field, "uses a form outside the subset", "see the cohort language's page"
        ) from None
    if costly is not None:
        raise InvalidRequest(field, costly, "name what stands between, or bound it as in .{0,40}")
    return pattern
