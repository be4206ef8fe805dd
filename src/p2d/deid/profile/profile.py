"""Stub."""
from dataclasses import dataclass
from functools import lru_cache
from p2d.deid.profile.action import Action
from p2d.deid.profile.rules import action_of

class Rules:
    def action(self, tag: str, vr: str, creator: str = "") -> Action:
        return action_of(tag, vr)
    def inside(self, tag: str) -> "Rules":
        return self
    def content(self, scheme: str, code: str) -> Action:
        return Action.KEEP

_R = Rules()

@dataclass(frozen=True, slots=True)
class Profile:
    name: str = "research"
    head: str = "keep"
    screen: str = "rules"
    def rules(self, sop_class_uid: str = "") -> Rules:
        return _R

RESEARCH = Profile()
