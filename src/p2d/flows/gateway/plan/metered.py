"""An archive that counts and times what is asked of it; behaves as the one it wraps."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from p2d.model.identified import IdentifiedHeader, IdentifiedInstance, PatientId
from p2d.pacs.port import Abilities, Pacs, Query, RetrieveCounts


@dataclass(slots=True)
class Meter:
    """What one patient cost: calls of ``find``, rows, retrieves, instances and octets of their data sets."""

    finds: int = 0
    rows: int = 0
    retrieves: int = 0
    instances: int = 0
    octets: int = 0


class MeteredPacs:
    """Wraps *pacs*; ``meter`` is what was counted since it was last replaced. For one thread."""

    def __init__(self, pacs: Pacs, clock: Callable[[], float] = time.perf_counter) -> None:
        self._pacs = pacs
        self._clock = clock
        self.meter = Meter()

    @property
    def name(self) -> str:
        """The archive's name."""
        return self._pacs.name

    def abilities(self) -> Abilities:
        """Return the wrapped archive's abilities."""
        return self._pacs.abilities()

    def close(self) -> None:
        """Do nothing: who opened the archive closes it."""

    def stop(self) -> None:
        """Stop the wrapped archive."""
        self._pacs.stop()

    def resume(self) -> None:
        """Resume the wrapped archive."""
        self._pacs.resume()

    def echo(self) -> None:
        """Pass on."""
        self._pacs.echo()

    def owners(self, *, study_instance_uid: str = "", accession_number: str = "") -> list[PatientId]:
        """Pass on, counted as a query."""
        self.meter.finds += 1
        return self._pacs.owners(study_instance_uid=study_instance_uid, accession_number=accession_number)

    def studies(self, first_day: date, last_day: date, modality: str = "") -> Iterator[IdentifiedHeader]:
        """Pass on, counted as a query a day, with its rows."""
        self.meter.finds += (last_day - first_day).days + 1
        for header in self._pacs.studies(first_day, last_day, modality):
            self.meter.rows += 1
            yield header

    def find(self, query: Query) -> Iterator[IdentifiedHeader]:
        """Pass on, counted with its rows."""
        self.meter.finds += 1
        for header in self._pacs.find(query):
            self.meter.rows += 1
            yield header

    def retrieve(
        self,
        patient_id: PatientId,
        instances: Sequence[IdentifiedHeader],
        counts: RetrieveCounts | None = None,
        *,
        pixels: bool = True,
    ) -> Iterator[IdentifiedInstance]:
        """Pass on, counted with its instances and their octets."""
        counts = counts or RetrieveCounts()
        before = counts.octets
        self.meter.retrieves += 1
        try:
            for instance in self._pacs.retrieve(patient_id, instances, counts, pixels=pixels):
                self.meter.instances += 1
                yield instance
        finally:
            self.meter.octets += counts.octets - before
