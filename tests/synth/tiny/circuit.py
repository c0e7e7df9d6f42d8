"""A copy circuit as the starting point of training: what an induction head would have to learn.

In: a fresh Llama with the sizes below. Out: the same model, with weights set. Shown by:
`python -m tests.synth.tiny.cache`. Limit: it goes by the last two tokens, so a text
that says the same twice can lead it astray.

Layer 0, head 0 and 1: what was the token before, and the one before that, written into dimensions
that embeddings leave free. Layer 1, head 0 and 1: find where the last two tokens occurred before
and bring the token that followed. (Olsson et al. 2022, arXiv 2209.11895, describe the circuit.)
"""

from __future__ import annotations

import math
from typing import Any

WIDTH, HEADS, HEAD, LAYERS, INNER = 192, 3, 64, 3, 512
THETA = 1e10  # slow rotation, so that most pairs of a head compare content at any distance
BUS = 48  # free dimensions: 24 tell the token before, 24 the one before that
PART = BUS // 2
FAST = HEAD // 2 - PART  # pairs that rotate fast: 8 of 32
CONSTANT = 0  # a dimension with the same value for all tokens
SPREAD = 0.1  # of embeddings


def set_weights(model: Any) -> None:
    """Write the circuit into a LlamaForCausalLM."""
    import torch

    with torch.no_grad():
        random = torch.Generator().manual_seed(7)
        embedding = model.model.embed_tokens.weight
        embedding.copy_(torch.randn(embedding.shape, generator=random) * SPREAD)
        embedding[:, -BUS:] = 0
        embedding[:, CONSTANT] = 3 * SPREAD
        sketch = torch.linalg.qr(torch.randn(WIDTH - BUS - 1, PART, generator=random))[0].T
        sketch *= math.sqrt((WIDTH - BUS) / PART)  # its rows keep the scale of embeddings
        for back in (1, 2):
            _look_back(model.model.layers[0].self_attn, back, sketch)
        for head in (0, 1):
            _follow(model.model.layers[1].self_attn, head, sketch, random)


def hold(model: Any) -> None:
    """Keep the circuit as it is: at the rate that formats need, training would undo it.

    Its two heads in both layers stay; the third is free to learn.
    """
    held = 2 * HEAD

    def rows(gradient: Any) -> Any:
        gradient = gradient.clone()
        gradient[:held] = 0
        return gradient

    def columns(gradient: Any) -> Any:
        return rows(gradient.T).T

    for layer in model.model.layers[:2]:
        attention = layer.self_attn
        for projection in (attention.q_proj, attention.k_proj, attention.v_proj):
            projection.weight.register_hook(rows)
        attention.o_proj.weight.register_hook(columns)


def _pairs(head: int, first: int, count: int) -> tuple[list[int], list[int]]:
    """Rows of a head's projection: both halves of rotated pairs first, first + 1, …"""
    low = [head * HEAD + i for i in range(first, first + count)]
    return low, [row + HEAD // 2 for row in low]


def _look_back(attention: Any, back: int, sketch: Any) -> None:
    """Head back - 1 attends `back` tokens before and writes a sketch of it into the bus."""
    head = back - 1
    low, high = _pairs(head, 0, 4)
    for weights in (attention.q_proj.weight, attention.k_proj.weight):
        weights[head * HEAD : (head + 1) * HEAD] *= 0.1
    for i, (x, y) in enumerate(zip(low, high, strict=True)):
        angle = back * THETA ** (-i / (HEAD // 2))
        attention.q_proj.weight[x, CONSTANT] = 6 * math.cos(angle)
        attention.q_proj.weight[y, CONSTANT] = -6 * math.sin(angle)
        attention.k_proj.weight[x, CONSTANT] = 3
    value = slice(head * HEAD, head * HEAD + PART)
    attention.v_proj.weight[value] = 0
    attention.v_proj.weight[value, 1 : WIDTH - BUS] = sketch
    start = WIDTH - BUS + head * PART
    attention.o_proj.weight[:, value] = 0
    for i in range(PART):
        attention.o_proj.weight[start + i, head * HEAD + i] = 0.2


def _follow(attention: Any, head: int, sketch: Any, random: Any) -> None:
    """A head that matches the last two tokens and copies the embedding of what came next."""
    import torch

    low, high = _pairs(head, FAST, PART)
    for weights in (attention.q_proj.weight, attention.k_proj.weight):
        weights[head * HEAD : (head + 1) * HEAD] *= 0.1
    bus = WIDTH - BUS
    attention.q_proj.weight[low, 1:bus] += 2 * sketch  # this token, against each one's before
    for i in range(PART):
        attention.k_proj.weight[low[i], bus + i] += 1
        attention.q_proj.weight[high[i], bus + i] += 2  # the one before this, against
        attention.k_proj.weight[high[i], bus + PART + i] += 1  # each one's before before
    spread = torch.linalg.qr(torch.randn(bus - 1, HEAD, generator=random))[0].T
    value = slice(head * HEAD, (head + 1) * HEAD)
    attention.v_proj.weight[value] = 0
    attention.v_proj.weight[value, 1:bus] = spread
    attention.o_proj.weight[:, value] = 0
    attention.o_proj.weight[1:bus, value] = spread.T * 1.6
