"""tokenize: documents or chats into tokens, one row each, in the store once for all mixtures.

In: a dataset with the columns id and text (or of kind chat), and a tokenizer. Out: kind `tokens`;
`.tokenizer`, which is what made them; `.report`, what came out of each source.
Shown by: `- {name: tokens/web, use: tokenize, from: web/final, tokenizer: tok/bpe}`.
Limit: a task is about 64 MB of text, and starts over when it is killed.

Rows in = rows out, in order. Tasks are cut by rows and bytes of the input's shards, never by
workers or by how the files are laid out; each makes shards of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from gristmill.errors import GristmillError, RecipeError, nearest
from gristmill.step import Output, Phase, Step, StepRun, Task, TaskContext
from gristmill.store import Dataset
from mixtures.tokens.encode import Encoder, Special, encode, open_encoder
from mixtures.tokens.read import read_rows
from mixtures.tokens.report import REPORT, Account, report_rows
from mixtures.tokens.tokenize_chats import open_chats, tokenize_chats, with_template
from mixtures.tokens.tokenizer_sources import (
    Source,
    check_source,
    dataset_of,
    files_of,
    read_source,
)
from mixtures.tokens.tokenizers import (
    AUTO,
    ROLES,
    SCHEMA,
    from_files,
    settle,
    special_tokens,
    table_of,
)

PART_BYTES = 64 << 20  # of text: a task of some 20 seconds
CARRIED = ("source", "language", "topic", "format")
_OURS = ("id", "start", "count", "tokens", "loss_mask", "text")


class Tokenize(Step):
    """Turn documents into tokens."""

    VERSION: ClassVar[int] = 1

    from_: str = Field(alias="from")
    tokenizer: Source  # a dataset, ./folder or file.json, or {hub: org/name, revision: commit}
    eos: str | None = AUTO  # appended to each document: a token, auto: the tokenizer's, null: none
    bos: str | None = None  # put before each document: a token, auto, or null: none
    pad: str = AUTO  # what trainers fill rows with, kept in .tokenizer
    special: Special = "text"  # what the name of a special token inside a document becomes
    columns: tuple[str, ...] | None = None  # carried on; null: source, language, topic, format
    template: str | None = None  # of chats: a file; default: the tokenizer's own, else ours

    def inputs(self) -> list[str]:
        tokenizer = dataset_of(self.tokenizer)
        return [self.from_] if tokenizer is None else [self.from_, tokenizer]

    def files(self) -> list[str]:
        return files_of(self.tokenizer) + ([self.template] if self.template else [])

    def packages(self) -> list[str]:
        return ["tokenizers"]

    def config(self) -> dict[str, Any]:
        """With files in the place of a folder, so that they count by their content."""
        files = files_of(self.tokenizer)
        found = {**super().config(), "tokenizer": files} if files else super().config()
        if self.template is None:
            del found["template"]
        return found

    def check(self) -> None:
        check_source(self.tokenizer)
        if files_of(self.tokenizer):
            settled(self, read_source(self.tokenizer, {}, ""))

    def outputs(self) -> dict[str, Output]:
        return {
            "": Output("tokens", "one row a document"),
            ".tokenizer": Output("tokenizer", "the tokenizer's files, special tokens settled"),
            ".report": Output("rows", "documents and tokens of each source"),
        }

    def phases(self, run: StepRun) -> Iterator[Phase]:
        dataset = run.inputs[self.from_]
        chats = dataset.manifest["kind"] == "chat"
        if self.template is not None and not chats:
            raise RecipeError(f"template: {dataset.ref} is no dataset of chats; leave it out")
        columns = carried(dataset, self.columns, "messages" if chats else "text")
        versions = {ref: found.ref for ref, found in run.inputs.items()}
        args = {"step": self, "versions": versions, "chats": chats}
        yield Phase("tokenizer", [Task("tokenizer", _settle, args)], unit="tokenizers")
        made = run.records("tokenizer")[0]
        run.facts.update(made.value["facts"])
        ends, folder = made.value["ends"], str(made.path("tokenizer"))
        setup: partial[Any] = partial(open_encoder, folder, ends["bos"], ends["eos"], self.special)
        call: Any = _tokenize
        if chats:
            setup, call = partial(open_chats, folder), tokenize_chats
        tasks = [
            Task(
                f"{shard:05d}-{number:04d}",
                call,
                {"path": str(dataset.files[shard]), "first": a, "end": b, "columns": columns},
                max(1, b - a),
            )
            for shard, entry in enumerate(dataset.manifest["shards"])
            for number, (a, b) in enumerate(_parts(entry["rows"], entry["text_bytes"]))
        ]
        yield Phase("tokenize", tasks, worker_setup=setup, unit="rows")
        account = Account()
        for record in run.records("tokenize"):
            account.join(record.value["sources"])
        run.facts["tokens"] = account.total("tokens")
        for note in account.notes():
            run.note(note)
        if chats and (empty := account.total("empty")):
            run.note(f"{empty:,} chats have no tokens: no answer, or refused by the chat template")
        report = {"sources": account.value()}
        yield Phase("report", [Task("report", _report, report)], unit="reports")


def settled(
    step: Tokenize, files: Mapping[str, bytes]
) -> tuple[dict[str, bytes], dict[str, int | None]]:
    """Files to keep, and the ids of EOS and BOS to write (None: none)."""
    named = {"eos": step.eos, "bos": step.bos, "pad": step.pad}
    where = f"tokenizer {getattr(step.tokenizer, 'hub', step.tokenizer)!r}"
    kept = settle(files, {role: token or AUTO for role, token in named.items()}, where)
    loaded = from_files(kept, where)
    ends: dict[str, int | None] = {"eos": None, "bos": None}
    for role in ends:
        if named[role] is None:
            continue
        ends[role] = getattr(loaded, role)
        if ends[role] is None:
            known = ", ".join(map(repr, special_tokens(loaded.tokenizer))) or "none"
            raise GristmillError(
                f"{where}: its files name no {role}; its special tokens: {known}. Write one of "
                f"them as `{role}: …`, or `{role}: null` for documents without it"
            )
    return kept, ends


def carried(dataset: Dataset, asked: tuple[str, ...] | None, content: str = "text") -> list[str]:
    """Columns to carry on; RecipeError where there is no content, or not what is asked for."""
    there = dataset.schema.names
    for needed in ("id", content):
        if needed not in there:
            raise RecipeError(
                f"{dataset.ref} ({dataset.manifest['kind']}) has no column {needed!r}, which "
                f"`tokenize` reads; its columns: {', '.join(there)}"
            )
    if content == "text" and not (
        pa.types.is_string(type_ := dataset.schema.field("text").type)
        or pa.types.is_large_string(type_)
    ):
        raise RecipeError(f"{dataset.ref}: column 'text' holds {type_}, not strings")
    if asked is None:
        return [name for name in CARRIED if name in there]
    for name in asked:
        if name in _OURS:
            raise RecipeError(f"columns: {name!r} cannot be carried: tokens have their own of it")
        if name not in there:
            raise RecipeError(
                f"columns: {dataset.ref} has no column {name!r}{nearest(name, there)}"
            )
    return list(dict.fromkeys(asked))


def _parts(rows: int, text_bytes: int) -> Iterator[tuple[int, int]]:
    """Row ranges of one shard, by what its manifest says."""
    parts = max(1, min(rows, -(-text_bytes // PART_BYTES)))
    for number in range(parts):
        yield number * rows // parts, (number + 1) * rows // parts


def _settle(
    ctx: TaskContext, step: Tokenize, versions: dict[str, str], chats: bool
) -> dict[str, Any]:
    """Write the tokenizer down: as an output, and as files for the workers."""
    files, ends = settled(step, read_source(step.tokenizer, versions, ctx.run.store))
    if chats:
        files = with_template(files, step.template)
    folder = ctx.path("tokenizer")
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    ctx.writer(".tokenizer", SCHEMA).write(table_of(files))
    loaded = from_files(files, step.name)
    facts = {role: getattr(loaded, role) for role in ROLES}
    facts |= {"vocab_size": loaded.vocab_size, "dtype": loaded.dtype.name}
    return {"ends": ends, "facts": facts}


def _tokenize(
    ctx: TaskContext, path: str, first: int, end: int, columns: list[str]
) -> dict[str, Any]:
    """Rows first..end of one shard."""
    encoder: Encoder = ctx.state
    types = pq.read_schema(path)
    ours = [("id", pa.string()), ("start", pa.int64()), ("count", pa.int32())]
    fields = [*ours, ("tokens", pa.binary()), *((c, types.field(c).type) for c in columns)]
    writer = ctx.writer("", pa.schema(fields))
    by_source = "source" in columns and pa.types.is_string(types.field("source").type)
    account = Account()
    start = 0
    for batch in read_rows(path, first, end, ["id", "text", *columns]):
        made = encode(encoder, batch["text"])
        counts = made.counts.astype(np.int64)
        starts = start + np.cumsum(counts) - counts
        start += int(counts.sum())
        arrays = [batch["id"], pa.array(starts), pa.array(made.counts), made.column()]
        arrays += [batch[name] for name in columns]
        writer.write(pa.table(arrays, schema=writer.schema))
        account.add(batch["source"] if by_source else None, batch["text"], made, encoder.loaded.unk)
        ctx.advance(batch.num_rows)
    return {"sources": account.value()}


def _report(ctx: TaskContext, sources: dict[str, Any]) -> dict[str, Any]:
    """One row a source."""
    ctx.writer(".report", REPORT).write(report_rows(sources))
    return {}
