"""What engines say differently: one adapter each. Everything else of a query is the same SQL for all of them.

Engine-neutral code asks its ``Dialect`` and never which engine it is. The methods return SQLGlot expressions;
operands go through *bind* and reach the engine as parameters. A condition on a NULL value is NULL or false.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Final

from sqlglot import exp
from sqlglot.dialects.dialect import Dialect as Sqlglot

from p2d.warehouse.query.expressions import call, or_zero, sql_type
from p2d.warehouse.query.nodes import Value

Bind = Callable[[Value], exp.Expr]
Test = Callable[[exp.Expr], exp.Expr]
PARAMETER: Final = re.compile(r"\$\{?(p[0-9]+)\}?")
"""A parameter as SQLGlot writes it; no text of ours looks like one, and others' is never in the statement."""

Arguments = Mapping[str, Value] | Sequence[Value]


class Dialect(ABC):
    """How one engine writes what SQL leaves open; ``name`` is SQLGlot's for it."""

    name: ClassVar[str]
    has_terms: ClassVar[bool] = False
    """Whether the engine keeps the table ``term``, an index of the words of documents."""

    has_text_index: ClassVar[bool] = False
    """Whether the engine finds the texts that hold a word sooner than the images of a kind."""

    few_keys: ClassVar[int] = 500
    """Keys up to which they are written into statements; beyond they go through a table."""

    narrow_to: ClassVar[int] = 10_000
    """Patients up to whom a criterion is asked of these alone, not of everybody: they go through a table."""

    sends_keys_once: ClassVar[bool] = True
    """Whether repeated keys cost more on the way from the engine than there."""

    joins_columns: ClassVar[bool] = False
    """Whether the columns of a table come in one statement, joined to its rows, rather than one by one.

    Few statements are quicker; many joins ask for a planner that never reads a column again for each row.
    """

    def statement(self, query: exp.Expr, parameters: Mapping[str, Value]) -> tuple[str, Arguments]:
        """Return *query* as text and those of *parameters* it uses, as the engine's driver takes them.

        *query* is used up.
        """
        text = self._text(query)
        return text, {name: parameters[name] for name in dict.fromkeys(PARAMETER.findall(text))}

    def _text(self, query: exp.Expr) -> str:
        """Return *query*, which is not used again, as text."""
        return Sqlglot.get_or_raise(self.name).generate(query, copy=False)

    def contains(self, place: exp.Expr, word: str, bind: Bind) -> exp.Expr:
        """Whether the text holds *word*, ignoring case."""
        return call("contains", exp.Lower(this=place), exp.Lower(this=bind(word)))

    def starts_with(self, place: exp.Expr, prefix: str, bind: Bind) -> exp.Expr:
        """Whether the text begins with *prefix*, upper and lower case told apart."""
        return exp.StartsWith(this=place, expression=bind(prefix))

    def from_up_to(self, place: exp.Expr, low: str, end: str | None, bind: Bind) -> exp.Expr:
        """Whether the text is not less than *low* and less than *end*, if there is one, by code point."""
        text = self.by_code_point(place)
        found = exp.GTE(this=text, expression=bind(low))
        return found if end is None else exp.and_(found, exp.LT(this=text.copy(), expression=bind(end)))

    def has_word(self, text: exp.Expr, word: str, bind: Bind) -> exp.Expr:
        """Whether a long text holds *word*; as ``contains``, in the quickest way for texts."""
        return self.contains(text, word, bind)

    def nth_least(self, place: exp.Expr, number: int) -> exp.Expr | None:
        """Return the aggregate of the *number*-th value of *place*, ascending, NULL where there are fewer.

        None where rows that are numbered by a window are as quick.
        """
        del place, number
        return None

    def last(self, condition: exp.Expr, key: exp.Expr) -> exp.Expr:
        """Return *condition*, which takes long, so that it is asked of rows for which all else holds.

        *key* is a column of the row that is never NULL.
        """
        del key
        return condition

    @abstractmethod
    def matches(self, place: exp.Expr, pattern: str, bind: Bind, *, ignore_case: bool) -> exp.Expr:
        """Whether *pattern*, of the safe subset, is found anywhere in the text."""

    @abstractmethod
    def occurrences(self, place: exp.Expr, pattern: str, bind: Bind, *, ignore_case: bool) -> exp.Expr:
        """How often *pattern* is found, from left to right, without overlaps; 0 in NULL."""

    @abstractmethod
    def captured(
        self, place: exp.Expr, pattern: str, test: Test, bind: Bind, *, ignore_case: bool
    ) -> exp.Expr:
        """How many occurrences' first group, a number with point or comma, fulfils *test*; 0 in NULL."""

    def has_captured(
        self, place: exp.Expr, pattern: str, test: Test, bind: Bind, *, ignore_case: bool
    ) -> exp.Expr:
        """Whether ``captured`` counts any."""
        number = self.captured(place, pattern, test, bind, ignore_case=ignore_case)
        return exp.GT(this=number, expression=exp.Literal.number(0))

    @abstractmethod
    def has_value(self, place: exp.Expr, value: str, bind: Bind) -> exp.Expr:
        """Whether *value* is one of those that a backslash joins in the text (PS3.5 6.4)."""

    @abstractmethod
    def days(self, later: exp.Expr, earlier: exp.Expr) -> exp.Expr:
        """Days from *earlier* to *later*, both dates, as a whole number."""

    def word_occurrences(self, place: exp.Expr, word: str, bind: Bind) -> exp.Expr:
        """How often the text holds *word*, ignoring case, without overlaps; 0 in NULL."""
        text = exp.Lower(this=place)
        without = call("replace", text.copy(), exp.Lower(this=bind(word)), exp.Literal.string(""))
        missing = exp.Sub(this=exp.Length(this=text), expression=exp.Length(this=without))
        length = exp.Literal.number(len(word.lower()))
        shares = exp.Div(this=exp.Paren(this=missing), expression=length)
        return or_zero(exp.Cast(this=shares, to=sql_type("bigint")))

    @abstractmethod
    def plus_days(self, day: exp.Expr, days: int) -> exp.Expr:
        """Return the date *days* behind the date *day*."""

    @abstractmethod
    def plus_months(self, day: exp.Expr, months: int) -> exp.Expr:
        """Return the date *months* of the calendar behind *day*, or the last of that month before it."""

    @abstractmethod
    def one_of(self, place: exp.Expr, listed: str, bind: Bind) -> exp.Expr:
        """Whether the text *place* is one of those that line feeds join in *listed*."""

    def year(self, day: exp.Expr) -> exp.Expr:
        """Return the calendar year of a date, a whole number."""
        return exp.Cast(this=exp.Extract(this=exp.Var(this="YEAR"), expression=day), to=sql_type("bigint"))

    def month(self, day: exp.Expr) -> exp.Expr:
        """Return the calendar month of a date: 12 times the year and the month from 0 to 11."""
        part = exp.Extract(this=exp.Var(this="MONTH"), expression=day.copy())
        years = exp.Mul(this=self.year(day), expression=exp.Literal.number(12))
        month = exp.Sub(this=exp.Cast(this=part, to=sql_type("bigint")), expression=exp.Literal.number(1))
        return exp.Add(this=years, expression=exp.Paren(this=month))

    def by_code_point(self, text: exp.Expr) -> exp.Expr:
        """Return *text* so that comparisons and order go by code point, not by a language's rules."""
        return text
