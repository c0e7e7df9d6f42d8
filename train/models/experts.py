"""What a mixture of experts adds to a stage: the balance loss, and where tokens went.

In: an objective of any kind. Out: the same with router_aux_loss_coef times the balance loss, and
shares of the experts for the log. Shown by: `python -m pytest tests/train/models/test_experts.py`.
Limit: padding is routed, and counted, like any token: packed rows have next to none.

Routers are read by hooks while the objective runs the model, so that no loss need know of them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.models.mixtral.modeling_mixtral import load_balancing_loss_func

from train.losses.cross_entropy import IGNORED
from train.trainer import Batch, Batches, Loss, Objective


def balanced(model: Any, objective: Objective) -> Objective:
    """The objective with the balance loss; itself where the model has no experts."""
    return _Balanced(model, objective) if routers(model) else objective


def routers(model: Any) -> list[nn.Module]:
    """The modules that send tokens to experts, first layer first."""
    kinds = _router_kinds(model)
    return [module for module in model.modules() if isinstance(module, tuple(kinds))]


def _router_kinds(model: Any) -> dict[type[nn.Module], int]:
    """Class of the routers -> which of its outputs the logits are, as transformers records them."""
    found: dict[type[nn.Module], int] = {}
    for module in model.modules():
        if not isinstance(module, PreTrainedModel):
            continue
        recorder = (module._can_record_outputs or {}).get("router_logits")
        if recorder is not None:
            found[recorder.target_class] = recorder.index
    return found


class _Routed:
    """Logits of a model's routers, in the order in which they ran."""

    def __init__(self, model: Any) -> None:
        self._index = _router_kinds(model)
        self._seen: list[torch.Tensor] = []
        self._hooks = [module.register_forward_hook(self._see) for module in routers(model)]

    def take(self) -> tuple[torch.Tensor, ...]:
        """What was seen since the last time."""
        found = tuple(self._seen)
        self._seen.clear()
        return found

    def close(self) -> None:
        for hook in self._hooks:
            hook.remove()

    def _see(self, module: nn.Module, given: Any, made: Any) -> None:
        if isinstance(made, tuple):  # an adapter makes a subclass of the router's class
            made = made[next(n for kind, n in self._index.items() if isinstance(module, kind))]
        self._seen.append(made)


class _Balanced:
    """Switch Transformer's balance loss (arXiv:2101.03961, eq. 4-6), as transformers has it."""

    def __init__(self, model: Any, objective: Objective) -> None:
        config = model.config.get_text_config().to_dict()
        self.objective = objective
        self.experts = config.get("num_local_experts") or config["num_experts"]
        self.top_k = config["num_experts_per_tok"]
        self.weight = config.get("router_aux_loss_coef", 0.0)
        self._routed = _Routed(model)

    def __call__(self, model: Any, batch: Batch, counted: torch.Tensor | None) -> Loss:
        self._routed.take()
        found = self.objective(model, batch, counted)
        told = self._routed.take()
        balance = load_balancing_loss_func(told, self.experts, self.top_k)
        found.total = found.total + self.weight * balance * _part(batch, counted)
        shares = torch.stack([expert_shares(logits, self.top_k) for logits in told])
        found.metrics = {
            **found.metrics,
            "experts/balance_loss": balance.detach(),
            "experts/least_share": shares.min(),
            "experts/most_share": shares.max(),
        }
        return found


def expert_shares(logits: torch.Tensor, top_k: int) -> torch.Tensor:
    """Part of a layer's assignments that each expert has, float[experts]; 1 / experts is even."""
    experts = logits.shape[-1]
    chosen = logits.detach().topk(top_k, dim=-1).indices.flatten()
    return torch.bincount(chosen, minlength=experts).float() / chosen.numel()


def routing_facts(model: Any, batches: Batches) -> dict[str, Any]:
    """Shares of the experts of each layer over the last step's rows; {} for a dense model. All that
    a router chooses runs: there is no capacity, so no token is dropped."""
    if not routers(model):
        return {}
    top_k = model.config.get_text_config().num_experts_per_tok
    routed = _Routed(model)
    sums: list[torch.Tensor] = []
    for number in range(len(batches) - batches.per_step, len(batches)):
        batch = batches[number]
        given = {name: batch[name].to(model.device) for name in ("input_ids", "position_ids")}
        with torch.no_grad():
            model(**given, use_cache=False)
        size = batch["input_ids"].numel()
        shares = [expert_shares(logits, top_k).cpu() * size for logits in routed.take()]
        sums = [a + b for a, b in zip(sums, shares, strict=True)] if sums else shares
    routed.close()
    found = [[round(share, 4) for share in (one / one.sum()).tolist()] for one in sums]
    return {"expert_shares": found}


def _labels(batch: Batch) -> torch.Tensor:
    return batch["labels"] if "labels" in batch else batch["targets"]


def _part(batch: Batch, counted: torch.Tensor | None) -> torch.Tensor | float:
    """The part of the step's labels that a micro-batch has: parts sum to 1 over a step."""
    if counted is None:
        return 1.0
    return (_labels(batch)[:, 1:] != IGNORED).sum() / counted
