"""How DuckDB writes what SQL leaves open."""

import re
from typing import Final

from sqlglot import exp

from p2d.warehouse.query.dialects import Bind, Dialect, Test
from p2d.warehouse.query.expressions import as_number, backslash, call, insensitive, or_zero, sql_type, whole

_LOWERED: Final = {"i": "[iI\u0130]", "k": "[kK\u212a]"}
"""What DuckDB lowers to these letters beside their capitals."""


def _either_case(letter: str) -> str:
    return f"[{letter}{letter.upper()}]" if letter.isalpha() else re.escape(letter)


class DuckDbDialect(Dialect):
    """DuckDB 2: RE2, which needs no translation; parameters by name."""

    name = "duckdb"
    has_terms = True
    narrow_to = 10_000_000
    few_keys = 0  # a table is what the scan of a large one is narrowed by; a list only skips parts of it
    sends_keys_once = False
    joins_columns = True

    def nth_least(self, place: exp.Expr, number: int) -> exp.Expr:
        """See ``Dialect``; what is kept of each group is *number* values."""
        place_of = exp.Literal.number(number)
        return call("list_extract", call("min", place, place_of), place_of.copy())

    def has_word(self, text: exp.Expr, word: str, bind: Bind) -> exp.Expr:
        """See ``Dialect``; a pattern needs no copy of the text in lower case."""
        if not word.isascii():
            return self.contains(text, word, bind)
        pattern = "".join(_LOWERED.get(letter) or _either_case(letter) for letter in word.lower())
        return call("regexp_matches", text, bind(pattern))

    def last(self, condition: exp.Expr, key: exp.Expr) -> exp.Expr:
        """See ``Dialect``; a condition is put before a join, a case of one behind it."""
        branch = exp.If(this=exp.Is(this=key, expression=exp.Null()), true=exp.false())
        return exp.Case(ifs=[branch], default=condition)

    def matches(self, place: exp.Expr, pattern: str, bind: Bind, *, ignore_case: bool) -> exp.Expr:
        """See ``Dialect``."""
        return call("regexp_matches", place, bind(insensitive(pattern, ignore_case)))

    def occurrences(self, place: exp.Expr, pattern: str, bind: Bind, *, ignore_case: bool) -> exp.Expr:
        """See ``Dialect``."""
        found = call("regexp_extract_all", place, bind(insensitive(pattern, ignore_case)))
        return or_zero(call("len", found))

    def captured(
        self, place: exp.Expr, pattern: str, test: Test, bind: Bind, *, ignore_case: bool
    ) -> exp.Expr:
        """See ``Dialect``."""
        group = exp.Literal.number(1)
        found = call("regexp_extract_all", place, bind(insensitive(pattern, ignore_case)), group)
        fulfilled = exp.Lambda(this=test(as_number(exp.column("n"))), expressions=[exp.to_identifier("n")])
        return or_zero(call("len", call("list_filter", found, fulfilled)))

    def has_value(self, place: exp.Expr, value: str, bind: Bind) -> exp.Expr:
        """See ``Dialect``."""
        return call("list_contains", call("string_split", place, backslash()), bind(value))

    def days(self, later: exp.Expr, earlier: exp.Expr) -> exp.Expr:
        """See ``Dialect``."""
        return exp.Paren(this=exp.Sub(this=later, expression=earlier))

    def plus_days(self, day: exp.Expr, days: int) -> exp.Expr:
        """See ``Dialect``."""
        return exp.Paren(this=exp.Add(this=day, expression=whole(days)))

    def plus_months(self, day: exp.Expr, months: int) -> exp.Expr:
        """See ``Dialect``."""
        moment = exp.Add(this=day, expression=call("to_months", whole(months)))
        return exp.Cast(this=moment, to=sql_type("date"))

    def one_of(self, place: exp.Expr, listed: str, bind: Bind) -> exp.Expr:
        """See ``Dialect``."""
        split = call("string_split", bind(listed), exp.Literal.string("\n"))
        return exp.In(this=place, query=exp.select(call("unnest", split)).subquery())
