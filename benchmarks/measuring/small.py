"""One small C-FIND, again and again: what stands between question and answer if the archive delays."""

import time
from collections.abc import Callable
from statistics import median

from measuring.peer import timed
from measuring.stock import StockArchive, asked
from p2d.model.identified import PatientId
from p2d.model.level import Level
from p2d.pacs.port import Pacs, Query
from p2d.pacs.query import PATIENT_ID


def small_finds(ours: Pacs, stock: StockArchive, patient: str, times: int) -> tuple[float, float]:
    """Return the median milliseconds of one study-level C-FIND by P2D and by pynetdicom, taken in turn."""
    association = stock.associated()
    ways: dict[str, Callable[[], object]] = {
        "ours": lambda: list(ours.find(Query(Level.STUDY, PatientId(patient)))),
        "stock": lambda: asked(association, Level.STUDY, {PATIENT_ID: patient}),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    try:
        for _ in range(times):
            for name, way in ways.items():
                time.sleep(0.01)
                seconds[name].append(timed(way)[0])
    finally:
        association.release()
    return median(seconds["ours"]) * 1000, median(seconds["stock"]) * 1000
