"""Private elements: kept only where Table E.3.10-1 or a project lists them, by creator (PS3.15 E.3.10)."""

from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from p2d.deid.profile.action import BULK_VRS, DATE_VRS, NUMBER_VRS, TEXT_VRS, Action
from p2d.deid.profile.decision import Decision, Terms
from p2d.deid.profile.options import Option
from p2d.deid.standard.private import is_safe, safe_private, safe_vr

_FIRST_CREATOR: Final = 0x10
_LAST_CREATOR: Final = 0xFF
_ACTIONS: Final = {
    **dict.fromkeys(TEXT_VRS, Action.CLEAN),
    **dict.fromkeys(NUMBER_VRS, Action.KEEP),
    **dict.fromkeys(DATE_VRS, Action.DATE),
    **dict.fromkeys(BULK_VRS - {"UN"}, Action.BULK),
    "UI": Action.UID,
    "SQ": Action.ITEMS,
    "AS": Action.CAP_AGE,
}
Elements = Mapping[str, frozenset[tuple[str, str]]]


def private_decision(tag: str, vr: str, creator: str, terms: Terms, kept: Elements) -> Decision:
    """Decide on the private element *tag* of *creator*'s block; *kept* is what a project keeps."""
    group, number = tag[:4], int(tag[4:], 16)
    if _FIRST_CREATOR <= number <= _LAST_CREATOR:
        if is_kept_creator(group, creator, terms, kept):
            return Decision(Action.KEEP, "private creator of kept elements")
        return Decision(Action.REMOVE, "private creator without kept elements")
    place = (int(group, 16), creator, number & 0xFF)
    is_in_block = number >= _FIRST_CREATOR << 8 and creator != ""
    if is_in_block and Option.RETAIN_SAFE_PRIVATE in terms.options and is_safe(*place):
        by_table = vr not in BULK_VRS or vr in safe_vr(*place)
        return _safe(vr, "Table E.3.10-1, Retain Safe Private Option", terms, by_table=by_table)
    if is_in_block and (group, tag[6:]) in kept.get(creator, frozenset()):
        return _safe(vr, "project file: private", terms, by_table=False)
    return Decision(Action.REMOVE, "Table E.1-1 X, private and not listed as safe")


def _safe(vr: str, why: str, terms: Terms, *, by_table: bool) -> Decision:
    """Decide on a listed private element: kept in substance, sequences and bulk only by the table."""
    action = _ACTIONS.get(vr, Action.REMOVE)
    if action in {Action.ITEMS, Action.BULK} and not by_table:
        return Decision(Action.REMOVE, f"{why}: not as VR {vr}")
    if action is Action.DATE and not terms.keeps_dates:
        return Decision(Action.REMOVE, f"{why}: no dates option")
    if action is Action.CLEAN and not terms.scrubs:
        return Decision(Action.KEEP, why)
    return Decision(action, why)


def is_kept_creator(group: str, creator: str, terms: Terms, kept: Elements) -> bool:
    """Whether any element of *creator* in *group* is kept, so that its creator element stays as well."""
    if any(own == group for own, _ in kept.get(creator, frozenset())):
        return True
    return (
        Option.RETAIN_SAFE_PRIVATE in terms.options
        and (int(group, 16), creator.strip(" \0")) in safe_blocks()
    )


@lru_cache(maxsize=1)
def safe_blocks() -> Mapping[tuple[int, str], int]:
    """Return the number of elements that Table E.3.10-1 lists, by group and private creator."""
    return Counter((group, creator) for group, creator, _ in safe_private())
