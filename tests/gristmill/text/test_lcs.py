"""The longest common subsequence equals the plain recurrence, ROUGE-L its definition."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.text.lcs import common_subsequence, rouge_l, word_hashes
from gristmill.text.words import normalized_words, word_hash
from tests.gristmill.text.strategies import lossy, mixed


def reference(first: list[int], second: list[int]) -> int:
    """Wagner and Fischer's table."""
    row = [0] * (len(second) + 1)
    for word in first:
        above, row = row, [0]
        for j, other in enumerate(second):
            row.append(above[j] + 1 if word == other else max(above[j + 1], row[j]))
    return row[-1]


words = st.lists(st.integers(0, 9), max_size=200)


@settings(max_examples=300, deadline=None)
@given(words, words)
def test_length_equals_the_plain_recurrence(first: list[int], second: list[int]) -> None:
    found = common_subsequence(np.array(first, np.uint64), np.array(second, np.uint64))
    assert found == reference(first, second)


def test_many_words_cross_many_blocks() -> None:
    rng = np.random.default_rng(3)
    for size, kinds in ((64, 2), (65, 3), (700, 40), (1000, 5)):
        first = rng.integers(0, kinds, size).astype(np.uint64) << np.uint64(60)
        second = rng.integers(0, kinds, size + 37).astype(np.uint64) << np.uint64(60)
        assert common_subsequence(first, second) == reference(first.tolist(), second.tolist())
    same = np.arange(1000, dtype=np.uint64)
    assert common_subsequence(same, same) == 1000 and common_subsequence(same, same[::-1]) == 1


@settings(max_examples=100, deadline=None)
@given(st.lists(mixed.map(lossy), max_size=4))
def test_words_are_those_of_the_house(some: list[str]) -> None:
    found = word_hashes(pa.array(some, pa.string()))
    expected = [[word_hash(w.encode()) for w in normalized_words(text)] for text in some]
    assert [hashes.tolist() for hashes in found] == expected


def test_rouge_l() -> None:
    one, two, none = word_hashes(pa.array(["police killed the gunman", "Police kill gunman!", ""]))
    assert rouge_l(one, two) == 2 * 2 / 7
    assert rouge_l(one, one) == 1 and rouge_l(one, none) == 0 == rouge_l(none, none)
