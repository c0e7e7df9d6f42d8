"""Run a recipe: for each step, skip what is built, else run its phases and commit its outputs.

In: a recipe and a store. Out: versions. Shown by: `gristmill run pipelines/recipes/fineweb.yaml`.
Limit: steps run one after another; parallelism is within a phase.
"""

from __future__ import annotations

import os
import platform
import shutil
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gristmill.commit import StagedShard, commit
from gristmill.errors import GristmillError, RecipeError, StoreError, nearest
from gristmill.ids import short
from gristmill.live import live_processes, read_note, write_note
from gristmill.progress import Progress
from gristmill.shards import totals
from gristmill.step import Phase, Step, StepRun
from gristmill.store import Dataset, Store
from gristmill.task import RunInfo, TaskRecord, published
from pipelines.ahead import absent, check_ahead, makers
from pipelines.fingerprint import Asked, ask
from pipelines.inputs import built, made_before, resolve_inputs
from pipelines.local import Executor, LocalExecutor
from pipelines.recipe import Recipe, load_recipe


def run_recipe(
    recipe: str | Path,
    *,
    store: str | Path | Store = "store",
    set: Mapping[str, Any] | None = None,
    profile: str | None = None,
    limit: int | None = None,
    only: str | None = None,
    executor: str = "local",
    cluster: str | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> dict[str, str]:
    """Run a recipe file.

    Args:
        set: overrides, `{"crawl": "dump/*.warc.gz", "web/unique.threshold": 0.8}`.
        limit: read at most this many records of each source (another fingerprint).
        only: run this step alone; what it reads must be built.
        workers: processes; the result does not depend on it.
    Returns: dataset name -> version, for every output of every step that ran or was found.
    Raises: GristmillError with the value, the rule and the fix.
    """
    loaded = load_recipe(recipe, set, profile)
    if only is not None and only not in {step.name for step in loaded.steps}:
        names = [step.name for step in loaded.steps]
        raise RecipeError(f"--only {only!r}: the recipe has no such step{nearest(only, names)}")
    place = store if isinstance(store, Store) else Store(store)
    with ExitStack() as stack:
        shown = progress or stack.enter_context(Progress())
        runner = stack.enter_context(make_executor(executor, cluster, workers))
        return _run_steps(loaded, place, runner, shown, limit, only)


def make_executor(name: str, cluster: str | None, workers: int | None) -> LocalExecutor:
    """The executor named; RecipeError for others."""
    if name != "local" or cluster is not None:
        raise RecipeError(f"--executor {name!r}: this version runs `local` (one machine) only")
    if workers is not None and workers < 1:
        raise RecipeError(f"--workers {workers}: use a whole number above 0")
    return LocalExecutor(workers)


def _run_steps(
    recipe: Recipe,
    store: Store,
    executor: LocalExecutor,
    progress: Progress,
    limit: int | None,
    only: str | None,
) -> dict[str, str]:
    planned = {step.name for step in recipe.steps}
    chosen = [step for step in recipe.steps if only is None or step.name == only]
    before = made_before(only, recipe.steps, store, limit, progress) if only is not None else {}
    makes = makers(recipe.steps)
    made: dict[str, str] = {}
    checked = False
    for place, step in enumerate(chosen):
        inputs = resolve_inputs(step, store, before | made, planned, only)
        if not checked and not built(store, step.name, ask(step, store, inputs, limit).fingerprint):
            for later in chosen[place:]:
                check_ahead(later, store, planned, makes)
            if lines := [line for later in chosen[place:] if (line := absent(later))]:
                raise RecipeError("; ".join(lines))
            checked = True
        try:
            made |= run_step(step, store, executor, progress, inputs, recipe, limit)
        except GristmillError as error:
            if step.name in str(error):
                raise
            raise type(error)(f"step {step.name!r}: {error}") from error
    return made


def run_step(
    step: Step,
    store: Store,
    executor: Executor,
    progress: Progress,
    inputs: dict[str, Dataset],
    recipe: Recipe | None = None,
    limit: int | None = None,
) -> dict[str, str]:
    """Build one step, or find it built. Dataset name -> version of every output."""
    asked = ask(step, store, inputs, limit)
    staging = store.staging / short(asked.fingerprint)
    try:
        if found := built(store, step.name, asked.fingerprint):
            progress.note(f"{step.name}: {found[step.name]} is there already")
            shutil.rmtree(staging, ignore_errors=True)  # of a run killed after its commit
            return found
        goes_on = bool(read_note(staging)) and not live_processes(staging)
        staging.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"cannot write to the store {store.path}: {error.strerror}; "
            "choose another with --store or mend its permissions"
        ) from None
    started = datetime.now(UTC)
    clock = time.monotonic()
    outputs = step.outputs()
    info = RunInfo(str(store.path), str(staging), {s: o.kind for s, o in outputs.items()})
    run = StepRun(store, step.name, asked.fingerprint, staging, inputs, asked.files, limit)
    title = {
        "name": step.name,
        "use": step.use,
        "fingerprint": asked.fingerprint,
        "recipe": str(recipe.path) if recipe else None,
        "parents": [dataset.ref for dataset in inputs.values()],  # `gc` leaves them alone
        "started_at": started.isoformat(),
        "pid": os.getpid(),
    }
    try:
        records = _run_phases(step, run, info, executor, progress, title, goes_on)
        staged = {
            step.name + suffix: (output.kind, _shards(records, suffix, run.discarded))
            for suffix, output in outputs.items()
        }
        build = {
            **asked.record(),
            "recipe": {"name": recipe.name, "path": str(recipe.path)} if recipe else None,
            "counts": {name: _counts(shards) for name, (_, shards) in staged.items()},
            "rates": _rates(staged, step.name, inputs, asked, time.monotonic() - clock, executor),
            "notes": run.notes,
            "facts": run.facts,
            "created_at": datetime.now(UTC).isoformat(),
            "host": platform.node(),
            "seconds": round(time.monotonic() - clock, 3),
        }
        versions = commit(store, step.name, asked.fingerprint, staged, build, step.SAMPLED)
    except (OSError, GristmillError) as error:
        # Another run of the same command may have committed and cleared the staging under us.
        with suppress(OSError):  # a full disk, which could not take the refs
            if found := built(store, step.name, asked.fingerprint):
                shutil.rmtree(staging, ignore_errors=True)
                return found
        if isinstance(error, GristmillError):
            raise
        raise StoreError(
            f"{step.name}: the store {store.path} cannot be written ({error}); free space or mend "
            "permissions, then run the same command: finished tasks are kept"
        ) from None
    for message in run.notes:
        progress.note(f"{step.name}: {message}")
    shutil.rmtree(staging, ignore_errors=True)
    return versions


