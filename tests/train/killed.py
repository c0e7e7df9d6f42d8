"""A stage that ends in the middle, as if it were killed; the same job can then go on."""

from __future__ import annotations

import pytest

from train.job import Job
from train.run import run


class Killed(Exception):
    """As far as a stage can tell, the machine is gone."""


def killed_after(job: Job, steps: int) -> None:
    """Run a job that ends after so many steps."""
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        if done >= steps:
            raise Killed

    with pytest.raises(Killed):
        run(job, advance, lambda _: None)
