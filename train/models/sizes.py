"""What a config costs, without torch: parameters, those that a token meets, FLOPs and activations.

In: a config as a mapping (`init.config`, config.json). Out: Sizes; None for another family.
Shown by: `gristmill plan` of any `use: train`.
Limit: FAMILIES only; activations are an estimate, the rest is exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gristmill.errors import RecipeError
from train.models.layer_shapes import LayerShape, layer_shapes

# What transformers takes where a config says nothing.
_LLAMA = {
    "vocab_size": 32000,
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
}
_QWEN = {**_LLAMA, "vocab_size": 151936, "intermediate_size": 22016, "num_key_value_heads": 32}
FAMILIES: dict[str, dict[str, Any]] = {
    "llama": _LLAMA,
    "mistral": {**_LLAMA, "intermediate_size": 14336, "num_key_value_heads": 8},
    "mixtral": {
        **_LLAMA,
        "intermediate_size": 14336,
        "num_key_value_heads": 8,
        "num_local_experts": 8,
        "num_experts_per_tok": 2,
    },
    "qwen2": _QWEN,
    "qwen3": {**_QWEN, "head_dim": 128},
    "layerwise_llama": {
        **_LLAMA,
        "hidden_size": 1280,
        "num_hidden_layers": 16,
        "head_dim": 64,
        "tie_word_embeddings": True,
        "head_multipliers": (0.5, 1.0),
        "ffn_multipliers": (0.5, 4.0),
        "key_group": 4,
        "ffn_divisor": 256,
        "qk_norm": True,
    },
}
_SHAPE = ("num_attention_heads", "num_key_value_heads", "intermediate_size")


@dataclass(frozen=True, slots=True)
class Sizes:
    """A decoder's dimensions."""

    vocabulary: int
    width: int
    head_dim: int
    layers: tuple[LayerShape, ...]
    tied: bool
    experts: int = 0  # a layer; 0: a plain FFN
    active: int = 0  # of them, for a token
    query_bias: bool = False  # of queries, keys and values
    out_bias: bool = False
    ffn_bias: bool = False
    qk_norm: bool = False

    @property
    def parameters(self) -> int:
        """All, tied ones once."""
        return self._counted(max(1, self.experts))

    @property
    def active_parameters(self) -> int:
        """Those that one token meets: of a mixture of experts, the experts that it is sent to."""
        return self._counted(max(1, self.active))

    @property
    def multiplied(self) -> int:
        """Those that a token is multiplied with: a table of embeddings is only looked up."""
        return self.active_parameters - (0 if self.tied else self.vocabulary * self.width)

    def flops(self, seq: int) -> float:
        """Of a token in a row of `seq`, forward and backward: 6 N and attention's 12 layers x heads
        x head size x seq (PaLM, arXiv:2204.02311, appendix B; causality is not taken off)."""
        attention = sum(layer.heads * self.head_dim for layer in self.layers)
        return 6.0 * self.multiplied + 12.0 * attention * seq

    def activations(self, tokens: int, size: int, kept: bool, fused: bool) -> float:
        """Bytes that a forward pass over `tokens` keeps for the backward one, numbers of `size`
        bytes: what each product and norm reads (Korthikanti et al. 2022, arXiv:2205.05198 §4.1,
        without attention's matrix, which today's kernels do not keep), and the logits with their
        gradient in float32. kept false: each layer's input alone, and one layer whole."""
        each = [
            size * (6 * self.width + self.head_dim * (2 * layer.heads + 2 * layer.key_heads))
            + size * 4 * layer.ffn * max(1, self.active)
            for layer in self.layers
        ]
        layers = sum(each) if kept else size * self.width * len(each) + max(each)
        logits = 0 if fused else self.vocabulary * (8 + size)
        return float(tokens * (layers + logits))

    def _counted(self, experts: int) -> int:
        width, found = self.width, 0
        for layer in self.layers:
            heads, keys = layer.heads * self.head_dim, layer.key_heads * self.head_dim
            found += 2 * width * (heads + keys) + 2 * width
            found += (heads + 2 * keys if self.query_bias else 0) + (width if self.out_bias else 0)
            found += 2 * self.head_dim if self.qk_norm else 0
            ffn = 3 * width * layer.ffn + (2 * layer.ffn + width if self.ffn_bias else 0)
            found += experts * ffn + width * self.experts  # the router
        tables = self.vocabulary * width * (1 if self.tied else 2)
        return found + tables + width


