"""Running steps: skip, resume, failures, crashes, two runs at once; the same version every time."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pyarrow as pa
import pytest

import pipelines.run
from gristmill.errors import GristmillError, StoreError, TaskError
from gristmill.progress import Progress
from gristmill.step import Phase, StepRun, Task
from gristmill.store import Store
from pipelines.local import LocalExecutor
from tests.run_step import run_step
from tests.toy_steps import Doubled, Numbers


def numbers(trouble: str = "", **options: int) -> Numbers:
    return Numbers(name="n", use="numbers", trouble=trouble, **options)  # type: ignore[arg-type]


def values(store: Store) -> list[int]:
    return store["n"].to_table()["value"].to_pylist()  # type: ignore[no-any-return]


def test_any_number_of_workers_gives_the_same_version(tmp_path: Path) -> None:
    made = [run_step(numbers(tasks=5), tmp_path / f"s{w}", workers=w) for w in (1, 2, 5)]
    assert made[0] == made[1] == made[2]
    store = Store(tmp_path / "s5")
    assert values(store) == list(range(50))
    assert store["n.count"].to_table().to_pylist() == [{"total": sum(range(50))}]


def test_a_built_step_is_found_and_not_run_again(tmp_path: Path) -> None:
    first = run_step(numbers(), tmp_path)
    before = store_state(tmp_path)
    assert run_step(numbers(), tmp_path) == first
    assert store_state(tmp_path) == before


def store_state(path: Path) -> dict[str, int]:
    return {
        str(file): file.stat().st_mtime_ns for file in path.rglob("*.parquet") if file.is_file()
    }


def test_a_failed_task_is_named_others_are_kept_and_the_same_command_goes_on(
    tmp_path: Path,
) -> None:
    with pytest.raises(TaskError, match=r"value 7 breaks the rule; use 8 \(\d of 3 tasks"):
        run_step(numbers("user:2"), tmp_path)
    with pytest.raises(TaskError, match="ZeroDivisionError"):
        run_step(numbers("bug:2"), tmp_path)
    staging = next(s for s in (tmp_path / ".staging").iterdir() if (s / "run.json").exists())
    assert (staging / "write" / "000" / "task.json").exists()


def test_a_run_that_goes_on_says_so(tmp_path: Path) -> None:
    step, said = numbers("bug:2"), []
    for _ in range(2):
        stream = io.StringIO()
        with LocalExecutor(1) as executor, Progress(stream=stream) as progress:
            with pytest.raises(TaskError, match="2 of 3 tasks are done and kept"):
                pipelines.run.run_step(step, Store(tmp_path), executor, progress, {})
        said.append(stream.getvalue())
        note = next(tmp_path.glob(".staging/*/run.json"))
        note.write_text(json.dumps({**json.loads(note.read_text()), "pid": 2**30}))
        for alive in note.parent.glob(".alive-*"):
            alive.unlink()  # as if the first run's process had ended
    assert "goes on" not in said[0]
    assert "n · write: goes on, 2 of 3 tasks are done\n" in said[1]


def test_a_record_that_crashes_the_worker_is_laid_aside_and_the_rest_is_kept(
    tmp_path: Path,
) -> None:
    run_step(numbers("crash:13"), tmp_path, workers=2)
    assert values(Store(tmp_path)) == [v for v in range(30) if v != 13]


def test_a_worker_that_dies_is_replaced(tmp_path: Path) -> None:
    run_step(numbers("die-once"), tmp_path)
    assert values(Store(tmp_path)) == list(range(30))


def test_a_step_that_is_not_deterministic_is_an_error(tmp_path: Path) -> None:
    run_step(numbers("random"), tmp_path)
    store = Store(tmp_path)
    for path in store["n"].path.iterdir():  # the rows are lost, the build record stands
        path.unlink()
    store["n"].path.rmdir()
    with pytest.raises(StoreError, match="not deterministic"):
        run_step(numbers("random"), tmp_path)


def test_lineage_is_recorded_and_a_changed_parent_changes_the_child(tmp_path: Path) -> None:
    run_step(numbers(), tmp_path)
    child = Doubled.model_validate({"name": "d", "use": "doubled", "from": "n"})
    first = run_step(child, tmp_path)
    store = Store(tmp_path)
    assert store["d"].build()["parents"] == [store["n"].ref]
    run_step(numbers(rows=11), tmp_path)
    assert run_step(child, tmp_path) != first


def test_rows_equal_to_the_parents_are_linked_and_not_kept_twice(tmp_path: Path) -> None:
    run_step(numbers(), tmp_path)
    child = Doubled.model_validate({"name": "d", "use": "doubled", "from": "n", "factor": 1})
    run_step(child, tmp_path)
    store = Store(tmp_path)
    pairs = zip(store["n"].files, store["d"].files, strict=True)
    assert all(parent.samefile(kept) for parent, kept in pairs)
    assert store["n"].version == store["d"].version


KILLED = """
import sys
from tests.run_step import run_step
from tests.toy_steps import Numbers
run_step(Numbers(name="n", use="numbers", tasks=8, trouble="slow:0.05"), sys.argv[1], workers=2)
"""


def start(tmp_path: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], start_new_session=True)


@pytest.mark.slow
def test_killed_at_any_moment_the_same_command_gives_the_same_version(tmp_path: Path) -> None:
    whole = Numbers(name="n", use="numbers", tasks=8, trouble="slow:0.05")
    expected = run_step(whole, tmp_path / "whole", workers=2)
    for number in range(6):
        process = start(tmp_path / "killed")
        time.sleep(0.5 + 0.25 * number)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if "n" in Store(tmp_path / "killed"):
            break
    assert run_step(whole, tmp_path / "killed") == expected


@pytest.mark.slow
def test_two_runs_at_once_on_one_store_cooperate(tmp_path: Path) -> None:
    processes = [start(tmp_path) for _ in range(2)]
    assert [process.wait() for process in processes] == [0, 0]
    assert values(Store(tmp_path)) == list(range(80))
    assert len(list((tmp_path / "n" / "builds").glob("*.json"))) == 1


def test_a_store_that_cannot_be_written_is_a_clear_error() -> None:
    with pytest.raises(GristmillError, match="cannot write to the store"):
        run_step(numbers(), "/proc/nowhere")


def test_names_cannot_leave_the_store(tmp_path: Path) -> None:
    bad = numbers().model_copy(update={"name": "../out"})
    with pytest.raises(StoreError, match="is not a name"):
        run_step(bad, tmp_path / "store")
    assert not (tmp_path / "out").exists()


def test_a_task_leaves_a_record_that_can_be_read(tmp_path: Path) -> None:
    with pytest.raises(TaskError):
        run_step(numbers("user:1"), tmp_path)
    failed = next((tmp_path / ".staging").glob("*/write/001.failed.json"))
    assert json.loads(failed.read_text())["message"] == "value 7 breaks the rule; use 8"


def test_the_schema_of_rows_survives(tmp_path: Path) -> None:
    run_step(numbers(), tmp_path)
    assert Store(tmp_path)["n"].schema.field("value").type == pa.int64()


class Ghostly(Numbers):
    """A step whose task lives in a module that no worker can import."""

    def phases(self, run: StepRun) -> Iterator[Phase]:
        ghost = ModuleType("ghost")
        exec("def call(ctx):\n    return {}", ghost.__dict__)
        sys.modules["ghost"] = ghost
        yield Phase("haunt", [Task("0", ghost.call)])


def test_a_task_that_no_worker_can_import_fails_and_does_not_hang(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match="No module named 'ghost'"):
        run_step(Ghostly(name="n", use="numbers"), tmp_path)
