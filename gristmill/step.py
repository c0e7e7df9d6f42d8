"""Steps: what a recipe names, and all that an executor needs to run it.

In: a validated model. Out: phases of independent tasks; each task publishes one directory.
Shown by: `gristmill plan RECIPE`. Limit: a task must be a top-level function with picklable
arguments, because it may run in another process or on another machine.

A step's `phases()` is a generator: what follows a `yield` runs at the barrier, when every task of
the phase has its record, and may read those records to make the next tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, model_validator

from gristmill.ids import canonical_json
from gristmill.store import Dataset, Store
from gristmill.task import TaskContext, TaskRecord
from gristmill.values import check_values

BYTES_A_TOKEN = 4.2  # English web text under current BPE vocabularies


@dataclass(frozen=True, slots=True)
class Output:
    """One output of a step: the kind of its rows, and its role for people."""

    kind: str  # a key of gristmill.schema.KINDS
    about: str = ""


@dataclass(frozen=True, slots=True)
class Resources:
    """What one task needs. A gang is nodes × gpus that start together (torchrun)."""

    cpus: int = 1
    gpus: int = 0
    nodes: int = 1
    memory_gb: float = 1.5


@dataclass(frozen=True, slots=True)
class Task:
    """One unit of work: `call(ctx, **args)` returns a JSON-able record (or None).

    `id` names the task within its phase and must be a function of input and recipe alone; the order
    of tasks is the order of their output shards.
    """

    id: str
    call: Callable[..., Mapping[str, Any] | None]
    args: Mapping[str, Any] = field(default_factory=dict)
    size: int = 1  # units of progress, usually bytes


@dataclass(frozen=True, slots=True)
class Phase:
    """Tasks that may run in any order and at once; the next phase starts when all are done."""

    name: str
    tasks: Sequence[Task]
    resources: Resources = Resources()
    worker_setup: Callable[[], Any] | None = None  # built once a worker: ctx.state
    unit: str = "B"
    workers: int | None = None  # at most so many at once: a model that fills the machine
    saves: bool = False  # its tasks save what they have when asked to stop: gristmill.stopping


@dataclass(slots=True)
class StepRun:
    """One run of a step as its `phases()` sees it."""

    store: Store
    name: str
    fingerprint: str
    staging: Path
    inputs: dict[str, Dataset]  # by the reference that the step declared
    files: dict[str, list[Any]]  # by the glob that the step declared: gristmill.fs.InputFile
    limit: int | None = None
    discarded: set[tuple[str, str]] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)  # shown to the user and kept in the build record
    facts: dict[str, Any] = field(default_factory=dict)  # kept in the build record

    def records(self, phase: str) -> list[TaskRecord]:
        """Records of a finished phase, in the order of its tasks."""
        return self._records[phase]

    def discard(self, phase: str, task: str) -> None:
        """Leave a finished task's shards out of the commit (a later task replaces them)."""
        self.discarded.add((phase, task))

    def note(self, message: str) -> None:
        """A warning for the user: printed at the end of the step and kept in the build record."""
        self.notes.append(message)

    _records: dict[str, list[TaskRecord]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ahead:
    """What the planner knows of the datasets that a step names, before anything runs."""

    store: Store
    steps: Mapping[str, Step]  # of the recipe, by the name of each output
    versions: Mapping[str, str]  # of those that are built
    amounts: Mapping[str, tuple[float, float]]  # rows and tokens, counted or forecast

    def step(self, ref: str) -> Step | None:
        """The step of the recipe that makes it."""
        return self.steps.get(ref.partition("@")[0])

    def dataset(self, ref: str) -> Dataset | None:
        """The version, where it is built."""
        name = ref.partition("@")[0]
        if name in self.steps:
            return Dataset(self.store, name, self.versions[name]) if name in self.versions else None
        return self.store[ref]

    def amount(self, ref: str) -> tuple[float, float] | None:
        """Rows and tokens."""
        name = ref.partition("@")[0]
        if name in self.amounts:
            return self.amounts[name]
        dataset = self.dataset(ref)
        if dataset is None:
            return None
        totals = dataset.manifest["totals"]
        return totals["rows"], totals["text_bytes"] / BYTES_A_TOKEN


class Step(BaseModel):
    """Base of all steps. Fields are what a user writes; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
    VERSION: ClassVar[int] = 1  # raise it when the same input gives other rows
    SAMPLED: ClassVar[bool] = False  # a model's sampling: the first build of a fingerprint wins
    PATTERNS: ClassVar[tuple[str, ...]] = ()  # keys in which `eval/*` names steps before this one

    name: str
    use: str

    @model_validator(mode="before")
    @classmethod
    def _plain_values(cls, given: Any) -> Any:
        check_values(cls, given)
        return given

    def inputs(self) -> list[str]:
        """References `name` or `name@version` of the datasets read."""
        return []

    def files(self) -> list[str]:
        """Paths and globs that the config points to; their content enters the fingerprint."""
        return []

    def limited(self) -> bool:
        """Whether `--limit` cuts what the step reads: files, not datasets."""
        return bool(self.files())

    def packages(self) -> list[str]:
        """Distributions whose version changes the output."""
        return []

    def check(self) -> None:
        """Raise for what the fields alone show to be wrong; called before the first step runs."""

    def check_recipe(self, ahead: Ahead) -> None:
        """Raise RecipeError for what the recipe's other steps show to be wrong."""

    def own_rows(self) -> int | None:
        """Rows of a source that is neither a dataset nor a file, for `gristmill plan`."""
        return None

    def forecast(self, ahead: Ahead) -> dict[str, Any]:
        """What rates of rows do not tell, for `gristmill plan`.

        Of a step that gives a model: what it costs. Of others, where it is known better:
        `documents` and `tokens` that come out, 0 where that means nothing; `core_hours`.
        """
        return {}

    def outputs(self) -> dict[str, Output]:
        """Suffix of the step's name -> output; `""` is the main one, `.ledger` its ledger."""
        return {"": Output("rows")}

    def phases(self, run: StepRun) -> Iterator[Phase]:
        """Yield phases; after each yield `run.records(phase.name)` holds what its tasks left."""
        raise TypeError(f"step {self.use!r} defines no phases()")
        yield

    def config(self) -> dict[str, Any]:
        """What enters the fingerprint, as JSON values; files are replaced by their digests."""
        dumped = self.model_dump(mode="json", by_alias=True)
        canonical_json(dumped)  # raises here, with the key, rather than at commit
        return dumped


__all__ = [
    "Ahead",
    "Output",
    "Phase",
    "Resources",
    "Step",
    "StepRun",
    "Task",
    "TaskContext",
    "TaskRecord",
]
