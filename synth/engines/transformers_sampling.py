"""The next token of each row: penalties, temperature, top-k, top-p, min-p, one uniform a draw.

In: logits [rows, vocabulary] and each row's settings. Out: ids, log-probabilities.
Shown by: `python -m pytest tests/synth/engines/test_transformers.py`.
Limit: a row with top-k, top-p or min-p has its logits sorted at every token.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from synth.calls import Sampling


def penalise(
    logits: Any,
    prompts: Sequence[Sequence[int]],
    made: Sequence[Sequence[int]],
    settings: Sequence[Sampling],
) -> Any:
    """Logits after penalties, as vLLM has them: repetition sees the prompt too, the others not."""
    import torch

    out = logits
    for row, s in enumerate(settings):
        if s.repetition_penalty == 1 and not s.presence_penalty and not s.frequency_penalty:
            continue
        if out is logits:
            out = logits.clone()
        width = logits.shape[-1]
        new = torch.tensor(made[row], dtype=torch.long, device=logits.device)
        counts = torch.bincount(new, minlength=width)[:width]
        if s.repetition_penalty != 1:
            seen = torch.tensor(prompts[row], dtype=torch.long, device=logits.device)
            there = (counts + torch.bincount(seen, minlength=width)[:width]) > 0
            by = torch.where(out[row] > 0, 1 / s.repetition_penalty, s.repetition_penalty)
            out[row] = torch.where(there, out[row] * by, out[row])
        out[row] -= s.frequency_penalty * counts + s.presence_penalty * (counts > 0)
    return out


def choose(logits: Any, settings: Sequence[Sampling], uniforms: Sequence[float]) -> list[int]:
    """A token id a row: the most probable one at temperature 0, else by inverse distribution.

    A row's choice depends on its own logits, settings and number alone, never on its company.
    """
    import torch

    ids: list[int] = logits.argmax(dim=-1).tolist()
    plain = [r for r, s in enumerate(settings) if s.temperature > 0 and not _cuts(s)]
    cut = [r for r, s in enumerate(settings) if s.temperature > 0 and _cuts(s)]
    for rows in (plain, cut):
        if not rows:
            continue
        heat = _column([settings[r].temperature for r in rows], logits)
        scaled = logits[rows] / heat
        order = None
        if rows is cut:
            scaled, order = scaled.sort(dim=-1, descending=True, stable=True)
        weights = scaled.softmax(dim=-1, dtype=torch.float64)
        if rows is cut:
            weights = _shorten(weights, [settings[r] for r in rows])
        places = drawn(weights, _column([uniforms[r] for r in rows], weights))
        if order is not None:
            places = order.gather(-1, places)
        for row, found in zip(rows, places[:, 0].tolist(), strict=True):
            ids[row] = found
    return ids


def drawn(weights: Any, uniforms: Any) -> Any:
    """Places [n, 1] by the inverse of each row's distribution: weights [n, v], numbers [n, 1]."""
    import torch

    sums = weights.cumsum(dim=-1)
    places = torch.searchsorted(sums, uniforms * sums[:, -1:], right=True)
    # A number next to 1 may land behind the last weight that is not zero.
    last = (weights > 0).long().cumsum(dim=-1).argmax(dim=-1, keepdim=True)
    return torch.minimum(places, last)


def tops(logprobs: Any, count: int) -> tuple[list[list[int]], list[list[float]]]:
    """Ids and log-probabilities of the most probable tokens of each row, best first."""
    best = logprobs.topk(count, dim=-1)
    return best.indices.tolist(), best.values.tolist()


def _cuts(s: Sampling) -> bool:
    return s.top_k > 0 or s.top_p < 1 or s.min_p > 0


def _shorten(weights: Any, settings: Sequence[Sampling]) -> Any:
    """Zero what min-p, top-k and then top-p leave out; weights fall from left to right."""
    import torch

    width = weights.shape[-1]
    least = _column([s.min_p for s in settings], weights) * weights[:, :1]
    kept = weights >= least
    first = torch.tensor([[s.top_k or width] for s in settings], device=weights.device)
    kept &= torch.arange(width, device=weights.device) < first
    weights = weights * kept
    before = weights.cumsum(dim=-1) - weights
    share = _column([s.top_p for s in settings], weights) * weights.sum(dim=-1, keepdim=True)
    kept = before < share
    return weights * kept


def _column(values: Sequence[float], like: Any) -> Any:
    import torch

    return torch.tensor(values, dtype=like.dtype, device=like.device)[:, None]
