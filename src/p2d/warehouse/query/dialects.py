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

from p2d.warehouse.query.nodes import Value
from p2d.warehouse.query.regex_spelling import spell_java, spell_postgres

Bind = Callable[[Value], exp.Expr]
Test = Callable[[exp.Expr], exp.Expr]
_PARAMETER: Final = re.compile(r"\$\{?(p[0-9]+)\}?")
"""A parameter as SQLGlot writes it; no text of ours looks like one, and others' is never in the statement."""

Arguments = Mapping[str, Value] | Sequence[Value]


class Dialect(ABC):
    """How one engine writes what SQL leaves open; ``name`` is SQLGlot's for it."""

    name: ClassVar[str]
    has_terms: ClassVar[bool] = False
    """Whether the engine keeps the table ``term``, an index of the words of documents."""

    few_keys: ClassVar[int] = 500
    """Keys up to which they are written into statements; beyond they go through a table."""

    narrow_to: ClassVar[int] = 10_000
    """Patients up to whom a criterion is asked of these alone, not of everybody: they go through a table."""

    sends_keys_once: ClassVar[bool] = True
    """Whether repeated keys cost more on the way from the engine than there."""

    def statement(self, query: exp.Expr, parameters: Mapping[str, Value]) -> tuple[str, Arguments]:
        """Return *query* as text and those of *parameters* it uses, as the engine's driver takes them.

        *query* is used up.
        """
        text = self._text(query)
        return text, {name: parameters[name] for name in dict.fromkeys(_PARAMETER.findall(text))}

    def _text(self, query: exp.Expr) -> str:
        """Return *query*, which is not used again, as text."""
        return Sqlglot.get_or_raise(self.name).generate(query, copy=False)

    def contains(self, place: exp.Expr, word: str, bind: Bind) -> exp.Expr:
        """Whether the text holds *word*, ignoring case."""
        return _call("contains", exp.Lower(this=place), exp.Lower(this=bind(word)))

    def starts_with(self, place: exp.Expr, prefix: str, bind: Bind) -> exp.Expr:
        """Whether the text begins with *prefix*, upper and lower case told apart."""
        return exp.StartsWith(this=place, expression=bind(prefix))

    def has_word(self, text: exp.Expr, word: str, bind: Bind) -> exp.Expr:
        """Whether a long text holds *word*; as ``contains``, in the quickest way for texts."""
        return self.contains(text, word, bind)

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

    @abstractmethod
    def has_value(self, place: exp.Expr, value: str, bind: Bind) -> exp.Expr:
        """Whether *value* is one of those that a backslash joins in the text (PS3.5 6.4)."""

    @abstractmethod
    def days(self, later: exp.Expr, earlier: exp.Expr) -> exp.Expr:
        """Days from *earlier* to *later*, both dates, as a whole number."""

    def word_occurrences(self, place: exp.Expr, word: str, bind: Bind) -> exp.Expr:
        """How often the text holds *word*, ignoring case, without overlaps; 0 in NULL."""
        text = exp.Lower(this=place)
        without = _call("replace", text.copy(), exp.Lower(this=bind(word)), exp.Literal.string(""))
        missing = exp.Sub(this=exp.Length(this=text), expression=exp.Length(this=without))
        length = exp.Literal.number(len(word.lower()))
        shares = exp.Div(this=exp.Paren(this=missing), expression=length)
        return _or_zero(exp.Cast(this=shares, to=_type("bigint")))

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
        return exp.Cast(this=exp.Extract(this=exp.Var(this="YEAR"), expression=day), to=_type("bigint"))

    def month(self, day: exp.Expr) -> exp.Expr:
        """Return the calendar month of a date: 12 times the year and the month from 0 to 11."""
        part = exp.Extract(this=exp.Var(this="MONTH"), expression=day.copy())
        years = exp.Mul(this=self.year(day), expression=exp.Literal.number(12))
        month = exp.Sub(this=exp.Cast(this=part, to=_type("bigint")), expression=exp.Literal.number(1))
        return exp.Add(this=years, expression=exp.Paren(this=month))

    def by_code_point(self, text: exp.Expr) -> exp.Expr:
        """Return *text* so that comparisons and order go by code point, not by a language's rules."""
        return text


