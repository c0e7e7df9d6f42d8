"""Budgets: a hard stop at so many tokens, seconds or so much money.

In: what requests would take at most and what they took. Out: whether one more may be sent.
Shown by: `python -m pytest tests/synth/test_budget.py`.
Limit: tokens of the log count as if they were made now: a budget is the step's, not the command's.

A request is sent only where all that is under way, at its longest, still fits. So a budget of
tokens or money is never exceeded; near its end fewer requests are under way.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict, Field

from synth.calls import Answer, Generate, Ready


class Budget(BaseModel):
    """Limits of one step. tokens: of prompts and completions. cost: in the unit of `price`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tokens: int | None = Field(default=None, ge=1)
    seconds: float | None = Field(default=None, gt=0)  # of one run of the command
    cost: float | None = Field(default=None, gt=0)


@dataclass(slots=True)
class Purse:
    """What is left of a budget while a step runs."""

    budget: Budget = field(default_factory=Budget)
    prices: dict[str, dict[str, float]] = field(default_factory=dict)  # engine -> a million tokens
    clock: Callable[[], float] = time.monotonic
    tokens: int = 0  # spent
    cost: float = 0.0
    held_tokens: int = 0  # at most taken by what is under way
    held_cost: float = 0.0
    began: float = 0.0

    def __post_init__(self) -> None:
        self.began = self.clock()

    def price(self, engine: str, prompt: int, completion: int) -> float:
        """Money for so many tokens."""
        price = self.prices.get(engine)
        if not price:
            return 0.0
        paid = prompt * price.get("input", 0.0) + completion * price.get("output", 0.0)
        return paid / 1e6

    def out_of_time(self) -> bool:
        """Whether the seconds are over."""
        limit = self.budget.seconds
        return limit is not None and self.clock() - self.began >= limit

    def admits(self, engine: str, ready: Ready) -> bool:
        """Whether a request may be sent; it is held from then on."""
        budget = self.budget
        size, cost = ready.size, self._most(engine, ready)
        if budget.tokens is not None and self.tokens + self.held_tokens + size > budget.tokens:
            return False
        if budget.cost is not None and self.cost + self.held_cost + cost > budget.cost:
            return False
        self.held_tokens += size
        self.held_cost += cost
        return True

    def release(self, engine: str, ready: Ready) -> None:
        """The request is under way no more."""
        self.held_tokens -= ready.size
        self.held_cost -= self._most(engine, ready)

    def spend(self, engine: str, answer: Answer) -> None:
        """An answer was used, from a model or from the log."""
        self.tokens += answer.prompt_tokens + answer.completion_tokens
        self.cost += self.price(engine, answer.prompt_tokens, answer.completion_tokens)

    def _most(self, engine: str, ready: Ready) -> float:
        call = ready.call
        completion = call.sampling.max_tokens if isinstance(call, Generate) else 0
        return self.price(engine, max(0, ready.size - completion), completion)
