"""Files as a tool left them, read once."""

import re
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from phi.folding import fold
from phi.places import element_at, text_of

_STREAM: Final = re.compile(rb"stream\r?\n(.*?)\r?\n?endstream", re.DOTALL)
_OCTAL: Final = re.compile(rb"\\([0-7]{3})")
_MOST_INFLATED: Final = 1 << 22
_PREAMBLE: Final = 128
_PADDING: Final = 0xFFFCFFFC


@dataclass(frozen=True)
class Output:
    """One file: as planted, or as a tool left it."""

    path: Path

    @cached_property
    def raw(self) -> bytes:
        """All bytes."""
        return self.path.read_bytes()

    @cached_property
    def dataset(self) -> Dataset:
        """The data set; empty where it cannot be read."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                dataset = dcmread(self.path, force=True)
                dataset.decode()
                return dataset
        except (
            InvalidDicomError,
            ValueError,
            KeyError,
            TypeError,
            AttributeError,
            NotImplementedError,
            EOFError,
        ):
            return Dataset()

    @cached_property
    def texts(self) -> dict[str, str]:
        """Folded texts by place, for those that were asked for."""
        return {}

    def text(self, path: str) -> str:
        """Return what stands at *path* as written; empty where nothing does."""
        if path == "preamble":
            return self.raw[:_PREAMBLE].decode("latin-1").rstrip("\0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return text_of(element_at(self.dataset, path))

    def folded(self, path: str) -> str:
        """Return what stands at *path*, folded; of a PDF its inflated streams as well."""
        if path not in self.texts:
            text = self.text(path)
            if path == "00420011" and text:
                element = element_at(self.dataset, path)
                text += "\n".join(streams(element.value)) if element is not None else ""
            self.texts[path] = fold(text)
        return self.texts[path]

    @cached_property
    def everything(self) -> str:
        """Every text of the data set, folded: nested, private and unknown elements, bytes of up to 64 KiB."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = [str(name) for name in _all_texts(self.dataset)]
            found += _all_texts(getattr(self.dataset, "file_meta", None) or Dataset())
        document = self.dataset.get("EncapsulatedDocument")
        if document:
            found += streams(document)
        return fold("\n".join(found))

    @cached_property
    def outside_pixels(self) -> bytes:
        """The bytes of the file without the values of pixel data, in lower case."""
        raw = self.raw
        for keyword in ("PixelData", "FloatPixelData", "DoubleFloatPixelData"):
            value = self.dataset.get(keyword)
            if isinstance(value, bytes) and value:
                raw = raw.replace(value, b"", 1)
        if self.dataset.get("EncapsulatedDocument"):
            raw += b"\n".join(
                text.encode("latin-1", "ignore") for text in streams(self.dataset.EncapsulatedDocument)
            )
        return raw.lower()

    @cached_property
    def pixels(self) -> npt.NDArray[Any] | None:
        """The frames (frame, row, column[, colour]), or None where nothing here decodes them."""
        dataset = self.dataset
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                pixels = np.asarray(dataset.pixel_array)
            frames = int(dataset.get("NumberOfFrames") or 1)
        except (RuntimeError, ValueError, NotImplementedError, AttributeError, OSError, TypeError, KeyError):
            return None
        return pixels if frames > 1 else pixels[None]


def _all_texts(dataset: Dataset) -> Iterator[str]:
    for tag in list(dataset.keys()):
        if tag == 0x7FE00010:
            continue
        try:
            element = dataset[tag]
        except (KeyError, ValueError, TypeError, NotImplementedError, AttributeError, EOFError):
            continue
        if element.VR == "SQ":
            for item in element.value:
                yield from _all_texts(item)
        elif tag.group >> 8 != 0x60 or element.VR not in ("OB", "OW"):
            yield text_of(element)


def streams(document: bytes) -> Iterator[str]:
    """Yield the text of a PDF: its streams, inflated where they are deflated, and the rest of it."""
    yield _unescaped(document)
    for found in _STREAM.finditer(document):
        try:
            yield _unescaped(zlib.decompressobj().decompress(found[1], _MOST_INFLATED))
        except zlib.error:
            continue


def _unescaped(data: bytes) -> str:
    return _OCTAL.sub(lambda found: bytes([int(found[1], 8) & 0xFF]), data).decode("latin-1")
