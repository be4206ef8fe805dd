"""A synthetic hospital: patients, cases, images rendered on demand, clinical facts, all from a seed."""

from p2d.testing.hospital.house import Hospital, generate
from p2d.testing.hospital.nouns import Case, Document, Fact, Instance, Patient, Series, Study

__all__ = [
    "Case",
    "Document",
    "Fact",
    "Hospital",
    "Instance",
    "Patient",
    "Series",
    "Study",
    "generate",
]
