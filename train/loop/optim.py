"""Optimisers: torch's, with weight decay on what should have it.

In: a model, what the recipe says. Out: an optimiser whose groups carry the parameters' names.
Shown by: any `use: train`. Limit: muon needs whole matrices, so it
is refused where ranks share the weights.

Decay: matrices (two dimensions and more) shrink; norms and biases do not, and neither do
embeddings, tied to the output or not, as in OLMo 2 (arXiv:2501.00656) and nanochat: rows of rare
tokens get no gradient and would only decay. muon takes the matrices of the layers, AdamW the
embeddings, the output head and all vectors; its updates are scaled to the size of AdamW's (Liu et
al. 2025, arXiv:2502.16982), so that one rate and one decay serve both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn
from torch.optim import SGD, AdamW, Muon, Optimizer, RMSprop
from transformers import PreTrainedModel

from train.spec import Optim

Named = list[tuple[str, nn.Parameter]]


def open_optimizer(model: PreTrainedModel, spec: Optim) -> Optimizer:
    """The optimiser of all parameters that learn."""
    embeddings, head = _ends(model)
    learning = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    matrices = [(n, p) for n, p in learning if p.ndim >= 2 and p not in embeddings]
    others = [(n, p) for n, p in learning if p.ndim < 2 or p in embeddings]
    if spec.name == "muon":
        layers = [(n, p) for n, p in matrices if p.ndim == 2 and p not in head]
        rest = [(n, p) for n, p in matrices if p.ndim != 2 or p in head]
        muon = Muon(
            layers,
            lr=spec.lr,
            weight_decay=spec.weight_decay,
            momentum=spec.momentum,
            adjust_lr_fn="match_rms_adamw",
        )
        return Joined([muon, _adamw(_groups(rest, others, spec), spec)])
    return _OPTIMIZERS[spec.name](_groups(matrices, others, spec), spec)


def _ends(model: PreTrainedModel) -> tuple[set[nn.Parameter], set[nn.Parameter]]:
    """Weights of embeddings, and those of the output head."""
    embeddings = {p for m in model.modules() if isinstance(m, nn.Embedding) for p in m.parameters()}
    head = model.get_output_embeddings()  # a reward model has none
    return embeddings, set() if head is None else set(head.parameters())


def _groups(matrices: Named, others: Named, spec: Optim) -> list[dict[str, Any]]:
    groups = [
        {"params": matrices, "weight_decay": spec.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def _adamw(groups: list[dict[str, Any]], spec: Optim) -> Optimizer:
    # fused: one pass over the memory, 2 to 3 times as fast as the default on a CPU
    return AdamW(groups, lr=spec.lr, betas=spec.betas, eps=spec.eps, fused=True)


def _sgd(groups: list[dict[str, Any]], spec: Optim) -> Optimizer:
    return SGD(groups, lr=spec.lr, momentum=spec.momentum)


def _rmsprop(groups: list[dict[str, Any]], spec: Optim) -> Optimizer:
    """betas[1] is the decay of the mean of squares, which RMSProp calls alpha."""
    return RMSprop(groups, lr=spec.lr, alpha=spec.betas[1], eps=spec.eps, momentum=spec.momentum)


_OPTIMIZERS: dict[str, Callable[[list[dict[str, Any]], Optim], Optimizer]] = {
    "adamw": _adamw,
    "sgd": _sgd,
    "rmsprop": _rmsprop,
}


class Joined(Optimizer):  # type: ignore[misc]  # torch is not read by mypy
    """Several optimisers that step together, each over parameters of its own."""

    def __init__(self, parts: Iterable[Optimizer]) -> None:
        self.parts = list(parts)
        self.defaults: dict[str, Any] = {}
        super().__init__([g for part in self.parts for g in part.param_groups], {})
        self._link()

    def _link(self) -> None:
        """Groups and state are the parts' own, so that who changes a rate here changes it there."""
        self.param_groups = [group for part in self.parts for group in part.param_groups]
        self.state.clear()
        for part in self.parts:
            self.state.update(part.state)

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def step(self, closure: Any = None) -> Any:
        for part in self.parts:
            part.step()
        self._link()
        return None

    def state_dict(self) -> dict[str, Any]:
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for part, state in zip(self.parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self._link()
