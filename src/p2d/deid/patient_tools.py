"""What goes with one state of knowledge about a patient: cleaner, leak check, and decisions already taken.

When more becomes known of the patient all of it is made anew: nothing decided in ignorance is used again.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from p2d.deid.leak.check import LeakCheck
from p2d.deid.profile.action import Action
from p2d.deid.profile.options import Option
from p2d.deid.profile.profile import Profile, Rules
from p2d.deid.profile.statement import own_texts
from p2d.deid.references import References, covers
from p2d.deid.repeated import LEAST_FITS, Place, Plan, Rewritten, elements_of
from p2d.deid.report.tally import DeidTally, Outcome
from p2d.deid.rewrite.content import Opened
from p2d.deid.rewrite.encoding import PRIVATE, Encoding, block_of, is_creator
from p2d.deid.rewrite.pattern import Pattern
from p2d.deid.rewrite.rewriter import MAX_RAW, MAX_REMEMBERED, Rewriter, Treated, codec_for, private_kept
from p2d.deid.rewrite.values import Treatment, outcome_of, treat
from p2d.deid.scrub.cleaner import TextCleaner
from p2d.deid.uids import Underived
from p2d.dicom.charset import UndecodableText
from p2d.dicom.encode import Unencodable
from p2d.dicom.walk import TAG, Span
from p2d.model.header import Element, Value
from p2d.model.identified import KnownValues, PatientKeys
from p2d.model.released import Reason

_MAX_MEMO: Final = 50_000
_MAX_PLANS: Final = 64
_UTF_8: Final = "utf-8"
_NOBODY: Final = "\0"  # stands for the creator of blocks that nobody reserved


@dataclass(slots=True)
class _Answered:
    element: Element | None
    kind: str
    outcome: Outcome
    times: int = 0


class PatientTools:
    """Treats elements of one patient, each distinct one once; what it returns was searched for leaks."""

    def __init__(self, profile: Profile, keys: PatientKeys, known: KnownValues) -> None:
        self.known = known
        self._profile = profile
        self._uids = dict(keys.uids)
        self._accessions = dict(keys.accessions)
        self._cases = dict(keys.cases)
        shift_days = 0 if keys.true_dates or profile.keeps_true_dates else keys.shift_days
        if Option.RETAIN_INSTITUTION in profile.options:
            known = replace(known, places=frozenset())  # they are to stay, in texts as well
        known = _with_words(known, profile)
        cleaner = TextCleaner(
            known, shift_days, dates=_dates_of(profile, keys), extra_words=profile.vocabulary, uids=self._uids
        )
        own = {str(keys.patient), *keys.accessions.values(), *keys.cases.values(), *own_texts(profile)}
        self._keeps_uids = Option.RETAIN_UIDS in profile.options
        self.leak_check = LeakCheck(known, self._checked(self._uids), own, shift_days=shift_days)
        self._treatment = Treatment(
            keys.patient, shift_days, self._uids, self._accessions, self._cases, cleaner, profile.age_cap
        )
        self._rewriters: dict[tuple[Rules, Encoding, str], Rewriter] = {}
        self._plans: dict[tuple[Pattern | None, Rules, str], Plan] = {}
        self._answers: dict[tuple[str, str, tuple[Value, ...]], _Answered] = {}
        self._answer_actions: dict[tuple[str, str], Action] = {}

    def rekey(self, keys: PatientKeys) -> None:
        """Take UIDs and pseudonyms that were derived since; what was decided stays."""
        self._forget_plans()
        new = {uid: keys.uids[uid] for uid in keys.uids.keys() - self._uids.keys()}
        self._uids.update(new)
        self._accessions.update(keys.accessions)
        self._cases.update(keys.cases)
        self.leak_check.learn(self._checked(new), {*keys.accessions.values(), *keys.cases.values()})

    def _checked(self, uids: Mapping[str, str]) -> Mapping[str, str]:
        """Return original → released UID as the leak check is to see it."""
        return {uid: uid for uid in uids} if self._keeps_uids else uids

    def rewritten(self, opened: Opened, rules: Rules) -> Rewritten | Reason:
        """Return the header of *opened* treated by *rules*, or why there is none."""
        try:
            try:
                return self._rewritten(opened, rules, codec_for(opened.encoding))
            except Unencodable:
                return self._rewritten(opened, rules, _UTF_8)
        except Underived:
            return Reason.UNDERIVED
        except UndecodableText:
            return Reason.CHARACTER_SET
        except Exception:  # noqa: BLE001 - hostile bytes raise anything, RecursionError and MemoryError included
            return Reason.UNDECODABLE

    def _rewritten(self, opened: Opened, rules: Rules, codec: str) -> Rewritten | Reason:
        rewriter = self._rewriter(rules, opened.encoding, codec)
        key = (opened.pattern, rules, codec)
        plan = self._plans.get(key) if opened.pattern is not None else None
        if plan is not None:
            used = self._decided(rewriter, opened, plan.places)
            return (
                used if isinstance(used, Reason) else Rewritten(plan.elements(used), codec, used, plan=plan)
            )
        whole = opened.whole()
        places = self._places(rewriter, whole)
        treated = self._decided(rewriter, whole, places)
        if isinstance(treated, Reason):
            return treated
        if opened.pattern is not None and opened.pattern.fits >= LEAST_FITS:
            plan = Plan(opened.pattern, places, treated)
            if plan.holds:
                self._remember(key, plan)
        kept = [(place.tag, one.encoded) for place, one in zip(places, treated, strict=True) if one.encoded]
        return Rewritten(elements_of(treated), codec, treated, private_kept(kept))

    def _decided(self, rewriter: Rewriter, opened: Opened, places: Sequence[Place]) -> list[Treated] | Reason:
        """Return what becomes of the elements of *opened*, at *places*; none leaves unsearched."""
        used: list[Treated] = []
        fresh: list[tuple[dict[bytes, Treated], bytes, Treated]] = []
        for place, span, raw in zip(places, opened.header, opened.raw, strict=True):
            treated = place.remembered.get(raw)
            if treated is None:
                tag = place.tag
                read = None if tag & PRIVATE else opened.elements.get(f"{tag:08X}")
                treated = rewriter.treated(opened.source, span, place.creator, read)
                fresh.append((place.remembered, raw, treated))
            used.append(treated)
        if fresh and self._leaks([treated for _, _, treated in fresh]):
            return Reason.LEAK
        for known, raw, treated in fresh:
            if len(raw) <= MAX_RAW and len(known) < MAX_REMEMBERED:
                known[raw] = treated
                treated.is_remembered = True
        return used

    def _places(self, rewriter: Rewriter, opened: Opened) -> list[Place]:
        """Return for each element of *opened* whose it is and what is known of such elements."""
        memo = rewriter.remembered()
        blocks: dict[int, tuple[str, dict[bytes, Treated]]] = {}
        nobody = ("", rewriter.remembered(_NOBODY))
        places: list[Place] = []
        for span, raw in zip(opened.header, opened.raw, strict=True):
            tag = span[TAG]
            if not tag & PRIVATE:
                places.append(Place(tag, "", memo))
            elif is_creator(tag):
                blocks[block_of(tag)] = self._block(rewriter, opened, span, raw)
                places.append(Place(tag, *blocks[block_of(tag)]))
            else:
                places.append(Place(tag, *blocks.get(tag >> 8, nobody)))
        return places

    def _remember(self, key: tuple[Pattern | None, Rules, str], plan: Plan) -> None:
        if len(self._plans) >= _MAX_PLANS:
            self._forget_plans()
        self._plans[key] = plan

    def _forget_plans(self) -> None:
        for plan in self._plans.values():
            plan.settle()
        self._plans.clear()

    def _block(
        self, rewriter: Rewriter, opened: Opened, span: Span, raw: bytes
    ) -> tuple[str, dict[bytes, Treated]]:
        """Return the creator that the private creator element *span* names, and what is known of it."""
        creator = rewriter.creators.get(raw)
        if creator is None:
            creator = opened.text(span)
            if len(rewriter.creators) < _MAX_MEMO:
                rewriter.creators[raw] = creator
        return creator, rewriter.remembered(creator)

    def _leaks(self, fresh: Sequence[Treated]) -> bool:
        left = [treated for treated in fresh if treated.encoded]
        if self.leak_check.in_elements([one for treated in left for one in treated.elements.values()]):
            return True
        return bool(left) and self.leak_check.in_bytes(b"\n".join(treated.encoded for treated in left))

    def _rewriter(self, rules: Rules, encoding: Encoding, codec: str) -> Rewriter:
        key = (rules, encoding, codec)
        rewriter = self._rewriters.get(key)
        if rewriter is None:
            rewriter = self._rewriters[key] = Rewriter(rules, encoding, codec, self._treatment)
        return rewriter

    def answered(self, elements: Iterable[Element]) -> dict[str, Element] | Reason | References:
        """Return the released *elements* of a C-FIND answer, or why there are none.

        Where they tell of the patient what was not known, that is returned and nothing is decided.
        """
        released: dict[str, Element] = {}
        fresh: list[tuple[tuple[str, str, tuple[Value, ...]], _Answered]] = []
        used: list[_Answered] = []
        try:
            for element in elements:
                key = (element.path, element.vr, element.values)
                answer = self._answers.get(key)
                if answer is None:
                    answer = self._treated_answer(element)
                    fresh.append((key, answer))
                used.append(answer)
                if answer.element is not None:
                    released[element.path] = answer.element
        except Underived:
            return Reason.UNDERIVED
        if fresh:
            told = References.of(Element(*key) for key, _ in fresh)
            if not covers(self.known, told.known):
                return told
        if fresh and self.leak_check.in_elements(a.element for _, a in fresh if a.element is not None):
            return Reason.LEAK
        if len(self._answers) < _MAX_MEMO:
            self._answers.update(fresh)
        for answer in used:
            answer.times += 1
        return released

    def _treated_answer(self, element: Element) -> _Answered:
        action = self._answer_action(element.path, element.vr)
        kind = _kind(element.path)
        if action in {Action.REMOVE, Action.BULK}:
            return _Answered(None, kind, Outcome.REMOVED)
        values = treat(action, element.vr, element.values, self._treatment)
        outcome = outcome_of(action, element.values, values)
        return _Answered(None if values is None else Element(element.path, element.vr, values), kind, outcome)

    def _answer_action(self, path: str, vr: str) -> Action:
        """Return the action at *path*: what is inside a sequence that goes, goes with it (PS3.15 E.1.1)."""
        action = self._answer_actions.get((path, vr))
        if action is None:
            rules = self._profile.rules()
            *ancestors, leaf = path.split(".")
            action = Action.KEEP
            for step in ancestors:
                if rules.action(step[:8], "SQ") in {Action.REMOVE, Action.EMPTY}:
                    action = Action.REMOVE
                rules = rules.inside(step[:8])
            if action is not Action.REMOVE:
                action = rules.action(leaf[:8], vr)
                if ancestors and action is Action.CHARACTER_SET:
                    action = Action.REMOVE
            if len(self._answer_actions) < _MAX_MEMO:
                self._answer_actions[path, vr] = action
        return action

    def counted(self, tally: DeidTally) -> None:
        """Move the counts of what was released so far into *tally*."""
        for plan in self._plans.values():
            plan.settle()
        for rewriter in self._rewriters.values():
            rewriter.counted(tally)
        for answer in self._answers.values():
            if answer.times:
                tally.count(answer.kind, answer.outcome, answer.times)
                answer.times = 0


def _dates_of(profile: Profile, keys: PatientKeys) -> Literal["shift", "keep", "remove"]:
    """Return what becomes of dates in texts: as of those in elements."""
    if profile.keeps_true_dates or (keys.true_dates and Option.MODIFIED_DATES in profile.options):
        return "keep"
    return "shift" if Option.MODIFIED_DATES in profile.options else "remove"


def _with_words(known: KnownValues, profile: Profile) -> KnownValues:
    """Return *known* with the words that the project says identify."""
    return replace(known, places=known.places | profile.known_words) if profile.known_words else known


def _kind(path: str) -> str:
    return ".".join(step[:8] for step in path.split("."))
