"""Say of one DICOM file what a profile does to each of its elements: tags and keywords, never a value."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydicom import dcmread
from pydicom.datadict import private_dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset

from p2d.deid.profile.action import Action
from p2d.deid.profile.profile import Profile
from p2d.deid.profile.rulebook import Rules
from p2d.dicom.dictionary import is_private, keyword_of
from p2d.dicom.elements import standard_vr
from p2d.model.errors import InvalidRequest

_DEEPEST: Final = 32
_CONCEPT_NAME: Final = 0x0040A043
_VALUE_TYPE: Final = 0x0040A040
_SOP_CLASS: Final = 0x00080016


@dataclass(frozen=True, slots=True)
class ElementExplained:
    """What happens to one element: ``path`` by tags with item numbers, ``name`` the same by keywords."""

    path: str
    name: str
    vr: str
    action: Action
    why: str


def explained_file(profile: Profile, path: Path) -> Iterator[ElementExplained]:
    """Yield every element of the DICOM file at *path* in its order; items of what goes are left out.

    Raises:
        InvalidRequest: the file is not readable as DICOM.

    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's warnings quote values
        try:
            dataset = dcmread(path, force=True)
            sop_class_uid = _text(dataset, _SOP_CLASS)
            yield from _explained(dataset, profile.rules(sop_class_uid), "", "")
        except InvalidRequest:
            raise
        except Exception as error:  # noqa: BLE001 - pydicom raises many types on hostile bytes, with values in them
            problem = f"is not readable as DICOM ({type(error).__name__})"
            raise InvalidRequest(path.name, problem, "name a DICOM file") from None


def _explained(dataset: Dataset, rules: Rules, path: str, name: str) -> Iterator[ElementExplained]:
    if path.count("[") > _DEEPEST:
        raise InvalidRequest("file", f"nests deeper than {_DEEPEST} sequences", "it is withheld as it is")
    for element in dataset.elements():
        tag = f"{int(element.tag):08X}"
        creator = _creator(dataset, int(element.tag))
        vr = _vr(element, tag, creator)
        action = rules.action(tag, vr, creator)
        here = f"{path}{tag}"
        named = f"{name}{keyword_of(tag) or tag}"
        yield ElementExplained(here, named, vr, action, rules.why(tag, vr, creator))
        if vr == "SQ" and action in {Action.ITEMS, Action.CONTENT}:
            inside = rules.inside(tag)
            for index, item in enumerate(dataset[element.tag].value or ()):
                at = f"{here}[{index}]", f"{named}[{index}]"
                judged = _judged(item, rules) if action is Action.CONTENT else Action.KEEP
                if judged is Action.REMOVE:
                    yield ElementExplained(
                        *at, "", judged, "Table E.3.4-1 X, Clean Structured Content Option"
                    )
                    continue
                treated = inside.dummies() if judged is Action.DUMMY else inside
                yield from _explained(item, treated, f"{at[0]}.", f"{at[1]}.")


def _judged(item: Dataset, rules: Rules) -> Action:
    names = item[_CONCEPT_NAME].value if _CONCEPT_NAME in item else ()
    concept = names[0] if names else Dataset()
    code = next((text for tag in (0x00080100, 0x00080119) if (text := _text(concept, tag))), "")
    return rules.content(_text(concept, 0x00080102), code, _text(item, _VALUE_TYPE))


def _text(dataset: Dataset, tag: int) -> str:
    element = dataset.get_item(tag)
    value = element.value if element is not None else b""
    return (value.decode("latin-1") if isinstance(value, bytes) else str(value or "")).strip(" \0")


def _creator(dataset: Dataset, tag: int) -> str:
    """Return the private creator of the block of *tag*; of a private creator element its own value."""
    group, element = tag >> 16, tag & 0xFFFF
    if group % 2 == 0:
        return ""
    return _text(dataset, (group << 16) + (element >> 8 or element))


def _vr(element: DataElement | RawDataElement, tag: str, creator: str) -> str:
    vr = str(element.VR) if element.VR else "UN"
    if vr != "UN":
        return vr
    if not is_private(tag) or standard_vr(int(tag, 16)) != "UN":
        return standard_vr(int(tag, 16))
    try:
        return private_dictionary_VR(int(tag, 16), creator)
    except KeyError:
        return "UN"
