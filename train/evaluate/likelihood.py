"""What a model makes of given tokens: nats of each, and the tokens that it would have said.

In: a causal model and rows of token ids. Out: arrays a row, whatever the batches are.
Shown by: `use: evaluate, tasks: [{loss: mix/valid}]`. Limit: logits of a batch are held whole.

Rows are padded on the right and get no attention mask: a causal model never looks that way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from train.losses.cross_entropy import IGNORED, token_nats

LOGITS = 1 << 28  # numbers held at once: 1 GB in float32


@dataclass(frozen=True, slots=True)
class Judged:
    """Of tokens 1, 2, … of a row: nats float64[n - 1], and whether each was the likeliest."""

    nats: NDArray[np.float64]
    right: NDArray[np.bool_]


def judge(
    model: Any,
    rows: Sequence[Sequence[int]],
    batch_tokens: int,
    advance: Callable[[int], None] = lambda rows: None,
) -> list[Judged]:
    """Judge rows, each on its own; in the order given."""
    found: list[Judged | None] = [None] * len(rows)
    for batch in batches([len(row) for row in rows], room(model, batch_tokens)):
        width = max(len(rows[index]) for index in batch)
        ids = torch.zeros((len(batch), width), dtype=torch.long)
        labels = torch.full((len(batch), width), IGNORED)
        for place, index in enumerate(batch):
            ids[place, : len(rows[index])] = torch.tensor(rows[index])
            labels[place, : len(rows[index])] = ids[place, : len(rows[index])]
        ids, labels = ids.to(model.device), labels.to(model.device)
        with torch.no_grad():
            logits = model(input_ids=ids, use_cache=False).logits
            nats = token_nats(logits, labels).cpu().double().numpy()
            right = (logits[:, :-1].argmax(-1) == labels[:, 1:]).cpu().numpy()
        for place, index in enumerate(batch):
            size = len(rows[index]) - 1
            found[index] = Judged(nats[place, :size], right[place, :size])
        advance(len(batch))
    return [one for one in found if one is not None]


def room(model: Any, batch_tokens: int) -> int:
    """Tokens of a batch: as asked, or as many as logits of this vocabulary leave room for."""
    return max(1, min(batch_tokens, LOGITS // int(model.config.get_text_config().vocab_size)))


def batches(lengths: Sequence[int], tokens: int) -> Iterator[list[int]]:
    """Indices in batches of at most so many tokens, padding among them; the longest first."""
    order = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    begin = 0
    while begin < len(order):
        size = max(1, tokens // max(1, lengths[order[begin]]))
        yield order[begin : begin + size]
        begin += size


def rank(
    model: Any, prompts: Sequence[Sequence[int]], choices: Sequence[Sequence[Sequence[int]]],
    batch_tokens: int,
) -> list[list[float]]:  # fmt: skip
    """Log-probability of each choice behind its prompt; the prompt is read once.

    Prompts: all of one length. Choices: as many for each prompt, of any length above 0.
    """
    found = []
    per = max(1, room(model, batch_tokens) // (len(prompts[0]) + 1))
    for begin in range(0, len(prompts), per):
        found += _rank(model, prompts[begin : begin + per], choices[begin : begin + per])
    return found


def _rank(
    model: Any, prompts: Sequence[Sequence[int]], choices: Sequence[Sequence[Sequence[int]]]
) -> list[list[float]]:
    from transformers import DynamicCache

    device, several = model.device, len(choices[0])
    flat = [list(choice) for group in choices for choice in group]
    width = max(map(len, flat))
    ids = torch.zeros((len(flat), width), dtype=torch.long)
    labels = torch.full((len(flat), width), IGNORED)
    for place, choice in enumerate(flat):
        ids[place, : len(choice)] = torch.tensor(choice)
        labels[place, : len(choice)] = ids[place, : len(choice)]
    with torch.no_grad():
        read = model(
            input_ids=torch.tensor(prompts, device=device),
            past_key_values=DynamicCache(),
            use_cache=True,
            logits_to_keep=1,
        )
        cache = read.past_key_values
        cache.batch_repeat_interleave(several)
        first = read.logits[:, -1:].repeat_interleave(several, dim=0)
        behind = model(input_ids=ids.to(device), past_key_values=cache, use_cache=True).logits
        logits = torch.cat([first, behind[:, :-1]], dim=1)
        nats = torch.nn.functional.cross_entropy(
            logits.float().flatten(0, 1),
            labels.to(device).flatten(),
            reduction="none",
            ignore_index=IGNORED,
        )
        sums = -nats.view(labels.shape).double().sum(-1)
    return sums.view(-1, several).tolist()
