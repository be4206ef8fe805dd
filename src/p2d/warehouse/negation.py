"""Which passages of a clinical text in German or English are negated: cues and how far they reach.

A *cue* negates what stands behind it (kein, ohne, no, denies …) or before it (ausgeschlossen, nicht
nachweisbar, ruled out …); ``data/negation_cues.json`` lists them, and phrases that hold a cue and negate
nothing (nicht nur, kein Zweifel, no change, nicht auszuschließen). Case does not matter. What a cue reaches:

- never beyond its *sentence*. A sentence ends at ``.``, ``!`` or ``?`` before white space or the text's end
  (not behind a single letter, a single digit or a listed abbreviation: ``Z.n.``, ``3. Tag``, ``ca.``), at
  ``;``, at a blank line, before a line that starts with a bullet (``-``, ``*``, ``•``), and at the end of a
  line shorter than 40 characters, which was not wrapped but ended;
- never beyond a word that takes back (aber, jedoch, sondern, bis auf, wegen, but, except, due to …);
- never more than ``MOST_WORDS`` words, a word being a run of letters, digits and underscores;
- forwards, over commas (an enumeration); backwards, not beyond the last comma before white space.

A forward cue with no word left to reach works backwards (``Fieber: keines.``). Two cues with white space only
between them take each other back (``nicht ohne``), and neither counts.

A *passage* is the cue with all it reaches, verbatim, from the first to the last word; passages that overlap
are one. It holds no judgement of certainty or time, nor of other persons: ``V.a.``, ``Z.n.`` and family
histories are not negated.
"""

import json
import re
from collections.abc import Iterable
from importlib import resources
from typing import Final

import pyarrow as pa

MOST_WORDS: Final = 10
_WRAPPED: Final = 40  # characters; a line shorter than this was not wrapped
_CUES: Final[dict[str, list[str]]] = json.loads(
    (resources.files("p2d.warehouse") / "data" / "negation_cues.json").read_text(encoding="utf-8")
)
_KINDS: Final = ("none", "backward", "forward", "end")


def _phrase(text: str) -> str:
    """Return a listed phrase as a pattern: ``*`` ends a word anyhow, ``~`` stands for up to two words."""
    parts = [
        r"(?:\w+\s+){0,2}" if word == "~" else re.escape(word).replace(r"\*", r"\w*") + r"\s+"
        for word in text.split()
    ]
    return "".join(parts).removesuffix(r"\s+")


def _group(kind: str) -> str:
    phrases = sorted(_CUES[kind], key=len, reverse=True)
    return f"(?P<{kind}>" + "|".join(_phrase(phrase) for phrase in phrases) + ")"


def _beginnings() -> str:
    """Return a pattern of how phrases begin, by first letter: most words are passed over at that."""
    first = {re.match(r"\w+", phrase).group() for kind in _KINDS for phrase in _CUES[kind]}  # type: ignore[union-attr]  # a phrase starts with a word
    by_letter: dict[str, list[str]] = {}
    for word in sorted(first):
        if not any(word != shorter and word.startswith(shorter) for shorter in first):
            by_letter.setdefault(word[0], []).append(word[1:])
    return "|".join(f"{letter}(?:{'|'.join(rest)})" for letter, rest in by_letter.items())


_MARKS: Final = re.compile(rf"\b(?:{_beginnings()})|[.!?;\n]")
_SHORTENED: Final = re.compile(
    rf"(?:^|[^\w])(?:\w|{'|'.join(_CUES['abbreviation'])})\Z"
)  # what a point may shorten
_LONGEST: Final = 8  # characters looked at before a point
_SIGNS: Final = frozenset(".!?;\n")
_PHRASE: Final = re.compile("(?:" + "|".join(_group(kind) for kind in _KINDS) + r")(?!\w)")
_ENDS_BEFORE: Final = re.compile(r"[^\S\n]*(?:\n|[-*•]\s)")  # what starts the next line
_WORD: Final = re.compile(r"\w+")
_AHEAD: Final = re.compile(rf"(?:\W*\w+){{1,{MOST_WORDS}}}")


