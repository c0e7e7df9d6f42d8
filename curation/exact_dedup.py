"""exact_dedup: drop copies: the same bytes of text, the same words, or the same URL.

In: documents. Out: one document of each set of copies, and a `.ledger` that names it for the
others.
Shown by: `- {name: web/once, use: exact_dedup, from: web/clean, by: [url, text]}`.
Limit: keys are 128-bit hashes, compared unseen: 10^9 documents meet by chance once in 10^20 runs.

`by` lists passes; a later one sees what the earlier ones left. The ledger names the document that
is kept in the end. Memory is a part of the keys at a time; disk 32 bytes a document and pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numba import njit
from pydantic import Field, field_validator

from curation.corpus import Shards, open_corpus
from curation.duplicates import (
    LEDGER,
    SIZE,
    Partners,
    Verdict,
    document_schema,
    ledger_rows,
    survivors,
    weights,
    write_partners,
)
from curation.spill import (
    U64,
    NpyWriter,
    RunsWriter,
    load_runs,
    mapped,
    row_groups,
    task_files,
    task_id,
    writable,
)
from curation.survivors import check_name, check_policy, policy_columns, ranks
from curation.url_keys import url_keys
from gristmill.errors import RecipeError
from gristmill.step import Output, Phase, Step, StepRun, Task, TaskContext
from gristmill.text.fingerprints import text_fingerprints

Key = Literal["text", "words", "url"]
REASONS: dict[Key, str] = {
    "text": "exact_duplicate",  # the same bytes
    "words": "same_words",  # case, punctuation and white space aside
    "url": "same_url",  # see url_keys
}
PART_DOCUMENTS = 1 << 21  # keys sorted at once: 64 MB


class ExactDedup(Step):
    """Keep one document of each set of copies."""

    VERSION: ClassVar[int] = 1

    from_: str = Field(alias="from")
    by: tuple[Key, ...] = ("text",)
    survivor: str = "first"  # first | longest | oldest | newest | signal:COLUMN

    @field_validator("by")
    @classmethod
    def _each_once(cls, by: tuple[Key, ...]) -> tuple[Key, ...]:
        if not by or len(set(by)) != len(by):
            raise RecipeError(f"by {list(by)}: name each of text, words, url at most once")
        return by

    def inputs(self) -> list[str]:
        return [self.from_]

    def check(self) -> None:
        check_name(self.survivor)

    def outputs(self) -> dict[str, Output]:
        return {
            "": Output("document", "one document of each set of copies"),
            ".ledger": Output("ledger", "every document, and the one kept in its place"),
        }

    def phases(self, run: StepRun) -> Iterator[Phase]:
        dataset = run.inputs[self.from_]
        check_policy(self.survivor, dataset.schema)
        corpus = open_corpus(str(run.store.path), dataset.ref, ())
        common: dict[str, Any] = {"store": str(run.store.path), "ref": dataset.ref}
        parts = max(1, -(-corpus.new // PART_DOCUMENTS))
        shards = range(len(corpus.shards))

        def phase(name: str, call: Any, numbers: range, **more: Any) -> Phase:
            sizes = [corpus.shards[n].rows if numbers is shards else 1 for n in numbers]
            args = [{**common, "number": n, **more} for n in numbers]
            unit = "rows" if numbers is shards else "parts"
            return Phase(
                name,
                [Task(task_id(n), call, args[n], max(1, sizes[n])) for n in numbers],
                unit=unit,
            )

        for turn, key in enumerate(self.by):
            more = {"turn": turn, "parts": parts}
            yield phase(f"hash-{turn}", _hash, shards, key=key, survivor=self.survivor, **more)
            yield phase(f"match-{turn}", _match, range(parts), turn=turn)
        finishing = {"parts": parts, "turns": len(self.by)}
        yield phase("finish", _finish, range(1), **finishing)
        yield phase("write", _write, shards, by=self.by)


def _hash(
    ctx: TaskContext,
    store: str,
    ref: str,
    number: int,
    key: Key,
    survivor: str,
    turn: int,
    parts: int,
) -> dict[str, Any]:
    """Keys of one shard's documents that are still there: rows (key, key, rank, document)."""
    corpus = open_corpus(store, ref, ())
    first, end = corpus.span(number)
    gone = np.zeros(end - first, bool)
    for before in range(turn):
        gone[_dropped(ctx, before, parts, number)[:, 0].astype(np.int64) - first] = True
    path = corpus.shards[number].path
    needed = {"id", "url", SIZE, *policy_columns(survivor)}
    needed |= set() if key == "url" else {"text"}
    columns = [name for name in pq.read_schema(path).names if name in needed]
    keys = RunsWriter(ctx.path("keys.bin"), 4, parts)
    weight = NpyWriter(ctx.path("weights.npy"), np.int64, (end - first,))
    schema = pa.schema([("id", pa.string()), ("url", pa.string())])
    row = 0
    with pa.ipc.new_file(str(ctx.path("rows.arrow")), schema) as names:
        for group in row_groups(path, columns):
            rows = np.empty((group.num_rows, 4), np.uint64)
            rows[:, :2], valid = _keys(key, group)
            rows[:, 2] = ranks(survivor, group).view(np.uint64)
            rows[:, 3] = np.arange(row, row + group.num_rows) + first
            rows = rows[valid & ~gone[row : row + group.num_rows]]
            keys.write(rows, (rows[:, 1] % np.uint64(parts)).astype(np.int64))
            weight.write(weights(group))
            names.write_table(group.select(["id", "url"]))
            row += group.num_rows
            ctx.advance(group.num_rows)
    keys.close()
    weight.close()
    return {"documents": row}


