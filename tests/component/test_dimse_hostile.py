"""Hostile bytes to our Storage SCP: refused by P2D's own errors, never kept in part or beyond the caps."""

from hypothesis import given
from hypothesis import strategies as st

from p2d.dimse.awaited import Arrived
from p2d.testing.datasets import ct
from p2d.testing.hostile import LIMITS, UIDS, conversation, converse, request
from p2d.testing.sender import content_of

GOOD = conversation()
SENT = {content_of(ct(SOPInstanceUID=UIDS[0])), content_of(ct(SOPInstanceUID=UIDS[1]), "1.2.840.10008.1.2")}


@st.composite
def spoiled(draw: st.DrawFn) -> bytes:
    """Return a good conversation with PDUs lost, doubled or out of place, and bytes changed."""
    order = draw(
        st.one_of(
            st.just(list(range(len(GOOD)))),
            st.lists(st.integers(0, len(GOOD) - 1), max_size=len(GOOD)).map(lambda places: [0, *places]),
        )
    )
    whole = bytearray(b"".join(GOOD[place] for place in order))
    for place, byte in draw(
        st.lists(st.tuples(st.integers(0, len(whole) - 1), st.integers(0, 255)), max_size=8)
    ):
        whole[place] = byte
    return bytes(whole[: draw(st.integers(0, len(whole)))]) if draw(st.booleans()) else bytes(whole)


def within_limits(kept: list[Arrived]) -> bool:
    return (
        all(one.sop_instance_uid in UIDS for one in kept)
        and len({one.sop_instance_uid for one in kept}) == len(kept)
        and all(len(one.content) <= LIMITS.object_bytes for one in kept)
    )


def test_a_good_conversation_keeps_what_was_sent() -> None:
    assert {one.content[:] for one in converse(b"".join(GOOD))} == SENT


@given(received=spoiled(), pixels=st.booleans())
def test_a_spoiled_conversation_keeps_whole_objects_only(received: bytes, *, pixels: bool) -> None:
    assert within_limits(converse(received, pixels=pixels))


@given(received=st.binary(max_size=3000), pixels=st.booleans())
def test_any_bytes_after_a_good_association_are_harmless(received: bytes, *, pixels: bool) -> None:
    assert within_limits(converse(request() + received, pixels=pixels))


@given(st.binary(max_size=3000))
def test_any_bytes_at_all_are_harmless(received: bytes) -> None:
    assert converse(received) == []


@given(st.integers(0, len(b"".join(GOOD))))
def test_a_conversation_that_ends_anywhere_keeps_only_what_was_whole(length: int) -> None:
    assert {one.content[:] for one in converse(b"".join(GOOD)[:length])} <= SENT