class DuckDbDialect(Dialect):
    """DuckDB 2: RE2, which needs no translation; parameters by name."""

    name = "duckdb"
    has_terms = True
    narrow_to = 10_000_000
    few_keys = 50  # a table costs little here, and a long list is slow to plan
    sends_keys_once = False

    def has_word(self, text: exp.Expr, word: str, bind: Bind) -> exp.Expr:
        """See ``Dialect``; a pattern needs no copy of the text in lower case."""
        if not word.isascii():
            return self.contains(text, word, bind)
        pattern = "".join(_LOWERED.get(letter) or _either_case(letter) for letter in word.lower())
        return _call("regexp_matches", text, bind(pattern))

    def last(self, condition: exp.Expr, key: exp.Expr) -> exp.Expr:
        """See ``Dialect``; a condition is put before a join, a case of one behind it."""
        branch = exp.If(this=exp.Is(this=key, expression=exp.Null()), true=exp.false())
        return exp.Case(ifs=[branch], default=condition)

    def matches(self, place: exp.Expr, pattern: str, bind: Bind, *, ignore_case: bool) -> exp.Expr:
        """See ``Dialect``."""
        return _call("regexp_matches", place, bind(_insensitive(pattern, ignore_case)))

    def occurrences(self, place: exp.Expr, pattern: str, bind: Bind, *, ignore_case: bool) -> exp.Expr:
        """See ``Dialect``."""
        found = _call("regexp_extract_all", place, bind(_insensitive(pattern, ignore_case)))
        return _or_zero(_call("len", found))

    def captured(
        self, place: exp.Expr, pattern: str, test: Test, bind: Bind, *, ignore_case: bool
    ) -> exp.Expr:
        """See ``Dialect``."""
        group = exp.Literal.number(1)
        found = _call("regexp_extract_all", place, bind(_insensitive(pattern, ignore_case)), group)
        fulfilled = exp.Lambda(this=test(_as_number(exp.column("n"))), expressions=[exp.to_identifier("n")])
        return _or_zero(_call("len", _call("list_filter", found, fulfilled)))

    def has_value(self, place: exp.Expr, value: str, bind: Bind) -> exp.Expr:
        """See ``Dialect``."""
        return _call("list_contains", _call("string_split", place, _backslash()), bind(value))

    def days(self, later: exp.Expr, earlier: exp.Expr) -> exp.Expr:
        """See ``Dialect``."""
        return exp.Paren(this=exp.Sub(this=later, expression=earlier))

    def plus_days(self, day: exp.Expr, days: int) -> exp.Expr:
        """See ``Dialect``."""
        return exp.Paren(this=exp.Add(this=day, expression=_whole(days)))

    def plus_months(self, day: exp.Expr, months: int) -> exp.Expr:
        """See ``Dialect``."""
        moment = exp.Add(this=day, expression=_call("to_months", _whole(months)))
        return exp.Cast(this=moment, to=_type("date"))

    def one_of(self, place: exp.Expr, listed: str, bind: Bind) -> exp.Expr:
        """See ``Dialect``."""
        split = _call("string_split", bind(listed), exp.Literal.string("\n"))
        return exp.In(this=place, query=exp.select(_call("unnest", split)).subquery())


_LOWERED: Final = {"i": "[iI\u0130]", "k": "[kK\u212a]"}
"""What DuckDB lowers to these letters beside their capitals."""


def _either_case(letter: str) -> str:
    return f"[{letter}{letter.upper()}]" if letter.isalpha() else re.escape(letter)