def _keys(key: Key, group: pa.Table) -> tuple[U64, np.ndarray]:
    """128-bit keys [n, 2], and which of them count: a missing URL equals nothing."""
    if key == "url":
        urls = url_keys(group["url"])
        return text_fingerprints(urls), urls.is_valid().to_numpy()
    return text_fingerprints(group["text"], key == "words"), np.ones(group.num_rows, bool)


def _match(ctx: TaskContext, store: str, ref: str, number: int, turn: int) -> dict[str, Any]:
    """Copies of one part of the keys: rows (document, the one kept for it), by shard."""
    corpus = open_corpus(store, ref, ())
    files = [
        task_files(ctx.run.staging, f"hash-{turn}", n) / "keys.bin" for n in corpus.new_shards()
    ]
    rows = load_runs(files, number, 4)
    rows = rows[np.lexsort((rows[:, 3], rows[:, 2].view(np.int64), rows[:, 1], rows[:, 0]))]
    opens = np.ones(len(rows), bool)
    opens[1:] = (rows[1:, :2] != rows[:-1, :2]).any(axis=1)
    keepers = rows[opens, 3][np.cumsum(opens) - 1]
    found = np.stack((rows[:, 3], keepers), axis=1)[~opens]
    writer = RunsWriter(ctx.path("copies.bin"), 2, len(corpus.shards))
    writer.write(found, Shards(corpus.bases).of(found[:, 0]))
    writer.close()
    return {"copies": len(found)}


def _dropped(ctx: TaskContext, turn: int, parts: int, shard: int) -> U64:
    """(document, keeper) rows of one shard from one pass."""
    files = [task_files(ctx.run.staging, f"match-{turn}", n) / "copies.bin" for n in range(parts)]
    return load_runs(files, shard, 2)


@njit(cache=True, nogil=True, boundscheck=False)
def _follow(partner, weight, sizes):  # type: ignore[no-untyped-def]
    """Partners that a later pass dropped give way to their own; cluster sizes of the kept."""
    for d in range(len(partner)):
        if partner[d] >= 0:
            while partner[partner[d]] >= 0:
                partner[d] = partner[partner[d]]
            sizes[partner[d]] += weight[d]
        else:
            sizes[d] += weight[d]


def _finish(
    ctx: TaskContext, store: str, ref: str, number: int, parts: int, turns: int
) -> dict[str, Any]:
    """Partner (or -1), pass and cluster size of every document; names of the partners."""
    corpus = open_corpus(store, ref, ())
    staging = ctx.run.staging
    partner = writable(ctx.path("partner.npy"), np.int64, (corpus.new,))
    turn_of = writable(ctx.path("turn.npy"), np.int8, (corpus.new,))
    sizes = writable(ctx.path("sizes.npy"), np.int64, (corpus.new,))
    weight = writable(ctx.path("weights.npy"), np.int64, (corpus.new,))
    partner[:] = turn_of[:] = -1
    for shard in corpus.new_shards():
        first, end = corpus.span(shard)
        weight[first:end] = mapped(task_files(staging, "hash-0", shard) / "weights.npy")
        for turn in range(turns):
            found = _dropped(ctx, turn, parts, shard).astype(np.int64)
            partner[found[:, 0]] = found[:, 1]
            turn_of[found[:, 0]] = turn
    _follow(partner, weight, sizes)
    named = np.zeros(corpus.new, bool)
    named[partner[partner >= 0]] = True
    folder = ctx.path("partners.npy").parent
    write_partners(folder, staging, "hash-0", corpus, np.flatnonzero(named))
    return {"dropped": int((partner >= 0).sum()), "clusters": int(named.sum())}


def _write(
    ctx: TaskContext, store: str, ref: str, number: int, by: tuple[Key, ...]
) -> dict[str, Any]:
    """Survivors and ledger of one shard."""
    corpus = open_corpus(store, ref, ())
    span = slice(*corpus.span(number))
    done = task_files(ctx.run.staging, "finish", 0)
    partner = np.array(mapped(done / "partner.npy")[span])
    turn = np.array(mapped(done / "turn.npy")[span])
    sizes, partners = mapped(done / "sizes.npy"), Partners(done)
    names = pa.array([REASONS[key] for key in by], pa.string())
    path = corpus.shards[number].path
    documents = ctx.writer("", document_schema(pq.read_schema(path)))
    ledger = ctx.writer(".ledger", LEDGER)
    start = 0
    for group in row_groups(path):
        part = slice(start, start + group.num_rows)
        start = part.stop
        kept = partner[part] < 0
        own = np.where(kept, np.arange(part.start, part.stop) + span.start, partner[part])
        documents.write(survivors(group, kept, sizes[own]))
        verdict = Verdict(
            step_op="exact_dedup",
            kept=kept,
            reason=names.take(pa.array(turn[part], mask=kept)),
            rule="equal",
            similarity=np.ones(len(kept)),
            threshold=1.0,
            similarity_is=pa.array(["equal"] * len(kept), pa.string()),
            partners=partners.of(np.where(kept & (sizes[own] == weights(group)), -1, own)),
            sizes=pa.array(sizes[own]),
        )
        ledger.write(ledger_rows(group, verdict))
        ctx.advance(group.num_rows)
    return {"rows": len(partner), "kept": int((partner < 0).sum())}
