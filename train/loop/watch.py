"""What happens beside the steps: log, progress, guard, held-out loss, averages, checkpoints.

In: Trainer's events. Out: lines, checkpoints, points. Shown by: any `use: train`.
Limit: one line a step at most.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import distributed
from transformers import TrainerCallback

from gristmill.progress import human
from gristmill.stopping import ready
from train.loop import checkpoints
from train.loop.averages import Averager, Weights
from train.loop.conditions import Conditions, Found
from train.loop.guard import Watchdog
from train.loop.held_out import HeldRows
from train.loop.logs import Log
from train.loop.meter import STOP, TOKENS
from train.loop.places import Every
from train.loop.speed import memory
from train.trainer import Batches

SAID = 0.5  # seconds between two changes of the progress line
_LEFT_OUT = ("epoch", "step", "learning_rate", TOKENS)


@dataclass
class Run:
    """What the callbacks share."""

    batches: Batches
    log: Log
    watchdog: Watchdog
    saves: Every
    log_every: int
    first_rank: bool
    advance: Callable[[int], None]
    say: Callable[[str], None]
    weights: Callable[[], Weights]  # what learns, whole, by name
    mfu: float | None = None  # of one token a second
    held: HeldRows | None = None
    held_at: Every | None = None
    average: Averager | None = None
    conditions: Conditions | None = None
    looks: Every | None = None
    start: Found = field(default_factory=dict)  # of the conditions, before the first step
    last: Found = field(default_factory=dict)
    ended: int | None = None  # the step at which all conditions held
    stopped: int | None = None  # the step after which it was left, as it was asked to
    trainer: Any = None

    @property
    def steps(self) -> int:
        """Steps that the stage has, or had when it ended."""
        return self.ended or self.batches.steps


class Watch(TrainerCallback):  # type: ignore[misc]  # transformers is not read by mypy
    """Order within a step: points of the average, the line, the guard, the checkpoint."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._since = self._said = 0.0

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        run, folder = self.run, None
        if state.global_step:
            folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            run.watchdog.load(checkpoints.read(folder)["watchdog"])
            run.advance(state.global_step)
        if run.average is not None:
            run.average.begin(run.weights(), folder)
        if run.conditions is not None:
            run.start = run.conditions.begin(run.trainer.model)
        ready()
        self._since = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        run, step = self.run, state.global_step
        if run.average is not None and run.average.wants(step):
            weights = run.weights()
            if run.first_rank:
                run.average.see(step, weights)
        control.should_save = step < run.batches.steps and run.saves.passed(step)

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any
    ) -> None:
        if logs is None or "loss" not in logs:
            return  # Trainer's sums at the end
        run, step, asked = self.run, state.global_step, logs.pop(STOP, 0)
        line = self._line(step, logs, args.device)
        if self._look(step, line):
            control.should_training_stop = True
            control.should_save = False  # a checkpoint would be gone on from
        elif asked and step < run.batches.steps:
            control.should_training_stop = control.should_save = True
            run.stopped = step
        if run.held is not None and run.held_at is not None:
            if run.held_at.passed(step) or step == run.steps:
                model = run.trainer.model
                line |= run.held.measure(model, args.device, args.process_index, args.world_size)
                self._since = time.monotonic()
        logs |= line  # for callbacks that come after this one
        if run.first_rank and (step % run.log_every == 0 or step == run.steps):
            run.log.add(line)
        run.watchdog.check_course(step - 1, line["loss"], line.get("grad_norm", 0.0))
        self._tell(line)

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        run = self.run
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        if args.world_size > 1:
            distributed.barrier()  # each rank has written its part
        if run.first_rank:
            if run.average is not None:
                run.average.save(folder)
            run.log.settle()
            checkpoints.publish(folder, {"watchdog": run.watchdog.state()})
            checkpoints.prune(folder.parent)
        if args.world_size > 1:
            distributed.barrier()
        self._since = time.monotonic()

    def _look(self, step: int, line: dict[str, Any]) -> bool:
        """Whether the stage may end here; what was found is in the line."""
        run, end = self.run, step == self.run.batches.steps
        if run.conditions is None or run.looks is None or not (run.looks.passed(step) or end):
            return False
        run.last, met = run.conditions.look(run.trainer.model)
        line |= {f"advance/{title}": value for title, value in run.last.items()}
        self._since = time.monotonic()
        if met:
            run.ended = step
            run.advance(run.batches.steps - step)
        return met

    def _line(self, step: int, logs: dict[str, Any], device: Any) -> dict[str, Any]:
        run, now = self.run, time.monotonic()
        before, after = run.batches.before(step - 1), run.batches.before(step)
        seconds, self._since = now - self._since, now
        seconds = max(seconds, 1e-9)
        line: dict[str, Any] = {"step": step, run.batches.unit: before, "loss": logs["loss"]}
        line |= {"grad_norm": logs.get("grad_norm"), "lr": logs.get("learning_rate")}
        line |= {name: value for name, value in logs.items() if name not in (*line, *_LEFT_OUT)}
        line |= {"seconds": seconds, "tokens_per_second": logs[TOKENS] / seconds}
        if run.batches.unit != "tokens":
            line[f"{run.batches.unit}_per_second"] = (after - before) / seconds
        if run.mfu is not None:
            line["mfu"] = line["tokens_per_second"] * run.mfu
        return {**line, "memory": memory(device)}

    def _tell(self, line: dict[str, Any]) -> None:
        run, now = self.run, time.monotonic()
        run.advance(1)
        if now - self._said < SAID:
            return
        self._said = now
        name = "reward" if "reward" in line else "loss"  # the loss of rl is 0 but for its slope
        run.say(f"{name} {line[name]:.4g} · {human(line['tokens_per_second'])} tokens/s")
