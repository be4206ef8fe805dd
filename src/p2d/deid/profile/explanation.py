"""Say of a profile what happens to every attribute and why; the pages of ``docs/reference`` are this text."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from p2d.deid.profile.action import BULK_VRS, Action
from p2d.deid.profile.decision import Question, Terms, removed, unlisted
from p2d.deid.profile.options import Mode, Option
from p2d.deid.profile.private import safe_blocks
from p2d.deid.profile.profile import Profile, allow_list
from p2d.deid.profile.rulebook import beyond
from p2d.deid.standard.table import EDITION, additions, row_of, table
from p2d.dicom.dictionary import keyword_of, vr_of

WORDS: Final[Mapping[Action, str]] = {
    Action.KEEP: "kept",
    Action.CLEAN: "text cleaned",
    Action.REMOVE: "removed",
    Action.EMPTY: "emptied",
    Action.DUMMY: "dummy value",
    Action.UID: "derived UID",
    Action.DATE: "date moved, time kept",
    Action.CAP_AGE: "age kept up to the cap",
    Action.ITEMS: "sequence kept, items treated",
    Action.CONTENT: "sequence kept, items judged by concept",
    Action.PATIENT: "patient pseudonym",
    Action.ACCESSION: "pseudonym of the accession number",
    Action.CASE: "pseudonym of the case, removed without one",
    Action.CHARACTER_SET: "ISO_IR 192",
    Action.BULK: "bytes copied in files, not in headers",
}
_FORM: Final = "sequence kept with dummies"
_TYPES: Final = ("1", "2", "3")
_NO_TAG: Final = "FFFFFFFF"
_VRS: Final = (
    *("AE", "AS", "CS", "DA", "DT", "TM", "PN", "UI", "UR", "SQ"),
    *("SH", "LO", "ST", "LT", "UC", "UT", "DS", "IS", "US", "FD", "AT", "OB", "OW", "UN"),
)


@dataclass(frozen=True, slots=True)
class Explained:
    """What happens to one attribute: actions where the IOD has it as type 1, 2 and 3 or not, and why."""

    tag: str
    keyword: str
    vr: str
    actions: tuple[Action, Action, Action]
    why: str

    @property
    def outcome(self) -> str:
        """The actions in words: one, or by type."""
        first, second, third = (self._word(action) for action in self.actions)
        if first == second == third:
            return first
        if second == third:
            return f"{second}; {first} where type 1"
        if first == second:
            return f"{third}; {first} where type 1 or 2"
        return f"{third}; {second} where type 2; {first} where type 1"

    def _word(self, action: Action) -> str:
        return _FORM if action is Action.DUMMY and self.vr == "SQ" else WORDS[action]


def explained(profile: Profile) -> list[Explained]:
    """Return every attribute of the table, its later rows, P2D's own rules and the allow list, by tag."""
    tags = {*table(), *beyond(), *_named(profile)}
    if profile.scrubs:
        tags |= set(additions())
    if profile.mode is Mode.STRICT:
        tags |= allow_list()
    return [attribute_of(profile, tag) for tag in sorted(tags) if "." not in tag]


def attribute_of(profile: Profile, tag: str) -> Explained:
    """Return what happens to the attribute *tag* (also ``60xx3000`` or PRIVATE) at the top of an object."""
    if tag == "PRIVATE":
        return Explained(
            tag, "private attributes", "", (Action.REMOVE,) * 3, "Table E.1-1 X but for safe ones"
        )
    concrete = tag.replace("xxxxxx", "003000").replace("x", "0")
    vr = vr_of(concrete).split(" or ")[0] if keyword_of(concrete) else ""
    rules = profile.rules()
    decisions = [rules.at_type(concrete, vr, kind) for kind in _TYPES]
    keyword = (keyword_of(concrete) if "x" not in tag else "") or _row_name(tag) or tag
    first, second, third = (decision.action for decision in decisions)
    return Explained(tag, keyword, vr, (first, second, third), decisions[2].why.partition(", type ")[0])


def _row_name(tag: str) -> str:
    row = row_of(tag)
    return f"{row.name} ({tag[:4]},{tag[4:]})" if row is not None else ""


def _named(profile: Profile) -> Iterable[str]:
    return (path.rpartition(".")[2] for path in profile.overrides)


def page(profile: Profile) -> str:
    """Return the whole of it as text that is also Markdown."""
    sections = [_head(profile), _unlisted(profile), _private(profile), _listed(profile)]
    return "\n".join(section for section in sections if section)


