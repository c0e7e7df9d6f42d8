"""Phases `sets`, `verify` and `measure-N`: exact Jaccard of unique shingle sets.

In: promising pairs. Out: shingle sets of their documents (each text read once more), verified
edges.
Shown by: `gristmill run` of any recipe with `use: minhash_dedup`.
Limit: sets take 8 bytes a distinct shingle of temporary disk, for candidate documents only.

    sets/<shard>      docs.npy uint64, bounds.npy int64 [docs + 1], values.bin uint64
    verify/<shard>    edges.bin (a, b, similarity), in bins of similarity
    measure-N/<part>  sims.npy float64: of a part of the pairs that `settle-N` asked for
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from curation.corpus import Shards
from curation.minhash.propose import with_similarity
from curation.minhash.sign import Setup
from curation.minhash.verify import ShingleSets, exact
from curation.spill import (
    F64,
    I64,
    RunsWriter,
    load_runs,
    mapped,
    mapped_rows,
    row_groups,
    task_files,
)
from gristmill.task import TaskContext
from gristmill.text.shingles import shingle_sets

PAIRS = 1 << 20  # measured at once
BINS = 64  # of similarity: so that edges can be sorted a part at a time


def make_sets(ctx: TaskContext, setup: Setup, shard: int) -> dict[str, Any]:
    """Task of one new shard: the shingle sets of its documents that are in a promising pair."""
    corpus = setup.corpus()
    first, _ = corpus.span(shard)
    staging = ctx.run.staging
    files = [task_files(staging, "estimate", new) / "docs.bin" for new in corpus.new_shards()]
    docs = np.unique(load_runs(files, shard, 1))
    wanted = docs.astype(np.int64) - first
    bounds = [np.zeros(1, np.int64)]
    row = total = 0
    with open(ctx.path("values.bin"), "wb") as values:
        for group in row_groups(corpus.shards[shard].path, ["text"]) if len(docs) else ():
            here = wanted[(wanted >= row) & (wanted < row + group.num_rows)] - row
            made, cuts = shingle_sets(group["text"].take(pa.array(here)), setup.ngram)
            made.tofile(values)
            bounds.append(cuts[1:] + total)
            total += int(cuts[-1])
            row += group.num_rows
            ctx.advance(group.num_rows)
    np.save(ctx.path("docs.npy"), docs)
    np.save(ctx.path("bounds.npy"), np.concatenate(bounds))
    return {"documents": len(docs), "shingles": total}


def open_sets(staging: str, shard: int) -> ShingleSets:
    """The sets that `make_sets` left for a shard, as memory maps."""
    folder = task_files(staging, "sets", shard)
    values = mapped_rows(folder / "values.bin", 1)[:, 0]
    return ShingleSets(mapped(folder / "docs.npy"), mapped(folder / "bounds.npy"), values)


def bins(sims: F64, threshold: float) -> I64:
    """Bin of each similarity: 0 for exactly 1, then downwards."""
    share = (1.0 - sims) / max(1.0 - threshold, 1e-9)
    return np.minimum(np.ceil(share * (BINS - 1)), BINS - 1).astype(np.int64)


def verify_pairs(ctx: TaskContext, setup: Setup, shard: int) -> dict[str, Any]:
    """Task of one new shard: measure its promising pairs, keep those at or above the threshold."""
    staging = ctx.run.staging
    asked = mapped_rows(task_files(staging, "estimate", shard) / "pairs.bin", 2)
    shards = Shards(setup.corpus().bases)
    edges = RunsWriter(ctx.path("edges.bin"), 3, BINS)
    verified = 0
    for start in range(0, len(asked), PAIRS):
        pairs = np.array(asked[start : start + PAIRS])
        sims = exact(pairs, shards, partial(open_sets, staging), setup.threshold)
        near = sims >= setup.threshold
        found = with_similarity(pairs[near], sims[near])
        edges.write(found, bins(sims[near], setup.threshold))
        verified += len(found)
    edges.close()
    return {"measured": len(asked), "verified": verified}


def measure_pairs(
    ctx: TaskContext, setup: Setup, round_: int, start: int, end: int
) -> dict[str, Any]:
    """Task of a part of the pairs (survivor, text) that round `round_` asked for."""
    corpus = setup.corpus()
    asked = mapped_rows(task_files(ctx.run.staging, f"settle-{round_}", 0) / "pairs.bin", 2)
    pairs = asked[start:end] + np.uint64(corpus.older)
    np.save(
        ctx.path("sims.npy"),
        exact(pairs, Shards(corpus.bases), partial(open_sets, ctx.run.staging), setup.threshold),
    )
    return {"measured": len(pairs)}
