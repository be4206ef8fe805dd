"""What one retrieve waits for: every object that arrives is compared with it before anything else happens."""

import threading
from collections.abc import Iterable
from typing import Final

from p2d.dimse.identifiers import sop_instance_uid
from p2d.dimse.services import COMPRESSED, IMPLICIT, UNCOMPRESSED
from p2d.model.identified import IdentifiedHeader, IdentifiedInstance
from p2d.pacs.port import RetrieveCounts

SUCCESS: Final = 0x0000
NOT_AUTHORISED: Final = 0x0124  # PS3.7 C.5.7: refused, not authorised
MISMATCH: Final = 0xA900  # PS3.4 B.2.3: data set does not match SOP class

_SYNTAXES: Final = frozenset((*UNCOMPRESSED, *COMPRESSED))


class Collection:
    """The instances of one retrieve and which of them have arrived; safe to share between threads.

    ``stores`` counts the objects that came for it, whatever became of them.
    """

    def __init__(self, instances: Iterable[IdentifiedHeader], counts: RetrieveCounts) -> None:
        self._headers = {header.sop_instance_uid: header for header in instances}
        self._missing = set(self._headers)
        self._counts = counts
        self._hashes: dict[str, int] = {}
        self._conflicts = 0
        self._lock = threading.Lock()
        self.stores = 0

    @property
    def missing(self) -> list[IdentifiedHeader]:
        """Instances that have not arrived, in the order asked for."""
        with self._lock:
            return [header for uid, header in self._headers.items() if uid in self._missing]

    def holds(self, uid: str) -> bool:
        """Whether *uid* was asked for."""
        return uid in self._headers

    def lacks(self, uids: Iterable[str]) -> bool:
        """Whether one of *uids* has not arrived."""
        with self._lock:
            return not self._missing.isdisjoint(uids)

    def conclude(self) -> None:
        """Note what cannot be told while objects still arrive."""
        if self._conflicts:
            self._counts.conflicts += self._conflicts
            self._counts.notes.append(
                f"{self._conflicts} instances arrived a second time with other content; the first was kept"
            )

    def refuse(self) -> int:
        """Count an object that nobody asked for; return the C-STORE status."""
        with self._lock:
            self._counts.refused += 1
        return NOT_AUTHORISED

    def receive(
        self, uid: str, sop_class_uid: str, syntax: str, content: bytes
    ) -> tuple[int, IdentifiedInstance | None]:
        """Return the C-STORE status for an object, and the instance when it is a new one that was asked for.

        *uid* is the command's Affected SOP Instance UID; the data set has to name the same.
        """
        with self._lock:
            self._counts.octets += len(content)
            self.stores += 1
        if uid not in self._headers:
            return self.refuse(), None
        found = sop_instance_uid(content, implicit=syntax == IMPLICIT) if syntax in _SYNTAXES else ""
        with self._lock:
            if found != uid:
                self._counts.refused += 1
                return MISMATCH, None
            if uid not in self._missing:
                self._counts.duplicates += 1
                self._conflicts += hash(content) != self._hashes[uid]
                return SUCCESS, None
            self._missing.discard(uid)
            self._hashes[uid] = hash(content)
        return SUCCESS, IdentifiedInstance(
            header=self._headers[uid],
            content=content,
            transfer_syntax_uid=syntax,
            sop_class_uid=sop_class_uid,
        )
