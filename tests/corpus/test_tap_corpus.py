"""The header tap against real public files: however they arrive, cut where the whole file would be."""

import random
from pathlib import Path

from p2d.dicom.part10 import NotDicom, open_part10
from p2d.dicom.walk import BEGIN, PIXELS, TAG, Malformed, spans
from p2d.dimse.tap import HeaderTap, Unreadable, syntax_of


def test_real_files_are_cut_where_their_pixel_data_begin(corpus: Path) -> None:
    dice = random.Random(3)  # noqa: S311 - places to cut at
    compared = cut = 0
    for path in sorted((corpus / "files").rglob("*")):
        if not path.is_file() or path.stat().st_size > 4 << 20:
            continue
        source = path.read_bytes()
        try:
            part = open_part10(source)
            content = source[part.offset :]
            found = spans(content, syntax_of(part.transfer_syntax_uid))
        except (NotDicom, Malformed, Unreadable):
            continue
        if not content:
            continue
        begin = next((span[BEGIN] for span in found if span[TAG] in PIXELS), len(content))
        tap, place = HeaderTap(part.transfer_syntax_uid), 0
        while place < len(content):
            step = dice.choice((7, 100, 5_000, 131_072))
            tap.write(memoryview(content)[place : place + step], last=place + step >= len(content))
            place += step
        assert tap.header == content[:begin]
        assert tap.dropped_bytes == len(content) - begin
        compared += 1
        cut += begin < len(content)
    assert compared > 100
    assert cut > 50
