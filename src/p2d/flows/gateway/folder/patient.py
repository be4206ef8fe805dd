"""One patient of a folder: read all files for what they tell of the patient, then release each."""

import filecmp
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from p2d.deid.pixels.verdicts import Screen
from p2d.deid.profile.profile import Profile
from p2d.deid.references import References
from p2d.deid.release import Releaser
from p2d.deid.report.tally import DeidTally
from p2d.deid.rewrite.content import Opened, Unreadable
from p2d.export.files import LastFolder, trouble, write_parts
from p2d.export.names import file_name
from p2d.flows.gateway.folder.journal import FileOutcome, PatientDone
from p2d.flows.gateway.folder.project import Project
from p2d.flows.gateway.folder.scan import Input, Unusable, answer_in, instance_of
from p2d.model.identified import IdentifiedInstance, KnownValues, PatientKeys
from p2d.model.level import Output
from p2d.model.released import Withheld

_SUFFIX = ".dcm"
_KEPT_OPEN = 128
"""Files of one patient that stay mapped between the two looks; further ones are opened twice."""


@dataclass(frozen=True, slots=True)
class FolderWork:
    """What releasing needs besides the files; shared by all patients."""

    project: Project
    profile: Profile
    known: Mapping[str, KnownValues] = field(repr=False)
    screen: Screen | None
    root: int
    """Descriptor of the output folder."""


@dataclass(frozen=True, slots=True)
class PatientFiles:
    """The files of one patient; ``patient`` is the PatientID, or a study where there is none."""

    patient: str = field(repr=False)
    files: Sequence[Input] = field(repr=False)

    @property
    def patient_id(self) -> str:
        """PatientID (0010,0020) of the files; empty where a study stands for the patient."""
        return "" if self.patient.startswith("study:") else self.patient

    def trace(self, project: Project) -> str:
        """Return what changes when a file is added, removed or written anew."""
        parts = [f"{item.name}\0{item.size}\0{item.modified}" for item in self.files]
        return project.trace("\n".join([self.patient, *parts]))


class PatientRelease:
    """Releases the files of one patient into the output folder."""

    def __init__(self, work: FolderWork, patient: PatientFiles) -> None:
        self._work = work
        self._patient = patient
        self._tally = DeidTally()
        self._opened: dict[int, Opened | Unreadable | Unusable] = {}
        self._releaser = Releaser(
            self._keys(References()),
            work.profile,
            screen=work.screen,
            tally=self._tally,
            needs_pixels=False,
        )

    def _keys(self, references: References) -> PatientKeys:
        patient = self._patient
        known = self._work.known.get(patient.patient_id, KnownValues())
        return self._work.project.keys_for(patient.patient, patient.patient_id, references, known)

    def read(self) -> PatientKeys:
        """Read the headers of all files and return the keys for all that they refer to."""
        for item in self._patient.files:
            opened = self._open(item)
            if len(self._opened) < _KEPT_OPEN:
                self._opened[item.number] = opened
        keys = self._keys(self._releaser.references)
        self._releaser.learn(keys)
        return keys

    def _open(self, item: Input) -> Opened | Unreadable | Unusable:
        instance = instance_of(item, 0)
        if not isinstance(instance, IdentifiedInstance):
            return instance
        opened = self._releaser.open(instance)
        if isinstance(opened, Opened):
            return opened.answered(answer_in(opened.elements))
        whole = instance_of(item)
        return replace(opened, instance=whole) if isinstance(whole, IdentifiedInstance) else whole

    def outcomes(self) -> Iterator[FileOutcome]:
        """Release every file and yield what became of it, once it is on the disk; ``read`` comes first.

        Raises:
            InvalidRequest, Unavailable: the output folder cannot be written.

        """
        with LastFolder(self._work.root) as folder:
            yield from self._outcomes(folder)

    def _outcomes(self, folder: LastFolder) -> Iterator[FileOutcome]:
        written: dict[tuple[str, str, str], list[tuple[Input, str]]] = {}
        for item in self._patient.files:
            opened = self._opened.pop(item.number, None) or self._open(item)
            if isinstance(opened, Unusable):
                self._tally.withheld(opened.reason)
                yield FileOutcome(item.number, reason=opened.reason)
                continue
            ids = _ids(opened)
            before = written.setdefault(ids, [])
            if copy := next((name for first, name in before if _are_equal(item, first)), ""):
                yield FileOutcome(item.number, output=copy)
                continue
            released = self._releaser.image(opened)
            if isinstance(released, Withheld):
                yield FileOutcome(item.number, reason=released.reason)
                continue
            name = file_name(released.header, Output.DICOM)
            if before:  # another object that bears the same SOP Instance UID
                name = f"{name.removesuffix(_SUFFIX)}-{len(before) + 1}{_SUFFIX}"
            before.append((item, name))
            *names, leaf = name.split("/")
            with trouble():
                write_parts(folder.at(names), leaf, released.parts)
            yield FileOutcome(item.number, output=name)

    def done(self, files: Sequence[FileOutcome]) -> PatientDone:
        """Return the line for the journal."""
        pseudonym = str(self._work.project.pseudonym(self._patient.patient))
        return PatientDone(pseudonym, self._patient.trace(self._work.project), files, self._releaser.tally)


class Released(NamedTuple):
    """What became of one patient, and whether it was done in this run."""

    patient: PatientFiles
    keys: PatientKeys
    done: PatientDone
    is_new: bool


def release_patient(work: FolderWork, patient: PatientFiles, earlier: PatientDone | None) -> Released:
    """Release all files of *patient*, unless the outputs of an *earlier* run with the same inputs are there.

    Raises:
        InvalidRequest, Unavailable: the output folder cannot be written.

    """
    release = PatientRelease(work, patient)
    keys = release.read()
    if earlier is not None and _are_there(work.root, earlier.files):
        return Released(patient, keys, earlier, is_new=False)
    return Released(patient, keys, release.done(list(release.outcomes())), is_new=True)


def _are_there(root: int, files: Sequence[FileOutcome]) -> bool:
    try:
        return all(
            os.stat(f.output, dir_fd=root, follow_symlinks=False).st_size > 0 for f in files if f.output
        )
    except OSError:
        return False


def _ids(opened: Opened | Unreadable) -> tuple[str, str, str]:
    """Return study, series and instance, which name the file in the output folder."""
    header = opened.instance.header
    return header.study_instance_uid, header.series_instance_uid, header.sop_instance_uid


def _are_equal(one: Input, other: Input) -> bool:
    """Whether two files hold the same bytes; unreadable ones are equal to none."""
    try:
        return filecmp.cmp(one.path, other.path, shallow=False)
    except OSError:
        return False
