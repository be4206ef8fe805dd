"""Remove one patient's own values from texts, and what identifies by its form; keep all other words.

It does not judge what a text means: a name that nobody told it about and that no title precedes stays.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final, Literal

from p2d.deid.scrub.folding import fold, plain, shadow
from p2d.deid.scrub.identifiers import MIN_EMBEDDED_LENGTH, MIN_ID_LENGTH, id_spans, index_ids
from p2d.deid.scrub.namefinder import name_spans
from p2d.deid.scrub.names import index_names
from p2d.deid.scrub.patterns import UID, pattern_spans
from p2d.deid.scrub.places import index_places, place_spans
from p2d.deid.scrub.textdates import birth_spans, known_days, shift_dates, without_dates
from p2d.deid.scrub.titles import GAP, titled_spans
from p2d.dicom.uids import is_well_known
from p2d.model.identified import KnownValues

__all__ = ["MIN_EMBEDDED_LENGTH", "MIN_ID_LENGTH", "TextCleaner"]

Span = tuple[int, int]
_MAX_MEMO: Final = 20_000
_MAX_MEMO_LENGTH: Final = 512
_MAX_PASSES: Final = 12
_MIN_PHONE_DIGITS: Final = 6
_CONNECTORS: Final = r"[ \t_\-^,;/|+&]"
_GAPS: Final = re.compile(
    rf"(?P<open>[(\[{{<\"']?)(?P<left>{_CONNECTORS}{{0,32}})\0(?:{_CONNECTORS}{{0,32}}\0)*(?P<right>{_CONNECTORS}{{0,32}})(?P<close>[)\]}}>\"']?)"
)
_PAIRS: Final = frozenset({"()", "[]", "{}", "<>", '""', "''"})
_EDGES: Final = " \t,;^_=-/|+&"
_DIGIT: Final = re.compile(r"\d")


class TextCleaner:
    """Cleans the texts of one patient; looks words and numbers up in sets made once of everything known.

    Other dates than the birth date move by ``shift_days`` in the notation they have (0 leaves them), stay, or
    go. ``extra_words`` are words of a project that count as vocabulary. A UID in a text becomes its entry in
    ``uids``, which may grow while the cleaner is in use; without one it goes, unless PS3.6 registers it.
    """

    def __init__(
        self,
        known: KnownValues,
        shift_days: int,
        *,
        dates: Literal["shift", "keep", "remove"] = "shift",
        extra_words: frozenset[str] = frozenset(),
        uids: Mapping[str, str] | None = None,
    ) -> None:
        words = frozenset(map(fold, extra_words))
        phones = [contact for contact in known.contacts if _is_phone(contact)]
        self._names = index_names(known.names, words)
        self._ids = index_ids(known.ids | known.accessions, phones, words)
        self._places = index_places((known.contacts - frozenset(phones)) | known.places, words)
        self._births = known_days(known.birth_dates)
        self._days = known_days(known.dates) - self._births
        self._shift_days = shift_days
        self._dates = dates
        self._uids = uids if uids is not None else {}
        self._derived: frozenset[str] = frozenset()
        self._memo: dict[str, str] = {}

    def clean(self, text: str) -> str:
        """Return *text* without this patient's values, contact data, UIDs and names after titles.

        Other words stay in their order; text that nothing is removed from stays as it is. Without dates the
        result cleans to itself.
        """
        if not text or text.isspace():
            return text
        if len(self._derived) != len(self._uids):
            self._derived = frozenset(self._uids.values())
            self._memo.clear()
        cleaned = self._memo.get(text)
        if cleaned is None:
            cleaned = self._cleaned(text)
            if len(text) <= _MAX_MEMO_LENGTH and len(self._memo) < _MAX_MEMO:
                self._memo[text] = cleaned
        return cleaned

    def finds(self, text: str) -> bool:
        """Whether *text* still holds a value known of this patient, other than days of examinations."""
        return bool(self._known_spans(plain(text)))

    def _cleaned(self, text: str) -> str:
        begin = current = plain(text).replace(GAP, " ")
        for _ in range(_MAX_PASSES):
            once = self._pass(current)
            if once == current:
                break
            current = once
        else:
            return ""
        dated = self._dated(current)
        if dated != current and self.finds(dated):
            return ""
        return text if dated == begin else dated

    def _dated(self, text: str) -> str:
        if self._dates == "remove":
            dated = without_dates(text, self._days, GAP)
        elif self._dates == "shift" and self._shift_days:
            dated = shift_dates(text, self._shift_days, self._refuses, self._days, GAP)
        else:
            return text
        return _tidy(dated) if GAP in dated else dated

    def _refuses(self, new: str) -> bool:
        return bool(birth_spans(new, self._births)) if new else False

    def _known_spans(self, text: str) -> list[Span]:
        shade = shadow(text)
        spans = birth_spans(text, self._births)
        spans += id_spans(shade, self._ids)
        spans += name_spans(shade, self._names)
        spans += place_spans(shade, self._places)
        return spans

    def _pass(self, text: str) -> str:
        if "." in text:
            text = UID.sub(self._uid, text)
        spans = [*self._known_spans(text), *pattern_spans(text)]
        current = _without(text, spans)
        current = _without(current, list(titled_spans(current)))
        return _tidy(current) if GAP in current else current

    def _uid(self, match: re.Match[str]) -> str:
        uid = match.group()
        if uid in self._derived or is_well_known(uid):
            return uid
        return self._uids.get(uid, GAP)


def _is_phone(contact: str) -> bool:
    digits = len(_DIGIT.findall(contact))
    letters = sum(character.isalpha() for character in contact)
    return digits >= _MIN_PHONE_DIGITS and digits > letters


def _without(text: str, spans: Iterable[Span]) -> str:
    """Return *text* with a gap for each of *spans*, which may overlap."""
    pieces: list[str] = []
    end = -1
    for start, stop in sorted(spans):
        if start <= end:
            end = max(end, stop)
            continue
        pieces.append(text[max(end, 0) : start])
        end = stop
    return GAP.join([*pieces, text[end:]]) if pieces else text


def _tidy(text: str) -> str:
    """Return *text* with its gaps closed: the connector that stood around them once, empty brackets gone."""
    for _ in range(_MAX_PASSES):
        closed = _GAPS.sub(_closed, text)
        if GAP not in closed:
            return closed.strip(_EDGES)
        text = closed
    return text.replace(GAP, " ").strip(_EDGES)


def _closed(match: re.Match[str]) -> str:
    opening, closing = match["open"], match["close"]
    if opening + closing in _PAIRS and opening:
        return GAP
    left, right = match["left"], match["right"]
    if not opening and not closing and _ends_line(match):
        return ""
    if closing and not right and not opening:
        return left.rstrip(_EDGES) + closing
    if opening and not left and not closing:
        return opening + right.lstrip(_EDGES)
    joint = left + right
    between = next((sign for sign in "_^-/" if sign in left and sign in right), "")
    if not between:
        right_sign = right.strip()[:1]
        between = f"{right_sign} " if right_sign in {",", ";"} and right_sign else ""
        between = between or (joint[:1] if len(set(joint)) == 1 else " ")
    return opening + between + closing


def _ends_line(match: re.Match[str]) -> bool:
    text = match.string
    return "\n" in (text[max(0, match.start() - 1) : match.start()], text[match.end() : match.end() + 1])
