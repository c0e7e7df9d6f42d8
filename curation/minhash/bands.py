"""Band entries: what one document says to each LSH bucket, spread over partitions on disk.

In: signatures and digests of a batch of documents. Out: rows (key, tag, near, doc), cut by
partition.
Shown by: `gristmill run` of any recipe with `use: minhash_dedup`.
Limit: an entry takes 32 bytes, so 14 bands and the digest take 480 bytes of temporary disk a
document.

A document meets others in the bucket of each of its bands, and in the bucket of its digest, which
holds the texts of exactly the same shingles. Of those only the first goes on: the rest follow it
everywhere.
"""

from __future__ import annotations

import numpy as np

from curation.spill import I64, U64
from gristmill.text.minhash import Sketches, band_keys

KEY, TAG, NEAR, DOC = range(4)
COLUMNS = 4
PARTITION_ENTRIES = 1 << 21  # expected entries of a partition: 64 MB, a second of work


def partition_count(documents: int, bands: int) -> int:
    """Partitions for a corpus: a function of its size alone, never of workers."""
    return max(1, -(-documents * (bands + 1) // PARTITION_ENTRIES))


def first_of_equal(digests: U64, counts: I64) -> I64:
    """For each row the first row of the same digest (int64 [n]); rows without words stay alone."""
    rows = np.arange(len(digests), dtype=np.int64)
    if not len(rows):
        return rows
    order = np.lexsort((rows, digests[:, 1], digests[:, 0]))
    ranked = digests[order]
    opens = np.ones(len(rows), bool)
    opens[1:] = (ranked[1:] != ranked[:-1]).any(axis=1)
    firsts = order[np.maximum.accumulate(np.where(opens, rows, 0))]
    out = np.empty_like(rows)
    out[order] = firsts
    return np.where(counts > 0, out, rows)


def entries(sketches: Sketches, chosen: I64, first_doc: int, bands: int, rows: int) -> U64:
    """Entries uint64 [len(chosen) * (bands + 1), 4] of the chosen rows of a batch.

    KEY is the bucket, TAG the digest's first half (KEY == TAG marks a digest's own bucket), NEAR
    orders a large bucket so that likely neighbours lie side by side (the first two values of the
    band that follows), DOC the number of the document in the corpus.
    """
    signatures = sketches.signatures[chosen]
    digests = sketches.digests[chosen]
    out = np.empty((len(chosen), bands + 1, COLUMNS), np.uint64)
    out[:, :bands, KEY] = band_keys(signatures, bands, rows)
    out[:, bands, KEY] = digests[:, 0]
    out[:, :, TAG] = digests[:, :1]
    starts = np.arange(1, bands + 1) * rows % (bands * rows)
    second = (starts + 1) % signatures.shape[1]
    wide = signatures.astype(np.uint64)
    out[:, :bands, NEAR] = (wide[:, starts] << np.uint64(32)) | wide[:, second]
    out[:, bands, NEAR] = digests[:, 1]
    out[:, :, DOC] = (chosen.astype(np.uint64) + np.uint64(first_doc))[:, None]
    return out.reshape(-1, COLUMNS)


def partition_of(keys: U64, partitions: int) -> I64:
    """Partition of each key, from its high 32 bits."""
    high = keys >> np.uint64(32)
    return ((high * np.uint64(partitions)) >> np.uint64(32)).astype(np.int64)
