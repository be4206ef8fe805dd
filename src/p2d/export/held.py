"""What a hold keeps of its files and series, as plain data."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

from p2d.export.manifest import Line
from p2d.model.review import Objection, Standing

Boxes = tuple[tuple[int, int, int, int], ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """What a contact sheet needs to know of an image; *boxes* (left, top, right, bottom) were masked."""

    frames: int = 1
    rows: int = 0
    columns: int = 0
    boxes: Boxes = ()


@dataclass(frozen=True, slots=True)
class HeldFile:
    """One file of a hold: its number there, its line of the manifest, its length in bytes, its picture."""

    number: int
    line: Line
    size: int
    picture: Picture = Picture()

    @property
    def name(self) -> str:
        """The name under which it leaves."""
        return str(self.line["file"])

    @property
    def series(self) -> str:
        """The derived UID of its series."""
        return str(self.line["series"])

    @classmethod
    def of(cls, source: Mapping[str, Any]) -> Self:
        """Return the file that ``asdict`` made *source* of."""
        picture = source["picture"]
        boxes = tuple((int(a), int(b), int(c), int(d)) for a, b, c, d in picture["boxes"])
        return cls(source["number"], source["line"], source["size"], Picture(**{**picture, "boxes": boxes}))


@dataclass(frozen=True, slots=True)
class Decision:
    """How a series stands, with who decided and when (seconds since the epoch)."""

    standing: Standing = Standing.PENDING
    objection: Objection | None = None
    by: str = ""
    at: float = 0.0

    @classmethod
    def of(cls, source: Mapping[str, Any]) -> Self:
        """Return the decision that ``asdict`` made *source* of."""
        objection = Objection(source["objection"]) if source["objection"] else None
        return cls(Standing(source["standing"]), objection, source["by"], source["at"])


@dataclass(frozen=True, slots=True)
class Hold:
    """A request's de-identified files, waiting. *account* is what the flow keeps beside them.

    Times are seconds since the epoch; ``decisions`` is by series.
    """

    hold_id: str
    user: str
    made_at: float
    expires_at: float
    files: tuple[HeldFile, ...] = field(repr=False)
    decisions: Mapping[str, Decision]
    account: Mapping[str, Any] = field(repr=False)

    def images(self, standing: Standing) -> int:
        """Return how many files are of series that stand so."""
        return sum(self.decisions[file.series].standing is standing for file in self.files)

    def of_series(self, series: str) -> list[HeldFile]:
        """Return the files of *series* in the order in which they came."""
        return [file for file in self.files if file.series == series]

    def decided(self, series: Sequence[str], decision: Decision) -> Self:
        """Return the hold with *decision* on each of *series*."""
        return replace(self, decisions={**self.decisions, **dict.fromkeys(series, decision)})

    def index(self) -> dict[str, Any]:
        """Return all but the decisions as JSON-like data."""
        return {
            "user": self.user,
            "made_at": self.made_at,
            "expires_at": self.expires_at,
            "files": [asdict(file) for file in self.files],
            "account": dict(self.account),
        }

    def state(self) -> dict[str, Any]:
        """Return the decisions as JSON-like data."""
        return {series: asdict(decision) for series, decision in self.decisions.items()}

    @classmethod
    def of(cls, hold_id: str, index: Mapping[str, Any], state: Mapping[str, Any]) -> Self:
        """Return the hold that ``index`` and ``state`` gave."""
        return cls(
            hold_id,
            index["user"],
            index["made_at"],
            index["expires_at"],
            tuple(HeldFile.of(file) for file in index["files"]),
            {series: Decision.of(decision) for series, decision in state.items()},
            index["account"],
        )
