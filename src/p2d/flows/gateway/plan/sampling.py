"""The two samples of a plan: patients counted by the archive's own numbers, and patients timed."""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from p2d.flows.gateway.gateway import Gateway
from p2d.flows.gateway.locate import PatientWork, locate
from p2d.flows.gateway.patient import extract_headers
from p2d.flows.gateway.plan.metered import Meter, MeteredPacs
from p2d.flows.gateway.plan.prediction import APPROACHES, Approach, Counted, Timed, spread_of
from p2d.flows.gateway.rows import tables_of
from p2d.model.errors import InvalidRequest, ProtocolViolation, Unavailable
from p2d.model.header import count_of, text_of
from p2d.model.identified import IdentifiedHeader
from p2d.model.level import Level, Scope
from p2d.model.request import Request
from p2d.pacs.governor.port import NotNow
from p2d.pacs.port import Query

_AT_ONCE: Final = 50
_LEAST_COUNTED: Final = 100
_MODALITY: Final = "00080060"
_STUDY_SERIES: Final = "00201206"
_STUDY_INSTANCES: Final = "00201208"
_SERIES_INSTANCES: Final = "00201209"
Watch = Callable[[str, int, int], None]
"""Called with what is done now, how many are done and of how many."""


@dataclass(slots=True)
class Sample:
    """What was asked of the archive to make a plan, and what it showed.

    ``failed`` patients could not be counted or timed. ``unknown`` ones identity management does not resolve;
    they are in ``counted`` with nothing, as are those of whom the archive has nothing.
    """

    counted: list[Counted] = field(default_factory=list)
    timed: dict[Approach, list[Timed]] = field(default_factory=dict)
    failed: int = 0
    unknown: int = 0
    cost: Meter = field(default_factory=Meter)
    seconds: float = 0.0


