"""Decisions taken for a whole series, on real files: as one by one, whatever differs between images."""

import random
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from p2d.deid.release import Releaser
from p2d.deid.rewrite.content import Opened
from p2d.model.identified import IdentifiedInstance, PatientKeys
from p2d.model.released import ReleasedHeader, ReleasedInstance, Withheld
from p2d.testing.release_files import instance_of_file
from p2d.testing.releasing import keys_for

LARGEST = 1 << 20
HEADER = 1 << 14
DIGITS = re.compile(rb"[0-9A-Za-z.]{3,}")


def files(corpus: Path) -> list[Path]:
    found = sorted(path for path in (corpus / "files").rglob("*") if path.is_file())
    return [path for path in found if path.stat().st_size <= LARGEST]


def series_of(instance: IdentifiedInstance, chance: random.Random) -> list[IdentifiedInstance]:
    """Return *instance* and images like it: texts differ, one is torn, one has one more byte."""
    content = instance.content[:]
    places = [match.span() for match in DIGITS.finditer(content, 0, HEADER)]
    made = [instance]
    for _ in range(4):
        changed = bytearray(content)
        for begin, end in chance.sample(places, min(len(places), 3)):
            changed[chance.randrange(begin, end)] = chance.choice(b"0123456789")
        made.append(replace(instance, content=bytes(changed)))
    made += [
        instance,
        replace(instance, content=content[: chance.randrange(len(content) + 1)]),
        replace(instance, content=content + b"\0"),
        made[1],
    ]
    return made


def shown(released: ReleasedInstance | ReleasedHeader | Withheld) -> Any:
    if isinstance(released, Withheld):
        return released
    header = released if isinstance(released, ReleasedHeader) else released.header
    return (
        released.content if isinstance(released, ReleasedInstance) else b"",
        list(header.elements.items()),
        header,
    )


def told(releaser: Releaser, series: Sequence[IdentifiedInstance], keys: PatientKeys) -> tuple[Any, int]:
    """Return all that a caller can see of the release of *series*, and how many objects fitted a pattern."""
    opened = [releaser.open(one) for one in series]
    releaser.learn(keys)
    seen = [(shown(releaser.image(one)), shown(releaser.extended(one))) for one in opened]
    fitted = sum(isinstance(one, Opened) and one.pattern is not None for one in opened)
    return (seen, releaser.references, releaser.tally.as_json()), fitted


def compare(paths: Sequence[Path]) -> tuple[int, list[str]]:
    fitted, differing = 0, []
    for path in paths:
        series = series_of(instance_of_file(path), random.Random(path.name))  # noqa: S311 - no secret
        keys = keys_for(*series)
        together, fits = told(Releaser(keys), series, keys)
        one_by_one, none = told(Releaser(keys, reuses=False), series, keys)
        fitted += fits
        if together != one_by_one or none:
            differing.append(path.name)
    return fitted, differing


def test_some_real_files_and_their_like_are_released_as_one_by_one(corpus: Path) -> None:
    paths = files(corpus)[::24]

    fitted, differing = compare(paths)

    assert not differing
    assert fitted > len(paths)


@pytest.mark.long
def test_all_real_files_and_their_like_are_released_as_one_by_one(corpus: Path) -> None:
    fitted, differing = compare(files(corpus))

    assert not differing
    assert fitted > len(files(corpus))
