"""One object while an identity is planted in it: the data set, whose it is, and what is expected of it."""

from dataclasses import dataclass, field
from datetime import date
from random import Random
from typing import Final

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.uid import UID

from phi.folding import fold, spellings, spelt_out, words
from phi.identities import Person
from phi.key import Act, Expected
from phi.sources import Source

_ROOT: Final = "1.2.276.0.7230010.3"
_CODECS: Final = {
    "": "ascii",
    "ISO_IR 100": "latin-1",
    "ISO_IR 101": "iso8859-2",
    "ISO_IR 126": "iso8859-7",
    "ISO_IR 127": "iso8859-6",
    "ISO_IR 144": "iso8859-5",
    "ISO_IR 148": "iso8859-9",
    "ISO_IR 192": "utf-8",
    "GB18030": "gb18030",
    "ISO 2022 IR 87": "iso2022_jp",
    "ISO 2022 IR 149": "euc_kr",
}
_TELLING: Final = 4


@dataclass(slots=True)
class Plot:
    """A file in the making; ``study`` indexes the person's studies; ``siblings`` are all of their files."""

    name: str
    source: Source
    dataset: Dataset
    person: Person
    study: int
    number: int
    rng: Random
    preamble: bytes = b"\0" * 128
    rows: list[Expected] = field(default_factory=list)
    uids: set[str] = field(default_factory=set)
    siblings: "list[Plot]" = field(default_factory=list)

    @property
    def day(self) -> date:
        """The study date."""
        return self.person.studies[self.study][0]

    @property
    def accession(self) -> str:
        """The accession number of the study."""
        return self.person.studies[self.study][1]

    @property
    def case(self) -> str:
        """The case (AdmissionID) of the study."""
        return self.person.studies[self.study][2]

    @property
    def is_image(self) -> bool:
        """Whether the object has a picture."""
        return "PixelData" in self.dataset

    def new_uid(self) -> str:
        """Return a UID of an invented root that no file has yet; it is remembered as one that must go."""
        uid = f"{_ROOT}.{self.rng.randrange(10**9, 10**10)}.{self.rng.randrange(10**9, 10**10)}"
        self.uids.add(uid)
        return uid

    def text(self, value: str) -> str:
        """Return *value* as the object's character set can write it: spelt out in ASCII if need be."""
        sets = self.dataset.get("SpecificCharacterSet") or ""
        codecs = [_CODECS[one] for one in ([sets] if isinstance(sets, str) else [str(one) for one in sets])]
        if all(any(_encodes(char, codec) for codec in codecs) for char in value):
            return value
        return spelt_out(value).encode("ascii", "ignore").decode()

    def expect(self, path: str, act: Act, category: str, value: str = "", **more: object) -> None:
        """Add a row to the answer key."""
        self.rows.append(Expected(self.name, path, act, category, value, **more))  # type: ignore[arg-type] # fields by name

    def remove(self, path: str, category: str, value: str, gone: tuple[str, ...] = ()) -> None:
        """Expect that nothing telling of *value* is left at *path*."""
        self.expect(path, Act.TEXT_REMOVED, category, value, gone=gone or telling(value))

    def plant(self, keyword: str, value: str, category: str) -> None:
        """Put *value* into a standard attribute at the top level and expect it to be removed."""
        written = self.text(value)
        if written.strip(" ^="):
            setattr(self.dataset, keyword, written)
            self.remove(path_of(keyword), category, written)

    def mix(self, path: str, category: str, mixed: "Mixed") -> None:
        """Expect of a mixed text at *path* that the person goes and the rest stays."""
        self.expect(path, Act.MIXED_TEXT, category, mixed.text, gone=mixed.gone, kept=mixed.kept)


@dataclass(frozen=True, slots=True)
class Mixed:
    """A text with something of a person in it; ``kept`` are the folded words that are not the person's."""

    text: str
    gone: tuple[str, ...]
    kept: tuple[str, ...]


def path_of(keyword: str) -> str:
    """Return the place of a standard attribute at the top level.

    Raises:
        KeyError: PS3.6 has no such keyword.

    """
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise KeyError(keyword)
    return f"{tag:08X}"


def telling(value: str) -> tuple[str, ...]:
    """Return the folded words of *value* that tell something, or all of it if it has none."""
    found = {word for spelling in spellings(value) for word in words(spelling) if _tells(word)}
    return tuple(sorted(found or {fold(value)}))


def _tells(word: str) -> bool:
    """Say whether a word is long enough to tell something; a year alone is not."""
    return len(word) >= _TELLING and not (len(word) == _TELLING and word.isdigit())


def is_own_uid(uid: str) -> bool:
    """Say whether *uid* identifies an object of a hospital rather than something of the standard."""
    return bool(uid) and UID(uid).is_valid and not uid.startswith("1.2.840.10008.")


def _encodes(char: str, codec: str) -> bool:
    try:
        char.encode(codec)
    except UnicodeEncodeError:
        return False
    return True
