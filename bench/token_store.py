"""Token datasets and a mixture of them for the plan's claims, and the same documents for its peers.

In: lengths like those of web pages (bench.packing). Out: in `.bench/corpora`, a store of four
sources of random tokens with the mixture `mix`, Megatron's and datatrove's files, Arrow folders of
Hugging Face datasets; and a mixture of 10^9 rows whose shards are one shard, linked many times.
Shown by: `python -m bench.token_store`. Limit: what the tokens are makes no difference to any side.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from bench import corpora
from bench.packing import lengths
from gristmill.ids import schema_text
from gristmill.schema import PACKED, PIECES
from gristmill.shards import ShardWriter
from gristmill.step import Output, Phase, Step, StepRun, Task, TaskContext
from gristmill.store import Store
from mixtures.blend.step import Mixture
from mixtures.export.run import export
from mixtures.plan.block import arrange, quantise, rows_of, slots_for
from mixtures.tokens.tokenizers import SCHEMA, settle, table_of
from tests.run_step import InProcess, run_step

SHARES = {"web": 4, "novels": 3, "news": 2, "maths": 1}
VOCABULARY, SEQ, BATCH = 50_000, 2048, 8
HUGE_ROWS, LINKED_ROWS = 10**9, 8_000_000


class RandomTokens(Step):
    """Documents of given lengths, of random tokens."""

    lengths: str
    part: tuple[int, int]  # of ten
    seed: int

    def outputs(self) -> dict[str, Output]:
        return {"": Output("tokens"), ".tokenizer": Output("tokenizer")}

    def phases(self, run: StepRun) -> Iterator[Phase]:
        args = {"path": self.lengths, "part": self.part, "seed": self.seed}
        yield Phase("make", [Task("0", _random_tokens, args)])


def _random_tokens(ctx: TaskContext, path: str, part: tuple[int, int], seed: int) -> dict[str, Any]:
    words = {"<eos>": 0, **{f"w{n}": n for n in range(1, VOCABULARY)}}
    model = Tokenizer(WordLevel(words, unk_token="<eos>"))
    model.add_special_tokens(["<eos>"])
    files = settle({"tokenizer.json": model.to_str().encode()}, {"eos": "<eos>"}, "bench")
    ctx.writer(".tokenizer", SCHEMA).write(table_of(files))
    every = np.load(path)
    counts = every[len(every) * part[0] // 10 : len(every) * part[1] // 10]
    draw = np.random.default_rng(seed)
    starts = np.cumsum(counts, dtype=np.int64) - counts
    fields = [("id", pa.string()), ("start", pa.int64()), ("count", pa.int32())]
    writer = ctx.writer("", pa.schema([*fields, ("tokens", pa.binary())]))
    for first in range(0, len(counts), 500):
        some = counts[first : first + 500]
        tokens = draw.integers(1, VOCABULARY, int(some.sum())).astype(np.uint16)
        offsets = np.concatenate([[0], np.cumsum(some)]).astype(np.int32) * 2
        buffers = [None, pa.py_buffer(offsets), pa.py_buffer(tokens)]
        columns = {
            "id": [f"{seed}-{first + n}" for n in range(len(some))],
            "start": starts[first : first + 500],
            "count": some,
            "tokens": pa.Array.from_buffers(pa.binary(), len(some), buffers),
        }
        writer.write(pa.table(columns))
    return {}


def token_store(tokens: int) -> Path:
    """A folder with `store`, `megatron`, `datatrove` and `datasets`, made once."""
    path, temporary, there = corpora.fresh_path(f"tokens-{tokens // 1_000_000}m")
    if there:
        return path
    shutil.rmtree(temporary, ignore_errors=True)
    store, first = Store(temporary / "store"), 0
    for number, (name, share) in enumerate(SHARES.items()):
        of = {"lengths": str(lengths(1000, tokens)), "part": (first, first + share)}
        run_step(
            RandomTokens(name=f"tokens/{name}", use="random", seed=number, **of),
            store,
            executor=InProcess(),
        )  # type: ignore[arg-type]
        first += share
    sources = {name: f"tokens/{name}" for name in SHARES}
    total = sum(
        int(store[ref].to_table(["count"])["count"].to_numpy().sum()) for ref in sources.values()
    )
    shape = [{"seq": SEQ, "batch": BATCH}]
    mixture = {"sources": sources, "budget": int(total * 0.98), "shape": shape, "pack": "concat"}
    run_step(
        Mixture.model_validate({"name": "mix", "use": "mixture", **mixture}),
        store,
        executor=InProcess(),
    )
    for name, ref in sources.items():
        export(store[ref], "megatron", temporary / "megatron" / name)
        export(store[ref], "datatrove", temporary / "datatrove" / name)
        _arrow(store, ref, temporary / "datasets" / name)
    return corpora.publish(path, temporary)


def _arrow(store: Store, ref: str, path: Path) -> None:
    """A source as Hugging Face datasets keep it: lists of int32."""
    from datasets import Dataset

    table = store[ref].to_table(["count", "tokens"])
    tokens = b"".join(table["tokens"].to_pylist())
    ends = np.cumsum([0, *table["count"].to_pylist()])
    values = pa.array(np.frombuffer(tokens, np.uint16).astype(np.int32))
    lists = pa.ListArray.from_arrays(pa.array(ends, pa.int32()), values)
    Dataset(pa.table({"input_ids": lists})).save_to_disk(str(path))


def huge_store() -> Path:
    """A store with the mixture `mix` of 10^9 rows, whose shards are hard links to one."""
    path, temporary, there = corpora.fresh_path("rows-1e9")
    if there:
        return path
    shutil.rmtree(temporary, ignore_errors=True)
    store = Store(temporary)
    small = {"lengths": str(lengths(1000, 1_000_000)), "part": (0, 10), "seed": 0}
    run_step(RandomTokens(name="tokens/web", use="random", **small), store, executor=InProcess())  # type: ignore[arg-type]
    counts = store["tokens/web"].to_table(["count"])["count"].to_numpy()
    links = HUGE_ROWS // LINKED_ROWS
    for name, kind, fields in (("mix", "packed", PACKED), ("mix.pieces", "pieces", PIECES)):
        _linked(store, name, kind, fields, links, counts)
    each = HUGE_ROWS // len(SHARES)
    block = quantise([1.0] * len(SHARES), slots_for(HUGE_ROWS))
    rows = rows_of(arrange(block), HUGE_ROWS).tolist()
    assert rows == [each] * len(SHARES)
    dataset = store["tokens/web"]
    source = {"ref": dataset.ref, "documents": dataset.rows, "tokens": int(counts.sum())}
    segment = {"rows": HUGE_ROWS, "seq": SEQ, "batch": 2048, "block": block.tolist()}
    spec = {
        "format": 1,
        "name": "mix",
        "seed": 0,
        "tokenizer": store["tokens/web.tokenizer"].ref,
        "vocab_size": VOCABULARY,
        "pad": 0,
        "attention": "document",
        "sources": [{"name": n, **source, "rows": each, "pieces": each} for n in SHARES],
        "segments": [{**segment, "counts": rows}],
        "injected": {"source": None, "positions": []},
    }
    with ShardWriter(temporary / "plan", pa.schema([("spec", pa.string())])) as writer:
        writer.write(pa.table({"spec": [json.dumps(spec)]}))
    _version(store, "mix.plan", "rows", temporary / "plan" / "00000.parquet", 1, 1)
    outputs = {name: "0" * 12 for name in ("mix", "mix.pieces", "mix.plan")}
    record = {"name": "mix", "outputs": outputs, "created_at": "", "fingerprint": "0" * 64}
    (temporary / "mix" / "builds").mkdir()
    (temporary / "mix" / "builds" / f"{'0' * 12}.json").write_text(json.dumps(record))
    return corpora.publish(path, temporary)


def _linked(
    store: Store, name: str, kind: str, fields: dict[str, Any], links: int, counts: Any
) -> None:
    """A version of `links` shards, each of LINKED_ROWS rows of one piece."""
    schema = pa.schema(list(fields.items()))
    folder = store.path / f"shard-{kind}"
    with ShardWriter(folder, schema, kind) as writer:
        for first in range(0, LINKED_ROWS, 500_000):
            place = np.arange(first, first + 500_000)
            document = place % len(counts)
            size = np.minimum(counts[document], SEQ)
            given = {"first_piece": place, "pieces": 1, "tokens": size, "document": document}
            given |= {"length": size}
            columns = [
                pa.array(np.broadcast_to(given.get(field, 0), len(place))).cast(type_)
                for field, type_ in fields.items()
            ]
            writer.write(pa.table(columns, schema=schema))
    assert [record["rows"] for record in writer.records] == [LINKED_ROWS]
    _version(store, name, kind, folder / "00000.parquet", links, LINKED_ROWS)


def _version(store: Store, name: str, kind: str, shard: Path, links: int, rows: int) -> None:
    """A version whose shards are one file."""
    folder = store.path / name / ("0" * 12)
    folder.mkdir(parents=True)
    for number in range(links):
        os.link(shard, folder / f"{number:05d}.parquet")
    shards = [{"file": f"{number:05d}.parquet", "rows": rows} for number in range(links)]
    manifest = {"format": 1, "kind": kind, "shards": shards, "totals": {"rows": links * rows}}
    manifest["schema"] = schema_text(pq.read_schema(shard))
    (folder / ".manifest.json").write_text(json.dumps(manifest))
    (store.path / name / "refs").mkdir()
    (store.path / name / "refs" / "latest").write_text("0" * 12 + "\n")


if __name__ == "__main__":
    print(token_store(4_000_000), huge_store(), sep="\n")
