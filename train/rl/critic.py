"""The value model of PPO: a head on the policy's states, or a network beside it.

In: the policy. Out: a module that hangs on it, so that optimiser and checkpoints see it.
Shown by: `python -m pytest tests/train/rl/test_rl_stage.py`.
Limit: it is taken off when the stage ends: the next stage begins a new one.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

NAME = "critic"  # the policy's attribute
Finish = Callable[[Any, Path], Any]  # Opened.finish


class Critic(nn.Module):  # type: ignore[misc]
    """A value a state."""

    def __init__(self, policy: Any, kind: Literal["head", "model"]) -> None:
        super().__init__()
        self.on_policy = kind == "head"
        self.trunk = None if self.on_policy else copy.deepcopy(policy.base_model)
        self.head = nn.Linear(policy.config.get_text_config().hidden_size, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def states(self, ids: torch.Tensor) -> torch.Tensor:
        """Last states [b, t, hidden] of the network beside the policy."""
        assert self.trunk is not None
        found: torch.Tensor = self.trunk(input_ids=ids, use_cache=False).last_hidden_state
        return found

    def values(self, states: torch.Tensor) -> torch.Tensor:
        """[b, c, hidden] -> [b, c], float32."""
        found: torch.Tensor = self.head(states.to(self.head.weight.dtype))[..., 0]
        return found.float()


def attach(policy: Any, kind: Literal["head", "model"]) -> Critic:
    """A new critic on the policy."""
    critic = Critic(policy, kind).to(policy.device)
    policy.add_module(NAME, critic)
    return critic


def detached(finish: Finish) -> Finish:
    """`finish` over the policy without its critic, as an engine loads it."""

    def finished(policy: Any, folder: Path) -> Any:
        delattr(policy, NAME)
        return finish(policy, folder)

    return finished
