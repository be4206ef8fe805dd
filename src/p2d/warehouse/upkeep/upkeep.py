"""Upkeep of a loaded warehouse, whichever engine keeps it."""

from collections.abc import Sequence

from p2d.model.errors import InvalidRequest
from p2d.warehouse.catalogue.entries import FEWEST_PATIENTS, Entry
from p2d.warehouse.pseudonyms import is_patient
from p2d.warehouse.upkeep import columns, consistency, counting, erasure, promotion
from p2d.warehouse.upkeep.tending import Tended


class Upkeep:
    """Upkeep of *warehouse*; every method is one transaction unless it says otherwise.

    ``patient_form`` is the regular expression of a foreign IDM's patient pseudonyms.

    Raises:
        Unavailable: every method, where the database does not answer.

    """

    def __init__(self, warehouse: Tended, patient_form: str | None = None) -> None:
        self._warehouse = warehouse
        self._patient_form = patient_form

    def promote(self, wanted: Sequence[tuple[str, str]]) -> tuple[promotion.Promotion, ...]:
        """Promote keywords, each to its level, all or none; see ``p2d.warehouse.upkeep.promotion``."""
        with self._warehouse.tending() as session:
            return tuple(promotion.promote(session, keyword, level) for keyword, level in wanted)

    def demote(self, keyword: str) -> None:
        """Take a promoted column away; its values stay in the extended headers."""
        with self._warehouse.tending() as session:
            promotion.demote(session, keyword)

    def promotions(self) -> dict[str, dict[str, str]]:
        """Return the promoted keywords with their types, by level."""
        with self._warehouse.looking() as session:
            return columns.promoted(session)

    def arrange(self) -> dict[str, bool]:
        """Bring every table in the order of queries, one transaction each; tell which were out of it."""
        return self._warehouse.arrange()

    def rebuild_terms(self) -> None:
        """Index the words of all documents anew."""
        with self._warehouse.tending() as session:
            session.index_all_documents()

    def entries(self) -> list[Entry]:
        """Return the catalogue, after counting what loads have touched since."""
        with self._warehouse.looking() as session:
            is_stale = counting.has_stale(session)
        if is_stale:
            self.refresh(everything=False)
        with self._warehouse.looking() as session:
            return counting.read_entries(session)

    def common_values(self, name: str) -> tuple[str, ...]:
        """Return the commonest texts or codes of the attribute *name*, as they were counted last.

        Those that fewer than ``FEWEST_PATIENTS`` share are none.
        """
        with self._warehouse.looking() as session:
            return counting.common_values(session, name, FEWEST_PATIENTS)

    def refresh(self, *, everything: bool) -> int:
        """Count all attributes of the catalogue, or the stale ones; return how many."""
        with self._warehouse.tending() as session:
            if everything:
                counting.discover(session)
            return counting.refresh(session, everything=everything)

    def inconsistencies(self) -> dict[str, int]:
        """Return the claims about the store that do not hold, with the number of rows against each."""
        with self._warehouse.inspecting() as session:
            return consistency.inconsistencies(session, keeps_words=self._warehouse.keeps_words)

    def erase(self, patients: Sequence[str]) -> dict[str, int]:
        """Delete every row of *patients* in every table; return how many went, by table.

        Nothing is deleted unless afterwards no row of theirs is left.

        Raises:
            InvalidRequest: one of them is not a pseudonym.

        """
        strange = sum(not is_patient(patient, self._patient_form) for patient in patients)
        if strange:
            raise InvalidRequest("patients", f"hold {strange} that are no pseudonyms", "give pseudonyms")
        with self._warehouse.tending() as session:
            gone, left = erasure.erase(session, patients, keeps_words=self._warehouse.keeps_words)
            if any(left.values()):
                raise InvalidRequest(
                    "patients", "would leave rows behind; nothing was erased", "p2d warehouse check"
                )
        return gone
