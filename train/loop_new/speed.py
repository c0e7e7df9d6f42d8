"""Floating-point operations of a token, and how much of the machine's peak a step used.

In: a model, row length, seconds. Out: operations; model FLOPs utilisation. Shown by: the column
`mfu` of a stage's log. Limit: a peak is known of some GPUs (bfloat16, dense), and of no CPU.

6 for each weight that multiplies a token, forward and backward, and 12 × layers × width × length for
attention: PaLM (arXiv:2204.02311), appendix B, without taking off what a causal mask leaves out.
"""

from __future__ import annotations

import resource
import sys
from typing import Any

import torch
from torch import nn

# Dense bfloat16 peaks from the vendors' data sheets, by a part of the device's name.
PEAKS = {"H200": 989e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12, "4090": 165e12}


def flops_per_token(model: Any, seq: int) -> float:
    """Forward and backward, a token of a row of `seq`."""
    config = model.config.get_text_config()
    embeddings = {p for m in model.modules() if isinstance(m, nn.Embedding) for p in m.parameters()}
    head = model.get_output_embeddings()
    weights = sum(p.numel() for p in model.parameters() if p not in embeddings)
    if head is not None and head.weight in embeddings:
        weights += head.weight.numel()  # tied: it multiplies once, as the head
    config_of = config.to_dict()
    experts = config_of.get("num_local_experts") or config_of.get("num_experts") or 0
    if experts:
        routed = sum(p.numel() for n, p in model.named_parameters() if ".experts." in n)
        weights -= routed * (1 - config_of["num_experts_per_tok"] / experts)
    width = config_of["num_attention_heads"] * (
        config_of.get("head_dim") or config_of["hidden_size"] // config_of["num_attention_heads"]
    )
    return 6.0 * weights + 12.0 * config_of["num_hidden_layers"] * width * seq


def peak(device: torch.device) -> float | None:
    """Operations a second at best; None where that is not known."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    return next((value for part, value in PEAKS.items() if part in name), None)


def memory(device: torch.device) -> int:
    """Most bytes so far: of the GPU's memory, or of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
