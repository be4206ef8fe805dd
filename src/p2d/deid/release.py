"""Release or withhold: the gate between identified and de-identified data, one ``Releaser`` a patient.

Fails closed: what cannot be read, mapped or proved clean is withheld with its reason. Nothing here raises
on account of what the data hold.
"""

from typing import Final

from p2d.deid.actions import Treatment, treat
from p2d.deid.content import Opened, Unreadable, header_of, open_content
from p2d.deid.files import Unwritable, finished_file
from p2d.deid.images import refusal
from p2d.deid.leak.check import LeakCheck
from p2d.deid.profile.action import Action
from p2d.deid.profile.rules import action_of
from p2d.deid.references import References, merge_known
from p2d.deid.scrub.cleaner import TextCleaner
from p2d.deid.statement import own_texts, statement
from p2d.deid.uids import Underived
from p2d.model.header import Element, Elements, Value, text_of
from p2d.model.identified import IdentifiedHeader, IdentifiedInstance, KnownValues, PatientKeys
from p2d.model.level import Level
from p2d.model.released import Reason, ReleasedHeader, ReleasedInstance, Withheld

_STUDY: Final = "0020000D"
_SERIES: Final = "0020000E"
_INSTANCE: Final = "00080018"
_PATIENT: Final = "00100020"
_ACCESSION: Final = "00080050"
_NEEDED: Final = {
    Level.PATIENT: (),
    Level.STUDY: (_STUDY,),
    Level.SERIES: (_STUDY, _SERIES),
    Level.INSTANCE: (_STUDY, _SERIES, _INSTANCE),
}
_MAX_ACTIONS: Final = 50_000
_MAX_MEMO: Final = 20_000
_MAX_TOOLS: Final = 64


class _Tools:
    """What goes with one set of known values; remembers elements, as most repeat within a patient."""

    def __init__(self, treatment: Treatment, leak_check: LeakCheck) -> None:
        self.leak_check = leak_check
        self._treatment = treatment
        self._memo: dict[tuple[str, str, tuple[Value, ...]], Element | None] = {}

    def treated(self, action: Action, element: Element) -> Element | None:
        """Return the released element, or None where it goes; *action* is the one for its path and VR."""
        key = (element.path, element.vr, element.values)
        if key in self._memo:
            return self._memo[key]
        values = treat(action, element.vr, element.values, self._treatment)
        treated = None if values is None else Element(element.path, element.vr, values)
        if len(self._memo) < _MAX_MEMO:
            self._memo[key] = treated
        return treated


