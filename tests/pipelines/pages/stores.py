"""Small versions of each kind that has a page, with numbers that a test can add up."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from gristmill.ids import text_digests
from gristmill.schema import PACKED
from gristmill.store import Dataset, Store
from mixtures.blend import report, token_ledger
from mixtures.weights import fit_report
from tests.make_store import documents, ledger, put

HOSTILE = '<script>alert("x")</script> & <img src=http://evil.example/x onerror=alert(1)>\x1b[2J'
SOURCES = ("web", "novels", "maths")


def clean(store: Store) -> Dataset:
    """`web/clean`: 24 documents of 30 read, six of them hostile; and `web/unique` of it."""
    table = documents(range(6, 30), text="Grain number {n} is ground, and the flour is white.")
    texts = table["text"].to_pylist()
    texts[:6] = [HOSTILE] * 6
    columns = {
        "text": texts,
        "text_digest": text_digests(texts),
        "source": [HOSTILE if n % 2 else "crawl" for n in range(24)],
        "url": [f"https://h{n % 4}.example/<b>{n}" for n in range(24)],
    }
    for name, values in columns.items():
        at = table.schema.get_field_index(name)
        table = table.set_column(at, name, pa.array(values, pa.string()))
    rules = [("gopher.min_words", 3.0, 50.0)]
    entries: list[Any] = [(n, "dropped", "rules", "gopher.min_words", rules) for n in range(4)]
    entries += [(n, "dropped", "read", HOSTILE, []) for n in range(4, 6)]
    entries += [(n, "kept", None, None, []) for n in range(6, 30)]
    made = put(
        store,
        "web/clean",
        {"": ("document", [table]), ".ledger": ("ledger", [ledger(entries)])},
        config={"ops": [{"rules": HOSTILE}], "from": "s3://key:secret@bucket/x"},
        files=[{"pattern": HOSTILE, "count": 1, "bytes": 9, "digest": "ab" * 32}],
        use="curate",
        notes=[HOSTILE],
    )
    dropped: list[Any] = [(6, "dropped", "exact_dedup", "exact_duplicate", [])] * 5
    kept: list[Any] = [(n, "kept", None, None, []) for n in range(11, 30)]
    partners = {"partner_id": (pa.string(), ["p"] * 5 + [None] * 19)}
    outputs = {
        "": ("document", [table.slice(5)]),
        ".ledger": ("ledger", [ledger([*dropped, *kept], partners)]),
    }
    return put(store, "web/unique", outputs, parents=[made.ref], use="exact_dedup")


def tokens(store: Store) -> Dataset:
    """`tokens/web`: 50 documents of 0 to 490 tokens."""
    counts = [n * 10 for n in range(50)]
    starts = [sum(counts[:n]) for n in range(50)]
    columns: dict[str, Any] = {
        "id": [f"{n:032x}" for n in range(50)],
        "start": pa.array(starts, pa.int64()),
        "count": pa.array(counts, pa.int32()),
        "tokens": [bytes(2 * count) for count in counts],
        "source": ["web" if n % 2 else "novels" for n in range(50)],
    }
    table = pa.table(columns)
    schema = pa.schema([field.with_nullable(False) for field in table.schema])
    return put(store, "tokens/web", {"": ("tokens", [table.cast(schema)])}, use="tokenize")


def mixture(store: Store, injected: Sequence[int] = ()) -> Dataset:
    """`mix/pretrain`: three sources, two stages, row length and batch that grow.

    injected: positions that the last source's rows are put at.
    """
    shapes = [(600, 128, 4), (300, 256, 4), (100, 512, 8)]
    counts = [(300, 200, 100), (150, 100, 50), (10, 20, 70)]
    packed = {name: pa.array([0], kind) for name, kind in PACKED.items()}
    schema = pa.schema([pa.field(name, kind, nullable=False) for name, kind in PACKED.items()])
    spec = {
        "format": 1,
        "name": "mix/pretrain",
        "seed": 7,
        "tokenizer": "tokens/web.tokenizer@0123456789ab",
        "vocab_size": 512,
        "pad": 0,
        "attention": "document",
        "sources": [{"name": name, "ref": f"tokens/{name}@0123456789ab"} for name in SOURCES],
        "segments": [
            {"rows": rows, "seq": seq, "batch": batch, "block": list(count), "counts": list(count)}
            for (rows, seq, batch), count in zip(shapes, counts, strict=True)
        ],
        "injected": {"source": 2 if injected else None, "positions": list(injected)},
    }
    outputs = {
        "": ("packed", [pa.table(packed, schema)]),
        ".plan": ("rows", [pa.table({"spec": [json.dumps(spec)]})]),
        ".report": ("rows", [_report()]),
        ".token_ledger": ("rows", [_token_ledger(shapes, counts)]),
    }
    config = {"pack": "best_fit", "budget": 230_000, "weights": "unimax", "at": list(injected)}
    note = "source 'maths' is seen 5.2 times; up to 4 a repetition is nearly as good as new data"
    return put(store, "mix/pretrain", outputs, config, use="mixture", notes=[note])


def _report() -> pa.Table:
    rows = []
    for stage, shares in ((-1, (0.48, 0.32, 0.2)), (0, (0.5, 0.33, 0.17)), (1, (0.1, 0.2, 0.7))):
        numbers = zip(SOURCES, shares, (0.4, 1.7, 5.2), (0.001, 0.0, -0.001), strict=True)
        for source, share, epochs, off in numbers:
            rows.append(
                {
                    "stage": stage,
                    "source": source,
                    "weights": "unimax",
                    "first_token": 0 if stage < 1 else 153_600,
                    "requested": share,
                    "observed_rows": share + off,
                    "observed_tokens": share + 2 * off,
                    "rows": 100,
                    "tokens": int(200_000 * share),
                    "unique_tokens": 50_000,
                    "epochs": epochs,
                    "effective_tokens": 180_000 * share,
                    "natural": share / 2,
                    "uniform": 1 / 3,
                    "temperature": None,
                    "unimax": share,
                }
            )
    return pa.Table.from_pylist(rows, report.SCHEMA)


def _token_ledger(shapes: list[Any], counts: list[Any]) -> pa.Table:
    rows = []
    for s, source in enumerate(SOURCES):
        carried = 0
        for segment, (_, seq, _) in enumerate(shapes):
            room = counts[segment][s] * seq
            padding, dropped = room // 50, room // 100
            split = room // 5
            left = 0 if segment == 2 else 64
            rows.append(
                {
                    "source": source,
                    "segment": segment,
                    "stage": int(segment == 2),
                    "rows": counts[segment][s],
                    "seq": seq,
                    "drawn": room - padding + dropped + left - carried,
                    "kept": room - padding - split,
                    "split": split,
                    "dropped": dropped,
                    "carried": left,
                    "padding": padding,
                    "masked": room // 10,
                    "documents": counts[segment][s] * 3,
                }
            )
            carried = left
    return pa.Table.from_pylist(rows, token_ledger.SCHEMA)


def fit(store: Store) -> Dataset:
    """`mix/best`: two targets, 20 held-out runs and 5 test runs."""
    weights: dict[str, Any] = {
        "source": SOURCES,
        "weight": [0.2, 0.3, 0.5],
        "natural": [0.7, 0.2, 0.1],
        "uniform": [1 / 3] * 3,
        "temperature": [None] * 3,
        "unimax": [None] * 3,
        "cap": [1.0] * 3,
        "tokens": [None] * 3,
        "epochs": [None] * 3,
        "highest_share": [0.9, 0.8, 0.6],
    }
    effects = [
        [{"source": s, "value": v} for s, v in zip(SOURCES, values, strict=True)]
        for values in ((-1.0, 0.0, 1.0), (0.5, 0.25, -0.75))
    ]
    laws: dict[str, Any] = {
        name: [0.9, 0.8] for name in fit_report.LAWS.names if name not in ("target", "t")
    }
    laws |= {"target": ["news", HOSTILE], "t": effects, "spearman": [0.973, None]}
    laws |= {"ols_spearman": [0.831, 0.5]}
    predictions = [
        {
            "run": f"run-{n}",
            "target": target,
            "observed": 2 + n / 10,
            "predicted": None if n == 3 else 2 + n / 11,
            "ols": 2.5,
            "fold": -1 if n >= 20 else n % 5,
        }
        for n in range(25)
        for target in ("news", HOSTILE)
    ]
    outputs = {
        "": ("rows", [pa.table(weights, schema=fit_report.WEIGHTS)]),
        ".laws": ("rows", [pa.table(laws, schema=fit_report.LAWS)]),
        ".predictions": ("rows", [pa.Table.from_pylist(predictions, fit_report.PREDICTIONS)]),
    }
    facts = {"runs": 20, "spearman": 0.973, "ols_spearman": 0.6655, "gap": 1e-15}
    return put(store, "mix/best", outputs, use="mixture_fit", facts=facts)
