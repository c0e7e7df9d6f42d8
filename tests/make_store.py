"""Small real stores for tests: rows through ShardWriter and commit(), as a run would make them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from gristmill.commit import StagedShard, commit
from gristmill.ids import digest, document_id, text_digests
from gristmill.schema import RULE
from gristmill.shards import ShardWriter
from gristmill.store import Dataset, Store

DOCUMENT = pa.schema(
    [
        *((name, pa.string()) for name in ("id", "text", "url", "date", "source")),
        ("text_digest", pa.string()),
        ("language", pa.string()),
        ("language_score", pa.float64()),
    ]
)
LEDGER = pa.schema(
    [
        ("id", pa.string()),
        ("url", pa.string()),
        ("file", pa.string()),
        ("offset", pa.int64()),
        ("length", pa.int64()),
        ("payload_sha1", pa.string()),
        ("state", pa.string()),
        ("step_op", pa.string()),
        ("reason", pa.string()),
        ("rules", pa.list_(RULE)),
    ]
)


def row_id(number: int) -> str:
    return document_id(f"https://example.org/{number}", "2026-01-01", f"{number:040x}")


def documents(
    numbers: Sequence[int], text: str = "Grain number {n}.", language: str | None = None
) -> pa.Table:
    """Documents whose every column is a function of their number."""
    texts = [text.format(n=n) for n in numbers]
    return pa.table(
        {
            "id": [row_id(n) for n in numbers],
            "text": texts,
            "url": [f"https://example.org/{n}" for n in numbers],
            "date": ["2026-01-01"] * len(numbers),
            "source": ["crawl"] * len(numbers),
            "text_digest": text_digests(texts),
            "language": [language or ("en", "de")[n % 2] for n in numbers],
            "language_score": [0.5 + (n % 50) / 100 for n in numbers],
        },
        DOCUMENT,
    )


def ledger(
    entries: Sequence[tuple[int, str, str | None, str | None, Sequence[tuple[str, float, float]]]],
    more: Mapping[str, tuple[pa.DataType, Sequence[Any]]] | None = None,
) -> pa.Table:
    """Ledger rows: (number, state, step_op, reason, [(rule, value, threshold)]); `more` columns."""
    table = pa.table(
        {
            "id": [row_id(n) for n, *_ in entries],
            "url": [f"https://example.org/{n}" for n, *_ in entries],
            "file": ["crawl-0.warc.gz"] * len(entries),
            "offset": [n * 1000 for n, *_ in entries],
            "length": [900] * len(entries),
            "payload_sha1": [f"{n:040x}" for n, *_ in entries],
            "state": [entry[1] for entry in entries],
            "step_op": [entry[2] for entry in entries],
            "reason": [entry[3] for entry in entries],
            "rules": [
                [{"rule": r, "value": v, "threshold": t} for r, v, t in entry[4]]
                for entry in entries
            ],
        },
        LEDGER,
    )
    for name, (kind, values) in (more or {}).items():
        table = table.append_column(name, pa.array(values, kind))
    return table


def put(
    store: Store,
    name: str,
    outputs: Mapping[str, tuple[str, Sequence[pa.Table]]],
    config: Mapping[str, Any] | None = None,
    parents: Sequence[str] = (),
    sampled: bool = False,
    fingerprint: str | None = None,
    **more: Any,
) -> Dataset:
    """Commit outputs (suffix -> kind, one table a shard) and return the main dataset.

    `more` are further fields of the build record.
    """
    staging = store.staging / uuid.uuid4().hex[:12]
    staged: dict[str, tuple[str, list[StagedShard]]] = {}
    for suffix, (kind, tables) in outputs.items():
        shards = []
        for index, table in enumerate(tables):
            folder = staging / f"{index}{suffix}"
            with ShardWriter(folder, table.schema, kind) as writer:
                writer.write(table)
            shards += [StagedShard(folder / r["file"], r) for r in writer.records]
        staged[name + suffix] = (kind, shards)
    config = {"name": name, **(config or {})}
    build = {
        "use": "test",
        "config": config,
        "parents": list(parents),
        "files": [],
        "packages": {},
        "created_at": "2026-01-01T00:00:00+00:00",
        "host": "mill",
        "seconds": 1.5,
        **more,
    }
    asked = fingerprint or digest({"config": config, "parents": list(parents)})
    versions = commit(store, name, asked, staged, build, sampled)
    return Dataset(store, name, versions[name])


def put_documents(store: Store, name: str, numbers: Sequence[int], **options: Any) -> Dataset:
    """A dataset of documents, one shard for every 10 of them."""
    tables = [documents(numbers[i : i + 10]) for i in range(0, len(numbers), 10)]
    return put(store, name, {"": ("document", tables)}, **options)
