"""A profile as a TOML file that an operator can read, correct and keep under version control."""

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from p2d.model.errors import Misconfigured
from p2d.pacs.probe.probe import Probed


def as_toml(probed: Probed) -> str:
    """Return the profile with its remarks as comments; ``read_settings`` reads it back equal."""
    values = probed.profile.model_dump(mode="json", exclude_none=True)
    lines = ["# What this archive really does, found by p2d probe. It holds no identifier of a patient."]
    lines += [f"# - {remark}" for remark in probed.remarks]
    lines.append(f"# It cost the archive {probed.bill.sentence()}.")
    lines += _table("", values)
    return "\n".join(lines) + "\n"


def _table(name: str, values: Mapping[str, object]) -> Iterator[str]:
    if name:
        yield f"\n[{name}]"
    for key, value in values.items():
        if not isinstance(value, Mapping):
            yield f"{_key(key)} = {_value(value)}"
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _table(f"{name}.{_key(key)}" if name else _key(key), value)


def _key(text: str) -> str:
    return text if text.replace("_", "").isalpha() and text.isascii() else json.dumps(text)


def _value(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_value(one) for one in sorted(value))}]"
    return json.dumps(value)  # texts, numbers and booleans are written alike in TOML 1.0


def write(probed: Probed, path: Path) -> None:
    """Write the profile to *path*, whole or not at all; an older one there is replaced.

    Raises:
        Misconfigured: the folder cannot be written.

    """
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(as_toml(probed))
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except OSError as error:
        raise Misconfigured(
            str(path), f"cannot be written ({error.strerror})", "name a file in a writable folder"
        ) from None
