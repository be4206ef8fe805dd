"""A query in words: one line for each condition, indented below what joins them.

What imaging criteria hold in, and how far a ``none`` reaches, is said where it is so. Placed nodes, as
``frames.place`` returns them, say it of every imaging criterion; nodes as they were written do not.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal

from p2d.warehouse.query.criterion_form import TEXTUAL
from p2d.warehouse.query.nodes import (
    All,
    Any,
    AttributeRef,
    Cohort,
    Column,
    Comparison,
    Count,
    Criterion,
    Event,
    Frame,
    Node,
    NoneOf,
    Operator,
    Patients,
    Period,
    Query,
    Reduce,
    Relation,
    Same,
    Some,
    Value,
)
from p2d.warehouse.query.words.english import ENGLISH
from p2d.warehouse.query.words.german import GERMAN
from p2d.warehouse.query.words.phrases import Phrases

Language = Literal["de", "en"]
LANGUAGES: Final[Mapping[Language, Phrases]] = {"de": GERMAN, "en": ENGLISH}
_MOST_LISTED: Final = 20
_OPERATORS: Final = {Operator.AT_LEAST: "at_least_value", Operator.AT_MOST: "at_most_value"}
_REDUCED: Final = {Reduce.ALL: "every"}
_NO_LABELS: Final[Mapping[str, str]] = {}


def query_words(
    query: Query, language: Language, *, placed: Node | None = None, labels: Mapping[str, str] = _NO_LABELS
) -> str:
    """Return *query* in words; *placed* is its placed condition, *labels* what attributes are also called."""
    words = _Words(LANGUAGES[language], labels)
    head = words.say("patients")
    if query.level is not Frame.PATIENT:
        head = words.say("rows", each=words.phrases.frames[query.level].each)
    lines = [head, *words.required(query.where if placed is None else placed, Frame.PATIENT)]
    if query.columns:
        lines.append(words.say("shown", columns=", ".join(map(words.column, query.columns))))
    return "\n".join(lines)


def node_words(
    node: Node, language: Language, frame: Frame = Frame.PATIENT, *, labels: Mapping[str, str] = _NO_LABELS
) -> str:
    """Return *node*, asked of *frame*, in words."""
    return "\n".join(_Words(LANGUAGES[language], labels).lines(node, frame))


@dataclass(frozen=True, slots=True)
class _Words:
    phrases: Phrases
    labels: Mapping[str, str]

    def say(self, phrase: str, **places: object) -> str:
        return self.phrases.say(phrase, **places)

    def name(self, name: str) -> str:
        label = self.labels.get(name)
        is_plain = name.replace("_", "").isalnum()
        return (name if is_plain else self.phrases.quote(name)) + (f" ({label})" if label else "")

    def required(self, node: Node, frame: Frame | None) -> list[str]:
        """Return lines that all have to hold together."""
        if isinstance(node, All) and node.nodes:
            return [line for inner in node.nodes for line in self.required(inner, frame)]
        return self.lines(node, frame)

    def lines(self, node: Node, frame: Frame | None) -> list[str]:
        match node:
            case All((inner,)) | Any((inner,)):
                return self.lines(inner, frame)
            case Same(inner, where, count):
                below = self.required(where, inner)
                colon = f" {self.say('all')}" if isinstance(where, All) and len(where.nodes) > 1 else ":"
                return [f"- {self._same(inner, count, frame)}{colon}", *_indented(below)]
            case Event():
                return self._event(node, "")
            case All(nodes) | Any(nodes) | NoneOf(nodes) | Some(nodes) if nodes:
                below = [line for n in nodes for line in self.lines(n, frame)]
                return [f"- {self._head(node, frame)}", *_indented(below)]
            case _:
                return [f"- {self._leaf(node)}"]

    def _head(self, node: Node, frame: Frame | None) -> str:
        match node:
            case Some(nodes, least, most):
                return self.say("some", count=self._bounds(least, most), total=len(nodes))
            case NoneOf() if frame is Frame.PATIENT:
                return self.say("none_of_patient")
            case NoneOf():
                noun = self.phrases.frames[frame]
                return self.say("none_of_this", this=noun.this, many=noun.many)
            case _:
                return self.say("all" if isinstance(node, All) else "any")

    def _leaf(self, node: Node) -> str:
        match node:
            case Patients(pseudonyms):
                return self.say("list", count=len(pseudonyms))
            case Cohort(name):
                return self.say("cohort", name=self.phrases.quote(name))
            case Criterion():
                return self._criterion(node)
            case Any():
                return self.say("nothing")
            case _:
                return self.say("everything")

    def _same(self, frame: Frame, count: Count | None, outer: Frame | None) -> str:
        noun = self.phrases.frames[frame]
        behind = "" if outer is Frame.PATIENT else f" {self.phrases.frames[outer].behind}"
        if count is None:
            return noun.same + behind
        within = noun.within_many.format(count=self._bounds(count.least, count.most))
        return self._or_none(within + behind, count) + self._window(count)

    def _or_none(self, within: str, count: Count) -> str:
        return within if count.least else self.say("or_none", within=within)

    def _bounds(self, least: int, most: int | None) -> str:
        if most is None:
            return self.say("at_least", least=least)
        if least == most:
            return self.say("exactly", least=least)
        return self.say("from_to", least=least, most=most) if least else self.say("at_most", most=most)

    def _window(self, count: Count) -> str:
        within = "" if count.within_days is None else f" {self.say('within_days', days=count.within_days)}"
        return within + (f" {self.say(f'per_{count.per}')}" if count.per else "")

    def _event(self, event: Event, lead: str) -> list[str]:
        noun = self.phrases.frames[event.frame]
        which = {"any": noun.one, "first": noun.first, "last": noun.last}.get(
            str(event.pick), noun.nth.format(pick=event.pick)
        )
        head = lead.format(which=which) if lead else self.say("event", which=which)
        lines = [f"- {head}", *_indented(self.required(event.where, event.frame))]
        clauses = self._clauses(event)
        return [*lines, f"  {self.say('picked')}", *_indented(clauses)] if clauses else lines

    def _clauses(self, event: Event) -> list[str]:
        found = []
        if event.period is not None:
            found.append(f"- {self.say('event_dated', period=self._period(event.period))}")
        if event.age is not None:
            found.append(f"- {self.say('event_aged', comparison=self._compared(event.age))}")
        if event.relation is not None:
            relation = event.relation
            lead = self.say(str(relation.order), distance=self._distance(relation), which="{which}")
            found += self._event(relation.other, lead)
        return found

    def _distance(self, relation: Relation) -> str:
        least, most = relation.least, relation.most
        if most is None:
            phrase = "distance_least" if least else "distance_any"
        else:
            phrase = "distance_between" if least else "distance_most"
        return self.say(phrase, least=least, most=most, span=self.say(f"span_{relation.span}"))

    def _period(self, period: Period) -> str:
        days = {
            name: self.phrases.day(day)
            for name, day in (("start", period.start), ("end", period.end))
            if day is not None
        }
        return self.say({2: "period"}.get(len(days), "since" if "start" in days else "until"), **days)

    def _criterion(self, criterion: Criterion) -> str:
        name, subject = self.name(criterion.name), criterion.subject
        if criterion.operator is Operator.EXISTS:
            sentence = self.say(f"{'missing' if criterion.is_absence else 'exists'}_{subject}", name=name)
        else:
            reduced = (
                ""
                if criterion.reduce is Reduce.ANY
                else f"{_REDUCED.get(criterion.reduce, criterion.reduce)}_"
            )
            sentence = f"{self.say(reduced + subject, name=name)} {self._condition(criterion)}"
        notes = self._notes(criterion)
        if notes:
            sentence += f" ({', '.join(notes)})"
        if criterion.times is None:
            return sentence
        count = criterion.times
        times = self.say("times", count=self._bounds(count.least, count.most))
        return f"{sentence}: {times}{self._window(count)}"

    def _notes(self, criterion: Criterion) -> list[str]:
        found = []
        if criterion.ignore_case:
            found.append(self.say("ignore_case"))
        if criterion.affirmed:
            found.append(self.say("affirmed"))
        if criterion.unit is not None:
            found.append(self.say("unit", unit=self.phrases.quote(criterion.unit)))
        if criterion.period is not None:
            found.append(self.say("dated", period=self._period(criterion.period)))
        return found

    def _condition(self, criterion: Criterion) -> str:
        operator, values = criterion.operator, criterion.values
        phrase = _OPERATORS.get(operator, str(operator))
        if operator is Operator.BETWEEN:
            between = self.say(phrase, value=self._value(values[0]), upper=self._value(values[1]))
            return self.say("is", comparison=between)
        condition = self.say(phrase, value=self._values(values))
        if operator not in TEXTUAL:
            return self.say("is", comparison=condition)
        if criterion.captured is None:
            return condition
        way = "captured_regex" if operator is Operator.REGEX else "captured"
        return self.say(way, condition=condition, comparison=self._compared(criterion.captured))

    def _compared(self, comparison: Comparison) -> str:
        phrase = _OPERATORS.get(comparison.operator, str(comparison.operator))
        values = [self.phrases.number(value) for value in comparison.values]
        return self.say(phrase, value=values[0], upper=values[-1])

    def _values(self, values: Sequence[Value]) -> str:
        listed = [self._value(value) for value in values[:_MOST_LISTED]]
        more = len(values) - len(listed)
        return ", ".join([*listed, self.say("more", count=more)] if more else listed)

    def _value(self, value: Value) -> str:
        if isinstance(value, AttributeRef):
            return self._reference(value)
        if isinstance(value, str):
            return self.phrases.quote(value)
        return self.phrases.day(value) if isinstance(value, date) else self.phrases.number(value)

    def column(self, column: Column) -> str:
        """Return *column* as a noun."""
        phrase = f"column_{column.reduce}" if column.top is None else f"column_{column.reduce}_top"
        return self.say(phrase, name=self.name(column.attribute), top=column.top)

    def _reference(self, value: AttributeRef) -> str:
        lead = "reference" if value.reduce is Reduce.ANY else f"{value.reduce}_reference"
        found = self.say(lead, name=self.name(value.name))
        if value.factor != 1:
            found = self.say("times_reference", factor=self.phrases.number(value.factor), value=found)
        if value.plus:
            found = self.say("plus_reference", plus=self.phrases.number(value.plus), value=found)
        return found


def _indented(lines: Iterable[str]) -> list[str]:
    return [f"  {line}" for line in lines]
