"""Phases `settle-N` and `finish`: from verified edges to one survivor a cluster.

In: ranks, stars, edges and, after each round, what was measured. Out: for each document its
partner.
Shown by: `gristmill run` of any recipe with `use: minhash_dedup`.
Limit: one task; its arrays are memory maps of 96 bytes a document, its work linear passes.

    settle-N/00000   partner.npy, similarity.npy, pairs.bin (survivor, text) to measure; round 0
    also group.npy, rank.npy, best.npy, component.npy (entries: texts = groups of equal documents,
    numbered by their first), edges.bin (a, b, similarity), best first finish/00000     partner.npy
    int64 [new]: -1, or the document kept for it; similarity.npy; cluster_size.npy; partners.npy +
    partners.arrow (id, url, dataset, cluster)
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numba import njit

from curation.corpus import Corpus
from curation.duplicates import write_partners
from curation.minhash.clusters import (
    OLDER,
    OPEN,
    State,
    drop_measured,
    join_components,
    settle,
    settle_by_edges,
)
from curation.minhash.measure import BINS
from curation.minhash.propose import edge_parts
from curation.minhash.sign import Setup, format_digests
from curation.spill import F64, I64, load_runs, mapped, mapped_rows, task_files, writable
from gristmill.task import TaskContext

ROUNDS = 8  # after these, edges alone decide


@njit(cache=True, nogil=True, boundscheck=False)
def _group(local, first_of, rank, best_rank, best, group):  # type: ignore[no-untyped-def]
    """group[d]: the text of document d; best[text]: its document of the best rank."""
    for d in range(len(local)):
        text = first_of[local[d]]
        group[d] = text
        if best[text] < 0 or rank[d] < best_rank[text]:
            best[text] = d
            best_rank[text] = rank[d]


@njit(cache=True, nogil=True, boundscheck=False)
def _name_partners(group, partner, best, similarity, older, weights, out, sims, sizes):  # type: ignore[no-untyped-def]
    """out[d]: -1 where d is kept, else the document kept for it; sizes[d] of kept ones."""
    for d in range(len(group)):
        text = group[d]
        held = partner[text]
        if held >= 0:
            out[d], sims[d] = best[held] + older, similarity[text]
        elif held <= OLDER:
            out[d], sims[d] = OLDER - held, similarity[text]
        elif best[text] != d:
            out[d], sims[d] = best[text] + older, 1.0
        else:
            out[d], sims[d] = -1, np.nan
        if out[d] < 0:
            sizes[d] += weights[d]
        elif out[d] >= older:
            sizes[out[d] - older] += weights[d]


def start_settling(ctx: TaskContext, setup: Setup) -> dict[str, Any]:
    """Round 0: groups of equal texts, older documents first, components, their survivors."""
    corpus = setup.corpus()
    folder = ctx.path("group.npy").parent
    names = ("partner", "similarity", "rank", "best", "component", "group", "weights")
    arrays = {
        name: writable(
            folder / f"{name}.npy", np.float64 if name == "similarity" else np.int64, (corpus.new,)
        )
        for name in names
    }
    arrays["partner"][:] = OPEN
    arrays["similarity"][:] = np.nan
    arrays["best"][:] = -1
    _group_equal(ctx, setup, arrays)
    state = State(**{name: arrays[name] for name in names[:5]})
    _drop_for_older(ctx, setup, state)
    _sort_edges(ctx, setup, corpus)
    ends, sims = _edges(folder)
    scratch = _scratch(ctx, corpus.new)
    refused = join_components(ends, state, setup.max_cluster, scratch)
    return {**_ask(folder, settle(ends, sims, state, scratch)), "refused": refused}


def _group_equal(ctx: TaskContext, setup: Setup, arrays: dict[str, np.ndarray]) -> None:
    """Number texts by the first document of the same digest; texts of older ones are dropped."""
    corpus = setup.corpus()
    staging = ctx.run.staging
    first_of = writable(ctx.path("first.npy"), np.int64, (corpus.new,))
    first_of[:] = np.arange(corpus.new)
    for part in range(setup.partitions()):
        stars = mapped_rows(task_files(staging, "buckets", part) / "stars.bin", 2, np.int64)
        stars = stars - corpus.older
        from_older = stars[:, 0] < 0
        first_of[stars[~from_older, 1]] = stars[~from_older, 0]
        arrays["partner"][stars[from_older, 1]] = OLDER - (stars[from_older, 0] + corpus.older)
        arrays["similarity"][stars[from_older, 1]] = 1.0
    for shard in corpus.new_shards():
        files = task_files(staging, "sign", shard)
        first, end = (number - corpus.older for number in corpus.span(shard))
        arrays["group"][first:end] = mapped(files / "local.npy") - corpus.older
        arrays["weights"][first:end] = mapped(files / "weights.npy")
        # `component` is free until join_components: it holds the documents' ranks
        arrays["component"][first:end] = mapped(files / "ranks.npy")
    _group(
        arrays["group"],
        first_of,
        arrays["component"],
        arrays["rank"],
        arrays["best"],
        arrays["group"],
    )


def _drop_for_older(ctx: TaskContext, setup: Setup, state: State) -> None:
    """Texts that repeat an earlier dataset's: the most similar one stands for them."""
    corpus = setup.corpus()
    for shard in corpus.new_shards():
        rows = mapped_rows(task_files(ctx.run.staging, "estimate", shard) / "older.bin", 3)
        pairs, sims = edge_parts(rows)
        order = np.lexsort((pairs[:, 0], -sims))[::-1]  # the best is written last
        texts = pairs[order, 1].astype(np.int64) - corpus.older
        free = state.partner[texts] == OPEN
        state.partner[texts[free]] = OLDER - pairs[order[free], 0].astype(np.int64)
        state.similarity[texts[free]] = sims[order[free]]


