"""A profile: mode, options and a project's own attributes; it makes the rules of each SOP class.

``PRESETS`` holds the three modes; ``p2d.deid.profile.project`` gives one by name or reads a project file.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import lru_cache
from importlib import resources
from typing import Final, Literal

from p2d.deid.profile.action import Action
from p2d.deid.profile.decision import Terms
from p2d.deid.profile.options import Mode, Option
from p2d.deid.profile.rulebook import Policy, Rules
from p2d.deid.standard.iods import iod_of

__all__ = ["BASIC", "PRESETS", "RESEARCH", "STRICT", "Profile", "Rules", "allow_list"]

Head = Literal["keep", "exclude", "coarsen"]
Screen = Literal["all", "rules", "sample"]
_DATA: Final = (
    *("ps3_15_e1_1.tsv", "ps3_15_e1_1_additions.tsv", "ps3_15_e3_4_1.tsv", "ps3_15_e3_10_1.tsv"),
    *("ps3_3_iods.tsv", "bulk_samples.tsv", "strict.tsv", "vocabulary.txt"),
)
AGE_CAP: Final = 90


@dataclass(frozen=True, slots=True)
class Profile:
    """What happens to every attribute, and to objects as a whole; hashable, safe to share.

    ``age_cap`` in years limits ages, None leaves them. ``head``: what becomes of thin-slice head series.
    ``screen``: which objects the text detector looks at. ``vocabulary`` are words that texts keep besides the
    shipped ones, ``known_words`` words that texts always lose. ``overrides`` is by tag or dotted tags,
    ``private`` the kept (group, low byte) by creator.
    """

    name: str
    mode: Mode
    options: frozenset[Option] = frozenset()
    age_cap: int | None = None
    whole_weeks: bool = False
    head: Head = "keep"
    review: bool = False
    screen: Screen = "rules"
    withheld_modalities: frozenset[str] = frozenset()
    withheld_sop_classes: frozenset[str] = frozenset()
    vocabulary: frozenset[str] = frozenset()
    known_words: frozenset[str] = field(default=frozenset(), repr=False)
    overrides: Mapping[str, Action] = field(default_factory=dict)
    private: Mapping[str, frozenset[tuple[str, str]]] = field(default_factory=dict)
    version: str = field(init=False, compare=False)
    _rules: dict[str, Rules] = field(init=False, compare=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "version", self._digest())

    def __hash__(self) -> int:
        return hash((self.name, self.version))

    @property
    def scrubs(self) -> bool:
        """Whether texts that stay are cleaned; without, what the table lets stand stays as it is."""
        return self.mode is not Mode.BASIC

    @property
    def keeps_true_dates(self) -> bool:
        """Whether dates stay unmoved: Retain Longitudinal Temporal Information with Full Dates."""
        return Option.FULL_DATES in self.options

    def rules(self, sop_class_uid: str = "") -> Rules:
        """Return the rules of objects of *sop_class_uid*; without, those of C-FIND answers.

        Where the IOD is not known, combined codes are resolved so that every IOD is satisfied.
        """
        key = sop_class_uid if iod_of(sop_class_uid) else ""
        rules = self._rules.get(key)
        if rules is None:
            rules = self._rules.setdefault(key, Rules(Policy(self.terms, self.overrides, self.private), key))
        return rules

    def withholds(self, sop_class_uid: str, modality: str) -> bool:
        """Whether the project releases no object of this class or modality."""
        return sop_class_uid in self.withheld_sop_classes or modality in self.withheld_modalities

    @property
    def terms(self) -> Terms:
        """What decides on attributes that the profile does not name itself."""
        allowed = allow_list() if self.mode is Mode.STRICT else frozenset()
        return Terms(self.mode, self.options, self.age_cap, allowed)

    def _digest(self) -> str:
        """Return twelve hexadecimal digits over all that decides, the shipped tables included."""
        decides = {
            one.name: _plain(getattr(self, one.name))
            for one in fields(self)
            if one.init and one.name != "name"
        }
        text = json.dumps([decides, _data_digest()], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, frozenset | tuple):
        return sorted(str(one) for one in value)
    return value


@lru_cache(maxsize=1)
def _data_digest() -> str:
    folder = resources.files("p2d.deid.data")
    return hashlib.sha256(b"".join(folder.joinpath(name).read_bytes() for name in _DATA)).hexdigest()


@lru_cache(maxsize=1)
def allow_list() -> frozenset[str]:
    """Return the tags that the strict mode keeps, from ``data/strict.tsv``."""
    text = resources.files("p2d.deid.data").joinpath("strict.tsv").read_text(encoding="utf-8")
    lines = [line.split("\t") for line in text.splitlines() if line and not line.startswith("#")]
    return frozenset(tag for tag, *_ in lines[1:])


BASIC: Final = Profile("basic", Mode.BASIC)
RESEARCH: Final = Profile(
    "research",
    Mode.RESEARCH,
    frozenset(
        {
            Option.MODIFIED_DATES,
            Option.CLEAN_DESCRIPTORS,
            Option.CLEAN_STRUCTURED_CONTENT,
            Option.CLEAN_GRAPHICS,
            Option.CLEAN_PIXELS,
            Option.RETAIN_SAFE_PRIVATE,
            Option.RETAIN_PATIENT_CHARACTERISTICS,
        }
    ),
    age_cap=AGE_CAP,
    screen="sample",
)
STRICT: Final = Profile(
    "strict",
    Mode.STRICT,
    frozenset({Option.MODIFIED_DATES, Option.CLEAN_PIXELS}),
    age_cap=AGE_CAP,
    screen="all",
)
PRESETS: Final[Mapping[str, Profile]] = {profile.name: profile for profile in (BASIC, RESEARCH, STRICT)}
