"""The release review: images wait in an encrypted hold until an officer approved or rejected each series.

Whoever asked sees how it stands and fetches what was approved; only officers see the images before that.
"""

import hashlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from p2d.access.caller import Caller
from p2d.access.check import check_officer, check_review
from p2d.access.roles import Role
from p2d.audit.refusals import marked, refusals_recorded
from p2d.deid.report.document import ReviewSums
from p2d.deid.report.tally import DeidTally
from p2d.export.held import Decision, HeldFile, Hold, Picture
from p2d.export.hold import HoldStore, HoldWriter, unknown_hold
from p2d.export.jpeg import to_jpeg
from p2d.export.manifest import MANIFEST, WITHHELD, Line, encode, file_line, withheld_line
from p2d.export.names import file_name
from p2d.export.sheet import WIDTH, Thumb, chosen, contact_sheet
from p2d.export.zip import Member
from p2d.flows.gateway.deid_report import ImageRun, image_sums, profile_of, report_members
from p2d.flows.gateway.gateway import Gateway
from p2d.flows.gateway.package import ledger_of
from p2d.jobs.counts import SeriesCounts
from p2d.model.errors import InvalidRequest, Misconfigured
from p2d.model.header import Elements, text_of
from p2d.model.level import Output
from p2d.model.released import Reason, ReleasedInstance, Withheld
from p2d.model.review import Objection, Standing
from p2d.pixels.render import MAX_PIXEL_BYTES, NotRenderable

