"""Texts: an invented vocabulary whose words occur by Zipf's law, with clinical phrases set into them.

The commonest words are German function words, negations among them, so that what looks for negated passages
has its usual work; all others are invented of German syllables.
"""

import json
import random as python_random
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from warehouse_bench.drawing import Bools, Ints, Weighted, zipf
from warehouse_bench.names import Random

VOCABULARY: Final = 60_000
_PARTS: Final[dict[str, list[str]]] = json.loads(
    (Path(__file__).parent / "words.json").read_text(encoding="utf-8")
)
_SENTENCE: Final = 12


def vocabulary(seed: int) -> list[str]:
    """Return ``VOCABULARY`` different words, the commonest first."""
    chance = python_random.Random(seed)  # noqa: S311 - invented words
    words = dict.fromkeys(_PARTS["common"])
    while len(words) < VOCABULARY:
        middle = "".join(chance.choices(_PARTS["middles"], k=chance.randint(1, 3)))
        word = chance.choice(_PARTS["beginnings"]) + middle + chance.choice(_PARTS["endings"])
        words[word.capitalize() if chance.random() < 0.45 else word] = None
    return list(words)


class Prose:
    """Writes running text; the same seed has the same vocabulary."""

    def __init__(self, seed: int) -> None:
        words = vocabulary(seed)
        first = [word[0].upper() + word[1:] for word in words]
        self._spelled = pa.array([*words, *first, *(f"{word}." for word in words)])
        self._zipf = Weighted(zipf(len(words)))

    def write(self, random: Random, lengths: Ints) -> pa.Array:
        """Return one text for each of *lengths* words, in sentences."""
        total = int(lengths.sum())
        words = self._zipf.draw(random, total)
        ends = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
        is_last = random.random(total) < 1 / _SENTENCE
        if total:
            is_last[ends[1:][lengths > 0] - 1] = True
        is_first = np.concatenate([[True], is_last[:-1]])
        variant = np.where(is_last, 2, np.where(is_first, 1, 0))
        spelled = self._spelled.take(pa.array(words + variant * VOCABULARY))
        return pc.binary_join(pa.ListArray.from_arrays(pa.array(ends), spelled), " ")


def woven(*parts: pa.Array) -> pa.Array:
    """Return the texts of *parts* one after another, with blanks between; null parts are left out."""
    return pc.binary_join_element_wise(*parts, " ", null_handling="skip")


def phrases(patterns: list[str], choice: Ints, where: Bools, *numbers: Ints) -> pa.Array:
    """Return the phrases chosen, ``{}`` replaced by the numbers in order; null where *where* is false."""
    parts = [pattern.split("{}") for pattern in patterns]
    count = 1 + max(len(part) for part in parts)
    mask = ~where
    texts: list[pa.Array] = []
    for place in range(count - 1):
        fixed = pa.array([part[place] if place < len(part) else "" for part in parts])
        texts.append(fixed.take(pa.array(choice, mask=mask)))
        if place < len(numbers):
            has = np.array([place + 1 < len(part) for part in parts])[choice]
            number = pa.array(numbers[place]).cast(pa.string())
            texts.append(pc.if_else(pa.array(has), number, ""))
    return pc.binary_join_element_wise(*texts, "")
