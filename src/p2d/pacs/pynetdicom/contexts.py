"""Presentation contexts: what is proposed to the archive and what our Storage SCP accepts."""

from collections.abc import Iterable
from typing import Any, Final

from pynetdicom import AllStoragePresentationContexts, build_context, build_role

from p2d.dimse.services import COMPRESSED, FIND, GET, IMPLICIT, MOVE, UNCOMPRESSED, VERIFICATION

CLASSES_PER_ASSOCIATION: Final = 9
"""Each class takes 1 + 12 of the 128 contexts that one association may propose (PS3.8 9.3.2.2)."""

_IMAGES: Final = "1.2.840.10008.5.1.4.1.1."
_SUFFIXES: Final = """
    1 1.1 1.1.1 1.1.1.1 1.2 1.2.1 1.3 1.3.1 2 2.1 2.1.1 2.2 3.1 4 4.1 4.2 4.3 6.1 6.2 7 7.1 7.2 7.3 7.4
    9.1.1 9.1.2 9.1.3 11.1 12.1 12.1.1 12.2 12.2.1 13.1.1 13.1.2 13.1.3 20 30 66.4 77.1.1 77.1.2 77.1.4
    77.1.5.1 77.1.5.4 77.1.6 88.11 88.22 88.33 88.34 88.59 88.67 104.1 128 128.1 130 481.1 481.2 481.3 481.5
"""
_USUAL: Final = tuple(_IMAGES + suffix for suffix in _SUFFIXES.split())


def query_contexts() -> list[Any]:
    """Return what C-FIND and C-ECHO need."""
    return [build_context(uid, IMPLICIT) for uid in (*FIND, VERIFICATION)]


def move_contexts() -> list[Any]:
    """Return what C-MOVE needs."""
    return [build_context(uid, IMPLICIT) for uid in MOVE]


def get_contexts(sop_classes: Iterable[str]) -> tuple[list[Any], list[Any]]:
    """Return contexts and role selections for a C-GET of objects of *sop_classes*; none means the usual ones.

    Each class is proposed once uncompressed and once for each compressed transfer syntax, so that the
    archive can send pixel data as it stores them.
    """
    classes = sorted(sop_classes)
    contexts = [build_context(uid, IMPLICIT) for uid in GET]
    for uid in classes or _USUAL:
        contexts.append(build_context(uid, list(UNCOMPRESSED)))
        if classes:
            contexts.extend(build_context(uid, one) for one in COMPRESSED)
        else:
            contexts.append(build_context(uid, list(COMPRESSED)))
    return contexts, [build_role(uid, scp_role=True) for uid in classes or _USUAL]


def accepted_storage() -> list[Any]:
    """Return the contexts of our Storage SCP: every storage class, no deflated or big endian syntax."""
    syntaxes = [*UNCOMPRESSED, *COMPRESSED]
    return [build_context(str(one.abstract_syntax), syntaxes) for one in AllStoragePresentationContexts]