_ROWS: Final = "00280010"
_COLUMNS: Final = "00280011"
_FRAMES: Final = "00280008"
_MOST_FRAMES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Reviews:
    """The release reviews of a gateway; one instance a gateway."""

    gateway: Gateway

    def hold(
        self, outcomes: Iterable[ReleasedInstance | Withheld], output: Output, run: ImageRun
    ) -> Iterator[Hold | None]:
        """Hold *outcomes*: yield None for each as it comes, at last the hold; closed before, nothing stays.

        *run* is read after the last outcome.

        Raises:
            Misconfigured: there is no place for holds.
            Unavailable: the disk refuses. Also what *outcomes* raises.

        """
        withheld: list[Line] = []
        unrendered = 0
        with self._store.filling(run.user) as writer:
            for outcome in outcomes:
                kept = self._held(writer, outcome, output)
                if kept is not None:
                    withheld.append(withheld_line(kept))
                    unrendered += not isinstance(outcome, Withheld)
                yield None
            account = {
                "query": run.query,
                "started_at": run.started_at,
                "output": str(output),
                "lines": [asdict(line) for line in run.lines],
                "tally": run.tally.as_json(),
                "withheld": withheld,
                "unrendered": unrendered,
                "profile": profile_of(self.gateway),
            }
            subject = {"hold": writer.hold_id, "images": run.tally.objects, "query": run.query}
            self.gateway.audit.record("held", user=run.user, subject=subject)
            hold = writer.finish(account)
        yield hold

    def listed(self, caller: Caller) -> list[Hold]:
        """Return the holds that *caller* may see: an officer all, others their own."""
        return [hold for hold in self._store.holds() if _is_visible(hold, caller)]

    def find(self, hold_id: str, caller: Caller) -> Hold:
        """Return one hold.

        Raises:
            NotFound: unknown, expired or somebody else's.

        """
        hold = self._store.find(hold_id)
        if not _is_visible(hold, caller):
            raise unknown_hold()
        return hold

    def sheet(self, hold_id: str, series: str, caller: Caller) -> bytes:
        """Return the contact sheet of a held series as JPEG.

        Raises:
            NotFound: no such hold or series.
            Refused: the caller is no officer.

        """
        with refusals_recorded(self.gateway.audit, action="review sheet", user=caller.user):
            hold = self.find(hold_id, caller)
            check_officer(caller)
            files = _files(hold, series)
        subject = {"hold": hold_id, "series": series}
        with (
            marked(),
            self.gateway.audit.query(action="review sheet", user=caller.user, session="", subject=subject),
        ):
            masked = sum(bool(file.picture.boxes) for file in files)
            title = f"{hold_id}  series {series}  {len(files)} images, {masked} masked"
            return contact_sheet(title, self._thumbs(hold, files))

    def decide(
        self,
        hold_id: str,
        series: Sequence[str],
        caller: Caller,
        objection: Objection | None = None,
        *,
        approve: bool,
    ) -> Hold:
        """Approve or reject *series*, all or none; a decision is final. Without any: all that are pending.

        Raises:
            NotFound: no such hold or series.
            Refused: the caller is no officer, asked for the images, or a series is decided already.
            InvalidRequest: a rejection without, or an approval with, a reason; nothing is pending.

        """
        with refusals_recorded(self.gateway.audit, action="review decision", user=caller.user):
            hold = self.find(hold_id, caller)
            check_review(caller, hold.user)
            if approve == (objection is not None):
                raise InvalidRequest("reason", "goes with a rejection, and only there", "name one to reject")
            chosen_series = list(series) or [
                s for s, d in hold.decisions.items() if d.standing is Standing.PENDING
            ]
            if not chosen_series:
                raise InvalidRequest("series", "nothing is pending in this hold")
            for one in chosen_series:
                _files(hold, one)
        standing = Standing.APPROVED if approve else Standing.REJECTED
        subject = {
            "hold": hold_id,
            "series": chosen_series,
            "decision": str(standing),
            "reason": str(objection or ""),
        }
        with (
            marked(),
            self.gateway.audit.query(action="review decision", user=caller.user, session="", subject=subject),
        ):
            decision = Decision(standing, objection, caller.user, time.time())
            return self._store.decide(hold_id, chosen_series, decision)

    def release(self, hold_id: str, caller: Caller) -> Iterator[Member]:
        """Return the members of a download: the approved images, both lists, report and ledger.

        What was rejected or is not decided yet is listed as withheld with that reason.

        Raises:
            NotFound: no such hold, or somebody else's.

        """
        with refusals_recorded(self.gateway.audit, action="review fetch", user=caller.user):
            hold = self.find(hold_id, caller)
        entry = self.gateway.audit.begin(
            action="review fetch",
            user=caller.user,
            session="",
            subject={"hold": hold_id, "approved": hold.images(Standing.APPROVED)},
        )

        def members() -> Iterator[Member]:
            try:
                with marked():
                    yield from self._members(hold)
                entry.outcome(released=hold.images(Standing.APPROVED))
            except BaseException as error:
                entry.close(error)
                raise
            entry.close(None)

        return members()

    @property
    def _store(self) -> HoldStore:
        if self.gateway.holds is None:
            raise Misconfigured(
                "review", "there is no place for holds", "start the gateway with its settings"
            )
        return self.gateway.holds

    def _held(
        self, writer: HoldWriter, outcome: ReleasedInstance | Withheld, output: Output
    ) -> Withheld | None:
        """Put one image into the hold as it would leave; return what stays here."""
        if isinstance(outcome, Withheld):
            return outcome
        parts: tuple[bytes | memoryview, ...] = outcome.parts
        elements = outcome.header.elements
        frames = min(max(_number(elements, _FRAMES), 1), _MOST_FRAMES)
        if output is Output.JPEG:
            drawn = to_jpeg(outcome, self.gateway.renderer)
            if isinstance(drawn, Withheld):
                return drawn
            parts, frames = (drawn.content,), 1
        name = file_name(outcome.header, output)
        line = file_line(outcome.header, name, b"")
        digest = hashlib.sha256()
        for part in parts:
            digest.update(part)
        line["sha256"] = digest.hexdigest()
        picture = Picture(frames, _number(elements, _ROWS), _number(elements, _COLUMNS), outcome.masks)
        writer.add(line, parts, picture)
        return None

    def _thumbs(self, hold: Hold, files: Sequence[HeldFile]) -> Iterator[Thumb]:
        opened, content = -1, b""
        for image, frame in chosen([file.picture for file in files]):
            file = files[image]
            jpeg: bytes | None = None
            if file.size <= MAX_PIXEL_BYTES:  # the renderer draws no larger ones
                if opened != image:  # frames of one image follow each other
                    opened, content = image, self._store.content(hold, file)
                jpeg = self._drawn(content, frame, str(hold.account["output"]))
            yield Thumb(image + 1, frame + 1, file.picture, jpeg)

    def _drawn(self, content: bytes, frame: int, output: str) -> bytes | None:
        if output == Output.JPEG:
            return content
        try:
            return self.gateway.renderer.render(content, frame=frame, width=WIDTH)
        except NotRenderable:
            return None

    def _members(self, hold: Hold) -> Iterator[Member]:
        account = hold.account
        manifest: list[Line] = []
        withheld: list[Line] = list(account["withheld"])
        for file in hold.files:
            standing = hold.decisions[file.series].standing
            if standing is Standing.APPROVED:
                manifest.append(file.line)
                yield Member(file.name, self._store.content(hold, file))
            else:
                reason = Reason.REJECTED if standing is Standing.REJECTED else Reason.PENDING
                withheld.append({**{name: file.line[name] for name in WITHHELD[:-1]}, "reason": str(reason)})
        yield Member("manifest.csv", encode(MANIFEST, manifest))
        yield Member("withheld.csv", encode(WITHHELD, withheld))
        run = _run_of(hold)
        unrendered = int(account["unrendered"])
        rejected, pending = hold.images(Standing.REJECTED), hold.images(Standing.PENDING)
        moved = {
            str(Reason.RENDERING): unrendered,
            str(Reason.REJECTED): rejected,
            str(Reason.PENDING): pending,
        }
        sums = image_sums(run.lines, moved)
        yield from report_members(run, account["profile"], sums, review_sums(hold))
        yield Member("ledger.json", ledger_of(run.lines, unrendered, rejected + pending))


def review_sums(hold: Hold) -> ReviewSums:
    """Return what was decided on the images of *hold*, as its report states it."""
    rejected: dict[str, int] = {}
    for file in hold.files:
        objection = hold.decisions[file.series].objection
        if objection is not None:
            rejected[str(objection)] = rejected.get(str(objection), 0) + 1
    by = sorted({decision.by for decision in hold.decisions.values()} - {""})
    return ReviewSums(
        hold.hold_id, hold.images(Standing.APPROVED), rejected, hold.images(Standing.PENDING), tuple(by)
    )


def _run_of(hold: Hold) -> ImageRun:
    account: Mapping[str, Any] = hold.account
    lines = [SeriesCounts(**line) for line in account["lines"]]
    return ImageRun(
        account["query"], hold.user, account["started_at"], lines, DeidTally.from_json(account["tally"])
    )


def _is_visible(hold: Hold, caller: Caller) -> bool:
    return caller.role is Role.OFFICER or caller.user == hold.user


def _files(hold: Hold, series: str) -> list[HeldFile]:
    files = hold.of_series(series)
    if not files:
        raise unknown_hold()
    return files


def _number(elements: Elements, path: str) -> int:
    text = text_of(elements, path)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0  # noqa: PLR2004 - digits of a 32-bit number
