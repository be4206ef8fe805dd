"""What an operator may see of the load on archives and order: stop, resume; recorded in the audit."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from p2d.audit.log import AuditLog
from p2d.model.errors import NotFound, Unavailable
from p2d.pacs.governor.port import Governor, Load


@dataclass(frozen=True, slots=True)
class ArchiveOrders:
    """Orders of *user* to the governors of this gateway's archives, by the archives' names."""

    governors: Mapping[str, Governor] = field(repr=False)
    audit: AuditLog = field(repr=False)
    user: str

    def loads(self, name: str | None = None) -> list[Load]:
        """Return the loads of all archives, or of the one called *name*.

        Raises:
            NotFound: no archive has that name.
            Unavailable: a governor cannot be reached.

        """
        return [governor.load() for governor in self._named(name).values()]

    def stop(self, name: str | None = None) -> list[str]:
        """Stop all archives, or the one called *name*; return which. First stopped, then recorded.

        Raises:
            NotFound: no archive has that name.
            Unavailable: it was not stopped everywhere, or could not be recorded.

        """
        chosen = self._named(name)
        failure: Unavailable | None = None
        for governor in chosen.values():
            try:
                governor.stop(self.user)
            except Unavailable as error:  # the others are to be stopped all the same
                failure = error
        for one in chosen:
            self.audit.record("archive stopped", user=self.user, subject={"archive": one})
        if failure:
            raise failure
        return list(chosen)

    def resume(self, name: str | None = None) -> list[str]:
        """Let all archives, or the one called *name*, be asked again; return which. Recorded first.

        Raises:
            NotFound: no archive has that name.
            Refused: a stop file that an operator made by hand stands.
            Unavailable: the governor cannot be reached, or it cannot be recorded.

        """
        chosen = self._named(name)
        for one, governor in chosen.items():
            self.audit.record("archive resumed", user=self.user, subject={"archive": one})
            governor.resume()
        return list(chosen)

    def _named(self, name: str | None) -> Mapping[str, Governor]:
        if name is None:
            return self.governors
        if name not in self.governors:
            raise NotFound("archive", "is none of the governed archives of this gateway", "see [pacs] name")
        return {name: self.governors[name]}
