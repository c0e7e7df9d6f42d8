"""Synthesize: rows of a source through a flow of ops, into generated rows with a ledger.

In: a dataset, files or seeds, engines, and a list of ops. Out: rows, `.ledger`, `.completions`.
Shown by: `gristmill run pipelines/recipes/synth/diverse_qa.yaml`.
Limit: one worker by default, since one engine fills the machine; `workers: N` where the engine is
a server or a fake.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, ClassVar

from pydantic import Field, field_serializer, field_validator

from gristmill.errors import RecipeError, StoreError
from gristmill.step import Ahead, Output, Phase, Step, StepRun, Task
from synth.checks import check_flow, known_fields
from synth.driving.budget import Budget
from synth.driving.goodput import Goodput, facts
from synth.emit import Emit
from synth.engines.spec import EngineSpec, parse_spec
from synth.ledger import SELECTED, STATES
from synth.ops import SynthOp, dump_ops, every, parse_ops
from synth.select.top import Top
from synth.selecting import SCORES, find_cut, select
from synth.source import forms
from synth.source.rows import spans
from synth.task import set_up, synthesize

PHASE, SELECT = "generate", "select"


NO_MODEL = 5_000  # rows a core second of a flow that asks no model: order of magnitude


class Synthesize(Step):
    """Run a flow over every row of a source."""

    VERSION: ClassVar[int] = 1
    SAMPLED: ClassVar[bool] = True

    from_: dict[str, Any] | str | tuple[str, ...] = Field(alias="from")
    engines: dict[str, EngineSpec] = Field({})
    do: tuple[SynthOp, ...]
    seed: int = 0
    budget: Budget = Budget()
    rows: int | None = Field(None, ge=1)  # the first so many rows of the source
    task_rows: int = Field(50_000, ge=1)  # rows of one task and shard
    workers: int = Field(1, ge=1)  # processes, each with engines of its own
    window: int | None = Field(None, ge=1)  # rows under way at once

    @field_validator("from_")
    @classmethod
    def _known_source(cls, given: Any) -> Any:
        forms.check_source(given)
        return given

    @field_validator("engines", mode="before")
    @classmethod
    def _parse_engines(cls, given: Any) -> dict[str, EngineSpec]:
        if not isinstance(given, Mapping):
            raise RecipeError(f"engines is {given!r:.80}; write `{{main: {{vllm: {{model: …}}}}}}`")
        return {str(name): parse_spec(str(name), entry) for name, entry in given.items()}

    @field_validator("do", mode="before")
    @classmethod
    def _parse_ops(cls, entries: Any) -> tuple[SynthOp, ...]:
        return parse_ops(entries)

    @field_serializer("engines")
    def _dump_engines(self, engines: dict[str, EngineSpec]) -> dict[str, Any]:
        return {name: {spec.NAME: spec.config()} for name, spec in engines.items()}

    @field_serializer("do")
    def _dump_ops(self, ops: tuple[SynthOp, ...]) -> list[dict[str, Any]]:
        return dump_ops(ops)

    @property
    def emit(self) -> Emit:
        """The op that ends the flow."""
        last = self.do[-1] if self.do else None
        if not isinstance(last, Emit):
            raise RecipeError("do does not end with `emit`; say there what rows to write")
        return last

    @property
    def flow(self) -> tuple[SynthOp, ...]:
        """The ops before the emit."""
        return self.do[:-1]

    @property
    def top(self) -> Top | None:
        """The cut over all rows, if there is one."""
        last = self.flow[-1] if self.flow else None
        return last if isinstance(last, Top) else None

    def config(self) -> dict[str, Any]:
        found = super().config()
        for place in ("workers", "window"):
            del found[place]
        return found

    def forecast(self, ahead: Ahead) -> dict[str, Any]:
        if self.engines:
            return {}  # the rate of a model's answers
        rows = self.own_rows() or sum((ahead.amount(ref) or (0, 0))[0] for ref in self.inputs())
        found: dict[str, Any] = {"core_hours": round(rows / NO_MODEL / 3600, 4)}
        return found if self.flow else {**found, "documents": round(rows)}

    def own_rows(self) -> int | None:
        found = forms.own_rows(self.from_)
        return found if found is None or self.rows is None else min(found, self.rows)

    def inputs(self) -> list[str]:
        models = [ref for spec in self.engines.values() for ref in spec.inputs()]
        return list(dict.fromkeys([*forms.datasets(self.from_), *models]))

    def files(self) -> list[str]:
        found = forms.patterns(self.from_)
        found += [file for spec in self.engines.values() for file in spec.files()]
        for op in every(self.do):
            try:
                found += op.files()
            except RecipeError as error:
                raise RecipeError(f"op {op.NAME!r}: {error}") from None
        return list(dict.fromkeys(found))

    def limited(self) -> bool:
        return isinstance(self.from_, dict)

    def packages(self) -> list[str]:
        engines = {package for spec in self.engines.values() for package in spec.packages()}
        return sorted(engines | {package for op in every(self.do) for package in op.packages()})

    def check(self) -> None:
        for spec in self.engines.values():
            spec.check()
        if self.budget.cost is not None and not any(
            getattr(spec, "price", None) for spec in self.engines.values()
        ):
            raise RecipeError(
                "budget.cost needs the `price` of an engine, {input: 0.2, output: 0.6} for a "
                "million tokens; without one nothing costs anything"
            )
        check_flow(self.do, self.engines, forms.schema(self.from_, None))

    def check_recipe(self, ahead: Ahead) -> None:
        if isinstance(self.from_, dict):
            return
        found = [ahead.dataset(ref) for ref in forms.datasets(self.from_)]
        there = [dataset for dataset in found if dataset is not None]
        if len(there) == len(found):
            check_flow(self.do, self.engines, forms.schema_of_all(there))

    def outputs(self) -> dict[str, Output]:
        return {
            "": Output(self.emit.kind, "generated rows"),
            ".ledger": Output("ledger", "what became of every source row"),
            ".completions": Output("rows", "every completion, kept or not"),
        }

    def phases(self, run: StepRun) -> Iterator[Phase]:
        source = forms.schema(self.from_, run)
        assert source is not None
        check_flow(self.do, self.engines, source)
        schema = self.emit.row_schema(known_fields(source, self.flow))
        limits = [n for n in (self.rows, run.limit if self.limited() else None) if n is not None]
        parts = forms.parts(self.from_, run, self.seed, self.task_rows)
        ranges = spans(parts, self.task_rows, min(limits, default=None))
        tasks = [
            Task(f"{place:05d}", synthesize, {"span": span}, max(1, span.rows))
            for place, span in enumerate(ranges)
        ]
        loaded = {name: spec.resolved(run.inputs) for name, spec in self.engines.items()}
        ready = self.model_copy(update={"engines": loaded})
        setup = partial(set_up, ready, str(run.store.path), schema)
        budgeted = self.budget != Budget()
        workers = 1 if budgeted else self.workers
        yield Phase(PHASE, tasks, worker_setup=setup, unit="rows", workers=workers)
        if self.top is not None:
            folders = [record.folder / "files" for record in run.records(PHASE)]
            cut = find_cut([folder / SCORES for folder in folders], self.top)
            given = {"cut": cut, "schema": schema}
            yield Phase(
                SELECT,
                [
                    Task(task.id, select, {"folder": str(folder), **given}, task.size)
                    for task, folder in zip(tasks, folders, strict=True)
                ],
                unit="rows",
            )
        _tell(run, selected=self.top is not None)


def _tell(run: StepRun, selected: bool) -> None:
    """Facts and warnings from the tasks' records; the counts must add up."""
    total, states = Goodput(), Counter[str]()
    for record in run.records(PHASE):
        total.add(Goodput.of(record.value["goodput"]))
        states.update(record.value["states"])
    for note in dict.fromkeys(n for record in run.records(PHASE) for n in record.value["notes"]):
        run.note(note)
    if selected:
        states, after = Counter[str](), [record.value for record in run.records(SELECT)]
        for value in after:
            states.update(value["states"])
            total.filtered[SELECTED] += value["cut"]
        kept = sum(value["kept_tokens"] for value in after)
        total.lost_tokens[SELECTED] += total.kept_tokens - kept
        total.kept_tokens = kept
    rows = sum(record.value["rows"] for record in run.records(PHASE))
    listed = run.records(SELECT if selected else PHASE)
    told = sum(shard["rows"] for record in listed for shard in record.shards[".ledger"])
    if not rows == told == sum(states[name] for name in STATES):
        raise StoreError(
            f"{rows} rows in, {told} in the ledger, {dict(states)}: this is a defect, please "
            "report it"
        )
    run.facts["rows"] = {"in": rows, **{name: states[name] for name in STATES}}
    run.facts["goodput"] = facts(total)
    reasons = total.failed + total.filtered
    top = ", ".join(f"{name} {count:,}" for name, count in reasons.most_common(3))
    if rows and not states["kept"]:
        run.note(f"no row was kept of {rows:,}: {top or dict(states)}")
    elif states["kept"] * 2 < rows:
        run.note(f"{states['kept']:,} of {rows:,} rows were kept; candidates lost: {top}")
    if states["pending"]:
        run.note(
            f"the budget ended with {states['pending']:,} of {rows:,} rows pending; a larger one "
            "goes on from here: what was made is in the request log"
        )
