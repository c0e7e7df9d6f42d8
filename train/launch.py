"""A stage as a gang of processes: started here, or by torchrun on several machines.

In: a job with `run.ranks`. Out: what train.run leaves, through files below the job's work folder.
Shown by: `run: {ranks: 2}`; by hand, `torchrun --nproc-per-node 8 -m train.launch WORK/job.pickle`.
Limit: tested with gloo ranks of one machine, and by hand with two torchruns; GPUs are not.

The ranks of this machine are children whose stdin is a pipe: it ends when this process does,
however it ends, and they with it. Only rank 0 writes. With `run.nodes` above 1 nothing is started
here: the progress line shows the command, and the step waits for what rank 0 leaves.
"""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import Any

from gristmill.errors import GristmillError
from gristmill.task import TaskContext, describe
from train.job import Job
from train.loop.logs import FILE, log_table
from train.run import Made, run

JOB, GANG = "job.pickle", "gang"
MADE, TOLD = "made.json", "told.jsonl"
CHILD = "GRISTMILL_RANK_OF"  # set for children: they end with their stdin
WAIT = 0.2  # seconds between looks


def run_gang(ctx: TaskContext, job: Job) -> Made:
    """Run a job's ranks to their end; the first rank's error becomes ours."""
    work = Path(job.work)
    home = work / GANG
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    (work / JOB).write_bytes(pickle.dumps(job))
    children = [] if job.step.run.nodes > 1 else _start(job, work / JOB)
    try:
        _follow(ctx, job, home, children)
    finally:
        for child in children:
            if child.poll() is None:
                child.kill()
            child.wait()
    made = json.loads((home / MADE).read_text())
    return Made(Path(made["folder"]), log_table(work / FILE), made["facts"], made["notes"])


def _start(job: Job, file: Path) -> list[subprocess.Popen[bytes]]:
    ranks = job.step.run.ranks
    threads = job.step.run.threads or max(1, (os.cpu_count() or 1) // ranks)
    shared = {
        **os.environ,
        CHILD: str(os.getpid()),
        "WORLD_SIZE": str(ranks),
        "LOCAL_WORLD_SIZE": str(ranks),
        "OMP_NUM_THREADS": str(threads),
        "GRISTMILL_MEETING": str(file.parent / GANG / f"meeting-{uuid.uuid4().hex[:8]}"),
        "MASTER_ADDR": "127.0.0.1",  # accelerate looks for them; the ranks meet by the file above
        "MASTER_PORT": "29500",
    }
    found = []
    for rank in range(ranks):
        log = (file.parent / GANG / f"rank-{rank}.log").open("wb")
        found.append(
            subprocess.Popen(
                [sys.executable, "-m", "train.launch", str(file)],
                env={**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
            )
        )
        log.close()
    return found


def _follow(
    ctx: TaskContext, job: Job, home: Path, children: list[subprocess.Popen[bytes]]
) -> None:
    """Hand on what rank 0 tells until it is done or a rank has failed."""
    if not children:
        ranks, nodes = job.step.run.ranks, job.step.run.nodes
        ctx.say(
            f"on each machine: torchrun --nnodes {nodes} --nproc-per-node {ranks // nodes} "
            f"--rdzv-backend c10d --rdzv-endpoint HOST:29500 -m train.launch {home.parent / JOB}"
        )
    read = 0
    while True:
        codes = [child.poll() for child in children]
        read = _hand_on(ctx, home / TOLD, read)
        if failed := sorted(home.glob("error-*.json")):
            _raise(failed, home)
        for rank, code in enumerate(codes):
            if code:
                raise GristmillError(_gone(rank, code, home))
        if (home / MADE).is_file() and all(code == 0 for code in codes):
            return
        time.sleep(WAIT)


def _hand_on(ctx: TaskContext, file: Path, read: int) -> int:
    """Pass on the lines after the first `read`; how many there are now."""
    if not file.is_file():
        return read
    lines = file.read_text().split("\n")[:-1]
    for line in lines[read:]:
        told = json.loads(line)
        ctx.advance(told["steps"])
        if told["state"]:
            ctx.say(told["state"])
    return len(lines)


def _raise(failed: list[Path], home: Path) -> None:
    """The error of a rank: one for users before others, which may only follow from it."""
    time.sleep(WAIT)  # of ranks that fail together, all have written
    errors = [json.loads(path.read_text()) for path in sorted(home.glob("error-*.json"))]
    for error in errors:
        if error["user_error"]:
            raise GristmillError(error["message"])
    raise RuntimeError(f"{failed[0].stem}: {errors[0]['error']}\n{errors[0]['traceback']}")


def _gone(rank: int, code: int, home: Path) -> str:
    log = home / f"rank-{rank}.log"
    tail = log.read_text(errors="replace")[-1500:] if log.is_file() else ""
    how = f"was ended by signal {-code}" if code < 0 else f"ended with status {code}"
    return (
        f"rank {rank} {how} and left no error (signal 9: the machine's memory was full, or someone "
        f"killed it). The same command goes on from the last checkpoint.\n{tail}"
    )


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
        _meet(job)
        teller = _Teller(home / TOLD)
        made = run(job, teller.advance, teller.say)
        if rank == 0:
            teller.say("")
            left = {"folder": str(made.folder), "facts": made.facts, "notes": made.notes}
            fresh = home / f"{MADE}.new"
            fresh.write_text(json.dumps(left))
            os.replace(fresh, home / MADE)
    except Exception as error:
        fresh = home / f"error-{rank}.new"
        fresh.write_text(json.dumps(describe(f"rank {rank}", error)))
        os.replace(fresh, home / f"error-{rank}.json")
        os._exit(1)  # not by way of the others, who may wait for this rank
    os._exit(0)


if __name__ == "__main__":
    main()
