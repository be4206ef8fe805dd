"""Several archives asked as one: the same instance in two of them is one instance with two sources.

Archives are asked one after the other in the order of the settings; the first is preferred. All of them have
to share PatientIDs: the patient that is asked for is the same person in each.
"""

import contextlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from datetime import date
from typing import Any, Final

from p2d.model.errors import Misconfigured, P2DError, ProtocolViolation, Unavailable
from p2d.model.identified import IdentifiedHeader, IdentifiedInstance, PatientId
from p2d.model.level import Choice, Level
from p2d.pacs.days import checked_days
from p2d.pacs.governor.port import NotNow
from p2d.pacs.merge import merged
from p2d.pacs.port import Abilities, Pacs, Query, RetrieveCounts
from p2d.pacs.query import checked

NAME: Final = "several"


class SeveralArchives:
    """*archives* behind one port; safe to share between threads as they are."""

    def __init__(self, archives: Sequence[Pacs], name: str = NAME) -> None:
        self._archives = tuple(archives)
        self._name = name

    @property
    def name(self) -> str:
        """A name for all of them; each object says by itself which archives hold it."""
        return self._name

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the archives, preferred ones first."""
        return tuple(one.name for one in self._archives)

    def abilities(self) -> Abilities:
        """Return what holds for all archives; only listed instances can be counted over several."""
        all_of: list[Any] = [one.abilities() for one in self._archives]
        least = Abilities(
            **{each.name: min(getattr(one, each.name) for one in all_of) for each in fields(Abilities)}
        )
        return replace(least, counts=False)

    def close(self) -> None:
        """Close every archive, also where one fails to."""
        with contextlib.ExitStack() as stack:
            for one in self._archives:
                stack.callback(one.close)

    def stop(self) -> None:
        """Stop every archive at the same time; see ``Pacs``."""
        threads = [threading.Thread(target=one.stop, name="stop") for one in self._archives]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def resume(self) -> None:
        """Let every archive take work again."""
        for one in self._archives:
            one.resume()

    def echo(self) -> None:
        """Verify that every archive answers; see ``Pacs``."""
        for one in self._archives:
            with _naming(one):
                one.echo()

    def find(self, query: Query) -> Iterator[IdentifiedHeader]:
        """Yield what any archive answers, each entity once, nothing before all have answered; see ``Pacs``.

        Where one archive fails, the whole query fails: what the others say is no whole answer.
        """
        return self._found(checked(query))

    def _found(self, query: Query) -> Iterator[IdentifiedHeader]:
        if query.full is Choice.MIDDLE:  # the middle one of all archives is the middle one of none
            query = replace(query, full=Choice.ALL)
        answers: list[tuple[str, list[IdentifiedHeader]]] = []
        for one in self._archives:
            with _naming(one):
                answers.append((one.name, list(one.find(query))))
        yield from merged(query, answers)

    def owners(self, *, study_instance_uid: str = "", accession_number: str = "") -> list[PatientId]:
        """Return the patients that any archive names, each once; see ``Pacs``."""
        found: dict[str, PatientId] = {}
        for one in self._archives:
            with _naming(one):
                owners = one.owners(study_instance_uid=study_instance_uid, accession_number=accession_number)
            found.update((owner.value, owner) for owner in owners if owner.value not in found)
        return list(found.values())

    def studies(self, first_day: date, last_day: date, modality: str = "") -> Iterator[IdentifiedHeader]:
        """Yield the studies of some days, of all patients, as each archive has them; see ``Pacs``.

        A study that two archives list comes twice, each time with the archive's own numbers: only so can be
        told what changed where. Nothing of a day comes before all archives have answered for it.
        """
        return self._of_days(checked_days(first_day, last_day, modality), modality)

    def _of_days(self, days: Sequence[date], modality: str) -> Iterator[IdentifiedHeader]:
        for day in days:
            answers: list[IdentifiedHeader] = []
            for one in self._archives:
                with _naming(one):
                    found = list(one.studies(day, day, modality))
                answers += [replace(header, archives=(one.name,)) for header in found]
            yield from answers

    def retrieve(
        self,
        patient_id: PatientId,
        instances: Sequence[IdentifiedHeader],
        counts: RetrieveCounts | None = None,
        *,
        pixels: bool = True,
    ) -> Iterator[IdentifiedInstance]:
        """Yield each of *instances* from the first of its archives that delivers it; see ``Pacs``.

        An archive that fails is an error only where another does not deliver what it should have.
        """
        checked(Query(Level.INSTANCE, patient_id))
        return self._retrieved(patient_id, instances, counts or RetrieveCounts(), pixels=pixels)

    def _retrieved(
        self,
        patient_id: PatientId,
        instances: Sequence[IdentifiedHeader],
        counts: RetrieveCounts,
        *,
        pixels: bool,
    ) -> Iterator[IdentifiedInstance]:
        missing = {one.sop_instance_uid: one for one in instances}
        failures: list[tuple[Pacs, P2DError]] = []
        asked: set[str] = set()
        for archive in self._archives:
            wanted = [one for one in missing.values() if _may_hold(archive, one)]
            if again := sum(one.sop_instance_uid in asked for one in wanted):
                counts.notes.append(
                    f"{again} instance(s) were asked of archive {archive.name} in the second place"
                )
            asked.update(one.sop_instance_uid for one in wanted)
            try:
                with _naming(archive):
                    for instance in (
                        archive.retrieve(patient_id, wanted, counts, pixels=pixels) if wanted else ()
                    ):
                        if missing.pop(instance.header.sop_instance_uid, None) is not None:
                            yield instance
            except (Unavailable, ProtocolViolation) as error:
                failures.append((archive, error))
        for archive, failure in failures:
            if any(_may_hold(archive, one) for one in missing.values()):
                raise failure
            counts.notes.append(f"archive {archive.name} failed; another had what it should have delivered")


def _may_hold(archive: Pacs, header: IdentifiedHeader) -> bool:
    return not header.archives or archive.name in header.archives


@contextlib.contextmanager
def _naming(archive: Pacs) -> Iterator[None]:
    """Say in errors which archive they are of."""
    try:
        yield
    except NotNow:  # it names its archive, and what may be done about it
        raise
    except (Unavailable, ProtocolViolation, Misconfigured) as error:
        raise type(error)(f"archive {archive.name}", error.problem, error.remedy) from None
