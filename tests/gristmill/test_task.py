"""Tasks: published by one rename, or a record of why not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from gristmill.errors import GristmillError
from gristmill.task import RunInfo, TaskContext, execute, failure, published
from tests.make_store import DOCUMENT, documents


def _done(run: RunInfo, call: Any, args: dict[str, Any], report: Any = None) -> bool:
    return execute(run, "read", "00000", call, args, report=report) is None


@pytest.fixture
def run(tmp_path: Path) -> RunInfo:
    return RunInfo(str(tmp_path), str(tmp_path / "staging"), {"": "document", ".notes": "rows"})


def _write(ctx: TaskContext, rows: int, fail: bool = False) -> Mapping[str, Any]:
    ctx.writer("", DOCUMENT).write(documents(range(rows)))
    ctx.writer("", DOCUMENT).write(documents(range(rows, rows + 1)))
    ctx.path("counts.json").write_text(str(rows))
    ctx.advance(rows)
    if fail:
        raise ValueError("a page of straw")
    return {"rows": rows + 1}


def test_a_finished_task_is_a_directory_with_shards_files_and_record(run: RunInfo) -> None:
    told: list[int] = []
    assert _done(run, _write, {"rows": 4}, report=told.append)
    record = published(Path(run.staging), "read", "00000")
    assert record is not None
    assert (record.value, told) == ({"rows": 5}, [4])
    assert record.path("counts.json").read_text() == "4"
    (shard,) = record.shards[""]
    assert shard["rows"] == 5 and (record.folder / "out" / shard["file"]).is_file()
    assert [path.name for path in (Path(run.staging) / "read").iterdir()] == ["00000"]


def test_a_finished_task_is_not_done_again(run: RunInfo) -> None:
    assert _done(run, _write, {"rows": 4})
    assert _done(run, _write, {"rows": 4, "fail": True})
    assert failure(Path(run.staging), "read", "00000") is None


def test_a_failed_task_leaves_why_and_nothing_else(run: RunInfo) -> None:
    staging = Path(run.staging)
    assert not _done(run, _write, {"rows": 4, "fail": True})
    told = failure(staging, "read", "00000")
    assert told is not None and told["error"] == "ValueError: a page of straw"
    assert not told["user_error"] and "_write" in told["traceback"]
    assert published(staging, "read", "00000") is None
    assert [path.name for path in (staging / "read").iterdir()] == ["00000.failed.json"]
    assert _done(run, _write, {"rows": 4})
    assert failure(staging, "read", "00000") is None


def test_mistakes_of_the_user_are_told_apart(run: RunInfo) -> None:
    def refuse(_: TaskContext) -> None:
        raise GristmillError("no such list 'bad.txt'; name a file")

    assert not _done(run, refuse, {})
    told = failure(Path(run.staging), "read", "00000")
    assert told is not None and told["user_error"]
    assert told["message"] == "no such list 'bad.txt'; name a file"


def test_a_full_disk_is_told_by_its_number(run: RunInfo) -> None:
    def fill(_: TaskContext) -> None:
        raise OSError(28, "No space left on device")

    assert not _done(run, fill, {})
    told = failure(Path(run.staging), "read", "00000")
    assert told is not None and told["errno"] == 28


def test_of_two_equal_tasks_at_once_the_faster_one_stands(run: RunInfo) -> None:
    def overtaken(ctx: TaskContext) -> Mapping[str, Any]:
        inner = _done(run, _write, {"rows": 4})
        return {"inner": inner, **_write(ctx, 4)}

    assert _done(run, overtaken, {})
    record = published(Path(run.staging), "read", "00000")
    assert record is not None and record.value == {"rows": 5}
    assert [path.name for path in (Path(run.staging) / "read").iterdir()] == ["00000"]


@pytest.mark.parametrize(
    ("crashed", "skip", "careful"),
    [
        ([], [], False),
        (["a:7"], [], False),  # once: perhaps a kill from outside
        (["a:7", "a:9", "a:7"], ["a:7"], False),
        (["", "a:7", "a:7"], ["a:7"], True),  # first it died with no record in hand
    ],
)
def test_records_that_crashed_a_worker_twice_are_handed_to_the_task(
    run: RunInfo, crashed: list[str], skip: list[str], careful: bool
) -> None:
    def look(ctx: TaskContext) -> Mapping[str, Any]:
        return {"skip": sorted(ctx.skip), "careful": ctx.careful}

    home = Path(run.staging) / "read"
    home.mkdir(parents=True)
    (home / "00000.crashes.json").write_text(json.dumps(crashed))
    assert _done(run, look, {})
    record = published(Path(run.staging), "read", "00000")
    assert record is not None and record.value == {"skip": skip, "careful": careful}


def test_outputs_that_the_step_did_not_declare_are_errors(run: RunInfo) -> None:
    def stray(ctx: TaskContext) -> None:
        ctx.writer(".stray", DOCUMENT)

    assert not _done(run, stray, {})
    told = failure(Path(run.staging), "read", "00000")
    assert told is not None and ".stray" in told["error"]


def test_what_a_task_returns_must_be_json(run: RunInfo) -> None:
    assert not _done(run, lambda ctx: {"path": Path("x")}, {})
    assert published(Path(run.staging), "read", "00000") is None
