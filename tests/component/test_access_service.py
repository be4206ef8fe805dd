"""The service secret and the brake on guessing it."""

import pytest

from p2d.access.service import Gatekeeper, ServiceSecret, Throttle
from p2d.model.errors import Misconfigured, Refused

OLD, NEW = "old-rN8vK2pWq7xYzL4mT9sB3cF6", "new-hJ5gD8fS2aQ7wE4rT9yU1iO3"


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_only_the_secret_is_accepted_also_when_asked_again() -> None:
    secret = ServiceSecret([NEW])

    assert secret.accepts(NEW)
    assert secret.accepts(NEW)
    assert not any(secret.accepts(wrong) for wrong in ("", OLD, NEW + "x", NEW[:-1], "\ud800", "x" * 2000))


def test_two_secrets_are_accepted_during_rotation() -> None:
    secret = ServiceSecret([OLD, NEW])

    assert secret.accepts(OLD)
    assert secret.accepts(NEW)


@pytest.mark.parametrize("secrets", [[], [""], [OLD, NEW, "third"]])
def test_none_an_empty_or_three_secrets_are_a_misconfiguration(secrets: list[str]) -> None:
    with pytest.raises(Misconfigured):
        ServiceSecret(secrets)


def test_the_secret_is_not_kept_in_clear() -> None:
    secret = ServiceSecret([NEW])
    secret.accepts(NEW)

    assert NEW not in repr(vars(secret))


def test_the_fourth_failure_locks_a_source_out_and_the_lock_grows() -> None:
    clock = Clock()
    throttle = Throttle(clock)
    waits = []
    for _ in range(16):
        throttle.failed("a")
        start = clock.seconds
        while is_locked(throttle, "a"):
            clock.seconds += 0.5
        waits.append(clock.seconds - start)

    assert waits[:7] == [0, 0, 0, 1, 2, 4, 8]
    assert max(waits) == 900


def test_a_lock_out_is_one_sources_own_and_ends_with_success() -> None:
    throttle = Throttle(Clock())
    for _ in range(5):
        throttle.failed("a")

    assert is_locked(throttle, "a")
    assert not is_locked(throttle, "b")

    throttle.succeeded("a")

    assert not is_locked(throttle, "a")


def test_sources_do_not_fill_the_memory() -> None:
    throttle = Throttle(Clock())

    for number in range(10_050):
        throttle.failed(f"10.0.{number}")

    assert len(throttle._failures) == 10_000


def test_a_locked_out_source_is_refused_even_with_the_secret() -> None:
    clock = Clock()
    gate = Gatekeeper(ServiceSecret([NEW]), Throttle(clock))
    for _ in range(4):
        with pytest.raises(Refused, match="missing or wrong"):
            gate.admit("wrong", "a")

    with pytest.raises(Refused, match="too many"):
        gate.admit(NEW, "a")

    gate.admit(NEW, "b")
    clock.seconds += 2
    gate.admit(NEW, "a")


def is_locked(throttle: Throttle, source: str) -> bool:
    try:
        throttle.check(source)
    except Refused:
        return True
    return False