class Releaser:
    """Releases one patient's headers and images; holds the cleaner and what was decided before.

    Not for use by several threads at once. Lives as long as the patient's batch.
    """

    def __init__(self, keys: PatientKeys, *, cleaner: TextCleaner | None = None) -> None:
        self._keys = keys
        self._shift = 0 if keys.true_dates else keys.shift_days
        own_id = KnownValues(ids=frozenset({keys.patient_id.value}), accessions=frozenset(keys.accessions))
        self._known = merge_known(keys.known, own_id, KnownValues(ids=frozenset(keys.cases)))
        self._own = frozenset(
            {str(keys.patient), *keys.accessions.values(), *keys.cases.values(), *own_texts()}
        )
        self._tools: dict[KnownValues, _Tools] = {}
        if cleaner is not None:
            self._tools[self._known] = self._made_tools(self._known, cleaner)
        self._actions: dict[tuple[str, str], Action] = {}

    def header(self, header: IdentifiedHeader) -> ReleasedHeader | Withheld:
        """Release one C-FIND answer: its elements with UIDs derived, dates moved and texts cleaned."""
        if header.patient_id.strip() != self._keys.patient_id.value.strip():
            return self._withheld(header, Reason.PATIENT_MISMATCH)
        elements = self._elements(header.elements, header.elements)
        if isinstance(elements, Reason):
            return self._withheld(header, elements)
        return self._released(header, elements, ())

    def extended(self, instance: IdentifiedInstance) -> ReleasedHeader | Withheld:
        """Release the whole header of a retrieved instance, whatever its SOP class.

        Values of ContentSequence, EncapsulatedDocument, waveforms, overlays and pixel data are left out. The
        archive's answer decides hierarchy and patient; a disagreement of the data set shows in ``flags``.
        """
        content = header_of(instance)
        if isinstance(content, Unreadable):
            return self._withheld(instance.header, content.reason)
        return self._whole(instance.header, content)

    def _whole(self, answer: IdentifiedHeader, content: Elements) -> ReleasedHeader | Withheld:
        if answer.patient_id.strip() != self._keys.patient_id.value.strip():
            return self._withheld(answer, Reason.PATIENT_MISMATCH)
        elements = self._elements(content, answer.elements)
        if isinstance(elements, Reason):
            return self._withheld(answer, elements)
        patient = Element(_PATIENT, "LO", (str(self._keys.patient),))
        elements = {**elements, _PATIENT: patient, **statement(true_dates=self._keys.true_dates)}
        return self._released(answer, elements, _disagreements(answer.elements, content))

    def image(self, instance: IdentifiedInstance) -> ReleasedInstance | Withheld:
        """Release a retrieved instance as a DICOM file, its pixel data untouched.

        Objects whose pixels may show text, that are no images, or that name another patient or none are
        withheld.
        """
        answer = instance.header
        if instance.is_cut:
            return self._withheld(answer, Reason.NO_PIXELS)
        opened = open_content(instance, with_pixels=True)
        if isinstance(opened, Unreadable):
            return self._withheld(answer, opened.reason)
        modality = text_of(answer.elements, "00080060")
        reason = refusal(opened.elements, instance.sop_class_uid, modality)
        if reason is not None:
            return self._withheld(answer, reason)
        if text_of(opened.elements, _PATIENT).strip() != self._keys.patient_id.value.strip():
            return self._withheld(answer, Reason.PATIENT_MISMATCH)
        header = self._whole(answer, opened.elements)
        return header if isinstance(header, Withheld) else self._file(instance, opened, header)

    def _file(
        self, instance: IdentifiedInstance, opened: Opened, header: ReleasedHeader
    ) -> ReleasedInstance | Withheld:
        known = self._known_of(opened.elements, instance.header.elements)
        try:
            file = finished_file(opened, header, instance.transfer_syntax_uid)
        except Unwritable:
            return self._withheld(instance.header, Reason.UNDECODABLE)
        if self._tools_for(known).leak_check.in_bytes(file.around_pixels):
            return self._withheld(instance.header, Reason.LEAK)
        return ReleasedInstance(header, file.content, file.transfer_syntax_uid)

    def _elements(self, elements: Elements, answered: Elements) -> dict[str, Element] | Reason:
        """Return the released elements, or why there are none."""
        tools = self._tools_for(self._known_of(elements, answered))
        released: dict[str, Element] = {}
        gone = "none"  # the sequence that was removed last; its items follow it
        try:
            for path, element in elements.items():
                if path.startswith(gone):
                    continue
                action = self._action(path, element.vr)
                if action is Action.REMOVE or action is Action.BULK:
                    gone = f"{path}[" if element.vr == "SQ" else gone
                    continue
                treated = tools.treated(action, element)
                if treated is not None:
                    released[path] = treated
        except Underived:
            return Reason.UNDERIVED
        return Reason.LEAK if tools.leak_check.in_elements(released.values()) else released

    def _action(self, path: str, vr: str) -> Action:
        action = self._actions.get((path, vr))
        if action is None:
            action = _action_at(path, vr)
            if len(self._actions) < _MAX_ACTIONS:
                self._actions[path, vr] = action
        return action

    def _known_of(self, elements: Elements, answered: Elements) -> KnownValues:
        """Return what is known, widened by what these elements themselves say about people."""
        own = References.of(elements.values()).known
        if answered is not elements:
            own = merge_known(own, References.of(answered.values()).known)
        known = self._known
        is_covered = (
            own.names <= known.names
            and own.ids <= known.ids
            and own.accessions <= known.accessions
            and own.birth_dates <= known.birth_dates
        )
        return known if is_covered else merge_known(known, own)

    def _tools_for(self, known: KnownValues) -> "_Tools":
        tools = self._tools.get(known)
        if tools is None:
            if len(self._tools) >= _MAX_TOOLS:
                self._tools.clear()
            tools = self._tools[known] = self._made_tools(known, TextCleaner(known, self._shift))
        return tools

    def _made_tools(self, known: KnownValues, cleaner: TextCleaner) -> "_Tools":
        keys = self._keys
        treatment = Treatment(keys.patient, self._shift, keys.uids, keys.accessions, keys.cases, cleaner)
        return _Tools(treatment, LeakCheck(known, keys.uids, self._own))

    def _derived(self, elements: Elements, path: str) -> str:
        return self._keys.uids.get(text_of(elements, path), "")

    def _released(
        self, answer: IdentifiedHeader, elements: Elements, flags: tuple[str, ...]
    ) -> ReleasedHeader | Withheld:
        if not all(self._derived(answer.elements, path) for path in _NEEDED[answer.level]):
            return self._withheld(answer, Reason.UNDERIVED)
        return ReleasedHeader(
            level=answer.level,
            patient=self._keys.patient,
            study=self._derived(answer.elements, _STUDY),
            series=self._derived(answer.elements, _SERIES),
            instance=self._derived(answer.elements, _INSTANCE),
            elements=elements,
            flags=flags,
        )

    def _withheld(self, answer: IdentifiedHeader, reason: Reason) -> Withheld:
        return Withheld(
            patient=self._keys.patient,
            study=self._derived(answer.elements, _STUDY),
            series=self._derived(answer.elements, _SERIES),
            instance=self._derived(answer.elements, _INSTANCE),
            reason=reason,
        )


def release_header(
    header: IdentifiedHeader, keys: PatientKeys, *, cleaner: TextCleaner | None = None
) -> ReleasedHeader | Withheld:
    """Release one C-FIND answer; for many answers of a patient keep a ``Releaser``."""
    return Releaser(keys, cleaner=cleaner).header(header)


def _action_at(path: str, vr: str) -> Action:
    """Return the action at *path*: what is inside a sequence that goes, goes with it (PS3.15 E.1.1)."""
    *ancestors, leaf = path.split(".")
    if any(action_of(step[:8], "SQ") is not Action.ITEMS for step in ancestors):
        return Action.REMOVE
    action = action_of(leaf[:8], vr)
    return Action.REMOVE if ancestors and action is Action.CHARACTER_SET else action


def _disagreements(answered: Elements, content: Elements) -> tuple[str, ...]:
    """Return flags for what the data set says otherwise than the archive."""

    def differ(path: str) -> bool:
        ours, theirs = text_of(answered, path).strip(), text_of(content, path).strip()
        return bool(ours and theirs and ours != theirs)

    flags = []
    if any(differ(path) for path in (_STUDY, _SERIES, _INSTANCE)):
        flags.append("uid_mismatch")
    if differ(_PATIENT):
        flags.append("patient_mismatch")
    if differ(_ACCESSION):
        flags.append("accession_mismatch")
    return tuple(flags)
