"""Online Merging Optimizer: each update is merged with what SFT changed (arXiv:2405.17931).

In: a model that begins as the reference (SFT), the base it was tuned from. Out: a callback around
any optimiser's step. Shown by: `optim: {merge: {base: models/base}}`.
Limit: two copies of the weights more; masks are drawn on the device, so GPU and CPU differ; FSDP
is not covered.

With D = what the optimiser changed in this step (its weight decay among it), T = reference - base,
a = `weight` and p = `density`:

    OnDARE  theta += (1 - a) drop(D) + a drop(T)      drop keeps an entry with probability p and
                                                      divides it by p; T is drawn once, D each step
    OnTIES  theta += (1 - a) D' + a T'                the p largest entries of each tensor; an entry
                                                      counts where its sign is that of their sum

As the authors' code has it, dropped T is cut to [-1, 1]. Their script for 7B has OnDARE, p = 0.01,
a = 1e-7 at a learning rate of 1e-6.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from transformers import TrainerCallback

from gristmill.errors import RecipeError
from gristmill.rng import derive_seed
from train.spec.optim import OnlineMerge
from train.weights.ops.ties import trim

CLIP = 1.0


class OnlineMerging(TrainerCallback):  # type: ignore[misc]
    """Merges each step of the optimiser. `base`: the base's parameters by name."""

    def __init__(
        self, model: nn.Module, base: Mapping[str, Tensor], spec: OnlineMerge, seed: int
    ) -> None:
        self.spec, self.seed = spec, seed
        self.weights = {n: p for n, p in model.named_parameters() if p.requires_grad}
        self.changed: dict[str, Tensor] = {}  # T, sparsified once
        self._before: dict[str, Tensor] = {}
        for name, weight in self.weights.items():
            if name not in base or base[name].shape != weight.shape:
                told = list(base[name].shape) if name in base else "absent"
                raise RecipeError(
                    f"optim.merge.base: {name} is {list(weight.shape)} in the model and {told} in "
                    f"{spec.base}; the base is the model before SFT"
                )
            difference = weight.detach() - base[name].to(weight)
            if spec.method == "dare":
                kept = self._drop(difference, name, "reference").clamp_(-CLIP, CLIP)
            else:
                kept = trim(difference, spec.density)
            self.changed[name] = kept

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        self._before = {name: weight.detach().clone() for name, weight in self.weights.items()}

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        for name, weight in self.weights.items():
            before = self._before.pop(name)
            update = weight.detach() - before
            weight.data.copy_(before.add_(self.merged(update, name, state.global_step)))

    def merged(self, update: Tensor, name: str, step: int) -> Tensor:
        """What a step adds to a weight."""
        reference, share = self.changed[name], self.spec.weight
        if self.spec.method == "dare":
            return self._drop(update, name, step) * (1 - share) + reference * share
        update = trim(update, self.spec.density)
        sign = torch.where(update + reference >= 0, 1.0, -1.0)
        update, reference = (one * (one.sign() == sign) for one in (update, reference))
        return update * (1 - share) + reference * share

    def _drop(self, tensor: Tensor, name: str, step: int | str) -> Tensor:
        """Entries kept with probability `density` and divided by it."""
        drawn = torch.Generator(tensor.device)
        drawn.manual_seed(derive_seed(self.seed, "online_merge", step, name))
        draws = torch.rand(tensor.shape, generator=drawn, device=tensor.device)
        return tensor * (draws < self.spec.density) / self.spec.density
