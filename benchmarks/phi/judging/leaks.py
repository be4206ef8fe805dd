"""Whether anything of a patient is left in a file: decoded elements, raw bytes, documents, its name."""

from collections.abc import Iterable, Iterator
from typing import Final

from phi.folding import contains, fold
from phi.judging.outputs import Output
from phi.key import PlantedFile

_LEAST_BYTES: Final = 5
_CODECS: Final = (
    "utf-8",
    "latin-1",
    "utf-16-le",
    "utf-16-be",
    "iso8859-2",
    "iso8859-5",
    "iso8859-6",
    "iso8859-7",
    "iso8859-9",
    "gb18030",
    "iso2022_jp",
    "euc_kr",
)


def leaks(output: Output, file: PlantedFile, written: Iterable[str]) -> list[str]:
    """Return what is left of the patient, as ``where: value``.

    *written* are the values as the table of patients has them, which are searched for as bytes.
    """
    found = [f"elements: {needle}" for needle in file.needles if contains(output.everything, needle)]
    found += [f"file name: {needle}" for needle in file.needles if contains(fold(output.path.name), needle)]
    found += [f"UID: {uid}" for uid in file.uids if uid.encode() in output.outside_pixels]
    known = set(file.needles)
    for value in written:
        if fold(value) in known and any(code in output.outside_pixels for code in _coded(value)):
            found.append(f"bytes: {value}")
    return found


def _coded(value: str) -> Iterator[bytes]:
    for codec in _CODECS:
        try:
            code = value.encode(codec)
        except UnicodeEncodeError:
            continue
        if len(code) >= _LEAST_BYTES:
            yield code.lower()
