"""Read a settings file once and hand it on as frozen types; unknown keys are errors, secrets are files."""

import math
import stat
import tomllib
from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, SecretStr, ValidationError, ValidationInfo

from p2d.model.errors import Misconfigured

_MINIMUM_LENGTH: Final = 24
_MINIMUM_BITS: Final = 80.0
_WELL_KNOWN: Final = ("password", "secret", "changeme", "orthanc", "default", "admin", "test1234")


class Strict(BaseModel):
    """A table of a settings file; unknown keys are errors, values never change, none is shown in errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


def _ae_title(text: str) -> str:
    if not 1 <= len(text.strip()) <= 16 or "\\" in text or not text.isascii() or not text.isprintable():  # noqa: PLR2004 - PS3.5 6.2, VR AE
        raise ValueError("is not an AE title: 1 to 16 printable ASCII characters without a backslash")
    return text.strip()


def beside_settings(path: Path, info: ValidationInfo) -> Path:
    """Return *path* relative to the folder of the settings file it was read from."""
    folder = (info.context or {}).get("folder")
    return path if folder is None or path.is_absolute() else Path(folder) / path


AeTitle = Annotated[str, AfterValidator(_ae_title)]
FilePath = Annotated[Path, AfterValidator(beside_settings)]
S = TypeVar("S", bound=Strict)


def read_settings(path: Path, kind: type[S]) -> S:
    """Return the TOML file at *path* as *kind*; relative paths in it are relative to its folder.

    Raises:
        Misconfigured: the file is absent, not TOML, or a key is unknown, missing or out of range.

    """
    try:
        source = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Misconfigured(str(path), "does not exist", "name the settings file with --settings") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Misconfigured(str(path), f"is not readable as TOML: {error}", "correct the file") from None
    return validated(source, path, kind)


def validated(source: object, path: Path, kind: type[S]) -> S:
    """Return *source*, read from the file at *path*, as *kind*; relative paths are relative to its folder.

    Raises:
        Misconfigured: a key is unknown, missing or out of range.

    """
    try:
        return kind.model_validate(source, context={"folder": path.resolve().parent})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        field = _place(source, first["loc"]) or "settings"
        remedy = "remove it or correct its name" if first["type"] == "extra_forbidden" else "correct it"
        raise Misconfigured(f"{path.name}: {field}", first["msg"], remedy) from None


def _place(source: Any, location: tuple[int | str, ...]) -> str:
    """Return where in the file an error is: *location* without the steps that are not written there."""
    parts: list[str] = []
    for number, part in enumerate(location, 1):
        is_key = isinstance(source, dict) and part in source
        is_item = isinstance(source, list) and isinstance(part, int) and part < len(source)
        is_missing_key = number == len(location) and isinstance(part, str)
        if is_key or is_item or is_missing_key:
            parts.append(str(part))
        if is_key or is_item:
            source = source[part]
    return ".".join(parts)


def entropy_bits(secret: str) -> float:
    """Return an upper estimate of a secret's strength: length times the entropy of its characters."""
    total = len(secret)
    return -sum(n * math.log2(n / total) for n in Counter(secret).values()) if total else 0.0


def read_secret(path: Path, field: str) -> SecretStr:
    """Return the secret in the file at *path*.

    Raises:
        Misconfigured: absent, readable by others, shorter than 24 characters, repetitive or well known.

    """
    remedy = "write a random one, readable by its owner only: (umask 077; openssl rand -base64 32 > FILE)"
    secret = _read_private(path, field, remedy)
    weak = len(secret) < _MINIMUM_LENGTH or entropy_bits(secret) < _MINIMUM_BITS
    if weak or any(word in secret.lower() for word in _WELL_KNOWN):
        raise Misconfigured(field, f"the secret in {path} is weak or a default", remedy)
    return SecretStr(secret)


def read_foreign_secret(path: Path, field: str) -> SecretStr:
    """Return a secret that the other side chose, from the file at *path*: its strength is not ours to judge.

    Raises:
        Misconfigured: absent, readable by others, empty, or more than one line.

    """
    secret = _read_private(path, field, "write it into a file that its owner alone can read")
    if not secret or not secret.isprintable():
        raise Misconfigured(field, f"{path} does not hold one line of text", "write the secret alone")
    return SecretStr(secret)


def _read_private(path: Path, field: str, remedy: str) -> str:
    try:
        mode = path.stat().st_mode
        secret = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise Misconfigured(field, f"secret file {path} is not readable", remedy) from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise Misconfigured(field, f"secret file {path} is open to others", f"chmod 0400 {path}")
    return secret