def negated_passages(text: str) -> tuple[str, ...]:
    """Return the negated passages of *text* in order: disjoint, verbatim, each from a word to a word."""
    lowered = _lowered(text)
    found: list[tuple[int, int]] = []
    for start, end in sorted(_spans(lowered)):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return tuple(text[start:end] for start, end in found)


def negated_text(text: str | None) -> str | None:
    """Return what ``document.negated`` holds for *text*: its passages joined by line feeds, or None.

    A passage that spans lines keeps its line breaks, so that a pattern finds in it what it finds in the text.
    """
    return ("\n".join(negated_passages(text)) or None) if text else None


def negated_texts(texts: Iterable[str | None]) -> pa.Array:
    """Return ``negated_text`` of each of *texts* as a column."""
    return pa.array([negated_text(text) for text in texts], pa.string())


def _lowered(text: str) -> str:
    """Return *text* in lower case, every character where it was."""
    lowered = text.lower()
    if len(lowered) == len(text):
        return lowered
    return "".join(low if len(low := character.lower()) == 1 else character for character in text)


def _spans(text: str) -> Iterable[tuple[int, int]]:
    """Yield start and end of what every cue of the lower-cased *text* reaches; they may overlap."""
    for start, end, events in _sentences(text):
        cues = _standing([event for event in events if event.lastgroup in {"backward", "forward"}], text)
        stops = [event for event in events if event.lastgroup == "end"]
        for cue in cues:
            ahead = _ahead(text, cue, min((s.start() for s in stops if s.start() >= cue.end()), default=end))
            if cue.lastgroup == "forward" and ahead is not None:
                yield cue.start(), ahead
            else:
                yield (
                    _behind(
                        text, cue, max((s.end() for s in stops if s.end() <= cue.start()), default=start)
                    ),
                    cue.end(),
                )


def _sentences(text: str) -> Iterable[tuple[int, int, list[re.Match[str]]]]:
    """Yield start, end, cues and ends of every sentence that holds any."""
    events: list[re.Match[str]] = []
    start = past = 0
    for mark in _MARKS.finditer(text):
        at = mark.start()
        if at < past:
            continue
        if text[at] not in _SIGNS:
            phrase = _PHRASE.match(text, at)
            if phrase is not None:
                past = phrase.end()
                if phrase.lastgroup != "none":
                    events.append(phrase)
        elif _ends_sentence(text, at):
            if events:
                yield start, at, events
                events = []
            start = mark.end()
    if events:
        yield start, len(text), events


def _ends_sentence(text: str, at: int) -> bool:
    """Whether the sign at *at*, one of ``_SIGNS``, ends a sentence."""
    if text[at] == ";":
        return True
    if text[at] == "\n":
        is_short = at - (text.rfind("\n", 0, at) + 1) < _WRAPPED
        return is_short or _ENDS_BEFORE.match(text, at + 1) is not None
    if not (at + 1 == len(text) or text[at + 1].isspace()):
        return False
    return text[at] != "." or not _SHORTENED.search(text[max(at - _LONGEST, 0) : at])


def _standing(cues: list[re.Match[str]], text: str) -> list[re.Match[str]]:
    """Return *cues* without pairs that have only white space between them."""
    left: list[re.Match[str]] = []
    for cue in cues:
        if left and text[left[-1].end() : cue.start()].isspace():
            left.pop()
        else:
            left.append(cue)
    return left


def _ahead(text: str, cue: re.Match[str], limit: int) -> int | None:
    """Return the end of the last word that *cue* reaches before *limit*, None where there is none."""
    reached = _AHEAD.match(text, cue.end(), limit)
    return reached.end() if reached else None


def _behind(text: str, cue: re.Match[str], limit: int) -> int:
    """Return the start of the first word that *cue* reaches behind *limit*; or its own start."""
    comma = max(text.rfind(f",{blank}", limit, cue.start()) for blank in " \n")
    words = [word.start() for word in _WORD.finditer(text, max(limit, comma + 1), cue.start())]
    return words[-MOST_WORDS:][0] if words else cue.start()
