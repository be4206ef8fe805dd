"""Release or withhold: the gate between identified and de-identified data, one ``Releaser`` a patient.

Fails closed: what cannot be read, mapped or proved clean is withheld with its reason. Nothing here raises
on account of what the data hold.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from p2d.deid.hierarchy import disagreements
from p2d.deid.patient_tools import PatientTools
from p2d.deid.pixels.decision import Decision, Verdict, is_radiography, is_sampled
from p2d.deid.pixels.layouts import DeviceKey
from p2d.deid.pixels.verdicts import Asked, Screen, Verdicts
from p2d.deid.profile.options import Option
from p2d.deid.profile.profile import RESEARCH, Profile
from p2d.deid.profile.statement import statement
from p2d.deid.references import Gathering, References, merge_known
from p2d.deid.repeated import Rewritten
from p2d.deid.report.tally import DeidTally
from p2d.deid.rewrite.assembly import Piece, expected_length, file_head, pieces_of, pixels_of
from p2d.deid.rewrite.content import DEFLATED, EXPLICIT, Opened, Unreadable, open_content
from p2d.deid.rewrite.decoder import Decoders
from p2d.deid.rewrite.encoding import Encoding
from p2d.deid.rewrite.pixel_data import pixels_refused
from p2d.deid.scrub.words import is_placeholder
from p2d.dicom.encode import element
from p2d.dicom.uids import is_transfer_syntax
from p2d.dicom.walk import Syntax
from p2d.model.header import Element, Elements, text_of
from p2d.model.identified import IdentifiedHeader, IdentifiedInstance, KnownValues, PatientKeys
from p2d.model.level import Level
from p2d.model.released import Reason, ReleasedHeader, ReleasedInstance, Withheld

_STUDY: Final = "0020000D"
_SERIES: Final = "0020000E"
_INSTANCE: Final = "00080018"
_SOP_CLASS: Final = "00080016"
_PATIENT: Final = "00100020"
_ACCESSION: Final = "00080050"
_MODALITY: Final = "00080060"
_UNICODE: Final = b"ISO_IR 192"
_CHARACTER_SET: Final = 0x00080005
_HIERARCHY: Final = (_STUDY, _SERIES, _INSTANCE)
_NEEDED: Final = {Level.PATIENT: 0, Level.STUDY: 1, Level.SERIES: 2, Level.INSTANCE: 3}
"""How many UIDs of the hierarchy an answer at this level must have."""

_SCREEN: Final = Verdict.SCREEN
_WITHHOLD: Final = Verdict.WITHHOLD
_RECOGNISABLE: Final = "00280302"
_INSTANCE_TAG: Final = 0x00080018
_MAX_WRITTEN: Final = 1000
_MAX_SCREENED: Final = 1 << 29
SAMPLED_SHARE: Final = 0.02
"""Share of radiographs that the text detector looks at although no rule makes them suspect."""


class Releaser:
    """Releases one patient's headers and images; remembers what was decided before.

    Not for use by several threads at once. Lives as long as the patient's batch. Without *screen* images
    whose pixels may show text are withheld. With *needs_pixels* objects of image classes without pixel data
    are withheld as well. Without *reuses* each object is decided on by itself, with the same result.
    """

    def __init__(
        self,
        keys: PatientKeys,
        profile: Profile = RESEARCH,
        *,
        screen: Screen | None = None,
        tally: DeidTally | None = None,
        needs_pixels: bool = True,
        reuses: bool = True,
    ) -> None:
        self._profile = profile
        self._keeps_uids = Option.RETAIN_UIDS in profile.options
        self._screen = screen
        self._tally = tally if tally is not None else DeidTally()
        self._decoders = Decoders(reuses=reuses)
        self._verdicts = Verdicts(profile, screen, needs_pixels=needs_pixels)
        self._written: dict[tuple[str, Encoding, str, str, bool], Sequence[Piece]] = {}
        self._keys = keys
        self._gathering = Gathering()
        self._gathering.add(References(known=_own_known(keys)))
        self._tools = self._made_tools()

    def __repr__(self) -> str:
        return f"Releaser({self._keys.patient})"

    @property
    def references(self) -> References:
        """What the objects opened so far refer to."""
        return self._gathering.references

    @property
    def tally(self) -> DeidTally:
        """What was removed, replaced, cleaned and kept so far, and what was withheld."""
        self._tools.counted(self._tally)
        return self._tally

    def open(self, instance: IdentifiedInstance) -> Opened | Unreadable:
        """Read *instance* and add what it refers to to ``references``; its pixel data are not touched.

        What cannot be read will be withheld.
        """
        opened = open_content(instance, self._decoders)
        if fresh := self._decoders.taken():
            self._gathering.read(fresh)
        return opened

    def learn(self, keys: PatientKeys) -> None:
        """Take *keys*, which cover ``references``, in the place of those from before.

        Decisions stay where nothing more is known of the patient than before.
        """
        self._keys = keys
        self._written.clear()
        self._gathering.add(References(known=_own_known(keys)))
        if self.references.known == self._tools.known:
            self._tools.rekey(keys)
        else:
            self._renew()

    def _renew(self) -> None:
        self._tools.counted(self._tally)
        self._tools = self._made_tools()

    def _made_tools(self) -> PatientTools:
        return PatientTools(self._profile, self._keys, self.references.known)

    def header(self, header: IdentifiedHeader) -> ReleasedHeader | Withheld:
        """Release one C-FIND answer: its elements with UIDs derived, dates moved and texts cleaned."""
        if not self._is_of_patient(header.patient_id):
            return self._withheld(header, Reason.PATIENT_MISMATCH)
        elements = self._tools.answered(header.elements.values())
        if isinstance(elements, References):  # it names somebody that was not known of
            self._gathering.add(elements)
            self._renew()
            return self.header(header)
        if isinstance(elements, Reason):
            return self._withheld(header, elements)
        return self._released(header, elements, ())

    def extended(self, instance: IdentifiedInstance | Opened | Unreadable) -> ReleasedHeader | Withheld:
        """Release the whole header of a retrieved instance, whatever its SOP class.

        Binary values and pixel data are left out. The archive's answer decides hierarchy and patient; a
        disagreement of the data set shows in ``flags``.
        """
        opened = self._opened(instance)
        if isinstance(opened, Unreadable):
            return self._withheld(opened.instance.header, opened.reason)
        whole = self._whole(opened)
        return whole if isinstance(whole, Withheld) else self._counted(whole)[0]

    def image(  # noqa: PLR0911 - one return a reason to stay
        self, instance: IdentifiedInstance | Opened | Unreadable
    ) -> ReleasedInstance | Withheld:
        """Release a retrieved instance as a DICOM file, its pixel data untouched or masked.

        Objects whose pixels may show text and are not screened, that name another patient or none, or are
        of no known SOP class are withheld.
        """
        opened = self._opened(instance)
        answer = opened.instance.header
        if isinstance(opened, Unreadable):
            return self._withheld(answer, opened.reason)
        if opened.instance.is_cut:
            return self._withheld(answer, Reason.NO_PIXELS)
        if not self._is_of_patient(text_of(opened.elements, _PATIENT)):
            return self._withheld(answer, Reason.PATIENT_MISMATCH)
        decision = self._decision(opened)
        if decision.verdict is _WITHHOLD:
            return self._withheld(answer, decision.reason or Reason.BURNED_IN)
        whole = self._whole(opened)
        if isinstance(whole, Withheld):
            return whole
        file = self._file(opened, whole, decision)
        if isinstance(file, Reason):
            return self._withheld(answer, file)
        self._counted(whole)
        if decision.recognisable:
            self._tally.recognisable()
        return file

    def _opened(self, instance: IdentifiedInstance | Opened | Unreadable) -> Opened | Unreadable:
        if not isinstance(instance, IdentifiedInstance):
            return instance
        opened = self.open(instance)
        if self.references.known is not self._tools.known:
            self._renew()
        return opened

    def _decision(self, opened: Opened) -> Decision:
        modality = text_of(opened.instance.header.elements, _MODALITY)
        asked = Asked(
            modality,
            opened.instance.sop_class_uid,
            opened.pixels is not None,
            self._is_sampled(opened, modality),
        )
        return self._verdicts.of(opened.elements, asked, opened.pattern)

    def _is_sampled(self, opened: Opened, modality: str) -> bool:
        """Whether the detector looks at an object that no rule makes suspect."""
        if self._profile.screen != "sample":
            return self._profile.screen == "all"
        uid = self._derived(opened.elements, _INSTANCE)
        return is_radiography(modality) and is_sampled(uid, SAMPLED_SHARE)

    def _whole(self, opened: Opened) -> "_Whole | Withheld":
        answer = opened.instance.header
        if not self._is_of_patient(answer.patient_id):
            return self._withheld(answer, Reason.PATIENT_MISMATCH)
        rules = self._profile.rules(text_of(opened.elements, _SOP_CLASS))
        rewritten = self._tools.rewritten(opened, rules)
        if isinstance(rewritten, Reason):
            return self._withheld(answer, rewritten)
        elements = rewritten.elements
        elements[_PATIENT] = Element(_PATIENT, "LO", (str(self._keys.patient),))
        elements.update(statement(self._profile, true_dates=self._keys.true_dates, masked=False))
        header = self._released(answer, elements, disagreements(answer.elements, opened.elements))
        return header if isinstance(header, Withheld) else _Whole(header, rewritten)

    def _counted(self, whole: "_Whole") -> tuple[ReleasedHeader]:
        whole.rewritten.count(self._tally)
        self._tally.released()
        return (whole.header,)

    def _file(self, opened: Opened, whole: "_Whole", decision: Decision) -> ReleasedInstance | Reason:
        syntax_uid = opened.instance.transfer_syntax_uid
        if not is_transfer_syntax(syntax_uid):
            return Reason.UNDECODABLE
        expected = expected_length(opened.elements) if opened.pixels is not None else 0
        if refused := pixels_refused(opened, expected, self._tools.leak_check):
            return refused
        written_uid = EXPLICIT if syntax_uid == DEFLATED else syntax_uid
        try:
            head, behind = self._header(opened, whole, decision, written_uid)
            pixels: tuple[bytes | memoryview, ...] = ()
            if opened.pixels is not None:
                pixels = pixels_of(opened.source, opened.pixels, opened.encoding.syntax, expected)
        except (ValueError, UnicodeError):
            return Reason.UNDECODABLE
        parts = (head, *pixels, behind) if behind else (head, *pixels)
        released = ReleasedInstance(whole.header, parts, written_uid)
        return self._screened(opened, released, decision) if decision.verdict is _SCREEN else released

    def _screened(
        self, opened: Opened, released: ReleasedInstance, decision: Decision
    ) -> ReleasedInstance | Reason:
        assert self._screen is not None  # noqa: S101 - _decision withholds without one
        if released.size > _MAX_SCREENED:
            return Reason.TOO_LARGE
        screened = self._screen.screen(released.content, decision, DeviceKey.of(opened.elements))
        if isinstance(screened, Reason):
            return screened
        self._tally.masked(len(screened.boxes), len(screened.looked_at))
        if not screened.is_masked:
            return released
        masks = tuple((box.left, box.top, box.right, box.bottom) for box in screened.boxes)
        return ReleasedInstance(released.header, (screened.content,), screened.transfer_syntax_uid, masks)

    def _header(
        self, opened: Opened, whole: "_Whole", decision: Decision, syntax_uid: str
    ) -> tuple[bytes, bytes]:
        """Return what stands before and behind the pixel data of a file."""
        header, syntax = whole.header, opened.encoding.syntax
        study, series, instance = self._hierarchy(opened, header)
        additions = self._additions(
            opened, whole.rewritten.codec, study, series, is_recognisable=decision.recognisable
        )
        own = (_INSTANCE_TAG, element(_INSTANCE_TAG, "UI", instance.encode("ascii"), syntax))
        head = file_head(text_of(header.elements, _SOP_CLASS), instance, syntax_uid)
        before, behind = whole.rewritten.joined(additions, own, opened.pixels)
        return (head + before + behind, b"") if opened.pixels is None else (head + before, behind)

    def _additions(
        self, opened: Opened, codec: str, study: str, series: str, *, is_recognisable: bool
    ) -> Sequence[Piece]:
        """Return what P2D writes into all files of a series; the same object each time."""
        key = (codec, opened.encoding, study, series, is_recognisable)
        pieces = self._written.get(key)
        if pieces is None:
            syntax = opened.encoding.syntax
            pieces = self._stated(codec, syntax, is_recognisable=is_recognisable)
            for path, vr, text in (
                *((path, "UI", uid) for path, uid in ((_STUDY, study), (_SERIES, series))),
                (_PATIENT, "LO", str(self._keys.patient)),
            ):
                pieces.append((int(path, 16), element(int(path, 16), vr, text.encode("ascii"), syntax)))
            if codec != opened.encoding.codecs[0]:
                pieces.append((_CHARACTER_SET, element(_CHARACTER_SET, "CS", _UNICODE, syntax)))
            if len(self._written) >= _MAX_WRITTEN:
                self._written.clear()
            self._written[key] = pieces
        return pieces

    def _hierarchy(self, opened: Opened, header: ReleasedHeader) -> tuple[str, str, str]:
        """Return the UIDs of study, series and instance in a file: the archive's own where UIDs are kept."""
        if self._keeps_uids:
            answered = opened.instance.header.elements
            return text_of(answered, _STUDY), text_of(answered, _SERIES), text_of(answered, _INSTANCE)
        return header.study, header.series, header.instance

    def _stated(self, codec: str, syntax: Syntax, *, is_recognisable: bool) -> list[Piece]:
        """Return the elements that say what was done, in the encoding of a file."""
        said = statement(self._profile, true_dates=self._keys.true_dates, masked=False)
        written = [*said.values()]
        if is_recognisable:
            written.append(Element(_RECOGNISABLE, "CS", ("YES",)))
        return pieces_of(written, codec, syntax)

    def _is_of_patient(self, patient_id: str) -> bool:
        return patient_id.strip() == self._keys.patient_id.value.strip()

    def _derived(self, elements: Elements, path: str) -> str:
        return self._keys.uids.get(text_of(elements, path), "")

    def _released(
        self, answer: IdentifiedHeader, elements: Elements, flags: tuple[str, ...]
    ) -> ReleasedHeader | Withheld:
        study, series, instance = (self._derived(answer.elements, path) for path in _HIERARCHY)
        if not all((study, series, instance)[: _NEEDED[answer.level]]):
            return self._withheld(answer, Reason.UNDERIVED)
        return ReleasedHeader(
            answer.level, self._keys.patient, study, series, instance, elements, flags, answer.archives
        )

    def _withheld(self, answer: IdentifiedHeader, reason: Reason) -> Withheld:
        self._tally.withheld(reason)
        return Withheld(
            patient=self._keys.patient,
            study=self._derived(answer.elements, _STUDY),
            series=self._derived(answer.elements, _SERIES),
            instance=self._derived(answer.elements, _INSTANCE),
            reason=reason,
        )


@dataclass(frozen=True, slots=True)
class _Whole:
    """The header of an instance, as rows and as pieces of a file."""

    header: ReleasedHeader
    rewritten: Rewritten


def release_header(header: IdentifiedHeader, keys: PatientKeys) -> ReleasedHeader | Withheld:
    """Release one C-FIND answer; for many answers of a patient keep a ``Releaser``."""
    return Releaser(keys).header(header)


def _own_known(keys: PatientKeys) -> KnownValues:
    ids = {one for one in (keys.patient_id.value, *keys.cases) if not is_placeholder(one)}
    own = KnownValues(ids=frozenset(ids), accessions=frozenset(keys.accessions))
    return merge_known(keys.known, own)
