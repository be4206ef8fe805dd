"""Released images as members of a download: images, manifest, what was withheld and why, the ledger."""

import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from p2d.export.jpeg import Renderer, to_jpeg
from p2d.export.names import file_name
from p2d.export.table import Cell, write_csv
from p2d.export.zip import Member
from p2d.flows.gateway.adhoc import totals
from p2d.jobs.counts import SeriesCounts
from p2d.model.header import text_of
from p2d.model.level import Output
from p2d.model.released import ReleasedHeader, ReleasedInstance, Withheld

MANIFEST: Final = ("patient", "study", "series", "instance", "file", "Modality", "sha256")
WITHHELD: Final = ("patient", "study", "series", "instance", "reason")
_MODALITY: Final = "00080060"


def members_of(
    outcomes: Iterable[ReleasedInstance | Withheld],
    output: Output,
    renderer: Renderer,
    lines: Sequence[SeriesCounts],
) -> Iterator[Member]:
    """Yield one member an image, then ``manifest.csv``, ``withheld.csv`` and ``ledger.json``.

    *lines* is read after the last outcome. Images that cannot be rendered move from released to withheld in
    the ledger's sums, so that these equal the files.
    """
    manifest: list[dict[str, Cell]] = []
    withheld: list[dict[str, Cell]] = []
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
            withheld.append({**_ids(content), "reason": str(content.reason)})
        else:
            assert isinstance(outcome, ReleasedInstance)  # noqa: S101 - bytes come from an instance only
            member = Member(file_name(outcome.header, output), content)
            manifest.append(_entry(outcome.header, member))
            yield member
    yield Member("manifest.csv", _csv(MANIFEST, manifest))
    yield Member("withheld.csv", _csv(WITHHELD, withheld))
    yield Member("ledger.json", _ledger(lines, unrendered))


def _ids(item: Withheld | ReleasedHeader) -> dict[str, Cell]:
    return {
        "patient": str(item.patient),
        "study": item.study,
        "series": item.series,
        "instance": item.instance,
    }


def _entry(header: ReleasedHeader, member: Member) -> dict[str, Cell]:
    return {
        **_ids(header),
        "file": member.name,
        "Modality": text_of(header.elements, _MODALITY),
        "sha256": hashlib.sha256(member.content).hexdigest(),
    }


def _csv(columns: Sequence[str], rows: Iterable[dict[str, Cell]]) -> bytes:
    buffer = io.StringIO(newline="")
    write_csv(buffer, columns, rows)
    return buffer.getvalue().encode()


def _ledger(lines: Sequence[SeriesCounts], unrendered: int) -> bytes:
    sums = totals(lines)
    sums["released"] -= unrendered
    sums["withheld"] += unrendered
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
    return json.dumps({"totals": sums, "not rendered": unrendered, "series": series}, indent=1).encode()
