"""Phase `sign`: one task a shard; signatures, digests, ranks, ids and band entries go to disk.

In: a shard of documents, or of an earlier run's signatures. Out: files named below.
Shown by: `gristmill run` of any recipe with `use: minhash_dedup`.
Limit: a row group is held in memory, and 64k documents' entries and signatures, 60 MB, beside it.

    signatures.npy uint32 [n, num_perm]      digests.npy uint64 [n, 2]     counts.npy int64 [n]
    ranks.npy int64 [n] (smaller survives)   local.npy int64 [n] (first document of the same digest)
    weights.npy int64 [n] (documents that it stands for)
    rows.arrow (id, url, source)             entries.bin, entries.cuts.npy (see bands.py)
"""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curation.corpus import Corpus, open_corpus
from curation.duplicates import SIZE, weights
from curation.minhash.bands import (
    COLUMNS,
    KEY,
    entries,
    first_of_equal,
    partition_count,
    partition_of,
)
from curation.spill import I64, NpyWriter, RunsWriter, row_groups
from curation.survivors import policy_columns, ranks, sources
from gristmill.errors import GristmillError
from gristmill.task import TaskContext
from gristmill.text.minhash import Sketches, sketch
from gristmill.text.unicode import unicode_version

BATCH = 1 << 16  # documents whose entries are sorted together: 31 MB of them


@dataclass(frozen=True, slots=True)
class Setup:
    """What every task of a run must know; picklable. References name exact versions."""

    store: str
    source: str
    against: tuple[str, ...]
    bands: int
    rows: int
    ngram: int
    seed: int
    threshold: float
    survivor: str
    max_cluster: int
    wipeout_by: str
    wipeout_min: int

    @property
    def num_perm(self) -> int:
        return self.bands * self.rows

    @property
    def scheme(self) -> str:
        """What two signatures must have in common to be compared."""
        return f"affine32/{self.num_perm}/{self.seed}/{self.ngram}/unicode-{unicode_version()}"

    def corpus(self) -> Corpus:
        return open_corpus(self.store, self.source, self.against)

    def partitions(self) -> int:
        corpus = self.corpus()
        return partition_count(corpus.older + corpus.new, self.bands)


