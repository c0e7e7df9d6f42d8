"""Rewards of completions: exact verifiers, code in the sandbox, reward models.

In: prompts and what the policy wrote to them. Out: float64 [n, rewards]; errors name the row.
Shown by: `python -m pytest tests/train/rl/test_rewards.py`.
Limit: verifiers run one after the other in this process; only `code` runs side by side.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import torch

from gristmill.errors import GristmillError, RecipeError
from synth.calls import Failure
from synth.sandbox.examine import examination, verdict
from synth.sandbox.pool import SandboxPool
from synth.verify import IN_SANDBOX, fault_of_answer, verifier
from synth.verify.code import program
from train.job import Job
from train.rl.prompts import Prompt
from train.rl.reward_model import RewardModel
from train.spec.rollout import ROW, Reward

_POLL = 0.1  # seconds


class Judge(Protocol):
    """What gives one reward."""

    def __call__(self, prompts: Sequence[Prompt], texts: Sequence[str]) -> list[float]: ...


class Rewards:
    """All rewards of a stage."""

    def __init__(self, given: Sequence[Reward], judges: Sequence[Judge]) -> None:
        self.names = [reward.name for reward in given]
        self.weights = torch.tensor([reward.weight for reward in given], dtype=torch.float64)
        self._judges = judges

    def __call__(self, prompts: Sequence[Prompt], texts: Sequence[str]) -> torch.Tensor:
        """[n, rewards], each as its judge gave it."""
        columns = []
        for name, judge in zip(self.names, self._judges, strict=True):
            column = judge(prompts, texts)
            for prompt, text, value in zip(prompts, texts, column, strict=True):
                if not math.isfinite(value):
                    raise GristmillError(
                        f"reward {name!r} of {prompt.name} is {value}; rewards are finite numbers. "
                        f"The completion: {text!r:.200}"
                    )
            columns.append(column)
        return torch.tensor(columns, dtype=torch.float64).T

    def total(self, rewards: torch.Tensor) -> torch.Tensor:
        """The weighted sum [n]."""
        return rewards @ self.weights


def open_rewards(job: Job, given: Sequence[Reward], prompts: Sequence[Prompt]) -> Rewards:
    """Judges that are ready; RecipeError for a row whose verifier or answer cannot be used."""
    judges: list[Judge] = []
    for reward in given:
        if reward.model is not None:
            judges.append(RewardModel(job.model_folder(reward.model), reward.model))
            continue
        assert reward.verifier is not None
        judges.append(Verifiers(None if reward.verifier == ROW else reward.verifier, prompts))
    return Rewards(given, judges)


class Verifiers:
    """The verifier of each row, or one for all."""

    def __init__(self, name: str | None, prompts: Sequence[Prompt]) -> None:
        self._name = name
        for prompt in prompts:
            self._check(prompt)
        codes = any(self._of(prompt) == IN_SANDBOX for prompt in prompts)
        self._pool = SandboxPool() if codes else None

    def __call__(self, prompts: Sequence[Prompt], texts: Sequence[str]) -> list[float]:
        names = [self._of(prompt) for prompt in prompts]
        found = [
            math.nan if name == IN_SANDBOX else _judged(name, prompt, text)
            for name, prompt, text in zip(names, prompts, texts, strict=True)
        ]
        codes = [number for number, name in enumerate(names) if name == IN_SANDBOX]
        for number, value in self._run(codes, prompts, texts):
            found[number] = value
        return found

    def _of(self, prompt: Prompt) -> str:
        return self._name or prompt.verifier

    def _check(self, prompt: Prompt) -> None:
        name = self._of(prompt)
        if not name:
            raise RecipeError(
                f"{prompt.name} names no verifier; write one for all, "
                "`rewards: [{verifier: exact}]`, or fill the column `verifier`"
            )
        try:
            if name != IN_SANDBOX:
                verifier(name)
        except RecipeError as error:
            raise RecipeError(f"{prompt.name}: {error}") from None
        wrong = fault_of_answer(name, prompt.answer)
        if wrong:
            raise RecipeError(f"{prompt.name}: {wrong}")

    def _run(
        self, codes: Sequence[int], prompts: Sequence[Prompt], texts: Sequence[str]
    ) -> list[tuple[int, float]]:
        """1.0 where a program passes all tests of its row."""
        if self._pool is None:
            return []
        waiting, under_way, found = list(codes), 0, []
        while waiting or under_way:
            while waiting and under_way < self._pool.capacity:
                number = waiting.pop()
                call = examination(program(texts[number]), prompts[number].answer)
                self._pool.submit(number, call)
                under_way += 1
            for number, answer in self._pool.poll(_POLL):
                under_way -= 1
                if not isinstance(answer, Failure):
                    found.append((number, float(verdict(answer.value).whole)))
                elif answer.reason == "rejected":  # no program that the sandbox takes
                    found.append((number, 0.0))
                else:
                    raise GristmillError(
                        f"the sandbox could not judge {prompts[number].name}: {answer.detail}"
                    )
        return found


def _judged(name: str, prompt: Prompt, text: str) -> float:
    try:
        return float(verifier(name)(text, prompt.answer, prompt.text))
    except Exception as error:  # a third party's may raise what it likes
        raise GristmillError(
            f"verifier {name!r} failed on {prompt.name}: {type(error).__name__}: {error}. "
            f"The completion: {text!r:.200}"
        ) from error
