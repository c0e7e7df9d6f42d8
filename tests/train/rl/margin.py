"""How much policy gradients add to a policy that right answers taught a little: sums of two digits.

In: seeds. Out: a table: the share of right answers before and after, sampled and greedy, beside a
control that learns from as many rows of right answers.
Shown by: `python -m tests.train.rl.margin`; grpo on both engines: `… margin vllm`.
Limit: 0.1M parameters, one task, all its 100 prompts are seen in training; it shows that the
gradients are right, not what they are worth at size.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaForCausalLM

from gristmill.store import Store
from tests.train.rl.stages import a_stage, put_prompts, trained
from tests.train.rl.tiny_policy import FEW_HEADS, prompts, rows, save, score, taught

LESSONS = 100  # steps on right answers, of 32 each
STEPS, BATCH, SAMPLES = 80, 16, 8
LOSSES: dict[str, Any] = {
    "grpo": "grpo",
    "mdloo": {"mdloo": {"beta": 0.01}},
    "rloo": {"rloo": {"beta": 0.01}},
    "ppo": {"ppo": {"beta": 0.01}},
    "mdloo, two updates": {"mdloo": {"beta": 0.01}},
}
UPDATES = {"mdloo, two updates": 2}  # on each batch of samples; half as many batches
CONTROL = "right answers"  # as many rows again as the policies wrote, learnt from the truth
GREEDY = 1e-3  # a temperature
Scores = tuple[float, float]  # the share of right answers: sampled at temperature 1, greedy


def scores(model: Any) -> Scores:
    """Of a model on 400 prompts."""
    held = prompts(400, seed=7)
    return score(model, held), score(model, held, GREEDY)


def begin(home: Path, seed: int, **sizes: Any) -> Scores:
    """A policy that has seen right answers, in `home/policy`, and prompts in `home/store`."""
    model = taught(seed, LESSONS, batch=32, **sizes)
    save(model, home / "policy")
    put_prompts(Store(home / "store"), rows(STEPS * BATCH, seed=50 + seed))
    return scores(model)


def control(seed: int) -> Scores:
    """The policy after as many rows of right answers as a stage has samples: an upper mark, since
    nobody tells a policy the answer."""
    return scores(taught(seed, LESSONS + STEPS * BATCH * SAMPLES // 32, batch=32))


def learn(home: Path, loss: str, seed: int, engine: str = "transformers") -> Scores:
    """The same policy after a stage of kind rl."""
    step = a_stage(
        home,
        loss=LOSSES[loss],
        rollout={"samples": SAMPLES, "engine": engine, "updates": UPDATES.get(loss, 1)},
        data={"batch": BATCH, "epochs": 1 / UPDATES.get(loss, 1)},
        optim={"lr": 3e-4, "betas": [0.9, 0.99]},
        schedule={"shape": "constant", "warmup": 0.1},
        seed=seed,
    )
    began = time.monotonic()
    made = trained(home, Store(home / "store"), step, f"{loss} {engine}")
    steps = sorted(line["seconds"] for line in made.log.to_pylist())
    print(f"{engine}: {time.monotonic() - began:.1f} s, a step {steps[len(steps) // 2]:.3f} s")
    return scores(LlamaForCausalLM.from_pretrained(made.folder).eval())


def main(seeds: Sequence[int] = (0, 1, 2)) -> None:
    """Print the table."""
    torch.set_num_threads(1)
    names = ["taught", *LOSSES, CONTROL]
    found: dict[str, list[Scores]] = {name: [] for name in names}
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            found["taught"].append(begin(Path(folder), seed))
            found[CONTROL].append(control(seed))
            for loss in LOSSES:
                found[loss].append(learn(Path(folder), loss, seed))
                print(f"seed {seed} {loss}: {found['taught'][-1]} -> {found[loss][-1]}", flush=True)
    print(f"| | {' | '.join(f'seed {seed}' for seed in seeds)} | mean |")
    print(f"|---|{'---|' * (len(seeds) + 1)}")
    for place, kind in enumerate(("sampled", "greedy")):
        for name in names:
            values = [one[place] for one in found[name]]
            told = " | ".join(f"{value:.2f}" for value in [*values, sum(values) / len(values)])
            print(f"| {name}, {kind} | {told} |")


def by_engine(seeds: Sequence[int] = (0, 1, 2)) -> None:
    """Print what grpo adds where the policy writes itself, and where vLLM writes for it."""
    torch.set_num_threads(1)
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            before = begin(Path(folder), seed, **FEW_HEADS)
            for engine in ("transformers", "vllm"):
                print(f"seed {seed}: {before} -> {learn(Path(folder), 'grpo', seed, engine)}")


if __name__ == "__main__":
    by_engine() if sys.argv[1:] == ["vllm"] else main()
