"""How PostgreSQL writes what SQL leaves open."""

from collections.abc import Mapping

from sqlglot import exp

from p2d.warehouse.query.dialects import PARAMETER, Arguments, Bind, Dialect, Test
from p2d.warehouse.query.expressions import as_number, backslash, call, or_zero, sql_type, whole
from p2d.warehouse.query.nodes import Value
from p2d.warehouse.query.regex_spelling import spell_postgres


class PostgresDialect(Dialect):
    """PostgreSQL 15: advanced regular expressions, trigram indexes behind ILIKE and ``~``; ``$1``."""

    name = "postgres"
    has_text_index = True  # of trigrams
    narrow_to = 25_000  # the planner chooses between their keys and a whole scan by itself

    def statement(self, query: exp.Expr, parameters: Mapping[str, Value]) -> tuple[str, Arguments]:
        """Return the text with ``$1``, ``$2`` … and their values in that order (psycopg's raw cursors)."""
        text = self._text(query)
        used = {name: str(i) for i, name in enumerate(dict.fromkeys(PARAMETER.findall(text)), start=1)}
        numbered = PARAMETER.sub(lambda found: f"${used[found[1]]}", text)
        return numbered, [parameters[name] for name in used]

    def contains(self, place: exp.Expr, word: str, bind: Bind) -> exp.Expr:
        """See ``Dialect``; ILIKE is what a trigram index answers."""
        return exp.ILike(this=place, expression=bind(f"%{_like(word)}%"))

    def starts_with(self, place: exp.Expr, prefix: str, bind: Bind) -> exp.Expr:
        """See ``Dialect``; LIKE is what an index with ``text_pattern_ops`` answers."""
        return exp.Like(this=place, expression=bind(f"{_like(prefix)}%"))

    def from_up_to(self, place: exp.Expr, low: str, end: str | None, bind: Bind) -> exp.Expr:
        """See ``Dialect``; these operators are what an index with ``text_pattern_ops`` answers."""
        found = _pattern_operator(place, "~>=~", bind(low))
        return found if end is None else exp.and_(found, _pattern_operator(place.copy(), "~<~", bind(end)))

    def matches(self, place: exp.Expr, pattern: str, bind: Bind, *, ignore_case: bool) -> exp.Expr:
        """See ``Dialect``."""
        operator = exp.RegexpILike if ignore_case else exp.RegexpLike
        return operator(this=place, expression=bind(spell_postgres(pattern)))

    def occurrences(self, place: exp.Expr, pattern: str, bind: Bind, *, ignore_case: bool) -> exp.Expr:
        """See ``Dialect``."""
        start, flags = exp.Literal.number(1), exp.Literal.string("i" if ignore_case else "")
        return or_zero(call("regexp_count", place, bind(spell_postgres(pattern)), start, flags))

    def captured(
        self, place: exp.Expr, pattern: str, test: Test, bind: Bind, *, ignore_case: bool
    ) -> exp.Expr:
        """See ``Dialect``."""
        flags = exp.Literal.string("gi" if ignore_case else "g")
        found = call("regexp_matches", place, bind(spell_postgres(pattern)), flags)
        groups = exp.TableAlias(this=exp.to_identifier("m"), columns=[exp.to_identifier("n")])
        # SQLGlot counts from 0 and writes what the engine counts from
        number = exp.Bracket(this=exp.column("n", table="m"), expressions=[exp.Literal.number(0)])
        return (
            exp.select(exp.Count(this=exp.Star()))
            .from_(exp.Table(this=found, alias=groups))
            .where(test(as_number(number)))
            .subquery()
        )

    def has_captured(
        self, place: exp.Expr, pattern: str, test: Test, bind: Bind, *, ignore_case: bool
    ) -> exp.Expr:
        """See ``Dialect``; a trigram index finds the texts that match at all."""
        is_found = self.matches(place.copy(), pattern, bind, ignore_case=ignore_case)
        fulfils = super().has_captured(place, pattern, test, bind, ignore_case=ignore_case)
        return exp.and_(is_found, fulfils, copy=False)

    def has_value(self, place: exp.Expr, value: str, bind: Bind) -> exp.Expr:
        """See ``Dialect``."""
        values = call("string_to_array", place, backslash())
        return exp.EQ(this=bind(value), expression=exp.Any(this=exp.Paren(this=values)))

    def days(self, later: exp.Expr, earlier: exp.Expr) -> exp.Expr:
        """See ``Dialect``."""
        return exp.Paren(this=exp.Sub(this=later, expression=earlier))

    def plus_days(self, day: exp.Expr, days: int) -> exp.Expr:
        """See ``Dialect``."""
        return exp.Paren(this=exp.Add(this=day, expression=whole(days)))

    def plus_months(self, day: exp.Expr, months: int) -> exp.Expr:
        """See ``Dialect``; the second place of ``make_interval`` is that of months."""
        moment = exp.Add(this=day, expression=call("make_interval", whole(0), whole(months)))
        return exp.Cast(this=moment, to=sql_type("date"))

    def one_of(self, place: exp.Expr, listed: str, bind: Bind) -> exp.Expr:
        """See ``Dialect``."""
        split = call("string_to_array", bind(listed), call("chr", exp.Literal.number(10)))
        return exp.EQ(this=place, expression=exp.Any(this=exp.Paren(this=split)))

    def by_code_point(self, text: exp.Expr) -> exp.Expr:
        """See ``Dialect``."""
        return exp.Collate(this=text, expression=exp.to_identifier("C", quoted=True))


def _pattern_operator(place: exp.Expr, name: str, operand: exp.Expr) -> exp.Expr:
    """Return a comparison byte by byte, in PostgreSQL's own operator; of UTF-8 that is by code point."""
    return exp.Operator(this=place, operator=exp.Var(this=f"pg_catalog.{name}"), expression=operand)


def _like(text: str) -> str:
    return "".join(f"\\{sign}" if sign in "\\%_" else sign for sign in text)