class PostgresDialect(Dialect):
    """PostgreSQL 15: advanced regular expressions, trigram indexes behind ILIKE and ``~``; ``$1``."""

    name = "postgres"

    def statement(self, query: exp.Expr, parameters: Mapping[str, Value]) -> tuple[str, Arguments]:
        """Return the text with ``$1``, ``$2`` … and their values in that order (psycopg's raw cursors)."""
        text = self._text(query)
        used = {name: str(i) for i, name in enumerate(dict.fromkeys(_PARAMETER.findall(text)), start=1)}
        numbered = _PARAMETER.sub(lambda found: f"${used[found[1]]}", text)
        return numbered, [parameters[name] for name in used]

    def contains(self, place: exp.Expr, word: str, bind: Bind) -> exp.Expr:
        """See ``Dialect``; ILIKE is what a trigram index answers."""
        return exp.ILike(this=place, expression=bind(f"%{_like(word)}%"))

    def starts_with(self, place: exp.Expr, prefix: str, bind: Bind) -> exp.Expr:
        """See ``Dialect``; LIKE is what an index with ``text_pattern_ops`` answers."""
        return exp.Like(this=place, expression=bind(f"{_like(prefix)}%"))

    def matches(self, place: exp.Expr, pattern: str, bind: Bind, *, ignore_case: bool) -> exp.Expr:
        """See ``Dialect``."""
        operator = exp.RegexpILike if ignore_case else exp.RegexpLike
        return operator(this=place, expression=bind(spell_postgres(pattern)))

    def occurrences(self, place: exp.Expr, pattern: str, bind: Bind, *, ignore_case: bool) -> exp.Expr:
        """See ``Dialect``."""
        start, flags = exp.Literal.number(1), exp.Literal.string("i" if ignore_case else "")
        return _or_zero(_call("regexp_count", place, bind(spell_postgres(pattern)), start, flags))

    def captured(
        self, place: exp.Expr, pattern: str, test: Test, bind: Bind, *, ignore_case: bool
    ) -> exp.Expr:
        """See ``Dialect``."""
        flags = exp.Literal.string("gi" if ignore_case else "g")
        found = _call("regexp_matches", place, bind(spell_postgres(pattern)), flags)
        groups = exp.TableAlias(this=exp.to_identifier("m"), columns=[exp.to_identifier("n")])
        # SQLGlot counts from 0 and writes what the engine counts from
        number = exp.Bracket(this=exp.column("n", table="m"), expressions=[exp.Literal.number(0)])
        return (
            exp.select(exp.Count(this=exp.Star()))
            .from_(exp.Table(this=found, alias=groups))
            .where(test(_as_number(number)))
            .subquery()
        )

    def has_value(self, place: exp.Expr, value: str, bind: Bind) -> exp.Expr:
        """See ``Dialect``."""
        values = _call("string_to_array", place, _backslash())
        return exp.EQ(this=bind(value), expression=exp.Any(this=exp.Paren(this=values)))

    def days(self, later: exp.Expr, earlier: exp.Expr) -> exp.Expr:
        """See ``Dialect``."""
        return exp.Paren(this=exp.Sub(this=later, expression=earlier))

    def plus_days(self, day: exp.Expr, days: int) -> exp.Expr:
        """See ``Dialect``."""
        return exp.Paren(this=exp.Add(this=day, expression=_whole(days)))

    def plus_months(self, day: exp.Expr, months: int) -> exp.Expr:
        """See ``Dialect``; the second place of ``make_interval`` is that of months."""
        moment = exp.Add(this=day, expression=_call("make_interval", _whole(0), _whole(months)))
        return exp.Cast(this=moment, to=_type("date"))

    def one_of(self, place: exp.Expr, listed: str, bind: Bind) -> exp.Expr:
        """See ``Dialect``."""
        split = _call("string_to_array", bind(listed), _call("chr", exp.Literal.number(10)))
        return exp.EQ(this=place, expression=exp.Any(this=exp.Paren(this=split)))

    def by_code_point(self, text: exp.Expr) -> exp.Expr:
        """See ``Dialect``."""
        return exp.Collate(this=text, expression=exp.to_identifier("C", quoted=True))


