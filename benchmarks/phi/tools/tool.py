"""A tool under test."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from phi.key import AnswerKey


class Tool(Protocol):
    """Something that turns a folder of planted files into de-identified ones."""

    @property
    def name(self) -> str:
        """The heading of its column."""
        ...

    def run(self, planted: Path, key: AnswerKey, work: Path) -> Mapping[str, Path]:
        """De-identify every file of *planted* into *work*; return the files released, by planted name.

        Of the key a tool may use the table of patients and the UIDs for telling results apart, nothing else.
        """
        ...
