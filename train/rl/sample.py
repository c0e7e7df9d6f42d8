"""Completions of a policy: one loop over a cache of keys and values, all rows side by side.

In: a model, prompts as token ids, a seed a completion. Out: token ids, and whether each ended.
Shown by: `python -m pytest tests/train/rl/test_sample.py`.
Limit: models with keys and values of every token; one forward pass a token.

A completion is a pure function of the weights, its prompt and its seed, up to float noise: where
two tokens are as good as equal, other rows in the batch may tip the balance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from transformers import DynamicCache

from gristmill.rng import keyed_uniform
from synth.engines.transformers_sampling import drawn

Any_ = Callable[[bool], bool]  # whether any rank says so


@dataclass(frozen=True, slots=True)
class Drawing:
    """How completions are drawn."""

    max_tokens: int
    temperature: float
    top_p: float
    stop: tuple[int, ...]  # ids that end one


@dataclass(frozen=True, slots=True)
class Written:
    """One completion, its end token included."""

    ids: list[int]
    ended: bool  # False: max_tokens cut it
    logps: list[float] | None = None  # of its tokens, where another than the policy wrote it


class Write(Protocol):
    """What writes: a completion of each prompt, drawn from the policy as it is now."""

    def __call__(
        self,
        policy: Any,
        prompts: Sequence[Sequence[int]],
        seeds: Sequence[int],
        how: Drawing,
    ) -> list[Written]: ...


def in_turns(rows: int | None, any_rank: Any_ = bool) -> Write:
    """`write`, so many side by side; None: all."""

    def writes(
        policy: Any, prompts: Sequence[Sequence[int]], seeds: Sequence[int], how: Drawing
    ) -> list[Written]:
        size = rows or len(prompts)
        parts = [slice(start, start + size) for start in range(0, len(prompts), size)]
        return [
            one
            for part in parts
            for one in write(policy, prompts[part], seeds[part], how, any_rank)
        ]

    return writes


def write(
    model: Any,
    prompts: Sequence[Sequence[int]],
    seeds: Sequence[int],
    how: Drawing,
    any_rank: Any_ = bool,
) -> list[Written]:
    """A completion of each prompt. All ranks make as many passes as the slowest: shards need it."""
    device, count = model.device, len(prompts)
    keys = np.arange(how.max_tokens, dtype=np.uint64)
    uniforms = torch.from_numpy(np.stack([keyed_uniform(seed, keys) for seed in seeds])).to(device)
    stop = torch.tensor(how.stop, device=device)
    ids, mask = left_padded(prompts, device)
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    made = torch.full((count, how.max_tokens), -1, device=device)
    alive = torch.arange(count, device=device)  # rows of the cache
    going = torch.ones(count, dtype=torch.bool, device=device)  # of the rows of the cache
    cache = DynamicCache()
    for place in range(how.max_tokens):
        logits = model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        ).logits[:, -1]
        chosen = choose(logits.float() / how.temperature, how.top_p, uniforms[alive, place])
        made[alive[going], place] = chosen[going]
        going &= ~torch.isin(chosen, stop)
        if not any_rank(bool(going.any())):
            break
        kept = going.nonzero()[:, 0]
        if 0 < len(kept) <= 0.8 * len(alive):
            cache.batch_select_indices(kept)
            alive, going, chosen = alive[kept], going[kept], chosen[kept]
            mask, positions = mask[kept], positions[kept]
        ids, positions = chosen[:, None], positions[:, -1:] + 1
        mask = torch.cat([mask, mask.new_ones((len(mask), 1))], dim=1)
    rows = [[token for token in row if token >= 0] for row in made.tolist()]
    return [Written(row, row[-1] in how.stop) for row in rows]


def choose(logits: torch.Tensor, top_p: float, uniforms: torch.Tensor) -> torch.Tensor:
    """A token id a row, by the inverse of its distribution at its number in [0, 1)."""
    order = None
    if top_p < 1:
        logits, order = logits.sort(dim=-1, descending=True, stable=True)
    weights = logits.softmax(dim=-1, dtype=torch.float64)
    if order is not None:
        weights = weights * (weights.cumsum(dim=-1) - weights < top_p)
    places: torch.Tensor = drawn(weights, uniforms[:, None].to(weights.dtype))
    return (places if order is None else order.gather(-1, places))[:, 0]


def left_padded(
    prompts: Sequence[Sequence[int]], device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and mask [n, longest], what is missing on the left."""
    width = max(len(prompt) for prompt in prompts)
    ids = torch.zeros((len(prompts), width), dtype=torch.long)
    mask = torch.zeros((len(prompts), width), dtype=torch.long)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = torch.tensor(prompt)
        mask[row, width - len(prompt) :] = 1
    return ids.to(device), mask.to(device)