def _run_phases(
    step: Step,
    run: StepRun,
    info: RunInfo,
    executor: Executor,
    progress: Progress,
    title: dict[str, Any],
    goes_on: bool,
) -> list[TaskRecord]:
    """Run phase after phase; records of all tasks in (phase, task) order."""
    records: list[TaskRecord] = []
    phases: dict[str, dict[str, Any]] = {}
    write_note(run.staging, {**title, "phases": phases})
    for phase in step.phases(run):
        _check_phase(phase, phases, step)
        phases[phase.name] = {"tasks": len(phase.tasks)}
        write_note(run.staging, {**title, "phases": phases})
        if goes_on and (done := _done(run.staging, phase)) < len(phase.tasks):
            kept = f", {done} of {len(phase.tasks)} tasks are done" if done else ""
            progress.note(f"{step.name} · {phase.name}: goes on{kept}")
            goes_on = False  # phases after this one start
        total = sum(task.size for task in phase.tasks)
        bar = progress.phase(f"{step.name} · {phase.name}", total, phase.unit)
        executor.run(phase, info, bar)
        bar.finish()
        found = [published(run.staging, phase.name, task.id) for task in phase.tasks]
        run._records[phase.name] = [record for record in found if record is not None]
        records += run._records[phase.name]
    return records


def _done(staging: Path, phase: Phase) -> int:
    return sum((staging / phase.name / task.id / "task.json").is_file() for task in phase.tasks)


def _check_phase(phase: Phase, before: Mapping[str, Any], step: Step) -> None:
    ids = [task.id for task in phase.tasks]
    if phase.name in before or len(set(ids)) != len(ids):
        raise StoreError(
            f"{step.name}: phase {phase.name!r} repeats a name or a task id; "
            f"this is a defect of step {step.use!r}"
        )


def _shards(
    records: list[TaskRecord], suffix: str, discarded: set[tuple[str, str]]
) -> list[StagedShard]:
    return [
        StagedShard(record.folder / f"out{suffix}" / shard["file"], shard)
        for record in records
        if (record.phase, record.id) not in discarded
        for shard in record.shards.get(suffix, [])
    ]


def _counts(shards: list[StagedShard]) -> dict[str, Any]:
    found = totals(dict(shard.record) for shard in shards)
    return {"rows": found["rows"], "text_bytes": found["text_bytes"], **found["counts"]}


def _rates(
    staged: Mapping[str, tuple[str, list[StagedShard]]],
    name: str,
    inputs: Mapping[str, Dataset],
    asked: Asked,
    seconds: float,
    executor: Executor,
) -> dict[str, float]:
    """What `gristmill plan` forecasts the next run of this kind of step from."""
    out = totals(dict(shard.record) for shard in staged[name][1])
    ledger = staged.get(name + ".ledger")
    rows_in = sum(dataset.rows for dataset in inputs.values())
    if ledger is not None:
        rows_in = totals(dict(shard.record) for shard in ledger[1])["rows"]
    return {
        "rows_in": rows_in,
        "file_bytes_in": sum(f.size for files in asked.files.values() for f in files),
        "rows_out": out["rows"],
        "text_bytes_out": out["text_bytes"],
        "bytes_out": sum(s.record["bytes"] for _, shards in staged.values() for s in shards),
        "core_seconds": round(seconds * getattr(executor, "workers", 1), 3),
    }
