"""The rows that transformers is writing: they join and leave one by one.

In: prompts as token ids. Out: finished rows, one forward pass of the model a step.
Shown by: `python -m pytest tests/synth/engines/test_transformers.py`.
Limit: models whose cache is keys and values of every token; states (Mamba) cannot be cut by row.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from gristmill.errors import RecipeError
from synth.calls import Answer, Ready, Sampling
from synth.engines.rendering import Rendering
from synth.engines.transformers_sampling import choose, penalise, tops


@dataclass(slots=True)
class Writing:
    """One request under way."""

    ticket: int
    ready: Ready
    sampling: Sampling
    prompt: list[int]
    draw: random.Random
    matcher: Any = None  # of a grammar
    made: list[int] = field(default_factory=list)
    logprob: float = 0.0
    token_logprobs: list[float] = field(default_factory=list)
    top_ids: list[list[int]] = field(default_factory=list)
    top_logprobs: list[list[float]] = field(default_factory=list)
    reason: str = ""
    stop: str = ""

    def answer(self, rendering: Rendering) -> Answer:
        listed = self.sampling.logprobs > 0
        return Answer(
            text=rendering.completion(self.made, self.reason, self.stop),
            token_ids=self.made,
            finish_reason=self.reason,
            prompt_tokens=len(self.prompt),
            completion_tokens=len(self.made),
            logprob=self.logprob,
            token_logprobs=self.token_logprobs if listed else None,
            top_ids=self.top_ids if listed else None,
            top_logprobs=self.top_logprobs if listed else None,
            key=self.ready.key,
        )


class Batch:
    """Rows, their attention mask [rows, columns] (padded on the left), and their cache."""

    def __init__(self, model: Any, rendering: Rendering, grammar: Any) -> None:
        self._model, self._rendering, self._grammar = model, rendering, grammar
        self.rows: list[Writing] = []
        self._mask: Any = None
        self._cache: Any = None

    def admit(self, new: Sequence[Writing]) -> list[Writing]:
        """Read the prompts of new rows and write their first tokens; those already done."""
        import torch

        device = self._model.device
        width = max(len(row.prompt) for row in new)
        ids = torch.zeros((len(new), width), dtype=torch.long)
        mask = torch.zeros((len(new), width), dtype=torch.long)
        for index, row in enumerate(new):
            ids[index, width - len(row.prompt) :] = torch.tensor(row.prompt)
            mask[index, width - len(row.prompt) :] = 1
        ids, mask = ids.to(device), mask.to(device)
        cache = self._forward(new, ids, mask, (mask.cumsum(-1) - 1).clamp(min=0), _empty_cache())
        alive = [index for index, row in enumerate(new) if not row.reason]
        _keep(cache, alive)
        self._join([new[index] for index in alive], mask[alive], cache)
        return [row for row in new if row.reason]

    def step(self) -> list[Writing]:
        """One token more for every row; those that are done leave."""
        import torch

        device = self._model.device
        last = torch.tensor([[row.made[-1]] for row in self.rows], device=device)
        place = [[len(row.prompt) + len(row.made) - 1] for row in self.rows]
        self._mask = torch.cat([self._mask, self._mask.new_ones((len(self.rows), 1))], dim=1)
        positions = torch.tensor(place, device=device)
        self._cache = self._forward(self.rows, last, self._mask, positions, self._cache)
        done = [row for row in self.rows if row.reason]
        if done:
            self.leave([row.ticket for row in done])
        return done

    def leave(self, tickets: Sequence[int]) -> None:
        """Take rows out, and the columns that were padding of all others."""
        alive = [index for index, row in enumerate(self.rows) if row.ticket not in set(tickets)]
        if len(alive) == len(self.rows):
            return
        self.rows = [self.rows[index] for index in alive]
        if not alive:
            self._mask = self._cache = None
            return
        self._mask = self._mask[alive]
        empty = int((self._mask.sum(dim=0) > 0).long().argmax())
        self._mask = self._mask[:, empty:]
        _keep(self._cache, alive, empty)

    def _join(self, rows: list[Writing], mask: Any, cache: Any) -> None:
        import torch
        from torch.nn.functional import pad

        if not rows:
            return
        if not self.rows:
            self.rows, self._mask, self._cache = rows, mask, cache
            return
        width = max(self._mask.shape[1], mask.shape[1])
        masks = [pad(part, (width - part.shape[1], 0)) for part in (self._mask, mask)]
        self._mask = torch.cat(masks)
        for here, there in zip(self._cache.layers, cache.layers, strict=True):
            for name in ("keys", "values"):
                parts = [getattr(layer, name) for layer in (here, there)]
                parts = [pad(part, (0, 0, width - part.shape[2], 0)) for part in parts]
                setattr(here, name, torch.cat(parts))
        self.rows = [*self.rows, *rows]

    def _forward(
        self, rows: Sequence[Writing], ids: Any, mask: Any, positions: Any, cache: Any
    ) -> Any:
        """One pass of the model, and the token that it gives each row; the cache after it."""
        import torch

        with torch.no_grad():  # inference tensors could not be gathered into by sharded weights
            out = self._model(
                input_ids=ids,
                attention_mask=mask,
                position_ids=positions,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            )
            self._write(rows, out.logits[:, -1].float())
        cache = out.past_key_values
        _check(cache, self._rendering.name)
        return cache

    def _write(self, rows: Sequence[Writing], logits: Any) -> None:
        settings = [row.sampling for row in rows]
        matchers = [row.matcher for row in rows]
        if any(matchers):
            self._grammar.restrict(logits, matchers)
        own = logits.log_softmax(dim=-1)  # the model's, before penalties and temperature
        changed = penalise(logits, [r.prompt for r in rows], [r.made for r in rows], settings)
        ids = choose(changed, settings, [row.draw.random() for row in rows])
        chosen = own[range(len(rows)), ids].tolist()
        most = max(s.logprobs for s in settings)
        best = tops(own, most) if most else ([], [])
        for index, row in enumerate(rows):
            row.made.append(ids[index])
            row.logprob += chosen[index]
            if count := row.sampling.logprobs:
                row.token_logprobs.append(chosen[index])
                row.top_ids.append(best[0][index][:count])
                row.top_logprobs.append(best[1][index][:count])
            if row.matcher is not None:
                row.matcher.accept_token(ids[index])
            self._finish(row)

    def _finish(self, row: Writing) -> None:
        if row.made[-1] in self._rendering.stop_ids:
            row.reason = "stop"
            return
        if row.sampling.stop:
            text = self._rendering.decode(row.made)
            found = [(text.find(stop), stop) for stop in row.sampling.stop if stop in text]
            if found:
                row.reason, row.stop = "stop", min(found)[1]
                return
        if len(row.made) >= row.sampling.max_tokens:
            row.reason = "length"


def _empty_cache() -> Any:
    from transformers import DynamicCache

    return DynamicCache()  # not told the model's config: whole layers, sliding ones too


def _keep(cache: Any, rows: list[int], columns: int = 0) -> None:
    for layer in cache.layers:
        layer.keys = layer.keys[rows, :, columns:]
        layer.values = layer.values[rows, :, columns:]


def _check(cache: Any, name: str) -> None:
    from transformers.cache_utils import DynamicLayer

    strange = {type(layer).__name__ for layer in cache.layers if type(layer) is not DynamicLayer}
    if strange:
        raise RecipeError(
            f"model {name!r} keeps {', '.join(sorted(strange))}, which the engine transformers "
            "cannot batch by row; use the engine vllm"
        )
