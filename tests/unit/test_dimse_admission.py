"""Who may stand at the door of the Storage SCP: caps hold, and whoever comes last gets in."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from p2d.dimse.admission import Admission, Caps


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@given(
    arrivals=st.lists(st.sampled_from(["10.0.0.1", "10.0.0.2", "10.0.0.3"]), max_size=60),
    waiting=st.integers(1, 8),
    per_address=st.integers(1, 8),
)
def test_caps_hold_and_the_latest_is_never_the_one_to_go(
    arrivals: list[str], waiting: int, per_address: int
) -> None:
    admission: Admission[int] = Admission(Caps(waiting, per_address))
    inside: dict[int, str] = {}

    for number, address in enumerate(arrivals):
        inside[number] = address
        for leaving in admission.enter(number, address):
            assert leaving != number or waiting == 0
            del inside[leaving]

        assert sorted(admission.all()) == sorted(inside)
        assert len(inside) <= waiting
        assert all(list(inside.values()).count(one) <= per_address for one in set(inside.values()))


def test_one_address_cannot_push_another_out() -> None:
    admission: Admission[str] = Admission(Caps(waiting=4, waiting_per_address=4))
    admission.enter("archive", "10.0.0.1")

    for number in range(20):
        admission.enter(f"stranger {number}", "10.0.0.2")

    assert "archive" in admission.all()


def test_whoever_is_too_slow_has_to_go() -> None:
    clock = Clock()
    admission: Admission[str] = Admission(Caps(handshake_seconds=5), clock)
    admission.enter("slow", "10.0.0.1")
    clock.now = 3
    admission.enter("quick", "10.0.0.1")
    assert admission.associate("quick")

    clock.now = 9

    assert admission.overdue() == ["slow"]
    assert admission.all() == ["quick"]
    assert not admission.associate("slow")


def test_associations_have_a_quota_of_their_own() -> None:
    admission: Admission[int] = Admission(Caps(associations=2))
    for number in range(4):
        admission.enter(number, "10.0.0.1")

    assert [admission.associate(number) for number in range(3)] == [True, True, False]
    admission.leave(0)
    assert admission.associate(2)
