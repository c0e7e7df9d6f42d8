"""Small real steps for tests of the runner: they write rows, read rows, wait, fail and crash."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from pydantic import Field

from gristmill import marker
from gristmill.errors import GristmillError
from gristmill.step import Output, Phase, Step, StepRun, Task, TaskContext

SCHEMA = pa.schema([("id", pa.string()), ("value", pa.int64())])


class Numbers(Step):
    """`tasks` shards of `rows` numbers each; `trouble` names what goes wrong, and where."""

    tasks: int = 3
    rows: int = 10
    seed: int | None = None
    trouble: str = ""

    def outputs(self) -> dict[str, Output]:
        return {"": Output("rows"), ".count": Output("rows")}

    def phases(self, run: StepRun) -> Iterator[Phase]:
        yield Phase(
            "write",
            [
                Task(f"{i:03d}", write_numbers, {"index": i, "rows": self.rows, "step": self})
                for i in range(self.tasks)
            ],
        )
        total = sum(record.value["sum"] for record in run.records("write"))
        yield Phase("count", [Task("all", write_count, {"total": total})])


class Doubled(Step):
    """Twice the numbers of another dataset."""

    VERSION: ClassVar[int] = 2
    from_: str = Field(alias="from")
    factor: int = 2

    def inputs(self) -> list[str]:
        return [self.from_]

    def phases(self, run: StepRun) -> Iterator[Phase]:
        files = run.inputs[self.from_].files
        yield Phase(
            "double",
            [
                Task(f"{i:03d}", write_doubled, {"path": str(path), "factor": self.factor})
                for i, path in enumerate(files)
            ],
        )


def write_numbers(ctx: TaskContext, index: int, rows: int, step: Numbers) -> dict[str, Any]:
    trouble, _, where = step.trouble.partition(":")
    home = Path(ctx.run.staging)
    if trouble == "user" and int(where) == index:
        raise GristmillError("value 7 breaks the rule; use 8")
    if trouble == "bug" and int(where) == index:
        raise ZeroDivisionError("a bug of the step")
    if trouble == "slow":
        time.sleep(float(where))
    values = np.arange(index * rows, (index + 1) * rows)
    if trouble == "random":
        values = values + int.from_bytes(os.urandom(2), "little")
    kept = []
    for value in values.tolist():
        marker.mark(f"record:{value}")
        if trouble == "crash" and value == int(where) and f"record:{value}" not in ctx.skip:
            os.kill(os.getpid(), 11)
        kept.append(value)
    if trouble == "die-once" and not (home / "died").exists():
        (home / "died").touch()
        marker.mark("")
        os._exit(9)
    if trouble == "crash":
        kept = [value for value in kept if f"record:{value}" not in ctx.skip]
    table = pa.table({"id": [f"n{v}" for v in kept], "value": kept}, schema=SCHEMA)
    ctx.writer("", SCHEMA).write(table)
    return {"sum": int(sum(kept))}


def write_count(ctx: TaskContext, total: int) -> None:
    table = pa.table({"total": pa.array([total], pa.int64())})
    ctx.writer(".count", table.schema).write(table)


def write_doubled(ctx: TaskContext, path: str, factor: int) -> None:
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    doubled = table.set_column(1, "value", pc.multiply(table["value"], factor))
    ctx.writer("", SCHEMA).write(doubled)