def _head(profile: Profile) -> str:
    options = sorted(profile.options, key=lambda option: option.code)
    lines = [
        f"# De-identification profile {profile.name}",
        "",
        f"Mode {profile.mode}, PS3.15 Annex E Table E.1-1 edition {EDITION}. Printed by",
        f"`p2d explain --profile {profile.name}`.",
        "",
        "| Of the whole object | |",
        "|---|---|",
        f"| options (CID 7050) | {', '.join(f'{option.code} {option}' for option in options) or 'none'} |",
        f"| texts that stay | {'cleaned of known values' if profile.scrubs else 'as they are'} |",
        f"| dates | {_dates(profile)} |",
        f"| ages | {'as they are' if profile.age_cap is None else f'at most {profile.age_cap} years'} |",
        f"| text detector | {profile.screen} |",
        f"| thin-slice head series | {profile.head} |",
        f"| release review | {'yes' if profile.review else 'no'} |",
    ]
    withheld = sorted(profile.withheld_modalities | profile.withheld_sop_classes)
    if withheld:
        lines.append(f"| withheld | {', '.join(withheld)} |")
    return "\n".join(lines) + "\n"


def _dates(profile: Profile) -> str:
    if Option.FULL_DATES in profile.options:
        return "true"
    if Option.MODIFIED_DATES not in profile.options:
        return "as the table says"
    return f"moved by whole {'weeks' if profile.whole_weeks else 'days'}, one shift a patient"


def _unlisted(profile: Profile) -> str:
    """Return the section on attributes of PS3.6 that no table names, by VR."""
    lines = ["## Attributes of PS3.6 that no table lists", "", "| VR | Action |", "|---|---|"]
    groups: dict[str, list[str]] = {}
    for vr in _VRS:
        groups.setdefault(_outcome_of(profile, vr), []).append(vr)
    lines += [f"| {', '.join(vrs)} | {outcome} |" for outcome, vrs in groups.items()]
    lines += ["", "Unknown attributes, group lengths, overlay and curve planes: removed."]
    return "\n".join(lines) + "\n"


def _outcome_of(profile: Profile, vr: str) -> str:
    terms = profile.terms
    actions = [_unlisted_action(Question(_NO_TAG, vr, kind), terms) for kind in _TYPES]
    return Explained("", "", vr, (actions[0], actions[1], actions[2]), "").outcome


def _unlisted_action(question: Question, terms: Terms) -> Action:
    if question.vr == "UN":
        return Action.REMOVE
    if question.vr in BULK_VRS:
        return removed(question) if terms.scrubs else Action.BULK
    return unlisted(question, terms).action


def _private(profile: Profile) -> str:
    lines = ["## Private attributes", ""]
    kept: dict[str, int] = {}
    if Option.RETAIN_SAFE_PRIVATE in profile.options:
        kept = {f"{creator} (group {group:04X})": count for (group, creator), count in safe_blocks().items()}
    for creator, elements in profile.private.items():
        kept[f"{creator} (project)"] = len(elements)
    if not kept:
        return "\n".join([*lines, "All removed."]) + "\n"
    lines += ["Removed but for these elements, kept with their private creators and cleaned by VR:", ""]
    lines += [f"- {creator}: {count}" for creator, count in sorted(kept.items())]
    return "\n".join(lines) + "\n"


def _listed(profile: Profile) -> str:
    """Return the sections on named attributes: by outcome, then by what decided."""
    groups: dict[str, dict[str, list[str]]] = {}
    for one in explained(profile):
        groups.setdefault(one.outcome, {}).setdefault(one.why, []).append(one.keyword)
    lines = ["## Named attributes", ""]
    for outcome in sorted(groups):
        lines += [f"### {outcome[0].upper()}{outcome[1:]}", ""]
        for why, keywords in sorted(groups[outcome].items()):
            lines += [f"{why}: {len(keywords)}", "", *_wrapped(sorted(keywords, key=str.lower)), ""]
    return "\n".join(lines[:-1]) + "\n"


def _wrapped(keywords: list[str], width: int = 110) -> Iterator[str]:
    line = ""
    for number, keyword in enumerate(keywords):
        part = keyword + ("," if number < len(keywords) - 1 else "")
        if line and len(line) + len(part) + 1 > width:
            yield line
            line = part
        else:
            line = f"{line} {part}" if line else part
    yield line
