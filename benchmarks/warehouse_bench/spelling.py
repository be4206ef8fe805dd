"""How three engines spell what hand-written SQL needs beside the common part of SQL."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Spelling:
    r"""The few functions that differ, as templates; ``word_edge`` is what ``\b`` is written as."""

    name: str
    matching: str
    holding: str
    capturing: str
    yearly: str
    word_edge: str = r"\b"
    indexing: str = ""

    def matches(self, place: str, pattern: str) -> str:
        """Return a condition: *pattern* is found in *place*."""
        return self.matching.format(place=place, pattern=pattern.replace(r"\b", self.word_edge))

    def holds(self, place: str, word: str) -> str:
        """Return a condition: *word*, in lower case, is part of *place*, whose case does not matter."""
        return self.holding.format(place=place, word=word)

    def behind_word(self, start: str, condition: str) -> str:
        """Return *condition* asked only of documents whose index of words has one that begins with *start*.

        ``CASE`` keeps the order: of an ``AND`` DuckDB tries the texts of all documents first.
        """
        if not self.indexing:
            return condition
        end = start[:-1] + chr(ord(start[-1]) + 1)
        return f"CASE WHEN {self.indexing.format(start=start, end=end)} THEN {condition} ELSE false END"

    def captures(self, place: str, pattern: str, bound: float) -> str:
        """Return a condition: some number that *pattern* captures in *place* is greater than *bound*."""
        spelled = pattern.replace(r"\b", self.word_edge)
        some = self.capturing.format(place=place, pattern=spelled, bound=bound)
        return f"{self.matches(place, pattern)} AND {some}"

    def days(self, later: str, earlier: str) -> str:
        """Return the number of days between two dates: all three subtract, SQLite's being numbers."""
        return f"({later} - {earlier})"

    def year(self, place: str) -> str:
        """Return the calendar year of a date."""
        return self.yearly.format(place=place)


def affirmed(spelling: Spelling, text: str, negated: str, word: str) -> str:
    """Return a condition: *word* occurs in *text* more often than in its negated passages."""
    longer = f"length({text}) - length(replace(lower({text}), '{word}', ''))"
    shorter = f"length({negated}) - length(replace(lower({negated}), '{word}', ''))"
    return f"{spelling.holds(text, word)} AND {longer} > coalesce({shorter}, 0)"


DUCKDB: Final = Spelling(
    "duckdb",
    matching="regexp_matches({place}, '{pattern}')",
    holding="contains(lower({place}), '{word}')",
    capturing=(
        "list_max(list_transform(regexp_extract_all({place}, '{pattern}', 1), "
        "lambda x: replace(x, ',', '.')::DOUBLE)) > {bound}"
    ),
    yearly="year({place})",
    indexing="document_key IN (SELECT document_key FROM term WHERE term >= '{start}' AND term < '{end}')",
)
POSTGRESQL: Final = Spelling(
    "postgresql",
    matching="{place} ~ '{pattern}'",
    holding="{place} ILIKE '%{word}%'",
    capturing=(
        "EXISTS (SELECT 1 FROM regexp_matches({place}, '{pattern}', 'g') AS x(numbers) "
        "WHERE CAST(replace(x.numbers[1], ',', '.') AS double precision) > {bound})"
    ),
    yearly="CAST(extract(year FROM {place}) AS integer)",
    word_edge=r"\y",
)
SQLITE: Final = Spelling(
    "sqlite",
    matching="{place} REGEXP '{pattern}'",
    holding="{place} LIKE '%{word}%'",
    capturing="captured({place}, '{pattern}') > {bound}",
    yearly="CAST(strftime('%Y', {place} * 86400, 'unixepoch') AS INTEGER)",
)
"""Functions ``regexp`` and ``captured`` are Python's; dates are days since 1970."""
