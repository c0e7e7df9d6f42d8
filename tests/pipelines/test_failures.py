"""A message promises that the same command goes on only where that can help."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest

from gristmill.errors import GristmillError
from gristmill.step import Phase, Task
from gristmill.task import describe
from pipelines.failures import explain_failure

AGAIN = "the same command continues"


def told(problem: dict[str, Any], tasks: int = 2) -> str:
    phase = Phase("work", [Task(f"{n}", print) for n in range(tasks)])
    return explain_failure(phase, [phase.tasks[-1]], Path(), [problem])


def failed(error: Exception) -> dict[str, Any]:
    try:
        raise error
    except Exception as caught:
        return describe("1", caught)


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EIO, "input/output error"),
        ConnectionError("refused"),
        MemoryError(),
        RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"),
        OSError(errno.ENOSPC, "no space left"),
    ],
)
def test_what_may_pass_goes_on(error: Exception) -> None:
    assert AGAIN in told(failed(error))


def test_a_dead_worker_goes_on() -> None:
    died = {"task": "1", "error": "its worker was killed", "user_error": False, "errno": None}
    assert AGAIN in told(died)


def test_what_comes_again_does_not() -> None:
    said = told(failed(GristmillError("the loss is not a number at step 3; lower optim.lr")))
    assert said == (
        "the loss is not a number at step 3; lower optim.lr (1 of 2 tasks are done and kept)"
    )
    assert told(failed(GristmillError("no row is left")), tasks=1) == "no row is left"
    said = told(failed(ZeroDivisionError("a bug")))
    assert AGAIN not in said and "ZeroDivisionError: a bug" in said and "Traceback" in said
