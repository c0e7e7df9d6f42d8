"""Candidate pairs from the buckets of one partition, never quadratic in a bucket.

In: band entries of a partition, in chunks. Out: pairs that may be similar, and stars of equal
texts.
Shown by: `gristmill run` of any recipe with `use: minhash_dedup`.
Limit: in a bucket of more than SMALL texts a pair may be compared only through a third one.

Up to SMALL distinct texts a bucket gives all pairs. A larger one gives each text's WINDOW next
neighbours (ordered by the following band, so that similar texts lie close) and its pair with the
bucket's first document: at most WINDOW + 1 pairs a text, whatever the bucket's size.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numba import njit

from curation.minhash.bands import COLUMNS, DOC, KEY, NEAR, TAG
from curation.spill import U64

SMALL = 8
WINDOW = 3
CHUNK_ENTRIES = 4 << 20  # 128 MB: a partition that is larger holds a giant bucket


def candidates(chunks: Iterable[U64], older: int = 0) -> tuple[U64, U64]:
    """(pairs, stars) of a partition.

    Args:
        chunks: entries uint64 [n, 4] in the order of documents; more than one only where a giant
            bucket makes the partition too large: then each chunk meets the first entry of every
            bucket before it.
        older: documents numbered below this belong to earlier datasets; pairs among them are left.
    Returns:
        pairs: uint64 [p, 2] (a, b), a < b, sorted by (b, a), without repeats.
        stars: uint64 [s, 2] (first, other): texts of exactly the same shingles.
    """
    pairs, stars = [np.empty((0, 2), np.uint64)], [np.empty((0, 2), np.uint64)]
    carried = np.empty((0, COLUMNS), np.uint64)
    for chunk in chunks:
        rows = np.concatenate((carried, chunk))
        rows = rows[np.argsort(rows[:, KEY], kind="stable")]
        shared = _shared_keys(rows[:, KEY])
        found, equal = _bucket_pairs(rows[shared], older)
        pairs.append(found)
        stars.append(equal)
        opens = np.ones(len(rows), bool)
        opens[1:] = rows[1:, KEY] != rows[:-1, KEY]
        carried = rows[opens]
    return unique_pairs(np.concatenate(pairs)), unique_pairs(np.concatenate(stars))


def _shared_keys(keys: U64) -> np.ndarray:
    """Mask of sorted keys that occur more than once."""
    same = keys[1:] == keys[:-1]
    mask = np.zeros(len(keys), bool)
    mask[1:] |= same
    mask[:-1] |= same
    return mask


def _bucket_pairs(rows: U64, older: int) -> tuple[U64, U64]:
    """Pairs and stars of entries whose keys are all shared."""
    if not len(rows):
        return np.empty((0, 2), np.uint64), np.empty((0, 2), np.uint64)
    # within a bucket: equal texts together, their first document in front
    rows = rows[np.lexsort((rows[:, DOC], rows[:, TAG], rows[:, KEY]))]
    stars = _stars(rows)
    stars = stars[stars[:, 1] >= older]
    opens = np.ones(len(rows), bool)
    opens[1:] = (rows[1:, KEY] != rows[:-1, KEY]) | (rows[1:, TAG] != rows[:-1, TAG])
    rows = rows[opens & (rows[:, KEY] != rows[:, TAG])]
    rows = rows[_shared_keys(rows[:, KEY])]
    rows = rows[np.lexsort((rows[:, DOC], rows[:, NEAR], rows[:, KEY]))]
    out = np.empty(((WINDOW + 1) * len(rows), 2), np.uint64)  # SMALL texts give 3.5 each
    made = _pairs(rows, np.uint64(older), out)
    return out[:made].copy(), stars


def _stars(rows: U64) -> U64:
    """(first, other) for every bucket of one digest; both halves of the digest must agree."""
    own = rows[rows[:, KEY] == rows[:, TAG]]
    own = own[np.lexsort((own[:, DOC], own[:, NEAR], own[:, KEY]))]
    if not len(own):
        return np.empty((0, 2), np.uint64)
    opens = np.ones(len(own), bool)
    opens[1:] = (own[1:, KEY] != own[:-1, KEY]) | (own[1:, NEAR] != own[:-1, NEAR])
    firsts = own[np.flatnonzero(opens)[np.cumsum(opens) - 1], DOC]
    return np.stack((firsts, own[:, DOC]), axis=1)[~opens]


@njit(cache=True, nogil=True, boundscheck=False)
def _pairs(rows, older, out):  # type: ignore[no-untyped-def]
    """Pairs of each bucket of rows sorted by (key, near, doc); returns how many."""
    made, start, count = 0, 0, len(rows)
    while start < count:
        end, hub = start + 1, start
        while end < count and rows[end, KEY] == rows[start, KEY]:
            if rows[end, DOC] < rows[hub, DOC]:
                hub = end
            end += 1
        reach = end - start if end - start <= SMALL else WINDOW
        for i in range(start, end):
            for j in range(i + 1, min(i + 1 + reach, end)):
                made = _add(rows[i, DOC], rows[j, DOC], older, out, made)
            if end - start > SMALL:
                made = _add(rows[hub, DOC], rows[i, DOC], older, out, made)
        start = end
    return made


@njit(inline="always")
def _add(x, y, older, out, made):  # type: ignore[no-untyped-def]
    if x == y or (x < older and y < older):
        return made
    out[made, 0] = min(x, y)
    out[made, 1] = max(x, y)
    return made + 1


def unique_pairs(pairs: U64) -> U64:
    """Sorted by (second, first), without repeats."""
    if not len(pairs):
        return pairs
    if int(pairs.max()) < 1 << 32:  # one 64-bit key sorts several times faster than two
        packed = np.unique((pairs[:, 1] << np.uint64(32)) | pairs[:, 0])
        return np.stack((packed & np.uint64(0xFFFFFFFF), packed >> np.uint64(32)), axis=1)
    ordered = pairs[np.lexsort((pairs[:, 0], pairs[:, 1]))]
    keep = np.ones(len(ordered), bool)
    keep[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    return ordered[keep]
