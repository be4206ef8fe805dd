"""What is fetched of one patient when the archive may not be asked any more."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from p2d.flows.gateway.fetch import fetched
from p2d.model.identified import IdentifiedHeader, IdentifiedInstance, PatientId
from p2d.model.level import Level
from p2d.pacs.governor.port import NotNow, Why
from p2d.pacs.port import Query, RetrieveCounts
from p2d.testing.datasets import three_patients
from p2d.testing.gateway_stages import gateway_stages
from p2d.testing.memory_pacs import MemoryPacs


class StoppedAmid(MemoryPacs):
    """Is stopped once the first instance has come."""

    def retrieve(
        self,
        patient_id: PatientId,
        instances: Sequence[IdentifiedHeader],
        counts: RetrieveCounts | None = None,
        *,
        pixels: bool = True,
    ) -> Iterator[IdentifiedInstance]:
        yield next(super().retrieve(patient_id, instances, counts, pixels=pixels))
        raise NotNow("main", Why.STOPPED, "is stopped")


def test_what_a_stop_breaks_off_is_not_resumed(tmp_path: Path) -> None:
    pacs = StoppedAmid(three_patients().instances())
    gateway = replace(gateway_stages(tmp_path, []).gateway, pacs=pacs, retry_seconds=0.0)
    picks = list(pacs.find(Query(Level.INSTANCE, PatientId("P-1"))))

    with pytest.raises(NotNow):
        list(fetched(gateway, PatientId("P-1"), picks, RetrieveCounts(), pixels=False))

    assert pacs.retrieves == 1
