"""Whether a stage may end: evaluations of the model as it is, on the way.

In: the stage's `advance`, the model. Out: its numbers, and whether all conditions hold.
Shown by: `advance: {when: [{task: copy, metric: whole, reaches: 0.9}]}`; columns `advance/TITLE`.
Limit: the weights of the step are looked at, not their average.

The first look is before the first step, so that a task that cannot be asked ends the stage at once.
All ranks ask the same: of a sharded model each pass needs them all. What the first rank found
decides.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from gristmill.errors import RecipeError
from gristmill.rng import derive_seed
from gristmill.store import Store
from synth.engines.rendering import load_rendering
from train.draws import draws_kept
from train.evaluate.bench import UNKNOWN_LENGTH, Bench, Machine, close, open_bench
from train.evaluate.results import ALL, Score
from train.evaluate.spec import TaskSpec
from train.job import Job
from train.loop.guard import Stopped
from train.ranks import of_first
from train.spec import Condition

FILE = "advance.json"  # below the job's work folder: what was found before the first step
FOLDER = "asked"  # tokenizer and config of the model that is asked

Found = dict[str, float]  # by the condition's title


class Conditions:
    """Those of a stage. `files`: the tokenizer's, as the finished model will have them."""

    def __init__(
        self, job: Job, model: Any, files: Mapping[str, bytes], say: Callable[[str], None]
    ) -> None:
        assert job.step.advance is not None  # the loop asks for none otherwise
        self.job, self.spec, self._say = job, job.step.advance, say
        self._device = model.device
        self._better: dict[str, str] = {}
        self._bench = self._open(model, files)
        self._base: Found = {}

    def begin(self, model: Any) -> Found:
        """Before the first step, or where the stage goes on: what was found at its beginning."""
        file = Path(self.job.work) / FILE
        kept = of_first(json.loads(file.read_text()) if file.is_file() else None)
        if kept is not None:
            self._base, self._better = kept["base"], kept["better"]
            return dict(kept["start"])
        start = self._measure(model)
        if any(condition.recovers is not None for condition in self.spec.when):
            self._base = self._measure_init()
        fresh = file.with_suffix(f".{os.getpid()}")
        found = {"start": start, "base": self._base, "better": self._better}
        fresh.write_text(json.dumps(found))
        os.replace(fresh, file)
        return start

    def look(self, model: Any) -> tuple[Found, bool]:
        """The numbers of the model, and whether all conditions hold."""
        found = self._measure(model)
        return found, all(self._holds(condition, found) for condition in self.spec.when)

    def never_met(self, found: Found) -> str:
        """A note of the end of the data; Stopped where the recipe says so."""
        each = "; ".join(
            f"{c.title} {found[c.title]:.4g} ({self._side(c)} {self._asked(c):.4g})"
            for c in self.spec.when
        )
        told = f"the conditions of advance were not met: {each}"
        if self.spec.otherwise == "stop":
            raise Stopped(
                f"the data ended, and {told}. Give the stage more data, or `otherwise: go_on`"
            )
        return told

    def _holds(self, condition: Condition, found: Found) -> bool:
        value, asked = found[condition.title], self._asked(condition)
        return value >= asked if self._side(condition) == "at least" else value <= asked

    def _side(self, condition: Condition) -> str:
        return "at least" if self._better[condition.title] == "higher" else "at most"

    def _asked(self, condition: Condition) -> float:
        if condition.reaches is not None:
            return condition.reaches
        assert condition.recovers is not None  # Condition has one of them
        sign = -1 if self._better[condition.title] == "higher" else 1
        return self._base[condition.title] * (1 + sign * condition.recovers)

    def _open(self, model: Any, files: Mapping[str, bytes]) -> Bench:
        job, step = self.job, self.job.step
        folder = Path(job.work) / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (folder / name).write_bytes(content)
        model.config.save_pretrained(folder)
        if model.generation_config is not None:
            model.generation_config.save_pretrained(folder)
        context = getattr(model.config.get_text_config(), "max_position_embeddings", UNKNOWN_LENGTH)
        rendering = load_rendering(folder, step.name, context)
        machine = Machine(device=str(self._device), threads=torch.get_num_threads())
        seed = derive_seed(step.seed, "advance")
        store = Store(job.store)
        return Bench(
            step.name, step.name, "", model, rendering, store, job.inputs, seed, machine, self._say
        )

    def _measure(self, model: Any) -> Found:
        training = model.training
        model.eval()
        with torch.no_grad(), draws_kept(self._device):
            found = self._ask(replace(self._bench, model=model))
        model.train(training)
        return found

    def _measure_init(self) -> Found:
        """Of the model that the stage began from, before what the stage changes in it."""
        source = self.job.step.init.from_
        assert source is not None  # train.checks: `recovers` needs one
        with torch.no_grad(), draws_kept(self._device):
            found = self._ask(open_bench(source, self._bench))
        close()
        torch.set_num_threads(self._bench.machine.threads or 1)
        return found

    def _ask(self, bench: Bench) -> Found:
        scores = {title: whole(task, bench) for title, task in self.spec.tasks.items()}
        found = {}
        for condition in self.spec.when:
            there = scores[condition.task.title]
            if condition.metric not in there:
                raise RecipeError(
                    f"advance.when: task {condition.task.title!r} has no metric "
                    f"{condition.metric!r}; it has {', '.join(there)}"
                )
            score = there[condition.metric]
            if score.better == "neither":
                raise RecipeError(
                    f"advance.when: of {condition.title} neither more nor less is better; choose "
                    "another metric"
                )
            self._better[condition.title] = score.better
            found[condition.title] = score.value
        return of_first(found)


def whole(task: TaskSpec, bench: Bench) -> dict[str, Score]:
    """The scores of a task over all of its items, by metric."""
    return {
        score.metric: score
        for score in task.measure(bench).scores
        if score.source == ALL and score.length is None and score.depth is None
    }
