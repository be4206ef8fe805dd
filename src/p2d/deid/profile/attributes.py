"""What a project may say about an attribute: its notation, and the actions that do not loosen the profile."""

import re
from typing import Final

from pydicom.datadict import private_dictionary_VR

from p2d.deid.profile.action import BULK_VRS, DATE_VRS, TEXT_VRS, Action
from p2d.deid.profile.options import Option
from p2d.deid.profile.rulebook import is_removed_always
from p2d.deid.profile.structure import REPLACED, structural
from p2d.deid.standard.table import row_of
from p2d.deid.uids import is_class_uid
from p2d.dicom.dictionary import is_private, keyword_of, tag_of, vr_of
from p2d.model.errors import Misconfigured

_TAG: Final = re.compile(r"\(?([0-9A-Fa-f]{4}),?([0-9A-Fa-f]{4})\)?")
_ELEMENT: Final = re.compile(r"\(?([0-9A-Fa-f]{3}[13579BDFbdf]),?\s?(?:xx|XX)([0-9A-Fa-f]{2})\)?")
_HIERARCHY: Final = frozenset({"0020000D", "0020000E", "00080018", "00080016"})
_KEEPING: Final = frozenset({Action.KEEP, Action.CLEAN, Action.DATE, Action.UID})
_ONLY: Final = {Action.CLEAN: TEXT_VRS | {"SQ"}, Action.DATE: DATE_VRS, Action.UID: frozenset({"UI"})}
_UNKEPT_VRS: Final = BULK_VRS | {"SQ", "PN"}


def path_of(field: str, text: str) -> str:
    """Return *text* (keyword, ``0008103E``, ``(0008,103E)``, or several with dots) as tags joined by dots.

    Raises:
        Misconfigured: a part that is no attribute of PS3.6; *field* names the place in the file.

    """
    return ".".join(_tag(field, part.strip()) for part in text.split("."))


def _tag(field: str, text: str) -> str:
    found = _TAG.fullmatch(text)
    if found is None:
        try:
            return tag_of(text)
        except KeyError:
            remedy = "write it as (gggg,eeee) or by its keyword"
            raise Misconfigured(field, f"{text} is not a keyword of PS3.6", remedy) from None
    tag = "".join(found.groups()).upper()
    if is_private(tag):
        raise Misconfigured(field, "is a private attribute", "list it under private, by its creator")
    if not keyword_of(tag):
        raise Misconfigured(field, "is not an attribute of PS3.6; such are removed", "remove the line")
    return tag


def checked_action(field: str, path: str, action: Action, options: frozenset[Option]) -> Action:
    """Return *action* where a project may give it to the attribute at *path*.

    Raises:
        Misconfigured: the attribute is fixed, the action does not fit its VR, or it would loosen the profile.

    """
    tag = path[-8:]
    vrs = frozenset(vr_of(tag).split(" or "))
    _refuse_fixed(field, tag, vrs)
    only = _ONLY.get(action)
    if only is not None and not vrs & only:
        raise Misconfigured(field, f"{_verb(action)} does not fit VR {vr_of(tag)}", "choose another action")
    if action in _KEEPING:
        _refuse_loosening(field, tag, vrs, action, options)
    return Action.KEEP if action is Action.CLEAN and "SQ" in vrs else action


def _refuse_fixed(field: str, tag: str, vrs: frozenset[str]) -> None:
    if tag in REPLACED:
        raise Misconfigured(field, "is a pseudonym in every profile", "remove the line")
    if tag in _HIERARCHY:
        remedy = "remove the line; for original UIDs add the option retain-uids"
        raise Misconfigured(field, "places the object in the hierarchy and is fixed", remedy)
    if structural(tag, min(vrs), is_item=False) is not None or is_removed_always(tag):
        raise Misconfigured(field, "is fixed: P2D removes it or writes it itself", "remove the line")


def _refuse_loosening(
    field: str, tag: str, vrs: frozenset[str], action: Action, options: frozenset[Option]
) -> None:
    if vrs & BULK_VRS:
        raise Misconfigured(field, "is bulk, which no text scrub can clean", "remove the line")
    if "PN" in vrs:
        raise Misconfigured(field, "is a name of a person", "choose remove, empty or dummy")
    if action is Action.KEEP and "UI" in vrs and not is_class_uid(tag):
        raise Misconfigured(field, "is a UID", "choose uid, or add the option retain-uids")
    if action is Action.KEEP and vrs & DATE_VRS:
        raise Misconfigured(field, "is a date or time", "choose date, which moves it with the others")
    if action is Action.DATE and not {Option.FULL_DATES, Option.MODIFIED_DATES} & options:
        raise Misconfigured(field, "the profile keeps no dates", "add the option modified-dates")
    row = row_of(tag)
    if row is not None and action is not Action.UID and not any(row.options.values()):
        problem = "identifies people by PS3.15 Table E.1-1, which has no option to keep it"
        raise Misconfigured(field, problem, "choose remove, empty or dummy")


def _verb(action: Action) -> str:
    return action.name.lower()


def checked_element(field: str, creator: str, text: str) -> tuple[str, str]:
    """Return (group, low byte) of the private element *text* of *creator*: ``(0019,xx5A)`` or ``0019xx5A``.

    Raises:
        Misconfigured: another notation, or an element whose VR is known and may hold anything.

    """
    found = _ELEMENT.fullmatch(text)
    if found is None or not creator.strip():
        remedy = 'write elements as "(0019,xx5A)": group, low byte'
        raise Misconfigured(field, f"{text} is not a private element", remedy)
    group, element = (part.upper() for part in found.groups())
    try:
        vr = private_dictionary_VR(f"{group}10{element}", creator)
    except KeyError:
        vr = ""
    if vr in _UNKEPT_VRS:
        raise Misconfigured(field, f"{text} has VR {vr}, which may hold anything", "remove it from the list")
    return group, element
