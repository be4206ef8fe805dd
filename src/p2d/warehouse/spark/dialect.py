"""How Spark writes what SQL leaves open."""

from collections.abc import Mapping

from sqlglot import exp

from p2d.warehouse.query.dialects import PARAMETER, Arguments, Bind, Dialect, Test
from p2d.warehouse.query.expressions import as_number, call, insensitive, or_zero, whole
from p2d.warehouse.query.nodes import Value
from p2d.warehouse.query.regex_spelling import spell_java


class SparkDialect(Dialect):
    """Spark 4: Java's regular expressions; parameters by name behind a colon."""

    name = "spark"

    def statement(self, query: exp.Expr, parameters: Mapping[str, Value]) -> tuple[str, Arguments]:
        """Return the text with ``:p1`` … and their values by name."""
        text = self._text(query)
        named = PARAMETER.sub(lambda found: f":{found[1]}", text)
        return named, {name: parameters[name] for name in dict.fromkeys(PARAMETER.findall(text))}

    def _text(self, query: exp.Expr) -> str:
        """Return *query* as text; what is in no set becomes an anti join.

        NOT IN of columns that may be NULL, as all of a Parquet file may, is compared pair by pair.
        """
        return super()._text(query.transform(_without, copy=False))

    def matches(self, place: exp.Expr, pattern: str, bind: Bind, *, ignore_case: bool) -> exp.Expr:
        """See ``Dialect``."""
        return call("rlike", place, bind(insensitive(spell_java(pattern), ignore_case, "(?iu)")))

    def occurrences(self, place: exp.Expr, pattern: str, bind: Bind, *, ignore_case: bool) -> exp.Expr:
        """See ``Dialect``."""
        spelt = bind(insensitive(spell_java(pattern), ignore_case, "(?iu)"))
        return or_zero(call("regexp_count", place, spelt))

    def captured(
        self, place: exp.Expr, pattern: str, test: Test, bind: Bind, *, ignore_case: bool
    ) -> exp.Expr:
        """See ``Dialect``."""
        spelt = bind(insensitive(spell_java(pattern), ignore_case, "(?iu)"))
        found = call("regexp_extract_all", place, spelt, exp.Literal.number(1))
        fulfilled = exp.Lambda(this=test(as_number(exp.column("n"))), expressions=[exp.to_identifier("n")])
        size = call("size", call("filter", found, fulfilled))
        return exp.Greatest(this=or_zero(size), expressions=[exp.Literal.number(0)])

    def has_value(self, place: exp.Expr, value: str, bind: Bind) -> exp.Expr:
        """See ``Dialect``; the second backslash is Spark's own: it splits at a pattern."""
        return call("array_contains", call("split", place, exp.Literal.string("\\\\")), bind(value))

    def days(self, later: exp.Expr, earlier: exp.Expr) -> exp.Expr:
        """See ``Dialect``."""
        return call("datediff", later, earlier)

    def plus_days(self, day: exp.Expr, days: int) -> exp.Expr:
        """See ``Dialect``."""
        return call("date_add", day, whole(days))

    def plus_months(self, day: exp.Expr, months: int) -> exp.Expr:
        """See ``Dialect``."""
        return call("add_months", day, whole(months))

    def one_of(self, place: exp.Expr, listed: str, bind: Bind) -> exp.Expr:
        """See ``Dialect``."""
        return call("array_contains", call("split", bind(listed), exp.Literal.string("\n")), place)


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
