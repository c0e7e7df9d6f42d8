"""A model whose weights the ranks share (FSDP2), and the same model whole.

In: a model before it is sharded, and after. Out: its weights by name; at the end, a plain model.
Shown by: `run: {ranks: 2, shard: true}`. Limit: the whole model must fit the first rank's memory.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

import torch
from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin
from torch import nn
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy
from torch.distributed.tensor import DTensor, distribute_tensor
from transformers import TrainingArguments

Weights = dict[str, torch.Tensor]


def share(accelerator: Any, arguments: TrainingArguments) -> bool:
    """Have accelerate share the weights as `arguments` say; whether they do.

    accelerate knows FSDP on GPUs alone, and leaves a CPU's ranks with whole weights; torch shares
    them there too. Its sums of bfloat16 gradients would be bfloat16: here they are float32.
    """
    if arguments.fsdp_plugin_args is None:
        return False
    state = accelerator.state
    if arguments.use_cpu:
        state.distributed_type = DistributedType.FSDP
        state.fsdp_plugin = FullyShardedDataParallelPlugin(**arguments.fsdp_plugin_args)
    if arguments.bf16:
        state.fsdp_plugin.mixed_precision_policy = MixedPrecisionPolicy(
            param_dtype=torch.bfloat16, reduce_dtype=torch.float32
        )
    return True


def outline(model: nn.Module) -> nn.Module:
    """The model without its weights, as it is before ranks share it: for `filled`."""
    known = {id(p): nn.Parameter(p.to("meta"), p.requires_grad) for p in model.parameters()}
    return copy.deepcopy(model, known)


def whole(model: nn.Module, first: bool, learning: bool = False) -> Weights:
    """Weights by name, on the CPU of the first rank; {} on others. All ranks call it."""
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()  # what a pass has gathered may be bfloat16; the parts are float32
    named = model.named_parameters()
    return gathered(((plain(n), p) for n, p in named if p.requires_grad or not learning), first)


def gathered(named: Iterable[tuple[str, torch.Tensor]], first: bool) -> Weights:
    """Whole tensors, on the CPU of the first rank; {} on others. All ranks call it."""
    found = {}
    for name, tensor in named:
        tensor = tensor.detach()
        if isinstance(tensor, DTensor):
            tensor = tensor.full_tensor()  # one at a time: no other rank holds them all
        if first:
            found[name] = tensor.cpu().contiguous()
    return found


def filled(model: nn.Module, weights: Weights) -> nn.Module:
    """An outline with weights; those that are tied stay so."""
    real = {
        id(p): nn.Parameter(weights[name], p.requires_grad) for name, p in model.named_parameters()
    }
    for module in model.modules():
        for name, p in list(module.named_parameters(recurse=False, remove_duplicate=False)):
            setattr(module, name, real[id(p)])
    return model


def plain(name: str) -> str:
    """A weight's name without what wrappers add to it: activation checkpointing, torch.compile."""
    return name.replace("_checkpoint_wrapped_module.", "").replace("_orig_mod.", "")


def like(tensor: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """A whole tensor as a weight is kept: on its device, this rank's part of it."""
    tensor = tensor.to(weight.device)
    if tensor.ndim and isinstance(weight, DTensor):
        return distribute_tensor(tensor, weight.device_mesh, weight.placements)
    return tensor
