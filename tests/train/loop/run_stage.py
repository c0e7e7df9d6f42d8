"""Run a pickled job, and be killed: after a step, or while a checkpoint is written.

python -m tests.train.loop.run_stage JOB              to the end
python -m tests.train.loop.run_stage JOB step N       kill -9 after N steps of this process
python -m tests.train.loop.run_stage JOB file NAME N  when the N-th file NAME is being written
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
import time
from pathlib import Path

from train.run import run


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def kill_when_written(folder: Path, name: str, count: int) -> None:
    """Watch the checkpoints; kill as soon as `count` files of the name are there."""
    while True:
        if len(list(folder.glob(f"checkpoint-*/{name}"))) >= count:
            kill()
        time.sleep(0.0005)


def main() -> None:
    job = pickle.loads(Path(sys.argv[1]).read_bytes())
    how = sys.argv[2:]
    left = [int(how[1])] if how[:1] == ["step"] else []
    if how[:1] == ["file"]:
        arguments = (Path(job.work) / "checkpoints", how[1], int(how[2]))
        threading.Thread(target=kill_when_written, args=arguments, daemon=True).start()

    def advance(steps: int) -> None:
        if left and steps == 1:
            left[0] -= 1
            if left[0] == 0:
                kill()

    run(job, advance, lambda _: None)


if __name__ == "__main__":
    main()