def sizes_of(config: Mapping[str, Any]) -> Sizes | None:
    """Sizes of a config; None where its family is not known here."""
    family = str(config.get("model_type"))
    if family not in FAMILIES:
        return None
    c = {**FAMILIES[family], **{key: value for key, value in config.items() if value is not None}}
    biased = bool(c.get("attention_bias", False))
    return Sizes(
        c["vocab_size"],
        c["hidden_size"],
        c.get("head_dim") or c["hidden_size"] // c["num_attention_heads"],
        tuple(_layers(c)),
        bool(c.get("tie_word_embeddings", False)),
        c.get("num_local_experts", 0),
        c.get("num_experts_per_tok", 0),
        biased or family == "qwen2",
        biased,
        bool(c.get("mlp_bias", False)),
        family == "qwen3" or bool(c.get("qk_norm", False)),
    )


def check_positions(most: int | None, longest: int | None, where: str) -> None:
    """RecipeError where the data's rows are longer than the positions that the model knows."""
    if longest is None or most is None or longest <= most:
        return
    raise RecipeError(
        f"{where}: max_position_embeddings is {most:,}, the data has rows of {longest:,} tokens; "
        f"raise it (`max_position_embeddings: {longest}`), or make shorter rows (of `data: "
        f"{{rows: …}}`: `max_length: {most}`)"
    )


def check_sizes(config: Mapping[str, Any], where: str) -> None:
    """RecipeError for dimensions that do not fit one another, in a family that is known here."""
    family = str(config.get("model_type"))
    if family not in FAMILIES:
        return
    c = {**FAMILIES[family], **{key: value for key, value in config.items() if value is not None}}
    numbers = (*_SHAPE, "hidden_size", "num_hidden_layers", "vocab_size", "head_dim")
    for key in (*numbers, "num_local_experts", "num_experts_per_tok"):
        if key in c and (not isinstance(c[key], int) or c[key] < 1):
            raise RecipeError(f"{where}.{key} is {c[key]!r}; it is a whole number above 0")
    width, heads = c["hidden_size"], c["num_attention_heads"]
    if "head_dim" not in c and width % heads:
        raise RecipeError(
            f"{where}: hidden_size is {width}, not a multiple of num_attention_heads, {heads}; "
            "change one of them, or give head_dim"
        )
    for number, layer in enumerate(_layers(c)):
        if layer.heads % layer.key_heads:
            raise RecipeError(
                f"{where}: num_attention_heads is {layer.heads} (layer {number}), not a multiple "
                f"of num_key_value_heads, {layer.key_heads}"
            )
    if c.get("num_experts_per_tok", 0) > c.get("num_local_experts", 0):
        raise RecipeError(
            f"{where}: num_experts_per_tok is {c['num_experts_per_tok']}, of "
            f"{c['num_local_experts']} experts (num_local_experts)"
        )


def _layers(c: Mapping[str, Any]) -> list[LayerShape]:
    number = c["num_hidden_layers"]
    heads = c["num_attention_heads"]
    plain = LayerShape(heads, c.get("num_key_value_heads", heads), c["intermediate_size"])
    if c["model_type"] != "layerwise_llama":
        return [plain] * number
    own = {int(layer): found for layer, found in c.get("per_layer_config", {}).items()}
    if not own:
        return layer_shapes(
            number,
            c["hidden_size"],
            c["head_dim"],
            c["head_multipliers"],
            c["ffn_multipliers"],
            c["key_group"],
            c["ffn_divisor"],
        )
    # As the config fills in what a layer does not say: its width's heads, in groups.
    heads = c["hidden_size"] // c["head_dim"]
    common = (heads, max(1, heads // c["key_group"]), c["intermediate_size"])
    named = dict(zip(_SHAPE, common, strict=True))
    return [
        LayerShape(*({**named, **own.get(layer, {})}[key] for key in _SHAPE))
        for layer in range(number)
    ]
