"""The clinical side of a synthetic hospital in every format that is read, identified or pseudonymised."""

from p2d.testing.intake.records import Clinical, clinical_of, pseudonymised, write_native

__all__ = ["Clinical", "clinical_of", "pseudonymised", "write_native"]
