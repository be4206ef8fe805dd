"""What the Storage SCP answers to an association request, decided from values alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2d.dimse.acceptor import Rules, answer_to
from p2d.dimse.pdu import AssociateAccept, AssociateReject, AssociateRequest, ProposedContext, Result
from p2d.dimse.services import COMPRESSED, EXPLICIT, IMPLICIT, VERIFICATION, storage_classes
from p2d.testing.datasets import CT_IMAGE_STORAGE

RULES = Rules("P2D", frozenset({"ARCHIVE", "ARCHIVE2"}), pdu_bytes=131_072)
JPEG_LOSSLESS = "1.2.840.10008.1.2.4.70"
NEVER = ["1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.4.95", "1.2.3"]


def request(
    *contexts: tuple[str, tuple[str, ...]], calling: str = "ARCHIVE", called: str = "P2D"
) -> AssociateRequest:
    proposed = (
        ProposedContext(2 * place + 1, abstract, syntaxes)
        for place, (abstract, syntaxes) in enumerate(contexts)
    )
    return AssociateRequest(called, calling, tuple(proposed))


@pytest.mark.parametrize(
    ("proposed", "taken"),
    [
        ((JPEG_LOSSLESS, EXPLICIT, IMPLICIT), JPEG_LOSSLESS),
        ((EXPLICIT, JPEG_LOSSLESS), EXPLICIT),
        ((IMPLICIT, EXPLICIT), EXPLICIT),
        ((IMPLICIT,), IMPLICIT),
        ((*NEVER, IMPLICIT), IMPLICIT),
    ],
)
def test_objects_are_taken_as_the_archive_stores_them(proposed: tuple[str, ...], taken: str) -> None:
    answer = answer_to(request((CT_IMAGE_STORAGE, proposed)), RULES)

    assert isinstance(answer, AssociateAccept)
    assert (answer.contexts[0].result, answer.contexts[0].transfer_syntax) == (Result.ACCEPTED, taken)
    assert answer.user.maximum_length == 131_072


@pytest.mark.parametrize("syntax", NEVER)
def test_what_is_never_read_is_never_accepted(syntax: str) -> None:
    answer = answer_to(request((CT_IMAGE_STORAGE, (syntax,)), (VERIFICATION, (IMPLICIT,))), RULES)

    assert isinstance(answer, AssociateAccept)
    assert [one.result for one in answer.contexts] == [
        Result.TRANSFER_SYNTAXES_NOT_SUPPORTED,
        Result.ACCEPTED,
    ]


@pytest.mark.parametrize(
    "sop_class", ["1.2.840.10008.5.1.4.1.2.2.1", "1.2.840.10008.1.20.1", "1.2.826.0.1.3680043.8.498.1"]
)
def test_other_services_than_storage_and_echo_are_not_offered(sop_class: str) -> None:
    answer = answer_to(request((sop_class, (IMPLICIT,))), RULES)

    assert isinstance(answer, AssociateAccept)
    assert answer.contexts[0].result == Result.ABSTRACT_SYNTAX_NOT_SUPPORTED


def test_every_storage_class_of_the_standard_is_taken() -> None:
    for sop_class in storage_classes():
        answer = answer_to(request((sop_class, (COMPRESSED[0],))), RULES)

        assert isinstance(answer, AssociateAccept)
        assert answer.contexts[0].result == Result.ACCEPTED


@pytest.mark.parametrize(
    ("calling", "called", "reason"), [("ELSE", "P2D", 3), ("ARCHIVE", "ELSE", 7), ("", "", 3)]
)
def test_unknown_ae_titles_are_rejected_for_good(calling: str, called: str, reason: int) -> None:
    answer = answer_to(request((VERIFICATION, (IMPLICIT,)), calling=calling, called=called), RULES)

    assert answer == AssociateReject(1, 1, reason)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([CT_IMAGE_STORAGE, VERIFICATION, "1.2.3"]),
            st.lists(st.sampled_from([*NEVER, EXPLICIT, IMPLICIT]), min_size=1, max_size=6).map(tuple),
        ),
        min_size=1,
        max_size=20,
    )
)
def test_every_context_gets_an_answer_that_it_proposed(contexts: list[tuple[str, tuple[str, ...]]]) -> None:
    answer = answer_to(request(*contexts), RULES)

    assert isinstance(answer, AssociateAccept)
    for (_, syntaxes), one in zip(contexts, answer.contexts, strict=True):
        assert one.transfer_syntax in syntaxes
        assert one.result != Result.ACCEPTED or one.transfer_syntax not in NEVER
