"""The rules of a profile at one place of the hierarchy, for one SOP class; what was decided is remembered."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from p2d.deid.profile.action import BULK_VRS, DATE_VRS, NUMBER_VRS, Action
from p2d.deid.profile.decision import (
    Decision,
    Question,
    Terms,
    is_content,
    is_misplaced,
    kept,
    kind_of,
    listed,
    removed,
    row_for,
    unlisted,
)
from p2d.deid.profile.options import Mode, Option
from p2d.deid.profile.private import private_decision
from p2d.deid.profile.structure import replaced, structural
from p2d.deid.standard.bulk import is_sample
from p2d.deid.standard.iods import attribute_type
from p2d.deid.standard.structured import content_row
from p2d.deid.standard.table import row_of
from p2d.deid.uids import is_class_uid
from p2d.dicom.dictionary import is_private, keyword_of, vr_of
from p2d.dicom.uids import registered_name

_BEYOND: Final = frozenset(
    {
        *("00100033", "00100034", "00100026", "00100027"),  # dates of another calendar, groups of patients
        *("00321031", "00380100", "00440103"),  # people and their documents by code
        *("0040A066", "0040A067", "0040A068", "0040A070", "0040A076", "0040A085", "0040A224"),
        *("30100019", "0072000E", "00820017", "21000160"),
        *("00080051", "00100024", "00400026", "00400027"),  # who issued an identifier
        *("00401006", "00401007", "00402006", "00402007", "00880130"),  # numbers of orders and media
        *("00420011", "4FFE0001"),  # embedded documents, MAC parameters of signatures
    }
)
"""Attributes that research and strict remove although no edition of Table E.1-1 lists them."""

_LAST_GROUP: Final = "7FE0"
_CONCEPT_NAME: Final = frozenset({"0040A043", "004008EA", "0040A504"})
_NUMERIC_VALUE: Final = "0040A30A"
_MOST_REMEMBERED: Final = 20_000
_MOST_PLACES: Final = 2_000


@dataclass(frozen=True, slots=True)
class Policy:
    """Everything of a profile that decides: its terms, its own attributes and its private elements.

    ``overrides`` is by tag, or by tags joined with dots for one place. ``private`` holds the elements
    (``gggg`` and low byte) that a project keeps, by creator.
    """

    terms: Terms
    overrides: Mapping[str, Action]
    private: Mapping[str, frozenset[tuple[str, str]]]


class Rules:
    """Which action each element gets; immutable apart from what it remembers, safe to share."""

    __slots__ = ("_actions", "_dummies", "_inside", "_is_dummy", "_place", "_policy", "_sop_class_uid")

    def __init__(
        self, policy: Policy, sop_class_uid: str = "", place: tuple[str, ...] = (), *, is_dummy: bool = False
    ) -> None:
        self._policy = policy
        self._sop_class_uid = sop_class_uid
        self._place = place
        self._is_dummy = is_dummy
        self._actions: dict[tuple[str, str, str], Action] = {}
        self._inside: dict[str, Rules] = {}
        self._dummies: Rules | None = self if is_dummy else None

    def action(self, tag: str, vr: str, creator: str = "") -> Action:
        """Return the action for the element *tag* (eight upper-case hexadecimal digits) encoded as *vr*.

        *creator* is the private creator of a private element's block; for the private creator element itself
        its own value.
        """
        key = (tag, vr, creator)
        action = self._actions.get(key)
        if action is None:
            action = _for_elements(self._decision(tag, vr, creator).action, vr)
            if len(self._actions) < _MOST_REMEMBERED:
                self._actions[key] = action
        return action

    def why(self, tag: str, vr: str, creator: str = "") -> str:
        """Return in one line what decided: ``Table E.1-1 X/Z/D, type 2 in CT Image -> Z``."""
        decided, why = self._decision(tag, vr, creator)
        action = _for_elements(decided, vr)
        name = registered_name(self._sop_class_uid).removesuffix(" Storage")
        return f"{why} in {name} -> {action}" if ", type " in why and name else f"{why} -> {action}"

    def at_type(self, tag: str, vr: str, kind: str) -> Decision:
        """Return what is decided where the IOD has the attribute as type *kind*: 1, 2, 3 or not known."""
        return self._decided(Question(tag, vr, kind), "")

    def inside(self, tag: str) -> "Rules":
        """Return the rules of the items of the sequence *tag* that stands here."""
        rules = self._inside.get(tag)
        if rules is None:
            rules = self._made_inside(tag)
            if len(self._inside) < _MOST_PLACES:
                self._inside[tag] = rules
        return rules

    def is_required(self, tag: str) -> bool:
        """Whether the IOD has *tag* as type 1 here, so that it must not become empty or go."""
        return self._kind(tag) == "1"

    def dummies(self) -> "Rules":
        """Return the rules that put dummies for all values here: for a content item judged DUMMY."""
        if self._dummies is None:
            self._dummies = Rules(self._policy, self._sop_class_uid, self._place, is_dummy=True)
        return self._dummies

    def content(self, scheme: str, code: str, value_type: str = "") -> Action:
        """Judge an item of a CONTENT sequence by its concept: KEEP, REMOVE or DUMMY (PS3.15 Table E.3.4-1).

        *scheme* and *code* are CodingSchemeDesignator and CodeValue of its ConceptNameCodeSequence,
        *value_type* its (0040,A040). KEEP: its elements are treated by ``inside``; DUMMY: by
        ``inside(...).dummies()``.
        """
        options = self._policy.terms.options
        row = content_row(scheme, code, value_type)
        if row is None or Option.CLEAN_STRUCTURED_CONTENT not in options:
            return Action.KEEP
        if any(row.options.get(option.column) for option in options):
            return Action.KEEP  # the option's own treatment is that of the item's values
        return Action.DUMMY if "D" in row.action else Action.REMOVE

    def _made_inside(self, tag: str) -> "Rules":
        place = self._place if self._place[-1:] == (tag,) else (*self._place, tag)
        is_judged = tag in _CONCEPT_NAME or is_content(tag, self._policy.terms)
        is_dummy = not is_judged if self._is_dummy else self._is_form(tag)
        if place == self._place and is_dummy == self._is_dummy:
            return self  # content items inside content items
        return Rules(self._policy, self._sop_class_uid, place, is_dummy=is_dummy)

    def _is_form(self, tag: str) -> bool:
        """Whether of the sequence only the form stays, so that its items hold dummies."""
        return self._decision(tag, "SQ", "").action is Action.DUMMY

    def _decision(self, tag: str, vr: str, creator: str) -> Decision:
        return self._decided(Question(tag, vr, self._kind(tag)), creator)

    def _decided(self, question: Question, creator: str) -> Decision:
        tag, vr, _ = question
        terms = self._policy.terms
        decision = structural(tag, vr, is_item=bool(self._place)) or replaced(tag, vr, terms)
        if decision is not None:
            return decision
        if is_private(tag):
            return private_decision(tag, vr, creator, terms, self._policy.private)
        override = self._override(tag)
        if override is not None:
            return self._overridden(question, override)
        if vr in BULK_VRS or not keyword_of(tag):
            return self._bulk_or_unknown(question)
        return self._dummy(question) if self._is_dummy else self._standard(question)

    def _bulk_or_unknown(self, question: Question) -> Decision:
        tag, vr, _ = question
        if not keyword_of(tag) or vr_of(tag) == "UN":
            return Decision(Action.REMOVE, "not in PS3.6")
        if is_sample(tag):
            if tag[:4] == _LAST_GROUP and self._place:
                return Decision(Action.REMOVE, "pixel data inside a sequence")
            return Decision(Action.BULK, "samples or lookup table of an image")
        terms = self._policy.terms
        if not terms.scrubs:
            row = row_for(tag, terms)
            if row is not None:
                return listed(row, question, terms)
            return Decision(Action.BULK, "not in Table E.1-1: kept")
        return Decision(removed(question), f"VR {vr}: bulk is not kept")

    def _standard(self, question: Question) -> Decision:
        tag, vr, _ = question
        terms = self._policy.terms
        row = row_for(tag, terms)
        if not terms.scrubs:
            return unlisted(question, terms) if row is None else listed(row, question, terms)
        if is_misplaced(tag, vr):
            return Decision(removed(question), f"encoded as {vr}, PS3.6 has {vr_of(tag)}")
        if is_removed_always(tag):
            return Decision(removed(question), "removed beyond Table E.1-1")
        if row is None or (terms.mode is Mode.STRICT and not self._is_allowed(tag, row.options)):
            return unlisted(question, terms)
        return listed(row, question, terms)

    def _is_allowed(self, tag: str, options: Mapping[str, str]) -> bool:
        """Whether the strict mode lets the table decide: on the allow list, or kept by a selected option."""
        terms = self._policy.terms
        dates = {Option.FULL_DATES, Option.MODIFIED_DATES}
        return tag in terms.allowed or any(options.get(o.column) for o in terms.options - dates)

    def _dummy(self, question: Question) -> Decision:
        """Decide inside a sequence of which only the form may stay."""
        tag, vr, _ = question
        terms = self._policy.terms
        why = "inside a sequence kept for its type"
        if row_for(tag, terms) is not None or vr in DATE_VRS:
            decision = self._standard(question)
            if decision.action not in {Action.CLEAN, Action.KEEP, Action.CAP_AGE}:
                return decision
        if tag in _CONCEPT_NAME:
            return Decision(Action.ITEMS, "concept name")
        is_number = vr in NUMBER_VRS and tag != _NUMERIC_VALUE
        if vr == "CS" or is_number or (vr == "UI" and is_class_uid(tag)):
            return Decision(kept(question, terms) or Action.REMOVE, why)
        return Decision(Action.UID if vr == "UI" else Action.DUMMY, f"{why}: dummy")

    def _overridden(self, question: Question, override: Action) -> Decision:
        why = "project file"
        if override is Action.KEEP:
            return Decision(kept(question, self._policy.terms) or Action.REMOVE, f"{why}: keep")
        if override is Action.REMOVE:
            return Decision(removed(question), f"{why}: remove")
        if override is Action.EMPTY and question.kind == "1":
            return Decision(removed(question), f"{why}: empty, type 1")
        return Decision(override, why)

    def _override(self, tag: str) -> Action | None:
        overrides = self._policy.overrides
        if not overrides:
            return None
        return overrides.get(".".join((*self._place, tag))) or overrides.get(tag)

    def _kind(self, tag: str) -> str:
        return kind_of(attribute_type(self._sop_class_uid, (*self._place, tag)))


def beyond() -> frozenset[str]:
    """Return the attributes that research and strict remove although Table E.1-1 does not list them."""
    return _BEYOND


def is_removed_always(tag: str) -> bool:
    """Whether research and strict remove *tag* whatever the options, though Table E.1-1 lacks it."""
    return tag in _BEYOND or tag[:4] == "4010" or (tag[:4] > _LAST_GROUP and row_of(tag) is None)


def _for_elements(action: Action, vr: str) -> Action:
    """Return the action as elements meet it: a sequence with a dummy keeps its items, which hold dummies."""
    return Action.ITEMS if action is Action.DUMMY and vr == "SQ" else action
