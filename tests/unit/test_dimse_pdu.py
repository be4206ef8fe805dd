"""PDUs of the upper layer: what is written is read back, and nothing hostile is believed."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2d.dimse import pdu
from p2d.dimse.pdu import (
    Abort,
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    ContextResult,
    Kind,
    ProposedContext,
    Result,
)
from p2d.dimse.user_information import AsynchronousWindow, ExtendedNegotiation, RoleSelection, UserInformation
from p2d.model.errors import ProtocolViolation

titles = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-", min_size=1, max_size=16)
uids = st.integers(1, 10**30).map(lambda one: f"1.2.{one}")
users = st.builds(
    UserInformation,
    maximum_length=st.integers(0, 0xFFFFFFFF),
    implementation_class_uid=uids,
    implementation_version_name=titles,
    roles=st.lists(st.builds(RoleSelection, uids, st.booleans(), st.booleans()), max_size=2).map(tuple),
    window=st.none() | st.builds(AsynchronousWindow, st.integers(0, 65_535), st.integers(0, 65_535)),
    extended=st.lists(st.builds(ExtendedNegotiation, uids, st.binary(max_size=6)), max_size=2).map(tuple),
)
ids = st.lists(st.integers(0, 127).map(lambda one: 2 * one + 1), min_size=1, max_size=4, unique=True)


@st.composite
def requests(draw: st.DrawFn) -> AssociateRequest:
    syntaxes = st.lists(uids, min_size=1, max_size=4).map(tuple)
    contexts = tuple(ProposedContext(one, draw(uids), draw(syntaxes)) for one in draw(ids))
    return AssociateRequest(draw(titles), draw(titles), contexts, draw(users))


@st.composite
def accepts(draw: st.DrawFn) -> AssociateAccept:
    contexts = tuple(
        ContextResult(one, Result.ACCEPTED, draw(uids)) if draw(st.booleans()) else ContextResult(one, 3)
        for one in draw(ids)
    )
    return AssociateAccept(draw(titles), draw(titles), contexts, draw(users))


def body_of(one: AssociateRequest | AssociateAccept | AssociateReject | Abort) -> bytes:
    whole = pdu.encode(one)
    kind, length = pdu.head(whole, 0, 0)
    assert length == len(whole) - pdu.HEAD_LENGTH
    assert kind == whole[0]
    return whole[pdu.HEAD_LENGTH :]


@given(requests())
def test_a_request_is_read_as_it_was_written(one: AssociateRequest) -> None:
    assert pdu.parse_request(body_of(one)) == one


@given(accepts())
def test_an_acceptance_is_read_as_it_was_written(one: AssociateAccept) -> None:
    assert pdu.parse_accept(body_of(one)) == one


def test_rejection_and_abort_are_read_as_they_were_written() -> None:
    assert pdu.parse_reject(body_of(AssociateReject(1, 2, 3))) == AssociateReject(1, 2, 3)
    assert pdu.parse_abort(body_of(Abort(2, 6))) == Abort(2, 6)


@given(requests(), st.data())
def test_a_broken_request_is_a_violation_or_a_request(one: AssociateRequest, data: st.DataObject) -> None:
    body = bytearray(body_of(one))
    for _ in range(data.draw(st.integers(1, 5))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(body[: data.draw(st.integers(0, len(body)))])

    for parse in (pdu.parse_request, pdu.parse_accept):
        for content in (bytes(body), cut):
            try:
                parsed = parse(content)
            except ProtocolViolation:
                continue
            assert len(parsed.contexts) <= pdu.MOST_CONTEXTS


@given(st.binary(max_size=300))
def test_any_bytes_are_a_violation_or_a_pdu(content: bytes) -> None:
    for parse in (pdu.parse_request, pdu.parse_accept, pdu.parse_reject, pdu.parse_abort):
        with suppress(ProtocolViolation):
            parse(content)
    try:
        values = list(pdu.data_values(memoryview(content)))
    except ProtocolViolation:
        return
    assert sum(len(one.fragment) + pdu.PDV_HEAD_LENGTH for one in values) == len(content)


@pytest.mark.parametrize(
    ("kind", "most"),
    [
        (Kind.ASSOCIATE_RQ, 65_536),
        (Kind.ASSOCIATE_AC, 65_536),
        (Kind.ASSOCIATE_RJ, 16),
        (Kind.P_DATA, 30_000),
        (Kind.RELEASE_RQ, 16),
        (Kind.RELEASE_RP, 16),
        (Kind.ABORT, 16),
    ],
)
def test_each_kind_of_pdu_has_its_longest_length(kind: int, most: int) -> None:
    allowed = bytes([kind, 0]) + most.to_bytes(4, "big")
    longer = bytes([kind, 0]) + (most + 1).to_bytes(4, "big")

    assert pdu.head(allowed, 0, 30_000) == (kind, most)
    with pytest.raises(ProtocolViolation, match="longer than allowed"):
        pdu.head(longer, 0, 30_000)


@given(st.integers(8, 255) | st.just(0))
def test_a_pdu_of_no_known_type_is_a_violation(kind: int) -> None:
    with pytest.raises(ProtocolViolation, match="unknown type"):
        pdu.head(bytes([kind, 0, 0, 0, 0, 4]), 0, 30_000)


@given(st.binary(max_size=2_000), st.integers(7, 300))
def test_data_come_out_as_they_went_in_and_no_pdu_is_longer_than_the_peer_takes(
    content: bytes, maximum_length: int
) -> None:
    wire = b"".join(pdu.data(5, content, maximum_length, is_command=False))
    position, fragments, lasts = 0, b"", []
    while position < len(wire):
        kind, length = pdu.head(wire, position, maximum_length)
        body = memoryview(wire)[position + pdu.HEAD_LENGTH : position + pdu.HEAD_LENGTH + length]
        position += pdu.HEAD_LENGTH + length
        for one in pdu.data_values(body):
            assert (kind, one.context_id, one.is_command) == (Kind.P_DATA, 5, False)
            fragments += one.fragment
            lasts.append(one.is_last)

    assert fragments == content
    assert lasts == [False] * (len(lasts) - 1) + [True]


def test_contexts_have_odd_ids_and_each_its_own() -> None:
    for twice in (2, 1):
        contexts = (ProposedContext(1, "1.2", ("1.2",)), ProposedContext(twice, "1.2", ("1.2",)))
        body = body_of(AssociateRequest("A", "B", contexts))
        with pytest.raises(ProtocolViolation, match="context ids"):
            pdu.parse_request(body)
