"""In-context order: documents that share words stand beside each other (arXiv 2310.10638).

In: a source's documents. Out: a file of their row numbers, in the order of a walk from neighbour
to neighbour. Shown by: `order: in_context` of a mixture, with `pack: concat` or `greedy`.
Limit: likeness is that of shared tokens, not of meaning; near-duplicates, which a walk puts side by
side, should be gone before (`use: minhash_dedup`).

A document's sketch is 1,024 signs (SimHash): each of its distinct tokens votes, a rare one more.
Documents are dealt to the nearest of some pivots, the pivots are walked, and within each stretch of
BLOCK documents the walk goes to the nearest one that it has not seen. Integers all through, so
every machine walks the same way.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from numba import njit

from gristmill.mapped import Tokens
from gristmill.rng import derive_seed, permutation
from gristmill.text.simd import popcount
from mixtures.blend.memory import copy_tokens

I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]
WORDS = 16  # uint64 of a sketch
READ = 1024  # tokens of a document that are looked at
TOKENS = 1 << 18  # tokens that have a count of their own; larger numbers share them
SAMPLE = 1 << 15  # documents in which tokens are counted: how rare each is
MOST_VOTES = 4  # of a token in one document of 16, or of fewer
BLOCK = 8192  # documents of one walk
PER_PIVOT = 2048
MAX_PIVOTS = 4096
BATCH = 4096
_M1, _M2 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9)
_M3, _ONE = np.uint64(0x94D049BB133111EB), np.uint64(1)


def neighbour_order(
    tokens: Tokens, rows: I64 | None, count: int, seed: int, out: Path, scratch: Path
) -> None:
    """Write the row numbers of `count` documents to `out`; sketches lie in `scratch` meanwhile."""
    sketches = np.memmap(scratch, np.uint64, "w+", shape=(max(1, count), WORDS))
    rarity = _rarity(tokens, rows, count, seed)
    for first in range(0, count, BATCH):
        documents = _documents(rows, first, min(count, first + BATCH))
        addresses, lengths = tokens.addresses(documents), tokens.take_counts(documents)
        sketches[first : first + len(documents)] = _sketches(
            addresses, lengths, tokens.dtype.itemsize, rarity
        )
    pivots = _pivots(sketches, count, seed)
    groups = np.empty(count, np.int16)
    for first in range(0, count, BLOCK):
        end = min(count, first + BLOCK)
        groups[first:end] = _nearest(np.asarray(sketches[first:end]), pivots)
    places = np.argsort(groups, kind="stable")
    last = np.zeros(WORDS, np.uint64)
    with open(out, "wb") as file:
        for first in range(0, count, BLOCK):
            part = places[first : first + BLOCK]
            block = np.asarray(sketches[part])
            walked = part[_walk(block, last)]
            last = np.asarray(sketches[walked[-1]])
            (walked if rows is None else np.asarray(rows[walked])).astype(np.int64).tofile(file)
    del sketches
    scratch.unlink()


def _documents(rows: I64 | None, first: int, end: int) -> I64:
    return np.arange(first, end, dtype=np.int64) if rows is None else np.asarray(rows[first:end])


def _rarity(tokens: Tokens, rows: I64 | None, count: int, seed: int) -> npt.NDArray[np.int32]:
    """Votes of each token, int32[TOKENS]: log2 of documents to one that holds it.

    Counted over a sample. What half of all documents hold, or only one, links nobody: no vote.
    """
    found = np.zeros(TOKENS, np.int32)
    sample = min(count, SAMPLE)
    for first in range(0, sample, BATCH):
        places = np.arange(first, min(sample, first + BATCH))
        places = permutation(derive_seed(seed, "in_context", "sample"), count, places)
        documents = places if rows is None else np.asarray(rows[places])
        lengths = tokens.take_counts(documents)
        _count(tokens.addresses(documents), lengths, tokens.dtype.itemsize, found)
    ratio = (sample + 1) // (found + 1)
    ratio[found < 2] = 1
    votes = np.zeros(TOKENS, np.int32)
    while (ratio > 1).any():
        votes += ratio > 1
        ratio >>= 1
    return np.minimum(votes, MOST_VOTES)


def _pivots(sketches: U64, count: int, seed: int) -> U64:
    """Sketches of some documents, in the order of a walk: uint64[p, WORDS]."""
    wanted = min(MAX_PIVOTS, max(1, count // PER_PIVOT))
    some = permutation(derive_seed(seed, "in_context", "pivots"), max(1, count), np.arange(wanted))
    pivots = np.asarray(sketches[np.sort(some)])
    return np.asarray(pivots[_walk(pivots, np.zeros(WORDS, np.uint64))])


@njit(nogil=True, cache=True, boundscheck=False)
def _mix(value):  # type: ignore[no-untyped-def]
    value = (value + _M1) * _M2
    value = (value ^ (value >> np.uint64(29))) * _M3
    return value ^ (value >> np.uint64(32))


@njit(nogil=True, cache=True, boundscheck=False)
def _count(addresses, lengths, width, found):  # type: ignore[no-untyped-def]
    """Add the documents that hold each token to found[TOKENS]."""
    seen, tokens = np.full(TOKENS, -1, np.int32), np.empty(READ, np.uint32)
    for d in range(len(addresses)):
        count = min(lengths[d], READ)
        copy_tokens(addresses[d], count, width, tokens)
        for i in range(count):
            token = tokens[i] & np.uint32(TOKENS - 1)
            if seen[token] != d:
                seen[token] = d
                found[token] += 1


@njit(nogil=True, cache=True, boundscheck=False)
def _sketches(addresses, lengths, width, rarity):  # type: ignore[no-untyped-def]
    """SimHash of each document: uint64[n, WORDS]."""
    out = np.zeros((len(addresses), WORDS), np.uint64)
    seen, tokens = np.full(TOKENS, -1, np.int32), np.empty(READ, np.uint32)
    votes = np.zeros(64 * WORDS, np.int32)
    for d in range(len(addresses)):
        votes[:] = 0
        count = min(lengths[d], READ)
        copy_tokens(addresses[d], count, width, tokens)
        for i in range(count):
            token = tokens[i] & np.uint32(TOKENS - 1)
            weight = rarity[token]
            if seen[token] == d or weight == 0:
                continue
            seen[token] = d
            mixed = _mix(np.uint64(token))
            for w in range(WORDS):
                mixed = _mix(mixed)
                for b in range(64):
                    bit = np.int32((mixed >> np.uint64(b)) & _ONE)
                    votes[64 * w + b] += weight * (2 * bit - 1)
        for w in range(WORDS):
            word = np.uint64(0)
            for b in range(64):
                if votes[64 * w + b] > 0:
                    word |= _ONE << np.uint64(b)
            out[d, w] = word
    return out


@njit(nogil=True, cache=True, boundscheck=False)
def _distance(left, right):  # type: ignore[no-untyped-def]
    total = 0
    for w in range(WORDS):
        total += popcount(left[w] ^ right[w])
    return total


@njit(nogil=True, cache=True, boundscheck=False)
def _nearest(sketches, pivots):  # type: ignore[no-untyped-def]
    """The nearest pivot of each sketch: int16[n], the first of equals."""
    out = np.zeros(len(sketches), np.int16)
    for d in range(len(sketches)):
        best = 64 * WORDS + 1
        for p in range(len(pivots)):
            far = _distance(sketches[d], pivots[p])
            if far < best:
                best = far
                out[d] = p
    return out


@njit(nogil=True, cache=True, boundscheck=False)
def _walk(sketches, last):  # type: ignore[no-untyped-def]
    """Places in the order of the walk, int64[n]: always on to the nearest that is left."""
    n = len(sketches)
    left = np.arange(n)
    out = np.empty(n, np.int64)
    here = last.copy()
    for step in range(n):
        best, at = 64 * WORDS + 1, 0
        for k in range(n - step):
            far = _distance(sketches[left[k]], here)
            if far < best or (far == best and left[k] < left[at]):
                best, at = far, k
        out[step] = left[at]
        here = sketches[left[at]]
        left[at] = left[n - step - 1]
    return out
