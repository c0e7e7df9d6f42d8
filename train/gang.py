"""A stage as a gang of processes, from where it is started: train.launch is one of them.

In: a job with `run.ranks`. Out: what train.run leaves, through files below the job's work folder.
Shown by: `run: {ranks: 2}`.
Limit: tested with gloo ranks of one machine, and by hand with two torchruns; GPUs are not.

The ranks of this machine are children whose stdin is a pipe: it ends when this process does,
however it ends, and they with it. With `run.nodes` above 1 nothing is started here: the progress
line shows the command, and the step waits for what rank 0 leaves. A request to stop is a file that
rank 0 looks for.
"""

from __future__ import annotations

import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

from gristmill.errors import GristmillError
from gristmill.stopping import Interrupted, asked, ready
from gristmill.task import TaskContext
from train.job import Job
from train.loop.logs import FILE, log_table
from train.run import Made

JOB, GANG = "job.pickle", "gang"
MADE, TOLD = "made.json", "told.jsonl"
STOP, STOPPED = "stop", "stopped.txt"  # asked for; what is saved
CHILD = "GRISTMILL_RANK_OF"  # set for children: they end with their stdin
WAIT = 0.2  # seconds between looks


def run_gang(ctx: TaskContext, job: Job) -> Made:
    """Run a job's ranks to their end; the first rank's error becomes ours, and so does a stop."""
    work = Path(job.work)
    home = work / GANG
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    (work / JOB).write_bytes(pickle.dumps(job))
    children = [] if job.step.run.nodes > 1 else _start(job, work / JOB)
    ready()
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
        if (home / STOPPED).is_file():
            raise Interrupted((home / STOPPED).read_text())
        if asked() is not None:
            (home / STOP).touch()
            if -signal.SIGTERM in codes or not (children or read):
                raise Interrupted  # there was nothing to save yet
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
