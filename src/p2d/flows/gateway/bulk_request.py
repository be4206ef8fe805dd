"""What a bulk run asks, kept in two places: of all patients beside the run, of one beside the patient.

So a worker reads the few patients it holds, not a request with half a million identifiers.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from p2d.jobs.ledger import Ledger
from p2d.model.ids import Pseudonym
from p2d.model.level import Kind
from p2d.model.request import Request, Target, parse_target

_TARGETS: Final = "identifiers"


def of_patients(request: Request) -> tuple[dict[str, object], dict[str, str]]:
    """Return what *request* asks of all patients, and as JSON what of single ones beyond their name."""
    stated = request.as_json()
    identifiers: list[Mapping[str, object]] = stated.pop(_TARGETS)  # type: ignore[assignment]  # as_json's list
    groups: dict[str, list[Mapping[str, object]]] = {}
    for target, identifier in zip(request.targets, identifiers, strict=True):
        groups.setdefault(str(target.pseudonym), []).append(identifier)
    plain = {
        target.pseudonym for target in request.targets if target == Target(Kind.PATIENT, target.pseudonym)
    }
    return stated, {
        patient: json.dumps(group)
        for patient, group in groups.items()
        if len(group) > 1 or Pseudonym(patient) not in plain
    }


def run_request(ledger: Ledger, run_id: str) -> Request:
    """Return what the run asks of all patients; its targets are those of an older run, else none.

    Raises:
        NotFound: no such run.

    """
    stated = ledger.request_of(run_id)
    targets = stated.pop(_TARGETS, None)
    placeholder = {"kind": "patient", "pseudonym": "P"}
    request = Request.parse({**stated, _TARGETS: targets or [placeholder]})
    return request if targets else replace(request, targets=())


def targets_of(
    ledger: Ledger, run_id: str, request: Request, patients: Sequence[str]
) -> dict[str, list[Target]]:
    """Return the targets of *patients* of the run."""
    groups: dict[str, list[Target]] = {patient: [] for patient in patients}
    for target in request.targets:
        if str(target.pseudonym) in groups:
            groups[str(target.pseudonym)].append(target)
    kept = {} if request.targets else ledger.targets_of(run_id, patients)
    for patient, group in groups.items():
        stated = json.loads(kept[patient]) if patient in kept else []
        group.extend(parse_target(item, f"identifiers[{number}]") for number, item in enumerate(stated))
        if not group:
            group.append(Target(Kind.PATIENT, Pseudonym(patient)))
    return groups
