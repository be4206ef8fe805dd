"""Release DICOM files from disk, as a program of its own: one line of outcome a file, for hostile files too.

Run ``python -m p2d.testing.release_files FILE…``; limit its memory and time from outside.
"""

import sys
import warnings
from io import BytesIO
from pathlib import Path
from typing import Final

from pydicom import dcmread

from p2d.deid.release import Releaser
from p2d.dicom.elements import elements_of
from p2d.model.header import Element, Elements, text_of
from p2d.model.identified import IdentifiedHeader, IdentifiedInstance
from p2d.model.level import Level
from p2d.model.released import Withheld
from p2d.testing.releasing import EXPLICIT, IMPLICIT, keys_for

_PREFIX: Final = 132
_FALLBACK: Final = {
    "00100020": ("LO", "P-1"),
    "0020000D": ("UI", "1.2.3.1"),
    "0020000E": ("UI", "1.2.3.2"),
    "00080018": ("UI", "1.2.3.3"),
}


def instance_of_file(path: Path) -> IdentifiedInstance:
    """Return the file at *path* as an archive would send it; what it lacks of the hierarchy is made up."""
    raw = path.read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        meta, content = _split(raw)
        header = _answer(raw)
    return IdentifiedInstance(
        header=header,
        content=content,
        transfer_syntax_uid=text_of(meta, "00020010") or _guessed_syntax(content),
        sop_class_uid=text_of(meta, "00020002"),
    )


def _split(raw: bytes) -> tuple[Elements, bytes]:
    """Return the file meta information and the bytes after it (PS3.10 7.1)."""
    if raw[_PREFIX - 4 : _PREFIX] != b"DICM":
        return {}, raw
    end = _PREFIX
    while raw[end : end + 2] == b"\x02\x00":
        is_long = raw[end + 4 : end + 6] in {b"OB", b"UN", b"OW", b"SQ"}
        start = end + (12 if is_long else 8)
        size = raw[end + 8 : start] if is_long else raw[end + 6 : start]
        end = start + int.from_bytes(size, "little")
    try:
        meta = elements_of(dcmread(BytesIO(raw[:end]), force=True).file_meta)
    except Exception:  # noqa: BLE001 - hostile files raise anything
        return {}, raw[end:]
    return meta, raw[end:]


def _guessed_syntax(content: bytes) -> str:
    return EXPLICIT if content[4:6].isalpha() else IMPLICIT


def _answer(raw: bytes) -> IdentifiedHeader:
    try:
        dataset = dcmread(BytesIO(raw), force=True, stop_before_pixels=True)
        found = {tag: str(dataset[int(tag, 16)].value or "") for tag in _FALLBACK if int(tag, 16) in dataset}
    except Exception:  # noqa: BLE001 - as above
        found = {}
    elements = {tag: Element(tag, vr, (found.get(tag) or value,)) for tag, (vr, value) in _FALLBACK.items()}
    return IdentifiedHeader(Level.INSTANCE, elements)


def outcomes(path: Path) -> tuple[str, str]:
    """Return what became of the whole header and of the image of the file at *path*."""
    instance = instance_of_file(path)
    releaser = Releaser(keys_for(instance))
    header, image = releaser.extended(instance), releaser.image(instance)
    return (
        f"withheld {header.reason.name}" if isinstance(header, Withheld) else "released",
        f"withheld {image.reason.name}" if isinstance(image, Withheld) else "released",
    )


if __name__ == "__main__":
    for name in sys.argv[1:]:
        sys.stdout.write("\t".join((Path(name).name, *outcomes(Path(name)))) + "\n")
        sys.stdout.flush()