def _sort_edges(ctx: TaskContext, setup: Setup, corpus: Corpus) -> None:
    """All verified edges in Kruskal's order: similarity downwards, then by number."""
    files = [task_files(ctx.run.staging, "verify", n) / "edges.bin" for n in corpus.new_shards()]
    with open(ctx.path("edges.bin"), "wb") as out:
        for part in range(BINS):
            rows = load_runs(files, part, 3)
            _, sims = edge_parts(rows)
            rows[:, :2] -= np.uint64(corpus.older)
            rows[np.lexsort((rows[:, 1], rows[:, 0], -sims))].tofile(out)


def _edges(folder: Path) -> tuple[I64, F64]:
    rows = mapped_rows(folder / "edges.bin", 3, np.int64)
    return rows[:, :2], rows[:, 2].view(np.float64)


def _scratch(ctx: TaskContext, count: int) -> I64:
    return writable(ctx.path("scratch.npy"), np.int64, (3, count))


def _ask(folder: Path, pairs: I64) -> dict[str, Any]:
    pairs.tofile(folder / "pairs.bin")
    (folder / "scratch.npy").unlink(missing_ok=True)
    return {"pairs": len(pairs)}


def _load_state(ctx: TaskContext, round_: int) -> State:
    """The state that the round before left, in files of this task; the fixed arrays as they are."""
    start, last = (task_files(ctx.run.staging, f"settle-{n}", 0) for n in (0, round_ - 1))
    arrays = {name: mapped(start / f"{name}.npy") for name in ("component", "rank", "best")}
    for name in ("partner", "similarity"):
        shutil.copyfile(last / f"{name}.npy", ctx.path(f"{name}.npy"))
        arrays[name] = np.load(ctx.path(f"{name}.npy"), mmap_mode="r+")
    return State(**arrays)


def go_on_settling(ctx: TaskContext, setup: Setup, round_: int, parts: int) -> dict[str, Any]:
    """Round `round_`: take in what was measured after the last one, and settle further."""
    staging = ctx.run.staging
    state = _load_state(ctx, round_)
    asked = mapped_rows(task_files(staging, f"settle-{round_ - 1}", 0) / "pairs.bin", 2, np.int64)
    measured = [
        mapped(task_files(staging, f"measure-{round_ - 1}", part) / "sims.npy")
        for part in range(parts)
    ]
    drop_measured(asked, np.concatenate(measured), setup.threshold, state)
    ends, sims = _edges(task_files(staging, "settle-0", 0))
    folder = ctx.path("pairs.bin").parent
    if round_ == ROUNDS:
        settle_by_edges(ends, sims, state)
        return _ask(folder, np.empty((0, 2), np.int64))
    return _ask(folder, settle(ends, sims, state, _scratch(ctx, len(state.partner))))


def finish(ctx: TaskContext, setup: Setup, rounds: int) -> dict[str, Any]:
    """Every document's partner, the cluster sizes, and what the ledger says of each partner."""
    corpus = setup.corpus()
    start, last = (task_files(ctx.run.staging, f"settle-{n}", 0) for n in (0, rounds))
    partner = writable(ctx.path("partner.npy"), np.int64, (corpus.new,))
    sims = writable(ctx.path("similarity.npy"), np.float64, (corpus.new,))
    sizes = writable(ctx.path("cluster_size.npy"), np.int64, (corpus.new,))
    _name_partners(
        mapped(start / "group.npy"),
        mapped(last / "partner.npy"),
        mapped(start / "best.npy"),
        mapped(last / "similarity.npy"),
        corpus.older,
        mapped(start / "weights.npy"),
        partner,
        sims,
        sizes,
    )
    named = np.zeros(corpus.older + corpus.new, bool)
    named[partner[partner >= 0]] = True
    docs = np.flatnonzero(named)

    def clusters(shard: int, rows: I64) -> pa.Array:
        files = task_files(ctx.run.staging, "sign", shard)
        return format_digests(mapped(files / "digests.npy")[rows])

    folder = ctx.path("partner.npy").parent
    write_partners(folder, ctx.run.staging, "sign", corpus, docs, clusters)
    dropped = partner >= 0
    return {
        "dropped": int(dropped.sum()),
        "dropped_for_older": int((dropped & (partner < corpus.older)).sum()),
        "clusters": int((sizes > 1).sum()),
        "largest": int(sizes.max(initial=0)),
    }
