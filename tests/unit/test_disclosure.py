"""What a differencing attacker learns of one patient from numbers that were shielded: hardly anything.

The attacker knows how to describe one patient (the target) exactly and wants to know whether it has an
attribute. Half of all targets have it, so guessing is right half of the time.
"""

import random
import secrets
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2d.flows.research.disclosure import STEP, Shield
from p2d.model.errors import Misconfigured
from p2d.warehouse.query.neighbours import are_neighbours, sums_of
from p2d.warehouse.query.tally import PRIME, Tally, tally_of

GAMES = 1000
MARGIN = 0.08
"""By how much an attacker may do better than guessing: noise of 7 values, a seventh of them told apart."""


def tally(keys: set[int], number: int | None = None) -> Tally:
    found = tally_of(np.array(sorted(keys), dtype=np.int64))
    return found if number is None else Tally(number, found.patients, found.fingerprint)


class Game:
    """One warehouse, one target that has the attribute or not, and numbers to be had of sets of patients."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)  # noqa: S311 - a game
        self.everybody = set(self.dice.sample(range(1, 1_000_000), 300))
        self.target = self.dice.choice(sorted(self.everybody))
        self.has_it = self.dice.random() < 0.5
        others = sorted(self.everybody - {self.target})
        self.with_attribute = set(self.dice.sample(others, 120)) | ({self.target} if self.has_it else set())
        self.shield = Shield(self.dice.randbytes(32))

    def group(self, size: int | None = None) -> set[int]:
        """Return patients that criteria can describe, without the target."""
        size = size or self.dice.randint(4, 120)
        return set(self.dice.sample(sorted(self.everybody - {self.target}), size))

    def ask(self, keys: set[int]) -> int:
        return self.shield.shown(tally(keys)) or 0


def one_criterion_more(game: Game) -> bool:
    group = game.group()
    return game.ask(group) != game.ask(group | ({game.target} & game.with_attribute))


def one_criterion_less(game: Game) -> bool:
    cohort = game.with_attribute & (game.group(200) | {game.target})
    return game.ask(cohort) != game.ask(cohort - {game.target})


def equivalent_spellings(game: Game) -> bool:
    group = game.group()
    more = [game.ask(set(group) | ({game.target} & game.with_attribute)) for _ in range(5)]
    return sum(more) / 5 != sum(game.ask(set(group)) for _ in range(5)) / 5


def repeated_asking(game: Game) -> bool:
    group = game.group()
    asked = [game.ask(group | ({game.target} & game.with_attribute)) for _ in range(20)]
    return sum(asked) / 20 - game.ask(group) > 0


def many_fillers(game: Game) -> bool:
    groups = [game.group() for _ in range(15)]
    own = {game.target} & game.with_attribute
    return any(game.ask(group) != game.ask(group | own) for group in groups)


def facets_that_sum_up(game: Game) -> bool:
    """The cells of a facet against its total; the target is alone in its cell."""
    cohort = game.with_attribute
    rest = sorted(cohort - {game.target})
    cells = [set(rest[place::8]) for place in range(8)]
    return game.ask(cohort) - sum(game.ask(cell) for cell in cells) > 0


def attrition(game: Game) -> bool:
    """The last step leaves the target out: its description, negated."""
    steps = [game.group(200) | {game.target}, game.with_attribute]
    together = [steps[0], steps[0] & steps[1], (steps[0] & steps[1]) - {game.target}]
    numbers = [game.ask(step) for step in together]
    return numbers[1] != numbers[2]


def cohort_minus_cohort(game: Game) -> bool:
    """The difference by itself, and the difference of the numbers."""
    cohort, group = game.with_attribute, game.group(100)
    alone = game.ask(cohort & {game.target})
    left = game.ask(cohort - group) - game.ask(cohort - group - {game.target})
    return alone > 0 or left != 0


def the_complement(game: Game) -> bool:
    """All patients, those with the attribute, those without it or another, whose numbers add up."""
    without = game.everybody - game.with_attribute
    numbers = game.ask(game.everybody) - game.ask(without - {game.target}) - game.ask(game.with_attribute)
    return numbers > 0


def exchanged_patients(game: Game) -> bool:
    group = game.group()
    one = min(group)
    return game.ask(group) != game.ask((group - {one}) | (({game.target} & game.with_attribute) or {one}))


def with_one_known(game: Game) -> bool:
    """The target together with a patient of whom the attribute is known."""
    group, known = game.group(), min(game.everybody - {game.target})
    group -= {known}
    return game.ask(group | {known} | ({game.target} & game.with_attribute)) - game.ask(group) > 1


def at_the_edge(game: Game) -> bool:
    """Groups known to be as large as the smallest number shown: the target makes the difference."""
    groups = [game.group(size) for size in range(4, 13)]
    own = {game.target} & game.with_attribute
    return any((game.ask(group) > 0) is not (game.ask(group | own) > 0) for group in groups)


def all_else_known(game: Game) -> bool:
    """The attacker knows everybody but the target, and asks once."""
    return game.ask(game.with_attribute) > 120


def all_else_known_at_the_edge(game: Game) -> bool:
    """A group known to be one too small to be shown, together with the target, asked once."""
    group = game.group(game.shield.least + 1)
    return game.ask(group | ({game.target} & game.with_attribute)) > 0


def images_of_the_target(game: Game) -> bool:
    """The target has very many images, so that numbers of images move when it comes in."""
    group = game.group()
    own = {game.target} & game.with_attribute
    plain = game.shield.shown(tally(group, 20 * len(group)), "instances")
    return plain != game.shield.shown(tally(group | own, 20 * len(group) + 5000 * len(own)), "instances")


ATTACKS: list[Callable[[Game], bool]] = [
    one_criterion_more,
    one_criterion_less,
    equivalent_spellings,
    repeated_asking,
    many_fillers,
    facets_that_sum_up,
    attrition,
    cohort_minus_cohort,
    the_complement,
    exchanged_patients,
    with_one_known,
    at_the_edge,
    all_else_known,
    all_else_known_at_the_edge,
    images_of_the_target,
]


OF_SHIELDS = {"at_the_edge", "all_else_known_at_the_edge", "facets_that_sum_up", "exchanged_patients"}
"""Attacks on what is hidden, or on noise; plain numbers have neither."""


def success(attack: Callable[[Game], bool], games: int = GAMES) -> float:
    """Return in which part of *games* the attacker is right, whichever way it reads its own signal."""
    played = [Game(seed) for seed in range(games)]
    right = sum(attack(game) is game.has_it for game in played) / games
    return max(right, 1 - right)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_differencing_is_hardly_better_than_guessing(attack: Callable[[Game], bool]) -> None:
    assert success(attack) <= 0.5 + MARGIN


def test_the_attacks_work_on_plain_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Shield, "shown", lambda self, asked, kind="patients": asked.number)

    found = {attack.__name__: success(attack, 100) for attack in ATTACKS}

    assert {name for name, right in found.items() if right < 1.0} <= OF_SHIELDS, found


SETS = st.integers(0, 10_000).flatmap(
    lambda low: st.sets(st.integers(low, 3 * low + 60), min_size=1, max_size=60).map(
        lambda keys: keys - {0} or {1}
    )
)


@given(keys=SETS)
def test_the_same_set_has_the_same_number_and_small_ones_none(keys: set[int]) -> None:
    secret = b"s" * 32
    shown = Shield(secret).shown(tally(keys))

    assert shown == Shield(secret).shown(tally(keys | keys))
    if len(keys) < 5:
        assert shown is None
    elif shown is not None:
        assert shown % STEP == 0
        assert abs(shown - len(keys)) <= 5
    else:
        assert len(keys) <= 12


@given(keys=SETS, added=st.sets(st.integers(1, 2_000_000_000), min_size=1, max_size=2))
def test_sets_beside_each_other_are_told_from_their_sums(keys: set[int], added: set[int]) -> None:
    one, other = sums_of(tally(keys).fingerprint), sums_of(tally(keys | added).fingerprint)
    exchanged = sums_of(tally({*keys - {min(keys)}, max(keys) + 1}).fingerprint)

    if sum(added) < PRIME:
        assert are_neighbours(one, other)
    assert are_neighbours(exchanged, one)


def test_far_sets_are_no_neighbours() -> None:
    dice = random.Random(1)  # noqa: S311 - sets to compare
    pairs = [
        (set(dice.sample(range(1, 1_000_000), n)), set(dice.sample(range(1, 1_000_000), n + more)))
        for n in range(10, 110)
        for more in (1, 2)
    ]

    near = sum(are_neighbours(sums_of(tally(a).fingerprint), sums_of(tally(b).fingerprint)) for a, b in pairs)

    assert near <= 2


def test_noise_differs_between_secrets_and_numbers_stay_near() -> None:
    keys = set(range(1, 48))
    shown = {Shield(secrets.token_bytes(32)).shown(tally(keys)) for _ in range(60)}

    assert shown == {45, 50}  # 47 with noise is 44 to 50


def test_numbers_of_things_are_rounded_to_what_five_patients_have() -> None:
    shown = Shield(b"s" * 32).shown(tally(set(range(1, 101)), 2153), "series")

    assert shown is not None
    assert shown % (5 * 50) == 0
    assert abs(shown - 2153) <= 3 * 22 + 125


def test_a_restart_changes_no_answer(tmp_path: Path) -> None:
    memory = tmp_path / "answered"
    group, more = set(range(1, 40)), set(range(1, 41))
    before = Shield(b"s" * 32, memory=memory)
    numbers = [before.shown(tally(group)), before.shown(tally(more))]

    after = Shield(b"s" * 32, memory=memory)

    assert [after.shown(tally(group)), after.shown(tally(more))] == numbers
    assert after.shown(tally(more)) == after.shown(tally(group))
    assert memory.stat().st_mode & 0o077 == 0


def test_a_spoilt_memory_stops_the_start(tmp_path: Path) -> None:
    memory = tmp_path / "answered"
    memory.write_text("patients\tx\n", encoding="utf-8")

    with pytest.raises(Misconfigured, match="disclosure"):
        Shield(b"s" * 32, memory=memory)
