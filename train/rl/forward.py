"""One pass over prompts with their completions: logits, and values where there is a critic.

In: a model and a batch of right-padded rows. Out: what predicts each completion token.
Shown by: any `use: train, kind: rl`.
Limit: no mask is passed: padding stands behind all that counts, where causal attention sees none.

A batch has input_ids [b, t] and mask [b, c], 1 at the tokens that count. Column j of anything
[b, c] is of token t - c + j: the columns before are prompt in every row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from train.rl.critic import Critic
from train.trainer import Batch


@dataclass(slots=True)
class Passed:
    """Of each column: logits [b, c, v] at the sampling temperature, float32; values [b, c]."""

    logits: torch.Tensor
    values: torch.Tensor | None


def laid_out(
    prompts: Sequence[Sequence[int]],
    completions: Sequence[Sequence[int]],
    counted: Sequence[bool],
    device: torch.device,
) -> Batch:
    """Rows of a batch; `counted`: whether a completion is learnt from."""
    rows = [[*p, *c] for p, c in zip(prompts, completions, strict=True)]
    width = max(len(row) for row in rows)
    first = min(len(prompt) for prompt in prompts)
    ids = torch.zeros((len(rows), width), dtype=torch.long)
    written = torch.zeros((len(rows), width - first))
    for number, (prompt, row) in enumerate(zip(prompts, rows, strict=True)):
        ids[number, : len(row)] = torch.tensor(row)
        written[number, len(prompt) - first : len(row) - first] = 1
    mask = written * torch.tensor(counted, dtype=torch.float32)[:, None]
    batch = {"input_ids": ids, "written": written, "mask": mask}
    return {name: tensor.to(device) for name, tensor in batch.items()}


def in_columns(values: Sequence[Sequence[float]], written: torch.Tensor) -> torch.Tensor:
    """A number for each token that was written -> [b, c], 0 elsewhere."""
    flat = [value for row in values for value in row]
    found = torch.zeros_like(written)
    found[written > 0] = torch.tensor(flat, dtype=written.dtype, device=written.device)
    return found


def passed(
    model: Any, batch: Mapping[str, torch.Tensor], temperature: float, critic: Critic | None = None
) -> Passed:
    """The logits that predict each column, and the value of the state before it."""
    ids, places = batch["input_ids"], columns_of(batch)
    out = model(
        input_ids=ids,
        use_cache=False,
        logits_to_keep=places,
        output_hidden_states=critic is not None and critic.on_policy,
    )
    values = None
    if critic is not None:
        states = out.hidden_states[-1] if critic.on_policy else critic.states(ids)
        values = critic.values(states[:, places])
    return Passed(out.logits.float() / temperature, values)


def columns_of(batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """The places in a row whose logits predict the columns."""
    last = batch["input_ids"].shape[1] - 1
    return torch.arange(last - batch["mask"].shape[1], last, device=batch["input_ids"].device)


def targets(batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """The token of each column [b, c]."""
    return batch["input_ids"][:, -batch["mask"].shape[1] :]
