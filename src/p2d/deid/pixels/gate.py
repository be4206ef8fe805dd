"""Stub."""
from dataclasses import dataclass
from p2d.model.header import Elements

@dataclass(frozen=True, slots=True)
class DeviceKey:
    @classmethod
    def of(cls, elements: Elements) -> "DeviceKey":
        return cls()

@dataclass(frozen=True, slots=True)
class Screened:
    content: bytes
    transfer_syntax_uid: str
    boxes: tuple[object, ...]
    looked_at: tuple[int, ...]
    is_masked: bool
