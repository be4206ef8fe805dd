"""Decide one attribute: a row of Table E.1-1, an option and the attribute's type in its IOD make an action.

Pure functions; ``p2d.deid.profile.rulebook`` knows the place in the hierarchy and remembers what was decided.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

from p2d.deid.profile.action import BULK_VRS, DATE_VRS, NUMBER_VRS, TEXT_VRS, Action
from p2d.deid.profile.options import Mode, Option
from p2d.deid.standard.bulk import is_sample
from p2d.deid.standard.table import ADDITIONS_EDITION, Row, row_of, table
from p2d.deid.standard.weakest import conforming_action
from p2d.deid.uids import is_class_uid
from p2d.dicom.dictionary import vr_of

_DATES: Final = (Option.FULL_DATES, Option.MODIFIED_DATES)
_CONTENT: Final = frozenset({"0040A730", "00400555", "00400612", "0040B020"})
_EMPTY_IN_ANSWERS: Final = frozenset({"00080080", "00081010", "00081070"})
"""Attributes with a combined code that are type 2 or 3 at the levels of C-FIND (PS3.4 C.6.2.1)."""
_TIMEZONE: Final = "00080201"


class Decision(NamedTuple):
    """An action and, in one line, what decided it; DUMMY for a sequence means items that hold dummies."""

    action: Action
    why: str


@dataclass(frozen=True, slots=True)
class Terms:
    """What of a profile decides on attributes that it does not name itself."""

    mode: Mode
    options: frozenset[Option]
    age_cap: int | None
    allowed: frozenset[str]

    @property
    def scrubs(self) -> bool:
        """Whether texts that stay are cleaned: in all modes but basic."""
        return self.mode is not Mode.BASIC

    @property
    def keeps_dates(self) -> bool:
        """Whether dates stay, moved or true."""
        return any(option in self.options for option in _DATES)


class Question(NamedTuple):
    """One attribute at one place: ``kind`` is 1, 2 or 3 by its IOD, empty where the IOD is not known."""

    tag: str
    vr: str
    kind: str


_CLEANED: Final = frozenset({"00181010", "00181011"})
"""Later editions remove these names of digitisers; P2D keeps to its stated edition and cleans their text."""


def kind_of(attribute_type: str) -> str:
    """Return 1, 2 or 3 for *attribute_type*; conditional types as unconditional, since a value is there."""
    return attribute_type[:1]


def row_for(tag: str, terms: Terms) -> Row | None:
    """Return the row that counts for *tag*: of one edition in basic mode, also of later ones otherwise."""
    row = row_of(tag)
    if row is None or row.tag in table():
        return row
    return row if terms.scrubs and row.tag not in _CLEANED else None


def listed(row: Row, question: Question, terms: Terms) -> Decision:
    """Decide on an attribute that Table E.1-1 lists: a selected option before the basic action."""
    where = "Table E.1-1" if row.tag in table() else f"Table E.1-1 of {ADDITIONS_EDITION}"
    if row.options["modified_dates"] and question.vr in DATE_VRS:
        for option in _DATES:
            if option in terms.options:
                return Decision(Action.DATE, f"{where}, {option.meaning}")
    entries = [
        (option, row.options[option.column])
        for option in Option
        if option in terms.options and option is not Option.MODIFIED_DATES and row.options.get(option.column)
    ]
    for option, entry in sorted(entries, key=lambda pair: pair[1]):  # C before K: cleaning retains the rest
        action = cleaned(question, terms) if entry == "C" else kept(question, terms, option)
        if action is not None:
            return Decision(action, f"{where} {entry}, {option.meaning}")
    action = lettered(row.basic, question, terms)
    return Decision(action, f"{where} {row.basic}{_typed(row.basic, action, question)}")


def _typed(code: str, action: Action, question: Question) -> str:
    if not question.kind:
        return ", conforming to every IOD" if "/" in code else ""
    if "/" in code or (code in "XZ" and str(action) != code):
        return f", type {question.kind}"
    return ""


def lettered(code: str, question: Question, terms: Terms) -> Action:
    """Return the action for a basic *code*, combined ones resolved by type (PS3.15 Table E.1-1a).

    Outside basic mode an attribute that its IOD requires stays as a dummy or empty where the code is X, and
    references that may be replaced (X/Z/U*) are.
    """
    vr, kind = question.vr, question.kind
    if "U" in code and terms.scrubs:
        letter = "U"
    elif "/" in code and not kind and question.tag in _EMPTY_IN_ANSWERS:
        letter = "Z"
    else:
        letter = conforming_action(code, kind)
    if letter == "X":
        return removed(question) if terms.scrubs else Action.REMOVE
    if letter == "Z":
        return Action.EMPTY
    if letter == "U" and vr == "SQ":
        return Action.ITEMS
    return Action.UID if vr == "UI" or letter == "U" else Action.DUMMY


def removed(question: Question) -> Action:
    """Return what takes an attribute away as far as its IOD lets: dummy for type 1, empty for type 2."""
    if question.kind == "1":
        if question.vr in BULK_VRS:
            return Action.REMOVE
        return Action.UID if question.vr == "UI" else Action.DUMMY
    return Action.EMPTY if question.kind == "2" else Action.REMOVE


def kept(question: Question, terms: Terms, option: Option | None = None) -> Action | None:
    """Return the action that keeps an attribute in substance; None where nothing may be kept."""
    tag, vr, _ = question
    if vr == "SQ":
        return Action.CONTENT if is_content(tag, terms) else Action.ITEMS
    if vr in BULK_VRS:
        return Action.BULK if vr != "UN" and (is_sample(tag) or not terms.scrubs) else None
    if vr == "AS" and terms.age_cap is not None:
        return Action.CAP_AGE
    if not terms.scrubs or vr in NUMBER_VRS or vr == "AS":
        return Action.KEEP
    return _retained(tag, vr, terms, option)


def _retained(tag: str, vr: str, terms: Terms, option: Option | None) -> Action | None:
    if vr == "UI":
        return Action.KEEP if option is not None or is_class_uid(tag) else Action.UID
    if vr in DATE_VRS:
        return Action.DATE if terms.keeps_dates else None
    return Action.CLEAN if vr in TEXT_VRS else None


def cleaned(question: Question, terms: Terms) -> Action | None:
    """Return the action for the letter C: texts cleaned, items treated, the rest as when kept."""
    if question.vr in TEXT_VRS:
        return None if question.tag == _TIMEZONE else Action.CLEAN
    if question.vr in BULK_VRS:
        return None
    return kept(question, terms)


def unlisted(question: Question, terms: Terms) -> Decision:
    """Decide on an attribute of PS3.6 that Table E.1-1 does not list."""
    if terms.mode is Mode.STRICT:
        return _strict(question, terms)
    where = "not in Table E.1-1"
    if terms.mode is Mode.BASIC:
        if question.vr in DATE_VRS and terms.keeps_dates:
            return Decision(Action.DATE, f"{where}: date")
        return Decision(kept(question, terms) or Action.REMOVE, f"{where}: kept")
    return _researched(question, terms, where)


def _researched(question: Question, terms: Terms, where: str) -> Decision:
    vr = question.vr
    if vr in {"AE", "UR"}:
        return Decision(removed(question), f"{where}: network address")
    if vr == "PN":
        return Decision(Action.DUMMY if question.kind == "1" else Action.EMPTY, f"{where}: name of a person")
    if vr == "TM" and not terms.keeps_dates:
        return Decision(removed(question), f"{where}: time without a dates option")
    action = kept(question, terms)
    if action is None:
        kind = "bulk" if vr in BULK_VRS else f"VR {vr}"
        return Decision(removed(question), f"{where}: {kind} is not kept")
    return Decision(action, f"{where}: VR {vr}")


def _strict(question: Question, terms: Terms) -> Decision:
    where = "not on the allow list"
    if question.tag in terms.allowed:
        return _researched(question, terms, "on the allow list")
    if question.kind == "1" and (question.vr == "CS" or question.vr in NUMBER_VRS):
        return Decision(kept(question, terms) or Action.REMOVE, f"{where}, type 1: code string or number")
    typed = f", type {question.kind}" if question.kind in {"1", "2"} else ""
    return Decision(removed(question), where + typed)


def is_content(tag: str, terms: Terms) -> bool:
    """Whether *tag* is a sequence of content items whose concepts are judged (PS3.15 E.3.4)."""
    return tag in _CONTENT and Option.CLEAN_STRUCTURED_CONTENT in terms.options


def is_misplaced(tag: str, vr: str) -> bool:
    """Whether *vr* is of another kind than the VR that PS3.6 gives *tag*: text in numbers, names in text."""
    proper = vr_of(tag).split(" or ")
    return vr not in proper and _class(vr) not in {_class(one) for one in proper}


def _class(vr: str) -> str:
    if vr in DATE_VRS or vr in {"SQ", "UI", "PN", "AS"}:
        return vr
    if vr in TEXT_VRS:
        return "text"
    return "number" if vr in NUMBER_VRS else "bulk"
