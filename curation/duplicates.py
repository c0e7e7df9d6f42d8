"""What deduplication steps write: survivors with cluster sizes, and ledger rows that name partners.

In: a row group, who stands for each row, and why. Out: the survivors' table, the ledger's table.
Shown by: `gristmill why web/unique URL`. Limit: a partner is named by id and URL, which may repeat.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.corpus import Corpus, Shards
from curation.spill import I64, ColumnFile, mapped, task_files
from gristmill.schema import KINDS, RULE

SIZE = "duplicate_cluster_size"
LEDGER = pa.schema(
    [
        *KINDS["ledger"].required,
        ("partner_id", pa.string()),  # the document kept in its place
        ("partner_url", pa.string()),
        ("partner_dataset", pa.string()),  # name@version of an earlier dataset; null: this one
        ("similarity", pa.float64()),
        ("similarity_is", pa.string()),  # "jaccard" (measured), "estimate" (signatures), "equal"
        ("cluster", pa.string()),  # names the cluster; null where a document is alone
        ("cluster_size", pa.int64()),  # null where the partner is an earlier dataset's
    ]
)
_NAMES = pa.schema([(name, pa.string()) for name in ("id", "url", "dataset", "cluster")])


def document_schema(parent: pa.Schema) -> pa.Schema:
    """The parent's columns and the cluster size, in the place of an earlier one."""
    fields = [field for field in parent.remove_metadata() if field.name != SIZE]
    return pa.schema([*fields, pa.field(SIZE, pa.int64())])


def weights(table: pa.Table) -> I64:
    """How many documents each row stands for: what an earlier deduplication counted, else 1."""
    if SIZE not in table.schema.names:
        return np.ones(table.num_rows, np.int64)
    counted = pc.fill_null(pc.cast(table[SIZE], pa.int64()), 1).to_numpy()
    return np.maximum(counted, 1)


def survivors(group: pa.Table, kept: np.ndarray, sizes: I64) -> pa.Table:
    """The kept rows, with the number of documents that each stands for."""
    table = group.filter(pa.array(kept))
    if SIZE in table.schema.names:
        table = table.drop_columns([SIZE])
    return table.append_column(SIZE, pa.array(sizes[kept]))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a deduplication says of the rows of one row group."""

    step_op: str
    kept: np.ndarray  # bool
    reason: pa.Array  # string, of every row; used where dropped
    rule: str  # name of the one rule in `rules`, after the reason
    similarity: np.ndarray  # float64
    threshold: float
    similarity_is: pa.Array  # string
    partners: pa.Table  # id, url, dataset, cluster
    sizes: pa.Array  # int64


def ledger_rows(group: pa.Table, verdict: Verdict) -> pa.Table:
    """One ledger row a row of the input."""
    dropped = pa.array(~verdict.kept)
    columns = {
        field.name: group[field.name]
        if field.name in group.schema.names
        else pa.nulls(group.num_rows, field.type)
        for field in KINDS["ledger"].required
    }

    def where_dropped(values: pa.Array | pa.Scalar) -> pa.Array:
        return pc.if_else(dropped, values, pa.scalar(None, values.type))

    columns["state"] = pc.if_else(dropped, "dropped", "kept")
    columns["step_op"] = where_dropped(pa.scalar(verdict.step_op))
    columns["reason"] = where_dropped(verdict.reason)
    columns["rules"] = _rules(verdict)
    columns["partner_id"] = where_dropped(verdict.partners["id"])
    columns["partner_url"] = where_dropped(verdict.partners["url"])
    columns["partner_dataset"] = where_dropped(verdict.partners["dataset"])
    columns["similarity"] = pa.array(verdict.similarity, mask=verdict.kept)
    columns["similarity_is"] = where_dropped(verdict.similarity_is)
    columns["cluster"] = verdict.partners["cluster"]
    columns["cluster_size"] = verdict.sizes
    return pa.table([columns[name] for name in LEDGER.names], schema=LEDGER)


def _rules(verdict: Verdict) -> pa.Array:
    """The failed rule of each dropped row: its similarity against the threshold."""
    hits = np.flatnonzero(~verdict.kept)
    names = pc.binary_join_element_wise(verdict.reason.take(pa.array(hits)), verdict.rule, ".")
    thresholds = pa.array(np.full(len(hits), verdict.threshold))
    values = pa.array(verdict.similarity[hits])
    structs = pa.StructArray.from_arrays([names, values, thresholds], fields=list(RULE))
    offsets = np.concatenate(([0], np.cumsum(~verdict.kept))).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), structs)


def write_partners(
    folder: Path,
    staging: str,
    phase: str,
    corpus: Corpus,
    docs: I64,
    clusters: Callable[[int, I64], pa.Array] | None = None,
) -> None:
    """Names of the documents (sorted) that others are dropped for, from `rows.arrow` of a phase.

    `clusters` gives the cluster names of rows of a shard; without it the id names the cluster.
    """
    np.save(folder / "partners.npy", docs)
    with pa.ipc.new_file(str(folder / "partners.arrow"), _NAMES) as writer:
        for shard, where in Shards(corpus.bases).groups(docs):
            rows = docs[where] - corpus.span(shard)[0]
            table = ColumnFile(task_files(staging, phase, shard) / "rows.arrow").take(rows)
            dataset = corpus.shards[shard].dataset if shard < corpus.older_shards else None
            named = pa.array([dataset] * len(rows), pa.string())
            cluster = clusters(shard, rows) if clusters else table["id"]
            writer.write_table(pa.table([table["id"], table["url"], named, cluster], schema=_NAMES))


class Partners:
    """What `write_partners` wrote."""

    def __init__(self, folder: Path) -> None:
        self._docs = mapped(folder / "partners.npy")
        self._columns = ColumnFile(folder / "partners.arrow")

    def of(self, docs: I64) -> pa.Table:
        """id, url, dataset, cluster of each document; nulls where docs is -1."""
        rows = np.searchsorted(self._docs, np.maximum(docs, 0))
        return self._columns.take(pa.array(rows, pa.int64(), mask=docs < 0))
