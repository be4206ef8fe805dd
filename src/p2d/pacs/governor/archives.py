"""All archives of a gateway, each behind its governor, seen by each class of work."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from p2d.pacs.governor.governed import GovernedPacs
from p2d.pacs.governor.port import Governor, WorkClass
from p2d.pacs.port import Pacs

OnChange = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class GovernedArchives:
    """*archives* in the order of preference; *joined* makes one of several.

    Those that are no ``GovernedPacs`` (folders) are asked freely.
    """

    archives: tuple[Pacs, ...]
    joined: Callable[[Sequence[Pacs]], Pacs]

    def __iter__(self) -> Iterator[Pacs]:
        return iter(self.archives)

    def for_class(self, work_class: WorkClass, give_up: Callable[[], bool] = lambda: False) -> Pacs:
        """Return the archives as one, for work of *work_class*; all views share their connectors.

        Waiting ends when *give_up* says so.
        """
        views = [
            one.for_class(work_class, give_up=give_up) if isinstance(one, GovernedPacs) else one
            for one in self.archives
        ]
        return views[0] if len(views) == 1 else self.joined(views)

    @property
    def governors(self) -> Mapping[str, Governor]:
        """The governors by the archives' names."""
        return {one.name: one.governor for one in self.archives if isinstance(one, GovernedPacs)}

    def watch(self, on_change: OnChange) -> None:
        """Call *on_change* with an archive's name and what stops it (nothing: resumed) from now on."""
        for one in self.archives:
            if isinstance(one, GovernedPacs):
                one.watch(on_change)
