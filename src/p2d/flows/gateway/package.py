"""Released images as members of a download: images, manifest, what was withheld and why, the ledger."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence

from p2d.export.jpeg import Renderer, to_jpeg
from p2d.export.manifest import MANIFEST, WITHHELD, Line, encode, file_line, withheld_line
from p2d.export.names import file_name
from p2d.export.zip import Member
from p2d.flows.gateway.adhoc import totals
from p2d.flows.gateway.deid_report import ImageRun, image_sums, report_members
from p2d.jobs.counts import SeriesCounts
from p2d.model.level import Output
from p2d.model.released import Reason, ReleasedInstance, Withheld


def members_of(
    outcomes: Iterable[ReleasedInstance | Withheld],
    output: Output,
    renderer: Renderer,
    run: ImageRun,
    profile: Mapping[str, object],
) -> Iterator[Member]:
    """Yield one member an image, then both lists, the report and ``ledger.json``.

    *run* is read after the last outcome; *profile* is what the report says of the profile. Images that cannot
    be rendered move from released to withheld in the ledger's sums, so that these equal the files.
    """
    manifest: list[Line] = []
    withheld: list[Line] = []
    unrendered = 0
    for outcome in outcomes:
        content: bytes | Withheld
        if isinstance(outcome, Withheld):
            content = outcome
        elif output is Output.JPEG:
            picture = to_jpeg(outcome, renderer)
            content = picture if isinstance(picture, Withheld) else picture.content
            unrendered += isinstance(content, Withheld)
        else:
            content = outcome.content
        if isinstance(content, Withheld):
            withheld.append(withheld_line(content))
        else:
            assert isinstance(outcome, ReleasedInstance)  # noqa: S101 - bytes come from an instance only
            member = Member(file_name(outcome.header, output), content)
            manifest.append(file_line(outcome.header, member.name, member.content))
            yield member
    yield Member("manifest.csv", encode(MANIFEST, manifest))
    yield Member("withheld.csv", encode(WITHHELD, withheld))
    yield from report_members(run, profile, image_sums(run.lines, {str(Reason.RENDERING): unrendered}))
    yield Member("ledger.json", ledger_of(run.lines, unrendered))


def ledger_of(lines: Sequence[SeriesCounts], unrendered: int, unapproved: int = 0) -> bytes:
    """Return ``ledger.json``: released images that cannot be drawn or are not approved move to withheld."""
    sums = totals(lines)
    sums["released"] -= unrendered + unapproved
    sums["withheld"] += unrendered + unapproved
    series = [
        {
            "study": line.study,
            "series": line.series,
            "expected": line.expected,
            "received": line.received,
            "released": line.released,
            "withheld": dict(line.withheld),
            "missing": line.missing,
        }
        for line in lines
    ]
    stayed = {"not rendered": unrendered} | ({"not approved": unapproved} if unapproved else {})
    return json.dumps({"totals": sums, **stayed, "series": series}, indent=1).encode()
