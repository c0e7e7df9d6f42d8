"""What ends a stage early: numbers that are none, a loss or a gradient that runs away, no labels.

In: the loss and the gradient norm of each step. Out: nothing, or Stopped with the step's rows.
Shown by: `guard: {spike: 6, patience: 3}`. Limit: all rows of a step are named, not the one that is
to blame.

The running mean and deviation forget: a step weighs 2% less with each one after it. A step above
the limit is left out of them, and the first WARM steps are not judged.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from gristmill.errors import GristmillError
from train.spec import Guard

FORGET = 0.02
WARM = 20  # steps
NAMED = 10  # rows in a message


class Stopped(GristmillError):
    """The stage was ended for what a step showed."""


class Watchdog:
    """Looks at every step. `named`: the rows of a step; `settings`: what sums depend on."""

    def __init__(
        self, spec: Guard, named: Callable[[int], Sequence[str]], settings: str = ""
    ) -> None:
        self.spec, self._named, self._settings = spec, named, settings
        self._seen, self._mean, self._square = 0, 0.0, 0.0
        self._above = {"loss": 0, "gradient norm": 0}

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {
            "seen": self._seen,
            "mean": self._mean,
            "square": self._square,
            "above": self._above,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint's."""
        self._seen, self._mean, self._square = state["seen"], state["mean"], state["square"]
        self._above = dict(state["above"])

    def check_labels(self, step: int, counted: int) -> None:
        """A step without a label has no gradient, and its mean is 0 / 0."""
        if counted == 0:
            raise self._stop(
                step,
                "none of its rows has a label that counts, so nothing can be learnt from it",
                "Leave such rows out of the data, or unmask a part of them (`mask` of the source, "
                "`max_length` that cuts the answer off)",
            )

    def check_numbers(self, step: int, loss: float, norm: float) -> None:
        """Called before the update: NaN and infinity must not reach the weights."""
        for name, value in (("loss", loss), ("gradient norm", norm)):
            if not math.isfinite(value):
                raise self._stop(
                    step,
                    f"its {name} is {value}",
                    f"Look at these rows{self._settings}; a lower rate, a longer warm-up or clip: "
                    "1 keep sums small, and dtype: float32 holds larger ones",
                )

    def check_course(self, step: int, loss: float, norm: float) -> None:
        """Called after the update, with the loss of all ranks."""
        deviation = math.sqrt(max(self._square - self._mean**2, 0.0))
        high = self.spec.spike is not None and self._seen >= WARM
        limit = self._mean + (self.spec.spike or 0.0) * deviation
        if high and loss > limit:
            self._count(
                step,
                "loss",
                f"{loss:.4g}, the running mean {self._mean:.4g} ± {deviation:.2g}, the limit "
                f"guard.spike {self.spec.spike:g} deviations above it",
            )
        else:
            self._above["loss"] = 0
            self._learn(loss)
        if self.spec.norm is not None and norm > self.spec.norm:
            told = f"{norm:.4g}, the limit guard.norm {self.spec.norm:g}"
            self._count(step, "gradient norm", told)
        else:
            self._above["gradient norm"] = 0

    def _count(self, step: int, name: str, told: str) -> None:
        self._above[name] += 1
        if self._above[name] >= self.spec.patience:
            raise self._stop(
                step,
                f"{name} {told}, for {self._above[name]} steps in a row",
                "Look at these rows and those before; lower optim.lr, or raise the guard's limit",
            )

    def _learn(self, loss: float) -> None:
        weight = max(FORGET, 1 / (self._seen + 1))
        self._mean += weight * (loss - self._mean)
        self._square += weight * (loss**2 - self._square)
        self._seen += 1

    def _stop(self, step: int, what: str, do: str) -> Stopped:
        rows = list(self._named(step))
        shown = "\n  ".join(rows[:NAMED])
        more = f"\n  and {len(rows) - NAMED} more" if len(rows) > NAMED else ""
        return Stopped(f"step {step + 1}: {what}. Its rows:\n  {shown}{more}\n{do}.")
