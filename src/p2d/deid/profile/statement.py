"""Stub."""
from p2d.deid import statement as old
from p2d.deid.profile.profile import Profile
from p2d.model.header import Element
from collections.abc import Mapping

def statement(profile: Profile, *, true_dates: bool, masked: bool) -> Mapping[str, Element]:
    return old.statement(true_dates=true_dates)

def own_texts(profile: Profile) -> frozenset[str]:
    return old.own_texts()