class SparkDialect(Dialect):
    """Spark 4: Java's regular expressions; parameters by name behind a colon."""

    name = "spark"

    def statement(self, query: exp.Expr, parameters: Mapping[str, Value]) -> tuple[str, Arguments]:
        """Return the text with ``:p1`` … and their values by name."""
        text = self._text(query)
        named = _PARAMETER.sub(lambda found: f":{found[1]}", text)
        return named, {name: parameters[name] for name in dict.fromkeys(_PARAMETER.findall(text))}

    def _text(self, query: exp.Expr) -> str:
        """Return *query* as text; what is in no set becomes an anti join.

        NOT IN of columns that may be NULL, as all of a Parquet file may, is compared pair by pair.
        """
        return super()._text(query.transform(_without, copy=False))

    def matches(self, place: exp.Expr, pattern: str, bind: Bind, *, ignore_case: bool) -> exp.Expr:
        """See ``Dialect``."""
        return _call("rlike", place, bind(_insensitive(spell_java(pattern), ignore_case, "(?iu)")))

    def occurrences(self, place: exp.Expr, pattern: str, bind: Bind, *, ignore_case: bool) -> exp.Expr:
        """See ``Dialect``."""
        spelt = bind(_insensitive(spell_java(pattern), ignore_case, "(?iu)"))
        return _or_zero(_call("regexp_count", place, spelt))

    def captured(
        self, place: exp.Expr, pattern: str, test: Test, bind: Bind, *, ignore_case: bool
    ) -> exp.Expr:
        """See ``Dialect``."""
        spelt = bind(_insensitive(spell_java(pattern), ignore_case, "(?iu)"))
        found = _call("regexp_extract_all", place, spelt, exp.Literal.number(1))
        fulfilled = exp.Lambda(this=test(_as_number(exp.column("n"))), expressions=[exp.to_identifier("n")])
        size = _call("size", _call("filter", found, fulfilled))
        return exp.Greatest(this=_or_zero(size), expressions=[exp.Literal.number(0)])

    def has_value(self, place: exp.Expr, value: str, bind: Bind) -> exp.Expr:
        """See ``Dialect``; the second backslash is Spark's own: it splits at a pattern."""
        return _call("array_contains", _call("split", place, exp.Literal.string("\\\\")), bind(value))

    def days(self, later: exp.Expr, earlier: exp.Expr) -> exp.Expr:
        """See ``Dialect``."""
        return _call("datediff", later, earlier)

    def plus_days(self, day: exp.Expr, days: int) -> exp.Expr:
        """See ``Dialect``."""
        return _call("date_add", day, _whole(days))

    def plus_months(self, day: exp.Expr, months: int) -> exp.Expr:
        """See ``Dialect``."""
        return _call("add_months", day, _whole(months))

    def one_of(self, place: exp.Expr, listed: str, bind: Bind) -> exp.Expr:
        """See ``Dialect``."""
        return _call("array_contains", _call("split", bind(listed), exp.Literal.string("\n")), place)


def _without(node: exp.Expr) -> exp.Expr:
    """Return NOT EXISTS for the NOT IN of keys, which are never NULL; anything else as it is."""
    if not isinstance(node, exp.Not) or not isinstance(node.this, exp.In):
        return node
    keys = node.this.args.get("query")
    if not isinstance(keys, exp.Subquery):
        return node
    name = keys.this.selects[0].alias_or_name
    is_same = exp.EQ(this=exp.column(name, table="one_of_them"), expression=node.this.this)
    found = exp.select(exp.Literal.number(1), copy=False)
    found.from_(keys.this.subquery("one_of_them", copy=False), copy=False).where(is_same, copy=False)
    return exp.Not(this=exp.Exists(this=found))


def _whole(number: int) -> exp.Expr:
    found = exp.Literal.number(abs(number))
    return exp.Paren(this=exp.Neg(this=found)) if number < 0 else found


def _call(function: str, *arguments: exp.Expr) -> exp.Expr:
    return exp.Anonymous(this=function, expressions=list(arguments))


def _insensitive(pattern: str, ignore_case: bool, flag: str = "(?i)") -> str:  # noqa: FBT001 - of the callers
    return f"{flag}{pattern}" if ignore_case else pattern


def _as_number(text: exp.Expr) -> exp.Expr:
    point = _call("replace", text, exp.Literal.string(","), exp.Literal.string("."))
    return exp.Cast(this=point, to=_type("double"))


def _or_zero(number: exp.Expr) -> exp.Expr:
    return exp.Coalesce(this=number, expressions=[exp.Literal.number(0)])


def _backslash() -> exp.Expr:
    return exp.Literal.string("\\")


def _like(text: str) -> str:
    return "".join(f"\\{sign}" if sign in "\\%_" else sign for sign in text)


def _type(name: str) -> exp.DataType:
    return exp.DataType.build(name)
