"""upcycle: a mixture of experts from a dense model; each FFN becomes several experts and a router.

Plain (sparse upcycling, arXiv 2212.05055): every expert is a copy of the FFN, the router is random.
Router weights of the chosen experts sum to 1, so at step 0 the model computes what the dense one
does. Fine-grained, as Qwen2-57B-A14B was made from 7B (arXiv 2407.10671, 2.2.2): the FFN is
repeated until its units fill `experts` of `expert_size`, units are shuffled within each repetition,
the whole is cut into experts, and `reinit` of each expert's weights are drawn anew (Qwen2: 0.5).

In: a dense Llama or Mistral. Out: a Mixtral, to train on.
Shown by: `upcycle: {of: models/base, experts: 8, per_token: 2}`.
Limit: no shared experts; the new weights are normal with the config's initializer_range.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from pydantic import Field

from gristmill.errors import RecipeError
from mixtures.tokens.tokenizer_sources import Source
from train.weights.folder import Entry, Folder
from train.weights.layers import layers_of, place_of
from train.weights.op import Layout, Made, Make, WeightOp, register_op

if TYPE_CHECKING:
    import numpy as np

    from train.weights.model import Model

MODELS = ("llama", "mistral")
_EXPERT = {"mlp.gate_proj.weight": "w1", "mlp.down_proj.weight": "w2", "mlp.up_proj.weight": "w3"}
_DENSE = {short: part for part, short in _EXPERT.items()}
_BLOCK = "block_sparse_moe"
_CARRIED = (
    *("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "hidden_act"),
    *("num_key_value_heads", "head_dim", "max_position_embeddings", "initializer_range"),
    *("rms_norm_eps", "use_cache", "pad_token_id", "bos_token_id", "eos_token_id", "dtype"),
    *("tie_word_embeddings", "sliding_window", "attention_dropout", "rope_parameters"),
    *("rope_theta", "rope_scaling", "torch_dtype", "transformers_version"),
)


@register_op("upcycle")
class Upcycle(WeightOp):
    """Experts from a dense FFN."""

    of: Source
    experts: int = Field(default=8, ge=2)
    per_token: int = Field(default=2, ge=1)  # experts that a token passes
    expert_size: int | None = Field(default=None, ge=1)  # units of an expert; default: the FFN's
    shuffle: bool = False  # units, before they are cut into experts
    reinit: float = Field(default=0.0, ge=0, le=1)  # share of each expert's weights drawn anew

    def sources(self) -> list[Source]:
        return [self.of]

    def check(self) -> None:
        if self.per_token > self.experts:
            raise RecipeError(f"per_token is {self.per_token}; there are {self.experts} experts")

    def planned(self, config: dict[str, Any]) -> dict[str, Any]:
        return self._config(config, self.expert_size or int(config.get("intermediate_size", 0)))

    def size(self, folder: Folder) -> int:
        """Units of an expert."""
        return self.expert_size or int(folder.config["intermediate_size"])

    def layout(self, folders: Sequence[Folder]) -> Layout:
        (folder,) = folders
        config = folder.config
        if config.get("model_type") not in MODELS:
            raise RecipeError(
                f"{folder.label} is a {config.get('model_type')}; upcycle takes {MODELS}"
            )
        for key in ("attention_bias", "mlp_bias"):
            if config.get(key):
                raise RecipeError(f"{folder.label} has {key}, which Mixtral has not")
        layers_of(folder)
        size, hidden = self.size(folder), int(config["hidden_size"])
        tensors = {}
        for name, entry in folder.tensors.items():
            place = place_of(name)
            if place is None or place.part not in _EXPERT:
                tensors[name] = entry
                continue
            short = _EXPERT[place.part]
            shape = (hidden, size) if short == "w2" else (size, hidden)
            for expert in range(self.experts):
                part = f"{_BLOCK}.experts.{expert}.{short}.weight"
                tensors[place.at(place.layer, part)] = Entry(entry.dtype, shape)
            router = place.at(place.layer, f"{_BLOCK}.gate.weight")
            tensors[router] = Entry(entry.dtype, (self.experts, hidden))
        return Layout(self._config(config, size), tensors)

    def _config(self, config: dict[str, Any], size: int) -> dict[str, Any]:
        return {
            **{key: config[key] for key in _CARRIED if key in config},
            "architectures": ["MixtralForCausalLM"],
            "model_type": "mixtral",
            "intermediate_size": size,
            "num_local_experts": self.experts,
            "num_experts_per_tok": self.per_token,
        }

    def open(self, models: Sequence[Model], seed: int) -> Make:
        from train.weights.draws import normal, uniform

        (model,) = models
        config = model.folder.config
        size, dense = self.size(model.folder), int(config["intermediate_size"])
        deviation = float(config.get("initializer_range", 0.02))
        units = cache(lambda layer: self._units(dense, size, seed, layer))

        def make(name: str) -> Made:
            place = place_of(name)
            if place is None or not place.part.startswith(_BLOCK):
                return Made(model.raw(name))
            drawn = (seed, "upcycle", name)
            if place.part == f"{_BLOCK}.gate.weight":
                shape = (self.experts, int(config["hidden_size"]))
                return Made(normal(shape, *drawn) * deviation)
            _, _, number, short, _ = place.part.split(".")
            tensor = model[place.at(place.layer, _DENSE[short])]
            taken = units(place.layer)[int(number) * size : (int(number) + 1) * size]
            found = tensor[:, taken] if short == "w2" else tensor[taken]
            if self.reinit:
                fresh = uniform(found.shape, *drawn, "which") < self.reinit
                found = found.where(~fresh, normal(found.shape, *drawn) * deviation)
                return Made(found, kept=1 - int(fresh.count_nonzero()) / fresh.numel())
            return Made(found, kept=1.0)

        return make

    def _units(self, dense: int, size: int, seed: int, layer: int) -> np.ndarray:
        """Units of the FFN, expert after expert: int64[experts * size]."""
        import numpy as np

        from gristmill.rng import derive_seed, permutation

        repeats = -(-self.experts * size // dense)
        every = np.arange(dense)
        found = [
            permutation(derive_seed(seed, "upcycle", layer, again), dense, every)
            if self.shuffle
            else every
            for again in range(repeats)
        ]
        return np.concatenate(found)[: self.experts * size]
