"""cross_entropy: -log p of the next token, a mean over the tokens that are counted.

In: logits [b, t, v], labels [b, t] (-100: not counted). Out: nats, float32.
Shown by: `use: train, kind: pretrain`. Limit: logits are held whole; `run.fused_loss` does not.

With z_loss, z log(Z)^2 of each counted place is added, Z the sum that softmax divides by: PaLM
(arXiv:2204.02311), section 5.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

from train.losses.fused import FusedHead
from train.trainer import IGNORED, Batch, Loss

__all__ = ["IGNORED", "CrossEntropy", "ahead_of", "objective", "squared_log_z", "token_nats"]


def ahead_of(labels: torch.Tensor) -> torch.Tensor:
    """Label that each place predicts, [b, t]: the next one's; the last place has none.

    So logits stay as they are: a slice of them would be a copy.
    """
    return functional.pad(labels[:, 1:], (0, 1), value=IGNORED)


def token_nats(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """-log p(label) at each place [b, t - 1], 0 where the label is not counted.

    Place i is of labels[:, i + 1], which logits[:, i] predict.
    """
    nats = functional.cross_entropy(
        _wide(logits).flatten(0, 1),
        ahead_of(labels).flatten(),
        reduction="none",
        ignore_index=IGNORED,
    )
    return nats.view(labels.shape)[:, :-1]


def squared_log_z(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """log(Z)^2 at each place [b, t - 1], 0 where the label is not counted."""
    log_z = _wide(logits).logsumexp(-1)[:, :-1]
    return torch.where(labels[:, 1:] != IGNORED, log_z**2, torch.zeros_like(log_z))


def _wide(logits: torch.Tensor) -> torch.Tensor:
    return logits.float() if logits.dtype in (torch.bfloat16, torch.float16) else logits


class CrossEntropy:
    """The objective. `head`: computes it in pieces, `run.fused_loss`."""

    def __init__(self, z_loss: float = 0.0, head: FusedHead | None = None) -> None:
        self.z_loss, self.head = z_loss, head

    def __call__(self, model: Any, batch: Batch, counted: torch.Tensor | None) -> Loss:
        """Mean over the counted tokens of the whole step."""
        labels = batch["labels"]
        here = (labels[:, 1:] != IGNORED).sum(1)
        given = {name: batch[name] for name in ("input_ids", "position_ids")}
        if self.head is not None:
            with self.head.learning(ahead_of(labels), self.z_loss) as found:
                total = model(**given, use_cache=False).logits
            nats, z_term = found.nats.view(labels.shape), found.z_term
        else:
            logits = model(**given, use_cache=False).logits
            nats = token_nats(logits, labels)
            total, z_term = nats.sum(), torch.zeros(())
            if self.z_loss:
                z_term = self.z_loss * squared_log_z(logits, labels).sum()
                total = total + z_term
        number = counted if counted is not None else here.sum()
        metrics = {"z_loss": z_term.detach() / here.sum().clamp(min=1)} if self.z_loss else {}
        return Loss(total / number, metrics, (nats.detach().sum(1), here))


objective = CrossEntropy()
