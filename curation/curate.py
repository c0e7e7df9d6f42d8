"""Curate: one streaming pass from records to documents, and a ledger of every record.

In: files (WARC, JSONL, …) or a dataset, and a list of ops. Out: documents, `.ledger`, `.rejected`.
Shown by: `gristmill run pipelines/recipes/fineweb.yaml --only web/clean`.
Limit: an op sees one batch; what compares rows with each other is a step of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field, field_serializer, field_validator

from curation.ops import Op, parse_op
from curation.readers import (
    RAW,
    Reading,
    Source,
    Split,
    check_declared,
    is_source,
    mismatched,
    parse_source,
    plan_splits,
    read,
)
from curation.segments import MAX_DOC_BYTES, OpenOp, cut, open_ops, refine, refine_one_by_one
from gristmill.errors import GristmillError, RecipeError
from gristmill.step import Output, Phase, Step, StepRun, Task, TaskContext


class Curate(Step):
    """Read records, run ops over them in one pass, write documents and the ledger."""

    VERSION: ClassVar[int] = 1

    from_: dict[str, Any] | str = Field(alias="from")  # {warc: glob, …} or a dataset
    ops: tuple[Op, ...] = ()
    evaluate: Literal["segment", "all"] = "segment"  # all: every op sees every row (exact sweeps)
    rejected: bool = False  # keep the text of dropped rows as the output `.rejected`
    source: str | None = None  # value of the column `source`; default: each record's file
    max_doc_bytes: int = Field(MAX_DOC_BYTES, gt=0)  # larger bodies and texts: a counted drop

    @field_validator("from_")
    @classmethod
    def _known_source(cls, given: dict[str, Any] | str) -> dict[str, Any] | str:
        try:
            if isinstance(given, dict):
                parse_source({key: v for key, v in given.items() if key != "declare"})
                if "declare" in given:
                    check_declared(given["declare"])
        except RecipeError as error:
            raise RecipeError(f"from: {error}") from None
        return given

    @field_validator("ops", mode="before")
    @classmethod
    def _parse_ops(cls, entries: Any) -> tuple[Op, ...]:
        if not isinstance(entries, list | tuple):
            raise ValueError(
                f"ops is {entries!r:.80}; it is a list, e.g. `- rules: gopher_quality`"
            )
        return tuple(entry if isinstance(entry, Op) else parse_op(entry) for entry in entries)

    @field_serializer("ops")
    def _dump_ops(self, ops: tuple[Op, ...]) -> list[dict[str, Any]]:
        return [{op.NAME: op.model_dump(mode="json", by_alias=True)} for op in ops]

    def reads(self) -> Source | None:
        """The files read, or None where a dataset is."""
        source = self.from_
        if isinstance(source, dict):
            return parse_source({key: v for key, v in source.items() if key != "declare"})
        return parse_source(source) if is_source(source) else None

    def inputs(self) -> list[str]:
        return [] if self.reads() else [str(self.from_)]

    def files(self) -> list[str]:
        source = self.reads()
        found = list(source.patterns) if source else []
        return [*found, *(file for op in self.ops for file in op.files())]

    def packages(self) -> list[str]:
        return sorted({package for op in self.ops for package in op.packages()})

    def check(self) -> None:
        open_ops(self.ops)  # loads models and lists: better now than after an hour

    def outputs(self) -> dict[str, Output]:
        found = {
            "": Output("document", "documents kept"),
            ".ledger": Output("ledger", "what became of every record, with every signal"),
        }
        if self.rejected:
            found[".rejected"] = Output("document", "documents dropped, as they were then")
        return found

    def phases(self, run: StepRun) -> Iterator[Phase]:
        setup = partial(_set_up, self)
        splits = self._splits(run)
        if run.limit is not None:
            # One task: the first N records in order are the same for any number of workers.
            args = {"splits": splits, "limit": run.limit}
            tasks = [Task("limited", _curate, args, sum(s.size for s in splits))]
            yield Phase("documents", tasks, worker_setup=setup)
            _tell_crashes(run, "documents")
            return
        tasks = [_task(index, split) for index, split in enumerate(splits)]
        yield Phase("documents", tasks, worker_setup=setup)
        _tell_crashes(run, "documents")
        _warn(run)
        cuts = [split for split in splits if isinstance(split, Split)]
        if not cuts:
            return
        skipped: Counter[str] = Counter()
        for record in run.records("documents"):
            skipped.update(record.value["report"].get("skipped", {}))
        run.facts["records_without_page"] = dict(sorted(skipped.items()))  # warcinfo, request, …
        # What only looked like a record (a .warc.gz inside a .warc.gz) was cut: read those uncut.
        again = mismatched(cuts, [r.value["report"] for r in run.records("documents")])
        for indices, _ in again:
            for index in indices:
                run.discard("documents", tasks[index].id)
        if again:
            uncut = [_task(index, whole) for index, (_, whole) in enumerate(again)]
            yield Phase("uncut", uncut, worker_setup=setup)
            _tell_crashes(run, "uncut")

    def _splits(self, run: StepRun) -> list[Split | _Shard]:
        source = self.reads()
        if source is not None:
            return list(plan_splits(source))
        files = run.inputs[str(self.from_)].files
        return [_Shard(str(path), path.stat().st_size) for path in files]


def _tell_crashes(run: StepRun, phase: str) -> None:
    marks = [mark for record in run.records(phase) for mark in record.value["crashed"]]
    if marks:
        run.note(
            f"{len(marks)} records crash a worker and were left out "
            f"(`read.crashed_worker` in the ledger): {', '.join(marks[:3])}"
        )


def _warn(run: StepRun) -> None:
    """Say so where nothing is left: a WARC read as JSONL is a run of bad lines, not a crash."""
    reasons: Counter[str] = Counter()
    rows = kept = 0
    for record in run.records("documents"):
        kept += sum(shard["rows"] for shard in record.shards[""])
        for shard in record.shards[".ledger"]:
            rows += shard["rows"]
            reasons.update(shard["counts"].get("reason", {}))
    if kept or not rows:
        if not rows:
            run.note("the input holds no record; is it the right format?")
        return
    reason, count = max(sorted(reasons.items()), key=lambda item: item[1])
    hint = "; is it the right format?" if reason.startswith("read.") else ""
    run.note(f"no document is left of {rows:,} records: {count:,} fail {reason}{hint}")


def _task(index: int, split: Split | _Shard) -> Task:
    return Task(f"{index:05d}", _curate, {"splits": [split]}, split.size)


@dataclass(frozen=True, slots=True)
class _Shard:
    """A shard of a dataset that is curated again."""

    path: str
    size: int


@dataclass(frozen=True, slots=True)
class _State:
    """What lives as long as a worker."""

    step: Curate
    segments: list[list[OpenOp]]
    documents: pa.Schema
    ledger: pa.Schema


def _set_up(step: Curate) -> _State:
    segments = cut(open_ops(step.ops))
    # No rows through all ops: the schemas of what they write, equal in every worker.
    nothing = refine(pa.RecordBatch.from_pylist([], RAW), segments, step.source)
    return _State(step, segments, nothing.kept.schema, nothing.ledger.schema)


def _curate(
    ctx: TaskContext, splits: list[Split | _Shard], limit: int | None = None
) -> dict[str, Any]:
    """One task: every record of its splits through all ops."""
    state: _State = ctx.state
    whole = state.step.evaluate == "all"
    source, most = state.step.source, state.step.max_doc_bytes
    rows = 0
    documents = ctx.writer("", state.documents)
    ledger = ctx.writer(".ledger", state.ledger)
    rejected = ctx.writer(".rejected", state.documents) if state.step.rejected else None
    report: dict[str, Any] = {}
    for split in splits:
        reading = _read_shard(split.path) if isinstance(split, _Shard) else read(split)
        at = 0
        for raw in reading:
            if limit is not None:
                raw = raw.slice(0, limit - rows)
            one_pass = refine_one_by_one if ctx.careful else refine
            done = one_pass(raw, state.segments, source, whole, ctx.skip, most)
            if done.ledger.num_rows != raw.num_rows:
                raise GristmillError(
                    f"{raw.num_rows} records in, {done.ledger.num_rows} accounted for: "
                    "this is a defect, please report it"
                )
            documents.write(done.kept)
            ledger.write(done.ledger)
            if rejected is not None:
                rejected.write(done.rejected)
            rows += raw.num_rows
            if isinstance(split, Split) and len(split.files) == 1 and split.format != "parquet":
                last = raw.num_rows - 1
                now = raw["offset"][last].as_py() + raw["length"][last].as_py() - split.first
                ctx.advance(max(0, now - at))
                at = max(at, now)
            if limit is not None and rows >= limit:
                return {"rows": rows, "report": {}, "crashed": sorted(ctx.skip)}
        report = reading.report if isinstance(reading, Reading) else {}
    return {"rows": rows, "report": report, "crashed": sorted(ctx.skip)}


def _read_shard(path: str) -> Iterator[pa.RecordBatch]:
    """Documents as RAW batches: same ids and locators, text instead of payload."""
    with pq.ParquetFile(path) as parquet:
        for group in range(parquet.num_row_groups):  # batches must not join groups: 24 MB each
            for batch in parquet.iter_batches(2048, [group]):
                yield from _as_raw(pa.table(batch)).to_batches()


def _as_raw(table: pa.Table) -> pa.Table:
    have = set(table.schema.names)
    columns: Iterable[pa.Array] = [
        table[field.name].cast(field.type)
        if field.name in have
        else pa.nulls(table.num_rows, field.type)
        for field in RAW
    ]
    return pa.table(list(columns), schema=RAW)
