"""The tasks of the executor: one evaluation task of one model; then the pictures of all.

In: a step, a model, a task. Out: rows, samples, notes. Shown by: any `use: evaluate`.
Limit: a killed evaluation goes on with the next task that had not ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from gristmill.rng import derive_seed
from gristmill.store import Store
from gristmill.task import TaskContext
from mixtures.tokens.tokenizer_sources import Source
from train.evaluate.bench import Bench, Machine, open_bench
from train.evaluate.pictures import draw
from train.evaluate.results import ITEMS, item_table, score_schema, score_table
from train.evaluate.spec import TaskSpec

if TYPE_CHECKING:
    from train.evaluate.step import Evaluate


def measure(
    ctx: TaskContext,
    step: Evaluate,
    store: str,
    inputs: Mapping[str, str],
    model: Source,
    task: TaskSpec,
) -> dict[str, Any]:
    """Measure one model by one task."""
    machine = Machine(step.batch_tokens, step.device, step.threads, step.dtype)
    seed = derive_seed(step.seed, "evaluate")

    def say(state: str) -> None:
        ctx.say(f"{task.title}: {state}")

    bench = open_bench(
        model,
        Bench(model, "", "", None, None, Store(store), inputs, seed, machine, say),  # type: ignore[arg-type]
    )
    found = task.measure(bench)
    who = {"model": bench.name, "version": bench.version, "task": task.title}
    ctx.writer("", score_schema(step.labels)).write(score_table(found.scores, who, step.labels))
    ctx.writer(".samples", ITEMS).write(item_table(found.items, who))
    ctx.advance(1)
    return {
        "rows": [{**who, **asdict(score)} for score in found.scores],
        "notes": [f"{bench.name}, {task.title}: {note}" for note in found.notes],
    }


def draw_pictures(ctx: TaskContext, rows: list[dict[str, Any]]) -> None:
    """Draw them into the output of their own."""
    draw(rows, ctx.files(".pictures"))
    ctx.advance(1)
