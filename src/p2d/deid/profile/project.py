"""A project's profile: a YAML file layered on a preset, checked so that it never lets a patient through."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, ValidationInfo

from p2d.deid.profile.action import Action
from p2d.deid.profile.attributes import checked_action, checked_element, path_of
from p2d.deid.profile.options import Mode, Option
from p2d.deid.profile.profile import PRESETS, Profile
from p2d.deid.profile.yaml_file import read_yaml
from p2d.dicom.uids import is_sop_class
from p2d.model.errors import Misconfigured
from p2d.model.modality import MODALITIES
from p2d.settings.file import Strict, validated

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,23}")
_MOST_WORDS: Final = 100_000


def _modality(code: str) -> str:
    if code not in MODALITIES:
        raise ValueError("is not a modality code of PS3.3 C.7.3.1.1.1")
    return code


def _sop_class(uid: str) -> str:
    if not is_sop_class(uid):
        raise ValueError("is not a SOP class of PS3.6")
    return uid


def _words(value: list[str] | str, info: ValidationInfo) -> list[str]:
    """Return the words of a list, or of a text file beside the project file: one a line, # for remarks."""
    if isinstance(value, str) and value:
        path = Path((info.context or {}).get("folder", "."), value)
        try:
            value = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            raise ValueError(f"{path} is not readable as UTF-8") from None
    words = [line.partition("#")[0].strip() for line in value or []]
    if len(words) > _MOST_WORDS:
        raise ValueError(f"holds more than {_MOST_WORDS} words")
    return [word for word in words if word]


Modality = Annotated[str, AfterValidator(_modality)]
SopClass = Annotated[str, AfterValidator(_sop_class)]
Words = Annotated[list[str] | str, AfterValidator(_words)]
Verb = Literal["keep", "clean", "remove", "empty", "dummy", "uid", "date"]
_ACTIONS: Final[Mapping[str, Action]] = {
    "keep": Action.KEEP,
    "clean": Action.CLEAN,
    "remove": Action.REMOVE,
    "empty": Action.EMPTY,
    "dummy": Action.DUMMY,
    "uid": Action.UID,
    "date": Action.DATE,
}


class Options(Strict):
    """`options`: options of PS3.15 added to those of the preset, or taken away."""

    add: frozenset[Option] = frozenset()
    remove: frozenset[Option] = frozenset()


class Withheld(Strict):
    """`withhold`: modalities and SOP classes of which the project gets no object."""

    modalities: frozenset[Modality] = frozenset()
    sop_classes: frozenset[SopClass] = frozenset()


class Dates(Strict):
    """`dates`: whole weeks keep the day of the week."""

    unit: Literal["days", "weeks"] = "days"


class Project(Strict):
    """A project file; every key may be left out but ``extends``."""

    extends: Mode
    name: str | None = None
    options: Options = Options()
    attributes: dict[str, Verb] = Field(default_factory=dict)
    private: dict[str, list[str]] = Field(default_factory=dict)
    withhold: Withheld = Withheld()
    dates: Dates | None = None
    age_cap: int | None = Field(None, ge=18, le=90)
    head: Literal["keep", "exclude", "coarsen"] | None = None
    review: bool | None = None
    screen: Literal["all", "rules", "sample"] | None = None
    vocabulary: Words = ""
    known_words: Words = ""


def read_profile(name_or_path: str | Path) -> Profile:
    """Return the preset of that name, or the profile that the project file at that path describes.

    Raises:
        Misconfigured: neither a preset nor a readable project file, a key of it is unknown, or it would keep
            what no project may.

    """
    if isinstance(name_or_path, str) and name_or_path in PRESETS:
        return PRESETS[name_or_path]
    path = Path(name_or_path)
    project = validated(read_yaml(path), path, Project)
    preset = PRESETS[project.extends]
    options = _options(project, preset, path.name)
    made = replace(
        preset,
        name=_name(project, path),
        options=options,
        age_cap=project.age_cap or preset.age_cap,
        whole_weeks=project.dates.unit == "weeks" if project.dates else preset.whole_weeks,
        head=project.head or preset.head,
        review=preset.review if project.review is None else project.review,
        screen=project.screen or preset.screen,
        withheld_modalities=project.withhold.modalities,
        withheld_sop_classes=project.withhold.sop_classes,
        vocabulary=frozenset(project.vocabulary),
        known_words=frozenset(project.known_words),
        private=_private(project, path.name),
    )
    return replace(made, overrides=_overrides(project, made, path.name))


def _name(project: Project, path: Path) -> str:
    name = project.name if project.name is not None else path.stem.lower()
    if not _NAME.fullmatch(name) or name in set(Mode):
        remedy = "1 to 24 of a-z, 0-9, - and _, none of the presets' names"
        raise Misconfigured(f"{path.name}: name", "is not the name of a project", remedy)
    return name


def _options(project: Project, preset: Profile, file: str) -> frozenset[Option]:
    unknown = project.options.remove - preset.options
    if unknown:
        remedy = f"{project.extends} has: {', '.join(sorted(preset.options)) or 'none'}"
        raise Misconfigured(f"{file}: options.remove", f"{min(unknown)} is not an option of it", remedy)
    options = (preset.options - project.options.remove) | project.options.add
    if {Option.FULL_DATES, Option.MODIFIED_DATES} <= options:
        remedy = "remove modified-dates where full-dates is added"
        raise Misconfigured(f"{file}: options", "full-dates and modified-dates exclude each other", remedy)
    return options


def _private(project: Project, file: str) -> Mapping[str, frozenset[tuple[str, str]]]:
    return {
        creator: frozenset(checked_element(f"{file}: private.{creator}", creator, text) for text in elements)
        for creator, elements in project.private.items()
    }


def _overrides(project: Project, profile: Profile, file: str) -> Mapping[str, Action]:
    overrides: dict[str, Action] = {}
    for text, verb in project.attributes.items():
        field = f"{file}: attributes.{text}"
        path = path_of(field, text)
        if path in overrides:
            raise Misconfigured(field, "is given twice, in two notations", "remove one of them")
        overrides[path] = checked_action(field, path, _ACTIONS[verb], profile.options)
    return overrides
