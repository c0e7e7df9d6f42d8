"""The task of a stage: run its job here, or as a gang of processes, and hand its model in.

In: a job. Out: the model's files, `.log`, facts. Shown by: any `use: train`.
Limit: a gang is on one machine; more are started by hand: docs/train/running.md.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from typing import Any

from gristmill.resident import release
from gristmill.task import TaskContext
from train.job import Job


def train(ctx: TaskContext, job: Job) -> Mapping[str, Any]:
    """Go on from the newest whole checkpoint, train to the end, write the outputs."""
    release()  # engines that an earlier step of this worker left open
    if job.step.run.ranks > 1:
        from train.gang import run_gang

        made = run_gang(ctx, job)
    else:
        from train.run import run

        made = run(job, ctx.advance, ctx.say)
    shutil.copytree(made.folder, ctx.files(""), copy_function=os.link, dirs_exist_ok=True)
    ctx.writer(".log", made.log.schema).write(made.log)
    return {"facts": made.facts, "notes": made.notes}
