"""The right to work some patients of a run for a while, and the proof of it."""

from dataclasses import dataclass

from p2d.model.errors import Unavailable


@dataclass(frozen=True, slots=True)
class Lease:
    """Patients of one run that one worker may work until the lease ends.

    ``lease_id`` only ever grows and goes with everything its holder writes (a fencing token): once others
    took the patients over, what a late holder writes is refused. ``is_retry``: its one patient failed before.
    """

    lease_id: int
    run_id: str
    worker: str
    patients: tuple[str, ...]
    seconds: float
    is_retry: bool = False


class LeaseLost(Unavailable):
    """The lease ended and its patients went to others; what its holder has of them is to be dropped."""

    def __init__(self) -> None:
        super().__init__(
            "lease", "ended, other workers have its patients", "raise [jobs] lease_seconds if it recurs"
        )
