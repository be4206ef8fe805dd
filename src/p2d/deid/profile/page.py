"""Say in Markdown what happens to each attribute of Table E.1-1, made from the profile that is applied.

Run ``python -m p2d.deid.profile.page`` to print the section of ``docs/reference/deidentification.md``.
"""

import sys
from typing import Final

from p2d.deid.profile.action import Action
from p2d.deid.profile.rules import action_of, table
from p2d.dicom.dictionary import keyword_of, vr_of

_MEANINGS: Final = {
    Action.PATIENT: "Replaced by the patient's pseudonym",
    Action.ACCESSION: "Replaced by the pseudonym of the accession number",
    Action.CASE: "Replaced by the pseudonym of the case; removed where there is none",
    Action.UID: "Derived UID (U)",
    Action.DATE: "Date moved, time kept (Retain Longitudinal Temporal Information)",
    Action.CLEAN: "Text cleaned (Clean Descriptors, Retain Patient Characteristics)",
    Action.KEEP: "Kept (Retain Patient Characteristics)",
    Action.ITEMS: "Sequence kept, its items treated by the same rules",
    Action.EMPTY: "Emptied (Z)",
    Action.DUMMY: "Dummy value where there was a value (D)",
    Action.REMOVE: "Removed (X)",
}


def section() -> str:
    """Return one paragraph an action with the attributes of Table E.1-1 that get it, by keyword."""
    groups: dict[Action, list[str]] = {action: [] for action in _MEANINGS}
    for tag, row in table().items():
        if "x" in tag or not keyword_of(tag):
            groups[Action.REMOVE].append(row.name if tag != "PRIVATE" else "all private attributes")
        else:
            groups[action_of(tag, vr_of(tag).split(" or ")[0])].append(keyword_of(tag))
    paragraphs = [
        f"### {_MEANINGS[action]}\n\n{len(names)}: {', '.join(sorted(names, key=str.lower))}\n"
        for action, names in groups.items()
        if names
    ]
    return "\n".join(paragraphs)


if __name__ == "__main__":
    sys.stdout.write(section())
