"""The n-gram index equals its plain definition; number runs are no evidence; long lines fit."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.errors import GristmillError
from gristmill.text.ngrams import Hits, NgramIndex, build_index, find
from gristmill.text.unicode import IDEOGRAPH, LETTER, SPACELESS, lookup, tables
from gristmill.text.words import normalized_words
from tests.gristmill.text.strategies import texts

Ngram = tuple[str, ...]


def counts_as_word(word: str) -> bool:
    """Two letters, an ideograph, or a cluster of a script without spaces."""
    letters = 0
    for char in word:
        record = int(lookup.py_func(tables(), ord(char)))
        if record & IDEOGRAPH or (record & LETTER and record & SPACELESS):
            letters += 2
        elif record & LETTER:
            letters += 1
    return letters >= 2


def is_evidence(ngram: Ngram, min_distinct: int, max_counting: int) -> bool:
    numbers = [int(w) if w.isascii() and w.isdigit() and len(w) <= 18 else None for w in ngram]
    run = longest = 1
    for before, after in pairwise(numbers):
        run = run + 1 if before is not None and after == before + 1 else 1
        longest = max(longest, run)
    needed = min(min_distinct, (len(ngram) + 1) // 2)
    return longest <= max_counting and len(set(filter(counts_as_word, ngram))) >= needed


def reference_entries(
    items: list[str], lengths: list[int], min_words: int | None, distinct: int, counting: int
) -> dict[Ngram, list[tuple[int, int]]]:
    """Every n-gram that is evidence -> (item, position of its first word)."""
    found: dict[Ngram, list[tuple[int, int]]] = {}
    for number, item in enumerate(items):
        words = normalized_words(item)
        whole = min_words is not None and min_words <= len(words) < min(lengths)
        for length in [len(words)] if whole else sorted(set(lengths)):
            for at in range(len(words) - length + 1):
                ngram = tuple(words[at : at + length])
                if is_evidence(ngram, distinct, counting):
                    found.setdefault(ngram, []).append((number, at))
    return found


def reference_hits(text: str, entries: dict[Ngram, list[tuple[int, int]]]) -> dict[Ngram, int]:
    """Every entry in the text -> position of its first word, where it first occurs."""
    words = normalized_words(text)
    return {
        ngram: next(at for at in range(len(words)) if tuple(words[at : at + len(ngram)]) == ngram)
        for ngram in entries
        if any(tuple(words[at : at + len(ngram)]) == ngram for at in range(len(words)))
    }


def entry_words(index: NgramIndex, item_words: list[list[str]], entry: int) -> Ngram:
    posting = index.postings[entry]
    item, at = index.posting_item[posting], index.posting_word[posting]
    return tuple(item_words[item][at : at + index.entry_words[entry]])


def check(items: list[str], docs: list[str], lengths: list[int], **options: int | None) -> Hits:
    index = build_index(pa.array(items, pa.string()), lengths, **options)  # type: ignore[arg-type]
    expected = reference_entries(
        items,
        lengths,
        options.get("min_words"),
        options.get("min_distinct", 4) or 0,
        options.get("max_counting", 3) or 1,
    )
    item_words = [normalized_words(item) for item in items]
    got = {
        entry_words(index, item_words, entry): [
            (int(index.posting_item[p]), int(index.posting_word[p]))
            for p in range(index.postings[entry], index.postings[entry + 1])
        ]
        for entry in range(len(index))
    }
    assert got == {ngram: sorted(places) for ngram, places in expected.items()}
    assert index.item_words.tolist() == [len(words) for words in item_words]

    hits = find(pa.array(docs, pa.string()), index)
    for number, doc in enumerate(docs):
        rows = np.flatnonzero(hits.text == number)
        told = {entry_words(index, item_words, int(hits.entry[r])): int(hits.word[r]) for r in rows}
        assert told == reference_hits(doc, expected)
        raw, doc_words = doc.encode(), normalized_words(doc)
        for r in rows:
            span = raw[hits.start[r] : hits.end[r]].decode()
            words = index.entry_words[hits.entry[r]]
            assert normalized_words(span) == doc_words[hits.word[r] : hits.word[r] + words]
        covered = sum(
            len(normalized_words(raw[hits.run_start[r] : hits.run_end[r]].decode()))
            for r in np.flatnonzero(hits.run_text == number)
        )
        mask = np.zeros(len(doc_words), bool)
        for at in range(len(doc_words)):
            for ngram in expected:
                if tuple(doc_words[at : at + len(ngram)]) == ngram:
                    mask[at : at + len(ngram)] = True
        assert covered == mask.sum()
    return hits


@settings(max_examples=150, deadline=None)
@given(
    st.lists(texts, min_size=1, max_size=4),
    st.lists(texts, max_size=3),
    st.lists(st.integers(1, 6), min_size=1, max_size=3),
    st.none() | st.integers(1, 4),
    st.integers(0, 3),
    st.integers(1, 3),
)
def test_index_and_hits_equal_the_plain_definition(
    items: list[str],
    others: list[str],
    lengths: list[int],
    min_words: int | None,
    distinct: int,
    counting: int,
) -> None:
    docs = [*others, " ".join(items), "x ".join(others + items)]
    check(items, docs, lengths, min_words=min_words, min_distinct=distinct, max_counting=counting)


def test_hits_across_blocks_of_words_and_more_than_the_first_arrays_hold() -> None:
    item = " ".join(f"w{n}a{n % 7}b" for n in range(1500))
    doc = "one more word before " * 300 + item + " and one behind " * 300
    hits = check([item], ["nothing here", doc, "", item.upper()], [13])
    assert np.bincount(hits.text).tolist() == [0, 1488, 0, 1488]
    assert hits.run_text.tolist() == [1, 3]


def test_a_null_text_is_empty_and_an_empty_index_finds_nothing() -> None:
    index = build_index(pa.array(["a short item"]), [13], 8)
    assert len(index) == 0
    assert len(find(pa.array(["a short item", None]), index).text) == 0
    full = build_index(pa.array(["five words of one item", None]), [5])
    assert find(pa.array([None, "Five words, of one ITEM!"]), full).text.tolist() == [1]
    assert len(find(pa.array([], pa.string()), full).text) == 0
    assert len(find(pa.array([None, None], pa.string()), full).text) == 0


def test_a_saved_index_is_mapped_and_finds_the_same(tmp_path: Path) -> None:
    index = build_index(pa.array(["one two three four five six", "a b c d"]), [4], 2)
    index.save(tmp_path)
    mapped = NgramIndex.load(tmp_path)
    text = pa.array(["see ONE, two three four. five"])
    before, after = find(text, index), find(text, mapped)
    assert before.entry.tolist() == after.entry.tolist() == [0, 1]


MONTH = "S M T W T F S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28"


@pytest.mark.parametrize(
    ("item", "lost"),
    [
        ("1 2 3 4 5 6 7 8 9 10 11 12 13 14 15", True),
        (MONTH, True),
        ("Su Mo Tu We Th Fr Sa 1 2 3 4 5 6", True),
        ("Sunday Monday Tuesday Wednesday Thursday Friday Saturday 27 28 29 30 1 2 3 4 5", True),
        ("A B C D E F G H I J K L M N O P", True),
        ("0 0 0 1 0 0 0 1 0 0 0 1 0 0", True),
        ("page 1 page 2 page 3 page 4 page 5 page 6 page 7", True),
        ("of the people, by the people, and for the people of the land", False),
        ("He chose the ace 2 3 4 of a suit and then won it", False),
        ("一二三四五六七八九十百千万", False),
    ],
)
def test_what_is_evidence(item: str, lost: bool) -> None:
    index = build_index(pa.array([item]), [13])
    assert (index.item_kept[0] == 0) == lost
    assert (len(find(pa.array([f"before {item} after"]), index).text) == 0) == lost


def test_exempt_entries_are_passed_over() -> None:
    index = build_index(pa.array(["one two three four five six"]), [5])
    exempt = np.array([True, False])
    assert find(pa.array(["one two three four five six"]), index, exempt).entry.tolist() == [1]


def test_a_kept_scratch_changes_nothing() -> None:
    items = pa.array([" ".join(f"w{(k * n) % 40}" for k in range(12)) for n in range(1, 30)])
    index = build_index(items, [3, 5], min_distinct=1)
    seen = np.zeros(len(index) + 1, np.int64)
    shown = [*items.to_pylist(), "", " ".join(items.to_pylist())] * 3
    for size in (1, 2, 7, 1, len(shown)):
        for start in range(0, len(shown), size):
            array = pa.array(shown[start : start + size])
            kept, fresh = find(array, index, None, seen), find(array, index)
            for name in Hits.__slots__:
                assert getattr(kept, name).tolist() == getattr(fresh, name).tolist()


def test_wrong_lengths_are_an_error() -> None:
    with pytest.raises(GristmillError, match="at least 1"):
        build_index(pa.array(["x"]), [])


LINE = """
import sys, resource
import pyarrow as pa
from gristmill.text.ngrams import build_index, find
index = build_index(pa.array(["alpha beta gamma delta epsilon zeta eta theta"]), [4])
text = "alpha beta gamma delta epsilon zeta eta theta " if sys.argv[2] == "hits" else "word "
array = pa.array([text * (int(sys.argv[1]) // len(text))])
hits = find(array, index)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, len(hits.text), len(hits.run_text))
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["hits", "none"])
def test_memory_does_not_grow_with_the_length_of_a_line(kind: str) -> None:
    peaks = {}
    for size in (1_000_000, 100_000_000):
        run = [sys.executable, "-c", LINE, str(size), kind]
        out = subprocess.run(run, capture_output=True, text=True, check=True)
        peaks[size], hits, runs = map(int, out.stdout.split())
        assert (hits, runs) == ((5, size // 46) if kind == "hits" else (0, 0))
    # kB: the line twice (Python's and Arrow's), and what a line that is nothing but hits adds
    allowed = 2 * 97_000 + (150_000 if kind == "hits" else 10_000)
    assert peaks[100_000_000] - peaks[1_000_000] < allowed
