"""Criteria on texts as conditions on one text column.

The empty text is no text. Before a document's text is read, the index of words is asked where the engine has
one: a text that matches holds certain letters in certain words.
"""

import re
from collections.abc import Callable
from typing import Final, Protocol

from sqlglot import exp

from p2d.warehouse.query.dialects import Bind, Dialect, Test
from p2d.warehouse.query.nodes import Comparison, Criterion, Operator
from p2d.warehouse.query.phrases import next_number_pattern, phrase_pattern
from p2d.warehouse.query.regex_words import pieces_of, required_pieces
from p2d.warehouse.query.relations import is_in, is_missing

TEXTUAL: Final = frozenset({Operator.CONTAINS, Operator.PHRASE, Operator.REGEX, Operator.NEXT_NUMBER})
Terms = Callable[[frozenset[str]], tuple[str, ...] | None]
"""Gives the indexed words that hold one of the pieces; None where the index is of no use for them."""


class Captured(Protocol):
    """What a dialect makes of the numbers that a pattern captures in a text, with a test of them."""

    def __call__(
        self, place: exp.Expr, pattern: str, test: Test, bind: Bind, *, ignore_case: bool
    ) -> exp.Expr:
        """Return the expression."""
        ...


_COMPARISONS: Final[dict[Operator, type[exp.Binary]]] = {
    Operator.EQUALS: exp.EQ,
    Operator.LESS: exp.LT,
    Operator.AT_MOST: exp.LTE,
    Operator.GREATER: exp.GT,
    Operator.AT_LEAST: exp.GTE,
}


def text_condition(
    criterion: Criterion, text: exp.Expr, negated: exp.Expr | None, dialect: Dialect, bind: Bind
) -> exp.Expr:
    """Return the text operator of *criterion* as a condition on *text*; NULL or false for no text.

    *negated* holds the negated passages of the text and is needed where it asks for affirmed occurrences.
    """
    if criterion.affirmed:
        assert negated is not None  # noqa: S101 - parse lets only documents be asked so
        if criterion.operator is Operator.CONTAINS:
            return _affirmed_words(criterion, text, negated, dialect, bind)
        pairs = zip(
            _occurrences(criterion, text, dialect, bind),
            _occurrences(criterion, negated, dialect, bind),
            strict=True,
        )
        more = (exp.GT(this=own, expression=less) for own, less in pairs)
        is_affirmed = exp.or_(is_missing(negated.copy()), exp.and_(*more, copy=False), copy=False)
        return exp.and_(_found(criterion, text, dialect, bind), is_affirmed, copy=False)
    return _found(criterion, text, dialect, bind)


def _affirmed_words(
    criterion: Criterion, text: exp.Expr, negated: exp.Expr, dialect: Dialect, bind: Bind
) -> exp.Expr:
    """Return the condition that *text* holds every word, and more often than *negated* where that does."""
    conditions: list[exp.Expr] = []
    for word in str(criterion.values[0]).split():
        more = exp.GT(
            this=dialect.word_occurrences(text.copy(), word, bind),
            expression=dialect.word_occurrences(negated.copy(), word, bind),
        )
        is_free = exp.Not(this=exp.Paren(this=dialect.has_word(negated.copy(), word, bind)))
        conditions += [
            dialect.has_word(text.copy(), word, bind),
            exp.or_(is_missing(negated.copy()), is_free, more, copy=False),
        ]
    return exp.and_(*conditions, copy=False)


def demanded_pieces(criterion: Criterion) -> tuple[frozenset[str], ...]:
    """Return the pieces of words that no text can do without which *criterion*, a textual one, holds for."""
    sought = str(criterion.values[0])
    return required_pieces(sought) if criterion.operator is Operator.REGEX else pieces_of(sought)


def indexed(criterion: Criterion, document: exp.Expr, terms: Terms, bind: Bind) -> exp.Expr | None:
    """Return the condition on the key *document* that the index of words knows of *criterion*, or None."""
    conditions: list[exp.Expr] = []
    for pieces in demanded_pieces(criterion):
        words = terms(pieces)
        if words is not None:
            names = [bind(word) for word in words] or [exp.Null()]
            found = exp.select(exp.column("document_key")).from_("term")
            found.where(exp.In(this=exp.column("term", table="term"), expressions=names), copy=False)
            conditions.append(is_in(document.copy(), found))
    return exp.and_(*conditions, copy=False) if conditions else None


def compared(comparison: Comparison, bind: Bind) -> Test:
    """Return *comparison* as a test of a number."""

    def test(number: exp.Expr) -> exp.Expr:
        if comparison.operator is Operator.BETWEEN:
            low, high = comparison.values
            return exp.Between(this=number, low=bind(low), high=bind(high))
        return _COMPARISONS[comparison.operator](this=number, expression=bind(comparison.values[0]))

    return test


def _found(criterion: Criterion, text: exp.Expr, dialect: Dialect, bind: Bind) -> exp.Expr:
    """Return the condition without regard to negation."""
    if criterion.captured is not None:
        return _captured(criterion, text, dialect.has_captured, bind)
    sought = str(criterion.values[0])
    if criterion.operator is Operator.CONTAINS:
        holds = dialect.has_word if criterion.subject == "document" else dialect.contains
        words = (holds(text.copy(), word, bind) for word in sought.split())
        return exp.and_(*words, copy=False)
    if criterion.operator is Operator.PHRASE:
        return dialect.matches(text.copy(), phrase_pattern(sought), bind, ignore_case=True)
    found = dialect.matches(text.copy(), sought, bind, ignore_case=criterion.ignore_case)
    if re.search(sought, "") is None:
        return found
    return exp.and_(exp.NEQ(this=text.copy(), expression=exp.Literal.string("")), found, copy=False)


def _captured(criterion: Criterion, text: exp.Expr, capture: Captured, bind: Bind) -> exp.Expr:
    assert criterion.captured is not None  # noqa: S101 - as the caller saw
    sought = str(criterion.values[0])
    is_pattern = criterion.operator is Operator.REGEX
    pattern = sought if is_pattern else next_number_pattern(sought)
    ignore_case = criterion.ignore_case or not is_pattern
    return capture(text.copy(), pattern, compared(criterion.captured, bind), bind, ignore_case=ignore_case)


def _occurrences(criterion: Criterion, text: exp.Expr, dialect: Dialect, bind: Bind) -> list[exp.Expr]:
    if criterion.captured is not None:
        return [_captured(criterion, text, dialect.captured, bind)]
    sought = str(criterion.values[0])
    if criterion.operator is Operator.CONTAINS:
        return [dialect.word_occurrences(text.copy(), word, bind) for word in sought.split()]
    is_pattern = criterion.operator is Operator.REGEX
    pattern = sought if is_pattern else phrase_pattern(sought)
    ignore_case = criterion.ignore_case or not is_pattern
    return [dialect.occurrences(text.copy(), pattern, bind, ignore_case=ignore_case)]
