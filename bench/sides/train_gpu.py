"""Compiled training steps in bfloat16 on one device: a bare PyTorch loop, and a stage.

In: a store with a mixture, a config of transformers. Out: seconds of the steps after the first
few, which compile; the stage's own utilisation, and its wait for rows.
Shown by: `python -m bench.train_gpu`. Limit: one device.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from typing import Any

from bench.sides.train_stage import SPEC, learner, opened
from bench.worker import Job


def _now(device: str) -> float:
    """Seconds, once the device has done what it was given."""
    import torch

    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def open_bare(
    config: dict[str, Any], seq: int, batch: int, micro: int, steps: int, warm: int, device: str
) -> Job:
    """AdamW, a schedule, clipping and accumulation, over random tokens; model and loss compiled."""
    import torch
    from torch.nn import functional

    model, optimizer, schedule = learner(config, device)

    @torch.compile
    def loss_of(tokens: torch.Tensor) -> torch.Tensor:
        with torch.autocast(device, torch.bfloat16):
            logits = model(input_ids=tokens, use_cache=False).logits
        ahead = functional.pad(tokens[:, 1:], (0, 1), value=-100)
        return functional.cross_entropy(logits.flatten(0, 1).float(), ahead.flatten())

    def run() -> dict[str, Any]:
        begin = 0.0
        for step in range(steps):
            if step == warm:
                begin = _now(device)
            for _ in range(batch // micro):
                tokens = torch.randint(0, config["vocab_size"], (micro, seq), device=device)
                (loss_of(tokens) * (micro / batch)).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), SPEC["clip"])
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
        return {"seconds": _now(device) - begin, "tokens": (steps - warm) * batch * seq}

    return Job(run=run, packages=["torch", "transformers"])


class _Waits:
    """A loader that notes how long its reader waited for each item."""

    def __init__(self, items: Any) -> None:
        self.items, self.seconds = items, list[float]()

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Any]:
        each = iter(self.items)
        while True:
            begin = time.perf_counter()
            item = next(each, None)
            if item is None:
                return
            self.seconds.append(time.perf_counter() - begin)
            yield item


def open_stage(
    store: str, mixture: str, config: dict[str, Any], micro: int, warm: int, device: str
) -> Job:
    """A stage with `compile` and `fused_loss`, from step `warm` on."""
    from transformers import TrainerCallback

    from train.loop.speed import mfu_of_rate

    class Clock(TrainerCallback):  # type: ignore[misc]  # transformers is not read by mypy
        begin = end = 0.0

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step == warm:
                self.begin = _now(device)
            self.end = _now(device) if state.global_step == state.max_steps else 0.0

    held: list[Any] = []

    def before() -> None:
        for loop in held:
            shutil.rmtree(loop.work, ignore_errors=True)
        held.clear()
        how = {"device": device, "micro_batch": micro, "compile": True, "fused_loss": True}
        held[:] = [opened(store, mixture, config, "bfloat16", **how)]

    def run() -> dict[str, Any]:
        loop, clock = held[0], Clock()
        trainer, batches = loop.run.trainer, loop.stage.batches
        waits = _Waits(trainer.get_train_dataloader())
        trainer.get_train_dataloader = lambda: waits
        trainer.add_callback(clock)
        loop.train()
        tokens = batches.before(batches.steps) - batches.before(warm)
        seconds = clock.end - clock.begin
        rate = mfu_of_rate(loop.job, loop.stage.model, batches, trainer.args.device)
        return {
            "seconds": seconds,
            "tokens": tokens,
            "waited": sum(waits.seconds[warm * batches.per_step :]) / seconds,
            "mfu": None if rate is None else rate * tokens / seconds,
        }

    return Job(run=run, before=before, packages=["torch", "transformers", "accelerate"])