class Sampler:
    """Takes both samples for one request, to predict for *population* patients; for one thread.

    Counting ends before its time where the 90 % interval of images and series is within *precision*.
    """

    def __init__(
        self, gateway: Gateway, request: Request, population: int, precision: float, *, seed: int = 1
    ) -> None:
        self._pacs = MeteredPacs(gateway.pacs)
        self._gateway = replace(gateway, pacs=self._pacs)
        self._request = request
        self._population = population
        self._precision = precision
        self._dice = random.Random(seed)  # noqa: S311 - a sample is repeatable
        self._works: list[tuple[PatientWork, Counted]] = []

    def take(self, counted: int, timed: int, most_images: int, watch: Watch = lambda *_: None) -> Sample:
        """Count up to *counted* patients; time up to *timed* of them, moving at most *most_images* images.

        Raises:
            InvalidRequest: nobody can be counted or timed: no patient has images.
            Unavailable, ProtocolViolation: identity management does not answer, or the archive of nobody.
            NotNow: the archive may not be asked now, or no more.

        """
        began = time.perf_counter()
        sample = Sample()
        self._count(sample, counted, watch)
        self._time(sample, timed, most_images, watch)
        sample.seconds = time.perf_counter() - began
        return sample

    def _count(self, sample: Sample, most: int, watch: Watch) -> None:
        targets = list(self._request.targets)
        failure: Unavailable | ProtocolViolation | InvalidRequest | None = None
        drawn = self._dice.sample(targets, min(len(targets), most))
        for start in range(0, len(drawn), _AT_ONCE):
            if self._is_precise(sample.counted):
                break
            works, unresolved = locate(self._gateway, drawn[start : start + _AT_ONCE], None)
            sample.unknown += len(unresolved)
            sample.counted += [Counted(0, 0, 0)] * len(unresolved)
            for work in works:
                try:
                    counted = self._counted(work)
                except NotNow:  # no patient's fault
                    raise
                except (Unavailable, ProtocolViolation, InvalidRequest) as error:
                    sample.failed += 1
                    failure = error
                    continue
                finally:
                    self._charge(sample)
                sample.counted.append(counted)
                if counted.images:
                    self._works.append((work, counted))
            watch("counting patients", min(start + _AT_ONCE, len(drawn)), len(drawn))
        if not self._works and failure is not None:
            raise failure  # that nobody has images is not known
        if not self._works:
            raise InvalidRequest(
                "LIST", "names no patient with images in the archive", "plan with patients who have some"
            )

    def _is_precise(self, counted: Sequence[Counted]) -> bool:
        if len(counted) < _LEAST_COUNTED:
            return False
        images = spread_of([float(one.images) for one in counted], self._population)
        series = spread_of([float(one.series) for one in counted], self._population)
        return max(images, series) <= self._precision

    def _counted(self, work: PatientWork) -> Counted:
        wanted = self._request.modalities
        series: dict[str, int | None] = {}
        studies: dict[str, tuple[int, int] | None] = {}
        for header in self._found(work, Level.SERIES if wanted else Level.STUDY):
            if not wanted:
                studies[header.study_instance_uid] = _stated(header)
            elif text_of(header.elements, _MODALITY) in wanted:
                series[header.series_instance_uid] = _number(header, _SERIES_INSTANCES)
                studies.setdefault(header.study_instance_uid, None)
        if not wanted and all(studies.values()):
            told = [one for one in studies.values() if one]
            return Counted(len(studies), sum(one[0] for one in told), sum(one[1] for one in told))
        if series and all(number is not None for number in series.values()):
            return Counted(len(studies), len(series), sum(number or 0 for number in series.values()))
        return self._listed(work)

    def _listed(self, work: PatientWork) -> Counted:
        """Count by listing every image: for archives that state no numbers."""
        wanted = self._request.modalities
        images = {
            (header.study_instance_uid, header.series_instance_uid, header.sop_instance_uid)
            for header in self._found(work, Level.INSTANCE)
            if not wanted or text_of(header.elements, _MODALITY) in wanted
        }
        return Counted(len({one[0] for one in images}), len({one[:2] for one in images}), len(images))

    def _found(self, work: PatientWork, level: Level) -> Iterator[IdentifiedHeader]:
        for search in work.searches:
            if not search.is_empty:
                yield from self._pacs.find(
                    Query(level, work.patient_id, first_day=search.first_day, last_day=search.last_day)
                )

    def _time(self, sample: Sample, most: int, most_images: int, watch: Watch) -> None:
        ordered = sorted(self._works, key=lambda item: item[1].images)
        chosen = [ordered[place] for place in _spread(len(ordered), most)]
        self._warm_up(sample, ordered[0])
        steps = [(approach, work, counted) for approach in APPROACHES for work, counted in chosen]
        left = most_images
        for number, (approach, work, counted) in enumerate(steps):
            watch("timing patients", number, len(steps))
            moves = counted.taken(approach.choice) if approach.scope is Scope.EXTENDED else 0
            timed = sample.timed.setdefault(approach, [])
            if moves > left and timed:
                continue  # the budget is spent; at least one patient of each approach is timed
            left -= moves
            try:
                timed.append(self._timed(approach, work, counted))
            except NotNow:
                raise
            except (Unavailable, ProtocolViolation, InvalidRequest):
                sample.failed += 1
            finally:
                self._charge(sample)
        watch("timing patients", len(steps), len(steps))

    def _warm_up(self, sample: Sample, smallest: tuple[PatientWork, Counted]) -> None:
        """Run the smallest patient once untimed: connections are opened and answers looked up once a run."""
        try:
            self._timed(APPROACHES[0], *smallest)
        except NotNow:
            raise
        except (Unavailable, ProtocolViolation, InvalidRequest):
            pass  # it is timed again, and counted as failed there
        finally:
            self._charge(sample)

    def _timed(self, approach: Approach, work: PatientWork, counted: Counted) -> Timed:
        request = replace(self._request, scope=approach.scope, choice=approach.choice)
        meter = self._pacs.meter
        began = time.perf_counter()
        headers = extract_headers(self._gateway, work, request)
        tables_of(self._pacs.name, headers.basic, headers.extended, request.scope)
        return Timed(counted, time.perf_counter() - began, meter.finds, meter.octets)

    def _charge(self, sample: Sample) -> None:
        used, self._pacs.meter = self._pacs.meter, Meter()
        for name in ("finds", "rows", "retrieves", "instances", "octets"):
            setattr(sample.cost, name, getattr(sample.cost, name) + getattr(used, name))


def _stated(header: IdentifiedHeader) -> tuple[int, int] | None:
    series, images = _number(header, _STUDY_SERIES), _number(header, _STUDY_INSTANCES)
    return None if series is None or images is None else (series, images)


def _number(header: IdentifiedHeader, path: str) -> int | None:
    return count_of(header.elements, path)


def _spread(count: int, most: int) -> list[int]:
    """Return the places of up to *most* of *count* ordered items, evenly from the least to the most."""
    some = min(count, most)
    return [(2 * number + 1) * count // (2 * some) for number in range(some)]
