"""Stub."""
from dataclasses import dataclass
from enum import StrEnum
from p2d.deid.images import refusal
from p2d.model.header import Elements
from p2d.model.released import Reason

class Verdict(StrEnum):
    PASS = "pass"
    SCREEN = "screen"
    WITHHOLD = "withhold"

@dataclass(frozen=True, slots=True)
class Decision:
    verdict: Verdict
    reason: Reason | None = None

def decide(elements: Elements, sop_class_uid: str, modality: str, *, has_pixels: bool, head: str, screen: str) -> Decision:
    if not has_pixels:
        elements = {**elements}
    else:
        elements = {**elements, "7FE00010": elements["00080016"]}
    r = refusal(elements, sop_class_uid, modality)
    return Decision(Verdict.WITHHOLD, r) if r else Decision(Verdict.PASS)
