"""A canary: a value planted to be searched for, with the kind of thing it is."""

from typing import Final, Self

KINDS: Final = frozenset(
    {
        "family_name",
        "given_name",
        "physician",
        "patient_id",
        "birth_date",
        "accession_number",
        "admission_id",
        "document_id",
        "study_uid",
        "series_uid",
        "instance_uid",
        "text",
    }
)


class Canary(str):
    """A value to search for; ``kind`` is one of ``KINDS`` and may be shown, the value may not."""

    __slots__ = ("kind",)
    kind: str

    def __new__(cls, value: str, kind: str = "text") -> Self:
        """Return *value* as a canary of *kind*."""
        made = super().__new__(cls, value)
        made.kind = kind
        return made
