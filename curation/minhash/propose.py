"""Phases `buckets` and `estimate`: from band entries to pairs worth measuring.

In: entries of all shards. Out: candidate pairs of each partition; then, a shard, pairs by
signature.
Shown by: `gristmill run` of any recipe with `use: minhash_dedup`.
Limit: for a document of an earlier dataset the estimate is final: standard error .043 at Jaccard
.7.

    buckets/<partition>   pairs.bin (a, b), in blocks of b; stars.bin (first, other)
    estimate/<shard>      pairs.bin (a, b); docs.bin: their documents, by shard;
                          older.bin (a, b, similarity): b repeats a of an earlier dataset
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np

from curation.corpus import Shards
from curation.minhash.bands import COLUMNS
from curation.minhash.buckets import CHUNK_ENTRIES, candidates, unique_pairs
from curation.minhash.sign import Setup
from curation.minhash.verify import estimate, prefilter
from curation.spill import F64, U64, Run, RunsWriter, load_runs, mapped, read_runs, task_files
from gristmill.task import TaskContext


def find_candidates(ctx: TaskContext, setup: Setup, partition: int) -> dict[str, Any]:
    """Task of one partition of the buckets."""
    corpus = setup.corpus()
    numbers = range(len(corpus.shards))
    files = [task_files(ctx.run.staging, "sign", shard) / "entries.bin" for shard in numbers]
    chunks = _chunks(read_runs(files, partition, COLUMNS))
    pairs, stars = candidates(chunks, corpus.older)
    writer = RunsWriter(ctx.path("pairs.bin"), 2, len(corpus.blocks))
    writer.write(pairs, np.searchsorted(corpus.blocks, pairs[:, 1].astype(np.int64), "right") - 1)
    writer.close()
    stars.tofile(ctx.path("stars.bin"))
    return {"pairs": len(pairs), "stars": len(stars)}


def _chunks(runs: Iterable[Run]) -> Iterator[U64]:
    """Runs joined, at most about CHUNK_ENTRIES entries at a time."""
    held: list[U64] = []
    size = 0
    for run in runs:
        if held and size + run.end - run.start > CHUNK_ENTRIES:
            yield np.concatenate(held)
            held, size = [], 0
        held.append(run.load())
        size += len(held[-1])
    if held:
        yield np.concatenate(held)


def estimate_pairs(ctx: TaskContext, setup: Setup, shard: int) -> dict[str, Any]:
    """Task of one new shard: the pairs whose later document is there."""
    corpus = setup.corpus()
    staging = ctx.run.staging
    files = [task_files(staging, "buckets", n) / "pairs.bin" for n in range(setup.partitions())]
    shards = Shards(corpus.bases)
    least = prefilter(setup.threshold, setup.num_perm)
    docs = RunsWriter(ctx.path("docs.bin"), 1, len(corpus.shards))
    proposed = promising = older = 0
    with open(ctx.path("pairs.bin"), "wb") as kept, open(ctx.path("older.bin"), "wb") as found:
        for block in corpus.blocks_of(shard):
            pairs = unique_pairs(load_runs(files, block, 2))
            values = estimate(pairs, shards, partial(_signatures, staging))
            from_older = pairs[:, 0] < corpus.older
            near = from_older & (values >= setup.threshold)
            with_similarity(pairs[near], values[near]).tofile(found)
            chosen = pairs[~from_older & (values >= least)]
            chosen.tofile(kept)
            members = np.unique(chosen)
            docs.write(members[:, None], shards.of(members))
            proposed += len(pairs)
            promising += len(chosen)
            older += int(near.sum())
    docs.close()
    return {"proposed": proposed, "promising": promising, "older": older}


def _signatures(staging: str, shard: int) -> np.ndarray:
    return mapped(task_files(staging, "sign", shard) / "signatures.npy")


def with_similarity(pairs: U64, sims: F64) -> U64:
    """Rows (a, b, bits of the similarity), so that one file holds edges; see `edge_parts`."""
    return np.concatenate((pairs, sims.view(np.uint64)[:, None]), axis=1)


def edge_parts(rows: U64) -> tuple[U64, F64]:
    """(pairs [n, 2], similarities [n]) of what `with_similarity` made."""
    return rows[:, :2], np.ascontiguousarray(rows[:, 2]).view(np.float64)
