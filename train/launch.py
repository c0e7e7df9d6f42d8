"""One process of a stage that has several: started by train.gang, or by torchrun on each machine.

In: the file of a job; RANK and WORLD_SIZE. Out: files below the job's work folder, by rank 0 alone.
Shown by: `run: {ranks: 2}`; by hand, `torchrun --nproc-per-node 8 -m train.launch WORK/job.pickle`.
Limit: see train.gang.

A request to stop is a file for rank 0, or a signal for any of them: torchrun hands its own on. The
ranks tell each other after a step (train.loop.meter), and end at the same one.
"""

from __future__ import annotations

import json
import os
import pickle
import sys
import threading
import time
from pathlib import Path
from typing import Any

from gristmill.errors import GristmillError
from gristmill.stopping import Interrupted, ask, stoppable
from gristmill.task import describe
from train.gang import CHILD, GANG, MADE, STOP, STOPPED, TOLD, WAIT
from train.job import Job
from train.run import run


class _Teller:
    """Rank 0's progress as lines of a file."""

    def __init__(self, file: Path) -> None:
        self._file, self._steps, self._last = file, 0, time.monotonic()

    def advance(self, steps: int) -> None:
        self._steps += steps
        if time.monotonic() - self._last > WAIT:
            self.say("")

    def say(self, state: str) -> None:
        with self._file.open("a") as file:
            file.write(json.dumps({"steps": self._steps, "state": state}) + "\n")
        self._steps, self._last = 0, time.monotonic()


def _end_with_parent() -> None:
    """Leave when stdin does: the parent has gone, killed or not."""

    def wait() -> None:
        sys.stdin.buffer.read()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _end_when_asked(file: Path) -> None:
    """Note that the file is there; before there is something to save, leave."""

    def wait() -> None:
        while not file.exists():
            time.sleep(WAIT)
        if not ask():
            _leave(file.with_name(STOPPED), "")
            os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _leave(file: Path, text: str) -> None:
    """The last words of a rank, whole or not there."""
    fresh = file.with_suffix(".new")
    fresh.write_text(text)
    os.replace(fresh, file)


def _meet(job: Job) -> None:
    """Join the other ranks, before transformers looks for them."""
    import torch
    from torch import distributed

    from train.loop.arguments import on_cpu

    backend = "gloo" if on_cpu(job) else "nccl"
    if backend == "nccl":  # before a model is opened: quantised weights go where this points
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    if meeting := os.environ.get("GRISTMILL_MEETING"):
        if backend == "gloo":
            os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo0" if sys.platform == "darwin" else "lo")
        rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        given: dict[str, Any] = {"init_method": f"file://{meeting}", "rank": rank}
        distributed.init_process_group(backend, world_size=world, **given)
    else:
        distributed.init_process_group(backend)


def main() -> None:
    """One rank."""
    if CHILD in os.environ:
        _end_with_parent()
    job: Job = pickle.loads(Path(sys.argv[1]).read_bytes())
    rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    home = Path(job.work) / GANG
    home.mkdir(parents=True, exist_ok=True)
    try:
        if world != job.step.run.ranks:
            raise GristmillError(
                f"{world} ranks were started, run.ranks is {job.step.run.ranks}: the two are one "
                "number, nodes times --nproc-per-node"
            )
        if rank == 0:
            _end_when_asked(home / STOP)
        _meet(job)
        teller = _Teller(home / TOLD)
        with stoppable():
            made = run(job, teller.advance, teller.say)
        if rank == 0:
            teller.say("")
            left = {"folder": str(made.folder), "facts": made.facts, "notes": made.notes}
            _leave(home / MADE, json.dumps(left))
    except Interrupted as stopped:
        if rank == 0:
            _leave(home / STOPPED, str(stopped))
    except Exception as error:
        _leave(home / f"error-{rank}.json", json.dumps(describe(f"rank {rank}", error)))
        os._exit(1)  # not by way of the others, who may wait for this rank
    os._exit(0)


if __name__ == "__main__":
    main()
