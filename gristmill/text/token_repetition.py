"""Repetition of tokens as datatrove and dolma measure it (the paper's own reading: repetition.py).

In: hashes of a document's tokens and the characters before each. Out: characters in n-grams.
Shown by: `python -m gristmill.text.signals "to be or not to be"`.
Limit: n-grams are equal when their tokens are; datatrove compares the joined characters of 5- to
10-grams, so to it "1 00" repeats "10 0".
"""

from __future__ import annotations

import numpy as np
from numba import njit

from gristmill.text.repetition import group_equal, repeated_bigrams
from gristmill.text.words import combine


@njit(cache=True, nogil=True, boundscheck=False)
def token_repetition(hashes, chars, bounds, spaces, greedy, out):  # type: ignore[no-untyped-def]
    """Measure texts: text t has the tokens bounds[t] to bounds[t + 1] - 1.

    Fills out[k, t] (int64): for k = 0, 1, 2 the characters of the most frequent (k+2)-gram times
    its number of occurrences (of equally frequent ones the first; it counts even if it occurs
    once); for k = 3 … 8 the characters in (k+2)-grams that occur more than once.

    Args:
        hashes: uint64, one a token, and room for one more.
        chars: int32 [tokens + 1], code points of the tokens before each.
        spaces: 1 if the length of a most frequent n-gram takes in a space between tokens
            (datatrove), else 0.
        greedy: datatrove's reading: walk on; an n-gram seen before counts and is stepped over.
            Otherwise dolma's: every occurrence of a repeated n-gram counts, overlapping ones too.
    """
    most = np.int64(16)
    for t in range(len(bounds) - 1):
        most = max(most, bounds[t + 1] - bounds[t])
    slots = np.int64(16)
    while slots < 2 * most:
        slots *= 2
    codes, places = np.empty(most, np.uint64), np.empty(most, np.int32)
    first, times = np.empty(most, np.int32), np.empty(most, np.int32)
    table, sketch = np.empty(slots, np.int32), np.empty(4 * slots, np.uint8)
    for t in range(len(bounds) - 1):
        start, end = bounds[t], bounds[t + 1] + 1
        _measure(
            hashes[start:end], chars[start:end], end - start - 1, spaces, greedy, out[:, t],
            places, codes, first, times, table, sketch,
        )  # fmt: skip


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def _measure(  # type: ignore[no-untyped-def]
    hashes, chars, words, spaces, greedy, out, places, codes, first, times, table, sketch
):
    """One text of `token_repetition`; scratch as in `repetition.repeated_ngrams`."""
    for k in range(3):
        out[k] = chars[k + 2] - chars[0] + spaces * (k + 1) if words >= k + 2 else 0
    for k in range(3, 9):
        out[k] = 0
    if words < 3:
        return
    found = repeated_bigrams(hashes, words, places, codes, sketch)
    for n in range(2, 11):
        if found < 2:
            return
        group_equal(codes, found, first, times, table)
        if n <= 4:
            most, at = np.int64(1), np.int64(-1)
            for j in range(found):
                if first[j] == j and times[j] > most:
                    most, at = np.int64(times[j]), np.int64(places[j])
            if at >= 0:
                out[n - 2] = most * (chars[at + n] - chars[at] + spaces * (n - 1))
        else:
            total, until = np.int64(0), np.int64(0)
            for j in range(found):
                group, place = first[j], places[j]
                if greedy:
                    if place < until:
                        continue
                    if times[group] < 0:  # seen where the walk came by
                        total += chars[place + n] - chars[place]
                        until = np.int64(place) + n
                    elif times[group] > 1:
                        times[group] = -times[group]
                elif times[group] > 1:
                    total += chars[place + n] - chars[place]
            out[n - 2] = total
        if n == 10:
            return
        # an (n+1)-gram repeats only if the n-grams at its start and one token on repeat
        kept = np.int64(0)
        repeats = times[first[0]] != 1
        for j in range(found - 1):  # without a branch: every third would be mispredicted
            place = places[j]
            after = times[first[j + 1]] != 1
            places[kept] = place
            codes[kept] = combine(codes[j], hashes[place + n])
            kept += repeats & after & (place + 1 == places[j + 1])
            repeats = after
        found = kept
