"""The figures as tables, and against their targets."""

import statistics
from collections.abc import Callable, Sequence
from typing import Final

from measuring.summary import Verdict, table
from warehouse_bench.answers import Answers
from warehouse_bench.baseline_section import Baseline
from warehouse_bench.dataset import TEXTS
from warehouse_bench.measured import TARGETS, Measured
from warehouse_bench.questions import CHANGED, PAPER, Question

_WAYS: Final = ("preview", "compiled", "hand", "eav")
_OTHERS: Final = ("hand", "eav", "sqlite hand", "sqlite eav", "postgresql hand", "postgresql eav")


def of_questions(questions: Sequence[Question], measured: Measured) -> str:
    """Return the table of what each question took."""
    answers = measured.answers
    lines = []
    for question in (*questions, CHANGED):
        name = question.name
        cells = [_thousandths(answers.median(name, "cached" if question is CHANGED else _WAYS[0]))]
        cells += [_thousandths(answers.median(name, way)) for way in _WAYS[1:]]
        cells += [
            _times(answers.ratio(name, "compiled", "hand")),
            _times(answers.ratio(name, "eav", "compiled")),
        ]
        lines.append((question.title, f"{answers.found[name]:,}" if name in answers.found else "", *cells))
    heading = (
        f"{measured.engine}, ms",
        "found",
        "preview",
        "compiled",
        "by hand",
        "EAV",
        "x by hand",
        "EAV x",
    )
    return table(heading, lines, left=1)


def of_others(questions: Sequence[Question], answers: Answers) -> str:
    """Return the table of SQL by hand on the three engines."""
    lines = [
        (question.title, *(_thousandths(answers.median(question.name, way)) for way in _OTHERS))
        for question in questions
    ]
    names = ("DuckDB", "its EAV", "SQLite", "its EAV", "PostgreSQL", "its EAV")
    return table(("By hand, ms", *names), lines, left=1)


def of_loading(measured: Measured) -> str:
    """Return the table of loading, and lines on loading again and on disk."""
    lines = []
    loaded, again, made = measured.loaded, measured.again, measured.eav
    if loaded is not None:
        cells = [
            (
                kind,
                f"{loaded.rows[kind]:,}",
                f"{loaded.facts[kind]:,}",
                f"{seconds:.1f}",
                f"{loaded.rows[kind] / seconds:,.0f}",
                f"{loaded.facts[kind] / seconds:,.0f}",
            )
            for kind, seconds in loaded.seconds.items()
        ]
        whole = f"{sum(loaded.seconds.values()):.1f}"
        cells.append(("all", "", f"{measured.facts:,}", whole, "", f"{loaded.facts_per_second():,.0f}"))
        lines.append(table(("Loading", "rows", "facts", "s", "rows/s", "facts/s"), cells, left=1))
    if again is not None:
        lines.append(f"changed batch {again.changed:,.0f} rows/s, known batch {again.known:,.0f} rows/s")
    if measured.index_seconds:
        lines.append(f"indexes and statistics after the load {measured.index_seconds:.0f} s")
    lines.append(f"warehouse {_size(measured.bytes, measured.facts)}")
    if made is not None:
        lines.append(f"EAV {_size(made.bytes, made.rows)}, made in {made.seconds:.0f} s")
    return "\n".join(lines)


def of_baseline(baseline: Baseline) -> str:
    """Return a line on how an engine was filled."""
    parts = [
        f"{kind} {filled.rows:,} rows in {filled.seconds:.0f} s, indexes {filled.index_seconds:.0f} s, "
        f"{_megabytes(filled.bytes)}"
        for kind, filled in (("tables", baseline.wide), ("EAV", baseline.eav))
    ]
    return f"{baseline.engine}: {'; '.join(parts)}"


def judge(measured: Measured, questions: Sequence[Question], verdict: Verdict, *, is_full: bool) -> None:
    """Add the figures to *verdict*; targets bind at full size only, elsewhere the ratios inform."""
    answers, targets = measured.answers, TARGETS[measured.engine]
    add: Callable[[str, float, float], None] = verdict.add if is_full else _inform(verdict)
    preview, changed = answers.median(PAPER.name, "preview"), answers.median(CHANGED.name, "cached")
    if preview is not None and changed is not None:
        add("paper_preview", targets.preview_seconds / preview, 1.0)
        add("paper_changed", targets.changed_seconds / changed, 1.0)
    taken = [
        answers.median(q.name, "compiled" if q.is_facet else "preview") for q in questions if q is not PAPER
    ]
    slowest = max((seconds for seconds in taken if seconds is not None), default=None)
    if slowest is not None:
        add("slowest_further_question", targets.further_seconds / slowest, 1.0)
    ratios = [answers.ratio(q.name, "hand", "compiled") for q in questions]
    known = [ratio for ratio in ratios if ratio is not None]
    if known:
        add("compiled_vs_by_hand_median", statistics.median(known), 1 / targets.times_by_hand)
        add("compiled_vs_by_hand_worst", min(known), 1 / targets.times_by_hand)
    if measured.loaded is not None:
        rate = measured.loaded.facts_per_second(TEXTS)  # texts are no facts: what they cost stands beside
        add("bulk_load", rate / targets.facts_per_second, 1.0)
        verdict.ratios["bulk_load_with_texts"] = measured.loaded.facts_per_second() / targets.facts_per_second
    if measured.again is not None:
        add("changed_batch", measured.again.changed / targets.changed_per_second, 1.0)
        add("known_batch", measured.again.known / targets.known_per_second, 1.0)


def judge_growth(small: Measured, large: Measured, questions: Sequence[Question], verdict: Verdict) -> None:
    """Add how much less than linearly the figures grow: 1 is linear, more is better."""
    times = large.facts / small.facts
    grown = {"disk": large.bytes / small.bytes}
    if small.loaded is not None and large.loaded is not None:
        grown["load"] = sum(large.loaded.seconds.values()) / sum(small.loaded.seconds.values())
    ratios = []
    for question in questions:
        before, after = (one.answers.median(question.name, "compiled") for one in (small, large))
        if before is not None and after is not None:
            ratios.append(after / before)
    if ratios:
        grown["questions_worst"] = max(ratios)
    for name, factor in grown.items():
        verdict.add(f"growth_{name}", times / factor, 1.0 if name == "disk" else 0.9)


def _inform(verdict: Verdict) -> Callable[[str, float, float], None]:
    def inform(name: str, ratio: float, _target: float) -> None:
        verdict.ratios[name] = ratio

    return inform


def _thousandths(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:.1f}"


def _times(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.2f}"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"


def _size(size: int, facts: int) -> str:
    return f"{_megabytes(size)}, {size / 1e6 / (facts / 1e6):.1f} MB a million facts"
