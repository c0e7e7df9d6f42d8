"""Tasks: run one, and publish what it wrote by one rename.

In: a task and where its run lives. Out: `STAGING/<phase>/<task>/` with its shards, files and
`task.json`.
Shown by: `ls STORE/.staging/*/`. Limit: a task that was running when the machine died starts over.

A finished task is a directory that exists; a failed one leaves `<task>.failed.json` beside it.
Drivers believe these, never exit codes.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import traceback
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from gristmill.errors import GristmillError
from gristmill.file_sets import FileSet
from gristmill.redact import redacted
from gristmill.schema import kind as schema_kind
from gristmill.shards import ShardWriter

Report = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class RunInfo:
    """What a task must know of its run; picklable."""

    store: str
    staging: str
    kinds: Mapping[str, str]  # output suffix -> kind of row
    seed: int = 0


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """What a finished task left: its return value and the shards of each output."""

    phase: str
    id: str
    folder: Path
    value: dict[str, Any]
    shards: dict[str, list[dict[str, Any]]]

    def path(self, name: str) -> Path:
        """An intermediate file that the task wrote with `ctx.path(name)`."""
        return self.folder / "files" / name


@dataclass(slots=True)
class TaskContext:
    """What a running task may use."""

    run: RunInfo
    phase: str
    id: str
    folder: Path  # private until published
    state: Any = None  # what the phase's worker_setup built
    skip: frozenset[str] = frozenset()  # marks of records that crash a worker: leave them out
    careful: bool = False  # a worker died here with no record marked: take records one by one
    report: Report | None = None
    tell: Callable[[str], None] | None = None
    _writers: dict[str, ShardWriter | FileSet] = field(default_factory=dict)

    def writer(self, output: str, schema: pa.Schema) -> ShardWriter:
        """The writer of one output (`""`, `.ledger`, …); closed and recorded by the runner."""
        if output not in self._writers:
            kind = self.run.kinds[output]
            self._writers[output] = ShardWriter(self.folder / f"out{output}", schema, kind)
        writer = self._writers[output]
        assert isinstance(writer, ShardWriter)
        return writer

    def files(self, output: str = "") -> Path:
        """The folder of an output whose kind is files (a model): what is put there is the version.

        Files in `BESIDE` go with it and do not count: curves, logs, an optimiser's state.
        """
        assert schema_kind(self.run.kinds[output]).files
        writer = self._writers.setdefault(output, FileSet(self.folder / f"out{output}"))
        assert isinstance(writer, FileSet)
        return writer.folder

    def path(self, name: str) -> Path:
        """A private file for later phases: `run.records(phase)[i].path(name)`."""
        folder = self.folder / "files"
        folder.mkdir(exist_ok=True)
        return folder / name

    def advance(self, units: int) -> None:
        """Progress in the units of `Task.size`."""
        if self.report is not None:
            self.report(units)

    def say(self, state: str) -> None:
        """What the progress line shows of this task beside its units: rates, failures by type."""
        if self.tell is not None:
            self.tell(state)


def published(staging: Path, phase: str, task_id: str) -> TaskRecord | None:
    """The record of a finished task, or None."""
    folder = staging / phase / task_id
    try:
        loaded = json.loads((folder / "task.json").read_text())
    except FileNotFoundError:
        return None
    return TaskRecord(phase, task_id, folder, loaded["value"], loaded["shards"])


def failure(staging: Path, phase: str, task_id: str) -> dict[str, Any] | None:
    """What a task's last failed try left, or None."""
    try:
        found: dict[str, Any] = json.loads((staging / phase / f"{task_id}.failed.json").read_text())
    except (FileNotFoundError, ValueError):  # a full disk leaves it empty
        return None
    return found


def describe(task_id: str, error: BaseException) -> dict[str, Any]:
    """The record of a failure, without secrets. Called while the error is being handled."""
    record: dict[str, Any] = redacted(
        {
            "task": task_id,
            "error": f"{type(error).__name__}: {error}",
            "user_error": isinstance(error, GristmillError),
            "message": str(error),
            "errno": _errno(error),
            "traceback": traceback.format_exc(),
        }
    )
    return record


def _errno(error: BaseException) -> int | None:
    found: int | None = getattr(error, "errno", None)
    if found is None and isinstance(error, OSError) and " requested and " in str(error):
        return errno.ENOSPC  # numpy's short write: "8653 requested and 6144 written"
    return found


def execute(
    run: RunInfo,
    phase: str,
    task_id: str,
    call: Callable[..., Mapping[str, Any] | None],
    args: Mapping[str, Any],
    state: Any = None,
    report: Report | None = None,
    tell: Callable[[str], None] | None = None,
) -> dict[str, Any] | None:
    """Run one task to its published directory. None, or the record of why it failed.

    The record also lies beside the task's directory, unless the disk that failed it is full.
    """
    staging = Path(run.staging)
    if published(staging, phase, task_id) is not None:
        return None
    home = staging / phase
    failed = home / f"{task_id}.failed.json"
    folder = home / f".{task_id}-{uuid.uuid4().hex[:8]}"
    try:
        folder.mkdir(parents=True)
        skip, careful = _skipped(home, task_id)
        ctx = TaskContext(run, phase, task_id, folder, state, skip, careful, report, tell)
        value = dict(call(ctx, **args) or {})
        shards = {name: writer.close() for name, writer in ctx._writers.items()}
        (folder / "task.json").write_text(json.dumps({"value": value, "shards": shards}))
        _publish(folder, home / task_id)
        failed.unlink(missing_ok=True)
        return None
    except KeyboardInterrupt:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    except Exception as error:
        shutil.rmtree(folder, ignore_errors=True)
        record = describe(task_id, error)
        with contextlib.suppress(OSError):
            failed.write_text(json.dumps(record))
        return record


def crashes(home: Path, task_id: str) -> list[str]:
    """Marks of what was in hand when workers died on a task; "" where nothing was."""
    try:
        found: list[str] = json.loads((home / f"{task_id}.crashes.json").read_text())
    except (FileNotFoundError, ValueError):  # a full disk leaves it empty
        return []
    return found


def _skipped(home: Path, task_id: str) -> tuple[frozenset[str], bool]:
    """What to leave out, and whether to go carefully.

    Only a second crash is laid to the record: the first may be a kill from outside, and a record
    that is left out for it would make the version depend on the moment of the kill.
    """
    known = Counter(crashes(home, task_id))
    careful = known.pop("", 0) > 0
    return frozenset(record for record, times in known.items() if times > 1), careful


def _publish(folder: Path, target: Path) -> None:
    """Rename into place; where another run was faster its equal result stands and ours goes."""
    try:
        os.rename(folder, target)
    except OSError:
        if not (target / "task.json").exists():
            raise
        shutil.rmtree(folder, ignore_errors=True)
