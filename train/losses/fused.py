"""cross_entropy in pieces: the logits of a few thousand places at a time, never of all.

In: the last hidden states [n, h], the head's weights [v, h], labels [n]. Out: the sum of nats and,
at once, its gradients. Shown by: `run: {fused_loss: true}`.
Limit: models whose head is one matrix and nothing after it (checked when the stage opens).

A sum's gradient is known up to a factor when the sum is, so each piece's logits are turned into
their gradient on the spot, used, and forgotten; nothing is computed twice (the idea of Cut Your
Losses, arXiv:2411.09009, and of Liger Kernel, arXiv:2410.10989, without a kernel). Places without a
label cost nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from gristmill.errors import RecipeError
from train.trainer import IGNORED

PIECE = 1 << 26  # logits at once: 256 MiB


class _SumOfNats(torch.autograd.Function):  # type: ignore[misc]  # torch is not read by mypy
    """hidden [n, h], weight [v, h], bias [v], labels [n], z, piece -> sum, nats, z term."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        labels: Tensor,
        z: float,
        piece: int,
    ) -> tuple[Tensor, Tensor, Tensor]:
        kind = hidden.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else hidden.dtype
        wide = torch.promote_types(dtype, torch.float32)
        with torch.autocast(kind, enabled=False):
            matrix = weight.to(dtype)
            nats = hidden.new_zeros(len(hidden), dtype=wide)
            z_term = hidden.new_zeros((), dtype=wide)
            of_hidden = torch.zeros_like(hidden)
            of_weight = torch.zeros_like(weight, dtype=wide)
            of_bias = None if bias is None else torch.zeros_like(bias, dtype=wide)
            places = (labels != IGNORED).nonzero().squeeze(1)
            for some in places.split(max(1, piece // len(weight))):
                rows, wanted = hidden[some].to(dtype), labels[some][:, None]
                logits = (rows @ matrix.T).to(wide)
                if bias is not None:
                    logits += bias
                log_z = logits.logsumexp(1, keepdim=True)
                nats[some] = (log_z - logits.gather(1, wanted)).squeeze(1)
                z_term += z * (log_z**2).sum()
                slope = (logits - log_z).exp_()
                slope *= 1 + 2 * z * log_z
                slope.scatter_add_(1, wanted, slope.new_full(wanted.shape, -1.0))
                if of_bias is not None:
                    of_bias += slope.sum(0)
                narrow = slope.to(dtype)
                of_hidden[some] = (narrow @ matrix).to(hidden.dtype)
                of_weight += (narrow.T @ rows).to(wide)
        ctx.save_for_backward(of_hidden, of_weight, of_bias)
        ctx.dtypes = weight.dtype, None if bias is None else bias.dtype
        ctx.mark_non_differentiable(nats, z_term)
        return nats.sum() + z_term, nats, z_term

    @staticmethod
    def backward(ctx: Any, of_sum: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        of_hidden, of_weight, of_bias = ctx.saved_tensors
        weight, bias = ctx.dtypes
        found = None if of_bias is None else (of_bias * of_sum).to(bias)
        return of_hidden * of_sum, (of_weight * of_sum).to(weight), found, None, None, None


def sum_of_nats(
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    labels: Tensor,
    z: float = 0.0,
    piece: int = PIECE,
) -> tuple[Tensor, Tensor, Tensor]:
    """Sum of -log p(label) and z log(Z)^2; nats of each place [n]; the z term. The sum has a
    gradient, the others have none."""
    found: tuple[Tensor, Tensor, Tensor] = _SumOfNats.apply(hidden, weight, bias, labels, z, piece)
    return found


@dataclass
class Found:
    """What a forward pass told beside the sum."""

    nats: Tensor
    z_term: Tensor


class FusedHead:
    """A model's output matrix that gives the loss instead of logits while it is `learning`."""

    def __init__(self, head: nn.Linear) -> None:
        self._head = head
        self._asked: tuple[Tensor, float, Found] | None = None
        head.forward = self._forward

    @contextlib.contextmanager
    def learning(self, labels: Tensor, z: float) -> Iterator[Found]:
        """Within: `model(…).logits` is the sum of nats. labels [b, t]: what each place predicts."""
        found = Found(torch.empty(0), torch.zeros(()))
        self._asked = labels, z, found
        try:
            yield found
        finally:
            self._asked = None

    def _forward(self, hidden: Tensor) -> Tensor:
        weight, bias = self._head.weight, self._head.bias
        if self._asked is None:
            return functional.linear(hidden, weight, bias)
        labels, z, found = self._asked
        total, found.nats, found.z_term = sum_of_nats(
            hidden.flatten(0, 1), weight, bias, labels.flatten(), z
        )
        return total


def fuse(model: Any) -> FusedHead:
    """Make the model's head one that can give the loss; RecipeError where it is not that simple."""
    head, name = model.get_output_embeddings(), type(model).__name__
    if type(head) is not nn.Linear:
        raise RecipeError(
            f"run.fused_loss: the head of {name} is {type(head).__name__}, not one matrix; leave it"
            " out"
        )
    fused = FusedHead(head)
    ids = torch.arange(8, device=head.weight.device)[None] % len(head.weight)
    training = model.training
    model.eval()
    with torch.no_grad():
        logits = model(input_ids=ids, use_cache=False).logits[0]
        plain = functional.cross_entropy(logits.double(), ids[0], reduction="sum")
        with fused.learning(ids, 0.0):
            pieces = model(input_ids=ids, use_cache=False).logits
    model.train(training)
    if pieces.ndim or not torch.isclose(plain, pieces.double(), rtol=1e-3):
        raise RecipeError(
            f"run.fused_loss: {name} does more with its logits than one matrix does (a cap, a "
            "scale), so pieces give another loss; leave it out"
        )
    return fused