class _Files:
    """The files of one `sign` task, written batch by batch."""

    def __init__(self, ctx: TaskContext, setup: Setup, shard: int) -> None:
        corpus = setup.corpus()
        rows = corpus.shards[shard].rows
        self._setup = setup
        self._next, self._end = corpus.span(shard)
        shapes: dict[str, tuple[Any, tuple[int, ...]]] = {
            "signatures": (np.uint32, (rows, setup.num_perm)),
            "digests": (np.uint64, (rows, 2)),
            "counts": (np.int64, (rows,)),
            "ranks": (np.int64, (rows,)),
            "local": (np.int64, (rows,)),
            "weights": (np.int64, (rows,)),
        }
        self._arrays = {
            name: NpyWriter(ctx.path(f"{name}.npy"), *shape) for name, shape in shapes.items()
        }
        self._partitions = setup.partitions()
        self._entries = RunsWriter(ctx.path("entries.bin"), COLUMNS, self._partitions)
        fields = [(name, pa.string()) for name in ("id", "url", "source")]
        self._rows = pa.ipc.new_file(str(ctx.path("rows.arrow")), pa.schema(fields))

    def write(self, sketches: Sketches, rank: I64, weight: I64, names: pa.Table) -> None:
        """One batch: everything about documents self._next, self._next + 1, …"""
        local = first_of_equal(sketches.digests, sketches.counts)
        own = np.arange(len(local))
        chosen = np.flatnonzero((local == own) & (sketches.counts > 0))
        setup = self._setup
        made = entries(sketches, chosen, self._next, setup.bands, setup.rows)
        self._entries.write(made, partition_of(made[:, KEY], self._partitions))
        values: Any
        for name, values in {
            "signatures": sketches.signatures,
            "digests": sketches.digests,
            "counts": sketches.counts,
            "ranks": rank,
            "weights": weight,
            "local": local + self._next,
        }.items():
            self._arrays[name].write(values)
        self._rows.write_table(names)
        self._next += len(local)

    def __enter__(self) -> _Files:
        return self

    def __exit__(
        self, error: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        for array in self._arrays.values():
            array.close()
        self._entries.close()
        self._rows.close()
        if error is None and self._next != self._end:
            raise GristmillError(
                f"a shard has {self._next - self._end:+d} rows against its manifest; "
                "`gristmill verify` tells which version is damaged"
            )


def sign_documents(ctx: TaskContext, setup: Setup, shard: int) -> dict[str, Any]:
    """Task of a shard of documents."""
    place = setup.corpus().shards[shard]
    wanted = {"id", "text", "url", SIZE, setup.wipeout_by, *policy_columns(setup.survivor)}
    columns = [name for name in pq.read_schema(place.path).names if name in wanted]
    wordless = 0
    with _Files(ctx, setup, shard) as files:
        for group in row_groups(place.path, columns):
            for start in range(0, group.num_rows, BATCH):
                table = group.slice(start, BATCH)
                made = sketch(table["text"], setup.num_perm, setup.seed, setup.ngram)
                names = pa.table(
                    {
                        "id": table["id"],
                        "url": table["url"],
                        "source": sources(setup.wipeout_by, table),
                    }
                )
                files.write(made, ranks(setup.survivor, table), weights(table), names)
                wordless += int((made.counts == 0).sum())
            ctx.advance(group.num_rows)
    return {"without_words": wordless}


def sign_older(ctx: TaskContext, setup: Setup, shard: int) -> dict[str, Any]:
    """Task of a shard of an earlier signature dataset: no text is read."""
    place = setup.corpus().shards[shard]
    columns = ["id", "url", "scheme", "signature", "shingle_digest", "shingles"]
    with _Files(ctx, setup, shard) as files:
        for group in row_groups(place.path, columns):
            _check_scheme(group["scheme"], setup, place.dataset)
            for start in range(0, group.num_rows, BATCH):
                table = group.slice(start, BATCH)
                names = pa.table(
                    {
                        "id": table["id"],
                        "url": table["url"],
                        "source": pa.array([""] * table.num_rows, pa.string()),
                    }
                )
                same = np.zeros(table.num_rows, np.int64)
                files.write(_stored(table, setup), same, same, names)
            ctx.advance(group.num_rows)
    return {"without_words": 0}


def _check_scheme(column: pa.ChunkedArray, setup: Setup, dataset: str) -> None:
    found = pc.unique(column).to_pylist()
    if any(scheme != setup.scheme for scheme in found):
        raise GristmillError(
            f"{dataset}: its signatures are {found[0]!r}, this step makes {setup.scheme!r} (scheme/"
            "permutations/seed/ngram/Unicode); use the same bands x rows, seed and ngram, or make "
            "the earlier dataset's signatures anew"
        )


def _stored(table: pa.Table, setup: Setup) -> Sketches:
    signatures = table["signature"].combine_chunks().flatten().to_numpy()
    return Sketches(
        signatures.reshape(-1, setup.num_perm),
        parse_digests(table["shingle_digest"]),
        table["shingles"].to_numpy(),
    )


def format_digests(digests: np.ndarray) -> pa.Array:
    """uint64 [n, 2] as strings of 32 hex digits."""
    text = digests.astype(">u8").tobytes().hex().encode()
    offsets = np.arange(0, 32 * len(digests) + 1, 32, dtype=np.int32)
    return pa.StringArray.from_buffers(len(digests), pa.py_buffer(offsets), pa.py_buffer(text))


def parse_digests(column: pa.ChunkedArray) -> np.ndarray:
    """Strings of 32 hex digits as uint64 [n, 2]."""
    raw = bytes.fromhex("".join(column.to_pylist()))
    return np.frombuffer(raw, ">u8").astype(np.uint64).reshape(-1, 2)
