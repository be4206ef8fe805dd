"""What keeps a warehouse in shape beside loads and questions: promotion, order, catalogue, check, erasure."""

from collections.abc import Sequence

from p2d.model.errors import InvalidRequest
from p2d.warehouse.catalogue.entries import Entry
from p2d.warehouse.duckdb import arranging, columns, consistency, counting, erasure, promotion, terms
from p2d.warehouse.duckdb.engine import DuckDbWarehouse
from p2d.warehouse.pseudonyms import is_patient


class Upkeep:
    """Upkeep of *warehouse*; every method is one transaction unless it says otherwise.

    ``patient_form`` is the regular expression of a foreign IDM's patient pseudonyms.

    Raises:
        Unavailable: every method, where the database does not answer.

    """

    def __init__(self, warehouse: DuckDbWarehouse, patient_form: str | None = None) -> None:
        self._warehouse = warehouse
        self._patient_form = patient_form

    def promote(self, wanted: Sequence[tuple[str, str]]) -> tuple[promotion.Promotion, ...]:
        """Promote keywords, each to its level, all or none; see ``p2d.warehouse.duckdb.promotion``."""
        with self._warehouse.writing() as cursor:
            return tuple(promotion.promote(cursor, keyword, level) for keyword, level in wanted)

    def demote(self, keyword: str) -> None:
        """Take a promoted column away; its values stay in the extended headers."""
        with self._warehouse.writing() as cursor:
            promotion.demote(cursor, keyword)

    def promotions(self) -> dict[str, dict[str, str]]:
        """Return the promoted keywords with their types, by level."""
        with self._warehouse.reading() as cursor:
            return columns.promoted(cursor)

    def arrange(self) -> dict[str, bool]:
        """Bring every table in the order of queries, one transaction each; tell which were out of it."""
        rewritten = {}
        for table in arranging.ORDERS:
            with self._warehouse.reading() as cursor:
                rewritten[table] = not arranging.is_arranged(cursor, table)
            if rewritten[table]:
                with self._warehouse.writing() as cursor:
                    arranging.arrange(cursor, table)
        return rewritten

    def rebuild_terms(self) -> None:
        """Index the words of all documents anew."""
        with self._warehouse.writing() as cursor:
            terms.rebuild(cursor)

    def entries(self) -> list[Entry]:
        """Return the catalogue, after counting what loads have touched since."""
        with self._warehouse.reading() as cursor:
            is_stale = counting.has_stale(cursor)
        if is_stale:
            self.refresh(everything=False)
        with self._warehouse.reading() as cursor:
            return counting.read_entries(cursor)

    def refresh(self, *, everything: bool) -> int:
        """Count all attributes of the catalogue, or the stale ones; return how many."""
        with self._warehouse.writing() as cursor:
            if everything:
                counting.discover(cursor)
            return counting.refresh(cursor, everything=everything)

    def inconsistencies(self) -> dict[str, int]:
        """Return the claims about the store that do not hold, with the number of rows against each."""
        with self._warehouse.reading() as cursor:
            cursor.begin()
            return consistency.inconsistencies(cursor)

    def erase(self, patients: Sequence[str]) -> dict[str, int]:
        """Delete every row of *patients* in every table; return how many went, by table.

        Nothing is deleted unless afterwards no row of theirs is left.

        Raises:
            InvalidRequest: one of them is not a pseudonym.

        """
        strange = sum(not is_patient(patient, self._patient_form) for patient in patients)
        if strange:
            raise InvalidRequest("patients", f"hold {strange} that are no pseudonyms", "give pseudonyms")
        with self._warehouse.writing() as cursor:
            gone, left = erasure.erase(cursor, patients)
            if any(left.values()):
                raise InvalidRequest(
                    "patients", "would leave rows behind; nothing was erased", "p2d warehouse check"
                )
        return gone
