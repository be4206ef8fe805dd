"""Small parts of SQL that the dialects of several engines are made of."""

from sqlglot import exp


def whole(number: int) -> exp.Expr:
    """Return the whole *number*, a negative one in parentheses."""
    found = exp.Literal.number(abs(number))
    return exp.Paren(this=exp.Neg(this=found)) if number < 0 else found


def call(function: str, *arguments: exp.Expr) -> exp.Expr:
    """Return the call of a *function* as the engine knows it."""
    return exp.Anonymous(this=function, expressions=list(arguments))


def insensitive(pattern: str, ignore_case: bool, flag: str = "(?i)") -> str:  # noqa: FBT001 - of the callers
    """Return *pattern*, behind *flag* where upper and lower case are one."""
    return f"{flag}{pattern}" if ignore_case else pattern


def as_number(text: exp.Expr) -> exp.Expr:
    """Return what a captured *text* says as a number, with a comma or a point."""
    point = call("replace", text, exp.Literal.string(","), exp.Literal.string("."))
    return exp.Cast(this=point, to=sql_type("double"))


def or_zero(number: exp.Expr) -> exp.Expr:
    """Return *number*, or 0 where it is NULL."""
    return exp.Coalesce(this=number, expressions=[exp.Literal.number(0)])


def backslash() -> exp.Expr:
    """Return the text of one backslash."""
    return exp.Literal.string("\\")


def sql_type(name: str) -> exp.DataType:
    """Return the type called *name*."""
    return exp.DataType.build(name)
