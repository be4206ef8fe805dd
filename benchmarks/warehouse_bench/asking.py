"""Ask every question by every way, round by round, the order of the ways rotating."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from warehouse_bench.answers import Answers, Row
from warehouse_bench.baselines import Way
from warehouse_bench.engine_under_test import Compiled
from warehouse_bench.questions import CHANGED, PAPER, Question
from warehouse_bench.wide import patients_of

Ask = Callable[[], Sequence[Row | str]]


@dataclass(frozen=True, slots=True)
class ByHand:
    """A way that takes SQL, with its statement for every question."""

    way: Way
    statements: Mapping[str, str]

    def ask(self, question: Question) -> Sequence[Row]:
        """Return the answer: the pseudonyms of patients in order, or the cells of a facet."""
        statement = self.statements[question.name]
        return self.way.ask(statement if question.is_facet else patients_of(statement))


def ask_all(
    questions: Sequence[Question],
    by_hand: Mapping[str, ByHand],
    rounds: int,
    answers: Answers,
    *,
    compiled: Compiled | None = None,
) -> None:
    """Add to *answers* what each way says and takes; a first round warms the buffers and is not timed."""
    for number in range(rounds + 1):
        for question in questions:
            ways: dict[str, Ask] = {name: partial(hand.ask, question) for name, hand in by_hand.items()}
            if compiled is not None:
                ways["compiled"] = partial(compiled.rows, question)
            place = number % len(ways)
            listed = list(ways.items())
            for name, ask in (*listed[place:], *listed[:place]):
                answers.take(question.name, name, ask, is_timed=number > 0)
            if compiled is not None and not question.is_facet:
                compiled.forget()
                answers.time(
                    question.name, "preview", partial(compiled.preview, question), is_timed=number > 0
                )
        if compiled is not None:
            compiled.forget()
            compiled.preview(PAPER)
            answers.time(CHANGED.name, "cached", partial(compiled.preview, CHANGED), is_timed=number > 0)
