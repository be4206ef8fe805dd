"""Look at the archives day by day: studies of patients that the warehouse knows, and what became of them."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

from p2d.flows.gateway.gateway import Gateway
from p2d.flows.gateway.sync.comparison import Standing, standing
from p2d.flows.gateway.sync.counts import SyncCounts
from p2d.flows.gateway.sync.options import SyncOptions
from p2d.identity.port import Domain
from p2d.jobs.seen import SeenStudy
from p2d.model.header import count_of, text_of
from p2d.model.identified import IdentifiedHeader, PatientId
from p2d.model.ids import Pseudonym
from p2d.model.level import Calendar, Level
from p2d.pacs.days import MODALITIES_IN_STUDY
from p2d.pacs.port import Query
from p2d.pacs.query import STUDY_DATE, day_of

_SERIES_OF_STUDY = "00201206"
_INSTANCES_OF_STUDY = "00201208"
_INSTANCES_OF_SERIES = "00201209"

WatchDays = Callable[[int, int], None]
"""Called with the days looked at so far, and all of them."""


@dataclass(slots=True)
class View:
    """What a look came to, in pseudonyms: all that is listed, and what of it is to be extracted."""

    counts: SyncCounts = field(default_factory=SyncCounts)
    listed: set[tuple[str, str, str]] = field(default_factory=set)
    wanted: list[SeenStudy] = field(default_factory=list)
    back: list[SeenStudy] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Patient:
    """A known patient of one day's answers."""

    pseudonym: Pseudonym
    patient_id: PatientId
    shift: timedelta = field(repr=False)


@dataclass(frozen=True, slots=True)
class Look:
    """One look at the archives of *gateway* for *options*; ``watch`` is called after every day."""

    gateway: Gateway
    options: SyncOptions
    watch: WatchDays

    def view(self, goes_on: Callable[[], bool]) -> View | None:
        """Return what the archives list; None where *goes_on* ended it before the last day.

        Raises:
            Unavailable, ProtocolViolation: as the archive's and the identity port; nothing was changed, but
                for the patients that the options admit.

        """
        view, unknown = View(), set[str]()
        for number, day in enumerate(self.options.days(), 1):
            if not goes_on():
                return None
            self._look_at(day, view, unknown)
            self.watch(number, self.options.number_of_days)
        view.counts.patients_unknown = len(unknown)
        return view

    def _look_at(self, day: date, view: View, unknown: set[str]) -> None:
        headers = self._headers(day)
        patients = self._patients(headers)
        unknown.update(one.patient_id.strip() for one in headers if one.patient_id.strip() not in patients)
        known = [one for one in headers if one.patient_id.strip() in patients]
        view.counts.studies += len({(one.patient_id, one.study_instance_uid) for one in headers})
        view.counts.studies_unknown += len(
            {(one.patient_id, one.study_instance_uid) for one in headers}
            - {(one.patient_id, one.study_instance_uid) for one in known}
        )
        uids = sorted({one.study_instance_uid for one in known})
        derived = self.gateway.identity.derive(uids) if uids else {}
        listed: dict[tuple[str, str], list[SeenStudy]] = defaultdict(list)
        for header in known:
            one = self._listed(
                header, patients[header.patient_id.strip()], derived[header.study_instance_uid]
            )
            listed[one.study, one.patient].append(one)
        self._compare(listed, view)

    def _headers(self, day: date) -> list[IdentifiedHeader]:
        """Return the studies of *day*, of each modality that is asked for; each once an archive."""
        found: dict[tuple[str, str, tuple[str, ...]], IdentifiedHeader] = {}
        for modality in sorted(self.options.modalities) or [""]:
            for header in self.gateway.pacs.studies(day, day, modality):
                found[header.patient_id.strip(), header.study_instance_uid, header.archives] = header
        return list(found.values())

    def _patients(self, headers: Iterable[IdentifiedHeader]) -> dict[str, _Patient]:
        """Return the patients that identity knows, or may add, by PatientID."""
        identity = self.gateway.identity
        ids = [PatientId(text) for text in dict.fromkeys(one.patient_id.strip() for one in headers)]
        if not ids:
            return {}
        answers = identity.pseudonymise(Domain.PATIENT, ids, create=self.options.admit_unknown)
        known = [
            (patient_id, answer)
            for patient_id, answer in zip(ids, answers, strict=True)
            if isinstance(answer, Pseudonym)
        ]
        shifts = shifts_of(self.gateway, [str(answer) for _, answer in known])
        return {
            patient_id.value: _Patient(answer, patient_id, shifts[str(answer)])
            for patient_id, answer in known
        }

    def _listed(self, header: IdentifiedHeader, patient: _Patient, study: str) -> SeenStudy:
        element = header.elements.get(MODALITIES_IN_STUDY)
        series, instances = self._numbers(header, patient.patient_id)
        return SeenStudy(
            study=study,
            patient=str(patient.pseudonym),
            archive=header.archives[0] if header.archives else self.gateway.pacs.name,
            series=series,
            instances=instances,
            modalities=tuple(sorted({str(value) for value in element.values if value})) if element else (),
            day=shifted(day_of(text_of(header.elements, STUDY_DATE)), patient.shift),
            depth=self.options.depth,
        )

    def _numbers(self, header: IdentifiedHeader, patient_id: PatientId) -> tuple[int | None, int | None]:
        """Return series and instances of a study; where the archive does not count them they are listed."""
        series = _number(header, _SERIES_OF_STUDY)
        instances = _number(header, _INSTANCES_OF_STUDY)
        if instances is not None:
            return series, instances
        uid = header.study_instance_uid
        listed = list(self.gateway.pacs.find(Query(Level.SERIES, patient_id, study_instance_uid=uid)))
        told = [_number(one, _INSTANCES_OF_SERIES) for one in listed]
        if all(number is not None for number in told):
            return len(listed), sum(number or 0 for number in told)
        query = Query(Level.INSTANCE, patient_id, study_instance_uid=uid, full=None)
        return len(listed), sum(1 for _ in self.gateway.pacs.find(query))

    def _compare(self, listed: dict[tuple[str, str], list[SeenStudy]], view: View) -> None:
        seen: dict[tuple[str, str], list[SeenStudy]] = defaultdict(list)
        for one in self.gateway.ledger.seen.of(study for study, _ in listed):
            seen[one.study, one.patient].append(one)
        for place, some in listed.items():
            found = standing(some, seen[place])
            view.counts.add(found)
            view.listed.update(one.key for one in some)
            if found is not Standing.SAME:
                view.wanted += some
            archives = {one.archive for one in some}
            view.back += [one for one in seen[place] if one.is_gone and one.archive in archives]


def shifts_of(gateway: Gateway, patients: Sequence[str]) -> dict[str, timedelta]:
    """Return what is added to the true dates of each of *patients*: nothing where the site keeps these."""
    if gateway.calendar is Calendar.TRUE or not patients:
        return dict.fromkeys(patients, timedelta(0))
    shifts = gateway.identity.date_shift([Pseudonym(one) for one in patients])
    return {one: timedelta(days=days) for one, days in zip(patients, shifts, strict=True)}


def shifted(day: date | None, shift: timedelta) -> date | None:
    """Return *day* moved by *shift*; None for none, and where it leaves the calendar."""
    try:
        return None if day is None else day + shift
    except OverflowError:
        return None


def _number(header: IdentifiedHeader, path: str) -> int | None:
    return count_of(header.elements, path)
