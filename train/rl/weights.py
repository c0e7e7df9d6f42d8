"""A policy's weights as a checkpoint would have them, for an engine that reads checkpoints.

In: a policy, with an adapter in it or without. Out: name -> tensor, the policy's own where nothing
is added. Shown by: `python -m pytest tests/train/rl/test_vllm_writer.py`.
Limit: weights in memory, whole on this process.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers.core_model_loading import revert_weight_conversion

from train.rl.critic import NAME

_BASE = ".base_layer."
_ADAPTER = "default"  # what peft calls the only one


@torch.no_grad()  # type: ignore[untyped-decorator]
def plain_weights(model: Any, adapted: bool) -> dict[str, torch.Tensor]:
    """Without a critic, an adapter added to what it is on, experts apart as they are published.

    peft's own merge changes the policy, and taking it back leaves rounding errors.
    """
    found = {}
    for name, weight in model.state_dict().items():
        if name.startswith(f"{NAME}.") or (adapted and ".lora_" in name):
            continue
        place, is_adapted, last = name.rpartition(_BASE)
        if is_adapted and last == "weight":
            weight = weight + model.get_submodule(place).get_delta_weight(_ADAPTER)
        found[f"{place}.{last}" if is_adapted else name] = weight
    published: dict[str, torch.Tensor] = revert_weight_conversion(model, found)
    return published
