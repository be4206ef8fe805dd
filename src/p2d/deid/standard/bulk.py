"""Bulk attributes of the standard that hold samples or geometry, as against documents and signatures."""

from functools import lru_cache

from p2d.deid.standard.tsv import rows_of


@lru_cache(maxsize=1)
def samples() -> frozenset[str]:
    """Return the tags that ``bulk_samples.tsv`` marks ``keep``."""
    _, rows = rows_of("bulk_samples.tsv")
    return frozenset(tag for tag, _vr, decision, _name, _reason in rows if decision == "keep")


def is_sample(tag: str) -> bool:
    """Whether the bulk attribute *tag* (eight upper-case hexadecimal digits) holds nothing but numbers.

    False for every tag that is not listed: private, unknown and later attributes are no samples.
    """
    return tag in samples()
