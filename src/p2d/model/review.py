"""Words of the release review: how a series stands, and why an officer rejected it.

Reasons are words of a list, not free text: they go into reports and the audit, where no patient's value may.
"""

from enum import StrEnum


class Standing(StrEnum):
    """Where a held series stands."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"


class Objection(StrEnum):
    """Why a series was rejected."""

    TEXT = "text in the image"
    FACE = "recognisable face"
    MASK = "mask hides the finding"
    CONTENT = "other content than asked for"
    QUALITY = "not usable"
    CONSENT = "no consent"
    OTHER = "other"
