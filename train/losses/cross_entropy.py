"""cross_entropy: -log p of the next token, a mean over the tokens that are counted.

In: logits [b, t, v], labels [b, t] (-100: not counted). Out: sum of nats, float32.
Shown by: `use: train, kind: pretrain`. Limit: logits are held whole; `run.fused_loss` does not.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

from train.trainer import Batch, Loss

IGNORED = -100


def token_nats(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """-log p(label) at each place [b, t - 1], 0 where the label is not counted.

    Place i is of labels[:, i + 1], which logits[:, i] predict.
    """
    ahead = labels[:, 1:]
    nats = functional.cross_entropy(
        logits[:, :-1].float().flatten(0, 1),
        ahead.flatten(),
        reduction="none",
        ignore_index=IGNORED,
    )
    return nats.view(ahead.shape)


def objective(model: Any, batch: Batch, counted: torch.Tensor | None) -> Loss:
    """Mean over the counted tokens of the whole step."""
    labels = batch["labels"]
    logits = model(
        input_ids=batch["input_ids"], position_ids=batch["position_ids"], use_cache=False
    ).logits
    nats = token_nats(logits, labels).sum()
    number = counted if counted is not None else (labels[:, 1:] != IGNORED).sum()
    return Loss(nats / number)
