"""From shared n-grams to a verdict on each document, and what each benchmark item met.

In: texts, an index over items, a recipe. Out: one row a text that shares an n-gram with an item.
Shown by: `python -m gristmill.decontam.match "$ITEM" "$TEXT"`.
Limit: of a text that matches many items the best is named; the others are counted.

`coverage` measures a text and an item: of the item's words that lie in indexed n-grams, the
fraction that lies in n-grams which the text shares; a copy has 1. A recipe's threshold on it
decides; 0 asks for one shared n-gram.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from gristmill.errors import GristmillError, nearest
from gristmill.text.ngrams import Hits, NgramIndex, build_index, find

if TYPE_CHECKING:
    from gristmill.decontam.recipes import DecontaminationRecipe

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Totals:
    """What each item met in all texts so far: [items]. Tasks add theirs up."""

    sharing: Ints  # texts that share an n-gram with it
    matched: Ints  # texts that the recipe calls a match
    best: Floats  # the highest measure

    @classmethod
    def zeros(cls, items: int) -> Totals:
        return cls(np.zeros(items, np.int64), np.zeros(items, np.int64), np.zeros(items))

    def add(self, other: Totals) -> None:
        """Take in another task's totals."""
        self.sharing[:] += other.sharing
        self.matched[:] += other.matched
        np.maximum(self.best, other.best, out=self.best)


@dataclass(frozen=True, slots=True)
class Matches:
    """One row a text that shares an n-gram, in order of the texts."""

    text: Ints
    item: Ints  # the item with the highest measure; of equals the first
    value: Floats  # that measure
    matched: Bools  # does any item reach its threshold?
    items: Ints  # how many do
    ngrams: Ints  # distinct n-grams shared with any item
    start: Ints  # bytes: the first n-gram that the text shares with `item`
    end: Ints


Measure = Callable[
    ["pa.Array | pa.ChunkedArray", Hits, NgramIndex, Floats, Totals], Matches
]  # texts, their hits, the index, a threshold an item, totals to add to


def scan(
    texts: pa.Array | pa.ChunkedArray,
    index: NgramIndex,
    recipe: DecontaminationRecipe,
    thresholds: Floats | None = None,
    totals: Totals | None = None,
    exempt: Bools | None = None,
) -> tuple[Matches, Hits]:
    """Measure every text against every item of the index, by the recipe.

    thresholds: one an item; the recipe's where not given. totals: added to in place.
    exempt: entries of the index that are no evidence.
    """
    items = len(index.item_kept)
    hits = find(texts, index, exempt)
    return (
        recipe.measure(
            texts,
            hits,
            index,
            np.full(items, recipe.threshold) if thresholds is None else thresholds,
            Totals.zeros(items) if totals is None else totals,
        ),
        hits,
    )


def item_thresholds(
    benchmarks: pa.ChunkedArray, default: float, given: float | Mapping[str, float] | None
) -> Floats:
    """The threshold of each item: the recipe's, one for all, or by benchmark."""
    if not isinstance(given, Mapping):
        return np.full(len(benchmarks), default if given is None else given)
    names = benchmarks.unique().to_pylist()
    for name in given:
        if name not in names:
            raise GristmillError(
                f"threshold: no benchmark {name!r} in `against`{nearest(name, names)}; name each "
                "benchmark by its file or by `name:`"
            )
    return np.array([given.get(name, default) for name in benchmarks.to_pylist()], np.float64)


@njit(cache=True, nogil=True, boundscheck=False)
def _measure(  # type: ignore[no-untyped-def]
    bounds, entry, postings, posting_item, posting_word, entry_words, item_offsets, reach,
    thresholds, word_seen, item_seen, covered, touched,
    sharing, matched_by, best_of, item, value, matched, items, first,
):  # fmt: skip
    """Coverage of every item that each text touches; bounds cut the hits (`entry`) by text.

    word_seen, item_seen: the text (from 1) that last covered this word, touched this item.
    """
    for text in range(len(bounds) - 1):
        now, count = np.int32(text + 1), 0
        for hit in range(bounds[text], bounds[text + 1]):
            words = entry_words[entry[hit]]
            for posting in range(postings[entry[hit]], postings[entry[hit] + 1]):
                it = posting_item[posting]
                if item_seen[it] != now:
                    item_seen[it], covered[it] = now, 0
                    touched[count] = it
                    count += 1
                begin = item_offsets[it] + posting_word[posting]
                for word in range(begin, begin + words):
                    if word_seen[word] != now:
                        word_seen[word] = now
                        covered[it] += 1
        chosen, highest, chosen_matches = np.int64(-1), -1.0, False
        for i in range(count):
            it = np.int64(touched[i])
            share = covered[it] / reach[it]
            enough = share >= thresholds[it]
            sharing[it] += 1
            matched_by[it] += enough
            best_of[it] = max(best_of[it], share)
            items[text] += enough
            better = share > highest or (share == highest and it < chosen)
            if (enough and not chosen_matches) or (enough == chosen_matches and better):
                chosen, highest, chosen_matches = it, share, enough
        item[text], value[text], matched[text] = chosen, highest, chosen_matches
        for hit in range(bounds[text], bounds[text + 1]):
            for posting in range(postings[entry[hit]], postings[entry[hit] + 1]):
                if posting_item[posting] == chosen:
                    first[text] = hit
                    break
            if first[text] >= 0:
                break


def coverage(
    texts: pa.Array | pa.ChunkedArray,
    hits: Hits,
    index: NgramIndex,
    thresholds: Floats,
    totals: Totals,
) -> Matches:
    """Measure: of the words in an item's n-grams, the fraction in those that the text shares.

    Llama 3 divides by all of the item's words; where numbers make n-grams no evidence, even a copy
    would then fall short of 1, or of any threshold.
    """
    which, starts = np.unique(hits.text, return_index=True)
    count = len(which)
    bounds = np.append(starts, len(hits.text)).astype(np.int64)
    item, items = np.zeros(count, np.int64), np.zeros(count, np.int64)
    value, matched = np.zeros(count), np.zeros(count, np.bool_)
    first = np.full(count, -1, np.int64)
    scratch = (np.zeros(len(thresholds), np.int32) for _ in range(3))
    _measure(
        bounds, hits.entry, index.postings, index.posting_item, index.posting_word,
        index.entry_words, index.item_offsets, index.item_reach, thresholds,
        np.zeros(len(index.item_hashes), np.int32), *scratch,
        totals.sharing, totals.matched, totals.best, item, value, matched, items, first,
    )  # fmt: skip
    return Matches(
        text=which,
        item=item,
        value=value,
        matched=matched,
        items=items,
        ngrams=np.diff(bounds),
        start=hits.start[first],
        end=hits.end[first],
    )


if __name__ == "__main__":
    from gristmill.decontam.recipes import decontamination_recipe

    for name in ("gpt3_13gram", "llama3_8gram"):
        chosen = decontamination_recipe(name)
        made = build_index(pa.array(sys.argv[1:2]), chosen.lengths, chosen.min_words)
        print(name, scan(pa.array(sys.argv[2:]), made, chosen)[0])
