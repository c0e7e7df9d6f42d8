"""Several models as one: means of their logits or probabilities, and emulated fine-tuning.

In: causal language models of one vocabulary. Out: a model with forward and generate(), as a sampler
or a teacher takes it. Shown by: `python -m pytest tests/train/models/test_ensemble.py`.
Limit: every member runs for every token; an ensemble is not saved: distil it (`teacher: [a, b]`).

    Ensemble([a, b])                        mean of probabilities
    Ensemble([a, b], over="logits")         mean of logits: the product of experts' form
    emulated(large, tuned_small, small)     what tuning a small model changed, on a large one
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, Literal

import torch
from torch import nn
from transformers import DynamicCache, GenerationMixin, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast

from gristmill.errors import RecipeError


class Ensemble(PreTrainedModel, GenerationMixin):  # type: ignore[misc]
    """Members whose answers are summed with weights; by default their mean."""

    _supports_sdpa = _supports_flash_attn = True  # members have chosen; this has no attention

    def __init__(
        self,
        members: Sequence[PreTrainedModel],
        over: Literal["probabilities", "logits"] = "probabilities",
        weights: Sequence[float] | None = None,
    ) -> None:
        config = copy.deepcopy(members[0].config)
        layers = [member.config.num_hidden_layers for member in members]
        config.num_hidden_layers = sum(layers)  # of the cache, which members share
        super().__init__(config)
        sizes = [member.config.vocab_size for member in members]
        if len(set(sizes)) > 1:
            raise RecipeError(f"an ensemble of models with {sizes} tokens: they need one tokenizer")
        self.members = nn.ModuleList(members)
        self.over = over
        self.shares = list(weights or [1 / len(members)] * len(members))
        self._bounds = [0, *accumulate(layers)]
        self.generation_config = copy.deepcopy(members[0].generation_config)

    @property
    def device(self) -> torch.device:
        return next(self.members[0].parameters()).device

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        past_key_values: DynamicCache | None = None,
        use_cache: bool | None = None,
        **options: Any,
    ) -> CausalLMOutputWithPast:
        """Logits [b, t, v], up to a constant a row where probabilities are averaged."""
        if use_cache and past_key_values is None:
            past_key_values = DynamicCache(config=self.config)
        told = [
            member(
                input_ids=input_ids,
                attention_mask=attention_mask,
                position_ids=position_ids,
                past_key_values=self._part(past_key_values, number),
                use_cache=use_cache,
                **options,
            ).logits
            for number, member in enumerate(self.members)
        ]
        return CausalLMOutputWithPast(logits=self._combined(told), past_key_values=past_key_values)

    def _combined(self, told: list[torch.Tensor]) -> torch.Tensor:
        shares = torch.tensor(self.shares, dtype=told[0].dtype, device=told[0].device)
        stacked = torch.stack(told).log_softmax(dim=-1)
        if self.over == "logits":
            return torch.einsum("m,m...->...", shares, stacked)
        return (stacked + shares.log().view(-1, *[1] * told[0].dim())).logsumexp(dim=0)

    def _part(self, whole: DynamicCache | None, number: int) -> DynamicCache | None:
        """A member's layers of the cache: a view, what it writes is in the whole."""
        if whole is None:
            return None
        part = copy.copy(whole)
        part.layers = whole.layers[self._bounds[number] : self._bounds[number + 1]]
        return part


def emulated(
    large: PreTrainedModel, tuned: PreTrainedModel, small: PreTrainedModel, strength: float = 1.0
) -> Ensemble:
    """log p = log p(large) + strength (log p(tuned) - log p(small)), made to sum to 1 (Mitchell et
    al. 2023, arXiv:2310.12962, eq. 4): `tuned` is `small` after SFT or RLHF."""
    return Ensemble([large, tuned, small], "logits", [1.0, strength, -strength])
