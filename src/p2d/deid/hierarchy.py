"""Where a data set says otherwise than the archive about what it belongs to: kept and marked."""

from typing import Final

from p2d.model.header import Elements

_UIDS: Final = ("0020000D", "0020000E", "00080018")
_PATIENT: Final = "00100020"
_ACCESSION: Final = "00080050"


def disagreements(answered: Elements, content: Elements) -> tuple[str, ...]:
    """Return flags for what the data set says otherwise than the archive."""

    def differ(path: str) -> bool:
        answer, own = answered.get(path), content.get(path)
        if answer is None or own is None or answer.values == own.values:
            return False
        ours, theirs = answer.text.strip(), own.text.strip()
        return bool(ours and theirs and ours != theirs)

    flags = []
    if any(differ(path) for path in _UIDS):
        flags.append("uid_mismatch")
    if differ(_PATIENT):
        flags.append("patient_mismatch")
    if differ(_ACCESSION):
        flags.append("accession_mismatch")
    return tuple(flags)
