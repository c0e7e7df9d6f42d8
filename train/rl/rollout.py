"""One batch of samples: the policy writes, judges give rewards, and micro-batches come out.

In: the policy, the number of the batch, its prompts. Out: batches for train.rl.objective.
Shown by: any `use: train, kind: rl`.
Limit: judges begin when all samples of a step are written.

Sample k of a prompt is drawn with a seed of (stage's seed, batch, place in it, k): whatever the
ranks and micro-batches, the draws are the same, and a stage that goes on writes what it would have.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from gristmill.errors import GristmillError
from gristmill.rng import derive_seed
from train.losses.policy import moments, token_logps
from train.ranks import summed
from train.rl.forward import in_columns, laid_out, passed, targets
from train.rl.judged import add_advantages, reward_log, weigh
from train.rl.objective import PolicyObjective
from train.rl.prompts import Prompt
from train.rl.rewards import Rewards
from train.rl.sample import Drawing, Write, Written
from train.spec import Rollout
from train.spec.losses.on_policy import OnPolicy
from train.spec.losses.policy import Grpo, Ppo
from train.trainer import Batch

NEAR = 1e-9  # rewards that are one
LOOKED_AT = 20  # batches at the start of a stage, which may not all have one and the same reward

Reference = Callable[[Any, Batch, float], torch.Tensor]  # (policy, batch, temperature): log-probs


@dataclass
class Rollouts:
    """What a stage needs to make batches."""

    spec: Rollout
    seed: int
    prompts: Sequence[Prompt]
    drawing: Drawing
    write: Write
    decode: Callable[[list[int]], str]
    objective: PolicyObjective
    rewards: Rewards | None  # None: kd_on_policy
    reference: Reference | None
    made: int = 0  # batches since this process began, and those without any signal
    flat: int = 0
    only: float | None = None  # the reward of all samples so far; None where two differed

    def __call__(self, policy: Any, number: int, items: Sequence[Batch], world: int) -> list[Batch]:
        """Micro-batches of this rank, one for each item."""
        training = policy.training
        policy.eval()
        prompts = [self.prompts[int(n)] for item in items for n in item["prompts"]]
        places = [int(place) for item in items for place in item["places"]]
        counts = [len(item["prompts"]) * self.spec.samples for item in items]
        with torch.no_grad():
            prompts, written = self._write(policy, number, prompts, places)
            batches = self._batches(policy, prompts, written, counts)
        if self.rewards is not None:
            self._judge(number, batches, prompts, written)
        longest = self.drawing.max_tokens
        weigh(self.objective.spec, batches, longest, len(items) * world)
        log = self._log(written, batches[0]["mask"].device)
        for batch in batches:
            batch |= log
        policy.train(training)
        return batches

    def _write(
        self, policy: Any, number: int, prompts: Sequence[Prompt], places: Sequence[int]
    ) -> tuple[list[Prompt], list[Written]]:
        samples = self.spec.samples
        each = [prompt for prompt in prompts for _ in range(samples)]
        seeds = [
            derive_seed(self.seed, "sample", number, place, k)
            for place in places
            for k in range(samples)
        ]
        return each, self.write(policy, [prompt.ids for prompt in each], seeds, self.drawing)

    def _batches(
        self,
        policy: Any,
        prompts: Sequence[Prompt],
        written: Sequence[Written],
        counts: Sequence[int],
    ) -> list[Batch]:
        """Micro-batches, with what the policy, the reference and the critic said at the start."""
        found, start = [], 0
        for count in counts:
            part = slice(start, start + count)
            start += count
            batch = laid_out(
                [prompt.ids for prompt in prompts[part]],
                [one.ids for one in written[part]],
                [one.ended or self.spec.truncated != "mask" for one in written[part]],
                policy.device,
            )
            self._ask(policy, batch)
            said = [one.logps for one in written[part] if one.logps is not None]
            if said:
                batch["writer"] = in_columns(said, batch["written"])
            found.append(batch)
        return found

    def _ask(self, policy: Any, batch: Batch) -> None:
        spec, temperature = self.objective.spec, self.drawing.temperature
        if isinstance(spec, OnPolicy):
            return
        if self.reference is not None:
            batch["reference"] = self.reference(policy, batch, temperature)
        # With one update the ratio is 1: grpo's log-probabilities are then those of its own pass.
        if isinstance(spec, Grpo) and self.spec.updates == 1:
            return
        said = passed(policy, batch, temperature, self.objective.critic)
        batch["old"] = token_logps(said.logits, targets(batch))
        if isinstance(spec, Ppo):
            assert said.values is not None
            batch["values"] = said.values

    def _judge(
        self,
        number: int,
        batches: Sequence[Batch],
        prompts: Sequence[Prompt],
        written: Sequence[Written],
    ) -> None:
        assert self.rewards is not None and not isinstance(self.objective.spec, OnPolicy)
        found = self.rewards(prompts, [self.decode(one.ids) for one in written])
        found = found.to(batches[0]["mask"].device)
        if self.spec.truncated == "zero":
            found *= torch.tensor([[float(one.ended)] for one in written]).to(found)
        total = self.rewards.total(found)
        add_advantages(self.objective.spec, batches, total, self.spec.samples)
        log = reward_log(found, total, self.rewards.names, self.spec.samples)
        self.flat += int(log["no_signal"] == 1)
        self._look(number, float(log["reward"]), float(log["reward_std"]))
        self.made += 1
        for batch in batches:
            batch |= {f"log.{name}": value.float() for name, value in log.items()}

    def _look(self, number: int, mean: float, deviation: float) -> None:
        """GristmillError where a stage has begun with batches of one reward alone: no gradient."""
        if deviation > NEAR or (self.made and (self.only is None or abs(mean - self.only) > NEAR)):
            self.only = None
        elif not self.made:
            self.only = mean
        if self.only is not None and self.made == number == LOOKED_AT - 1:
            raise GristmillError(
                f"all samples of the first {LOOKED_AT} batches have the reward {mean:g}: nothing "
                "was learnt. See whether the verifier can read what this model writes, and whether "
                "answers end within rollout.max_tokens; easier prompts, SFT before, or a reward "
                "with more levels give it a start"
            )

    def notes(self) -> list[str]:
        """What a user should know."""
        if not self.flat:
            return []
        return [
            f"in {self.flat:,} of {self.made:,} batches all samples of each prompt had one reward: "
            "nothing was learnt from them. Easier or harder prompts, more samples or a reward with "
            "more levels would help"
        ]

    def _log(self, written: Sequence[Written], device: torch.device) -> Batch:
        columns = {
            "length": [float(len(one.ids)) for one in written],
            "truncated": [float(not one.ended) for one in written],
            "empty": [float(one.ended and len(one.ids) == 1) for one in written],
        }
        found = {}
        for name, values in columns.items():
            column = torch.tensor(values, dtype=torch.float64).to(device)
            found[f"log.{name}"] = moments(column, torch.ones_like(column), summed)[0].float()
        return found
