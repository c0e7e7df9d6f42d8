"""Phases `write` and `report`: survivors, ledger, signatures; what was lost as a whole.

In: each document's partner. Out: the step's outputs, shard by shard in the order of the input.
Shown by: `gristmill why web/unique URL`. Limit: a source counts as lost only if every document of
this step's input is dropped; what earlier steps dropped is not seen here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curation.duplicates import (
    LEDGER,
    Partners,
    Verdict,
    document_schema,
    ledger_rows,
    survivors,
    weights,
)
from curation.minhash.sign import BATCH, Setup, format_digests
from curation.spill import ColumnFile, mapped, row_groups, task_files
from gristmill.task import TaskContext
from gristmill.text.minhash import match_probability

REASON = "minhash_duplicate"
REPORT = pa.schema(
    [
        ("kind", pa.string()),  # "total", or "lost_source"
        ("name", pa.string()),
        ("value", pa.float64()),  # of a total
        ("documents", pa.int64()),  # of a lost source
        ("dropped_for_older", pa.int64()),
    ]
)
_SOURCES = pa.schema([("source", pa.string()), *((n, pa.int64()) for n in ("n", "kept", "older"))])


def signature_schema(num_perm: int) -> pa.Schema:
    """One row a kept document: what the next dump is compared with."""
    return pa.schema(
        [
            ("id", pa.string()),
            ("url", pa.string()),
            ("scheme", pa.string()),
            ("shingles", pa.int64()),
            ("shingle_digest", pa.string()),
            ("signature", pa.list_(pa.uint32(), num_perm)),
        ]
    )


def write_shard(ctx: TaskContext, setup: Setup, shard: int) -> dict[str, Any]:
    """Task of one shard of the input: its survivors, a ledger row for each row, signatures."""
    corpus = setup.corpus()
    staging = ctx.run.staging
    first, end = corpus.span(shard)
    span = slice(first - corpus.older, end - corpus.older)
    done = task_files(staging, "finish", 0)
    partner = np.array(mapped(done / "partner.npy")[span])
    similarity = np.array(mapped(done / "similarity.npy")[span])
    sizes = mapped(done / "cluster_size.npy")
    partners = Partners(done)
    path = corpus.shards[shard].path
    documents = ctx.writer("", document_schema(pq.read_schema(path)))
    ledger = ctx.writer(".ledger", LEDGER)
    start = 0
    for group in row_groups(path):
        part = slice(start, start + group.num_rows)
        start = part.stop
        kept = partner[part] < 0
        numbers = np.arange(part.start, part.stop) + first
        own = np.where(kept, numbers, partner[part])  # who stands for the document
        from_older = own < corpus.older
        size = sizes[np.maximum(own - corpus.older, 0)]
        alone = kept & (size == weights(group))
        documents.write(survivors(group, kept, size))
        verdict = Verdict(
            step_op="minhash_dedup",
            kept=kept,
            reason=pa.array([REASON] * len(kept), pa.string()),
            rule="similarity",
            similarity=similarity[part],
            threshold=setup.threshold,
            similarity_is=pa.array(np.where(from_older, "estimate", "jaccard"), pa.string()),
            partners=partners.of(np.where(alone, -1, own)),
            sizes=pa.array(size, mask=from_older),
        )
        ledger.write(ledger_rows(group, verdict))
        ctx.advance(group.num_rows)
    _write_signatures(ctx, setup, shard, np.flatnonzero(partner < 0))
    lost = _count_sources(ctx, shard, partner, corpus.older)
    return {"rows": len(partner), "kept": int((partner < 0).sum()), "sources": lost}


def _write_signatures(ctx: TaskContext, setup: Setup, shard: int, kept: np.ndarray) -> None:
    """The signatures of kept documents, in their order."""
    files = task_files(ctx.run.staging, "sign", shard)
    signatures, digests = mapped(files / "signatures.npy"), mapped(files / "digests.npy")
    counts, rows = mapped(files / "counts.npy"), ColumnFile(files / "rows.arrow")
    schema = signature_schema(setup.num_perm)
    writer = ctx.writer(".signatures", schema)
    for start in range(0, len(kept), BATCH):
        part = kept[start : start + BATCH]
        names = rows.take(part)
        flat = pa.array(signatures[part].reshape(-1))
        columns = [
            names["id"],
            names["url"],
            pa.array([setup.scheme] * len(part), pa.string()),
            pa.array(counts[part]),
            format_digests(digests[part]),
            pa.FixedSizeListArray.from_arrays(flat, setup.num_perm),
        ]
        writer.write(pa.table(columns, schema=schema))


def _count_sources(ctx: TaskContext, shard: int, partner: np.ndarray, older: int) -> int:
    """Documents, kept ones and those dropped for earlier datasets, by source."""
    rows = ColumnFile(task_files(ctx.run.staging, "sign", shard) / "rows.arrow")
    table = pa.table(
        {
            "source": rows.take(np.arange(len(partner)))["source"],
            "n": np.ones(len(partner), np.int64),
            "kept": (partner < 0).astype(np.int64),
            "older": ((partner >= 0) & (partner < older)).astype(np.int64),
        },
        schema=_SOURCES,
    )
    table = _summed(table)
    with pa.ipc.new_file(str(ctx.path("sources.arrow")), _SOURCES) as writer:
        writer.write_table(table)
    return table.num_rows


def _summed(table: pa.Table) -> pa.Table:
    grouped = table.group_by("source").aggregate([(name, "sum") for name in ("n", "kept", "older")])
    return grouped.rename_columns(["source", "n", "kept", "older"]).cast(_SOURCES)


def write_report(ctx: TaskContext, setup: Setup, totals: dict[str, float]) -> dict[str, Any]:
    """The last task: totals, and sources that lost every document."""
    corpus = setup.corpus()
    table = _SOURCES.empty_table()
    for shard in corpus.new_shards():
        file = task_files(ctx.run.staging, "write", shard) / "sources.arrow"
        with pa.memory_map(str(file)) as source, pa.ipc.open_file(source) as reader:
            table = _summed(pa.concat_tables([table, reader.read_all()]))
    lost = table.filter((pc.field("kept") == 0) & (pc.field("n") >= setup.wipeout_min))
    lost = lost.filter(pc.field("source") != "").sort_by(
        [("n", "descending"), ("source", "ascending")]
    )
    for similarity in (0.7, 0.8, 0.9):
        chance = match_probability(similarity, setup.bands, setup.rows)
        totals[f"expected_recall_at_{similarity}"] = chance
    report = pa.table(
        [
            ["total"] * len(totals) + ["lost_source"] * lost.num_rows,
            [*totals, *lost["source"].to_pylist()],
            [*map(float, totals.values()), *([None] * lost.num_rows)],
            [None] * len(totals) + lost["n"].to_pylist(),
            [None] * len(totals) + lost["older"].to_pylist(),
        ],
        schema=REPORT,
    )
    ctx.writer(".report", REPORT).write(report)
    # a source that an earlier dataset holds already is expected to go
    lost = lost.filter(pc.field("older") < pc.field("n"))
    largest = lost.slice(0, 3).to_pylist()
    return {"lost": lost.num_rows, "examples": [f"{r['source']} ({r['n']:,})" for r in largest]}
