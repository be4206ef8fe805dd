"""Look for patients' values in a finished folder, whoever wrote it: DICOM files and all others, names too."""

import mmap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from p2d.deid.leak.folder import Findings, FolderCheck
from p2d.flows.gateway.folder.scan import Input, inputs_of
from p2d.model.errors import InvalidRequest
from p2d.model.identified import KnownValues

_OWN_FILES: Final = frozenset({".p2d-deid.jsonl"})


@dataclass(slots=True)
class CheckResult:
    """Files looked at, those with a finding by their place in the order of all, and what was found where."""

    files: int = 0
    unreadable: int = 0
    leaking: list[int] = field(default_factory=list)
    findings: Findings = field(default_factory=Findings)

    @property
    def is_clean(self) -> bool:
        """Whether every file could be searched and nothing was found."""
        return not self.unreadable and not self.leaking


def check_folder(
    folder: Path, known: Mapping[str, KnownValues], show: Callable[[int, int], None]
) -> CheckResult:
    """Search every file below *folder* for the values of the patients in *known*.

    Raises:
        InvalidRequest: *folder* is none, or there is nobody to look for.

    """
    if not known:
        raise InvalidRequest("--patients", "names nobody", "name the table of the patients to look for")
    check = FolderCheck(list(known.values()))
    items = inputs_of(folder)
    result = CheckResult()
    for done, item in enumerate(items, 1):
        result.files += 1
        try:
            findings = _findings(item, check)
        except OSError:
            result.unreadable += 1
            continue
        if findings:
            result.leaking.append(item.number)
            result.findings.update(findings)
        show(done, len(items))
    return result


def _findings(item: Input, check: FolderCheck) -> Findings:
    if item.size == 0:
        return check.check_file(b"", item.name)
    with item.path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        view = memoryview(mapped)
        try:
            return check.check_file(view, item.name)
        finally:
            view.release()
