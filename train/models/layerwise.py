"""layerwise_llama: a Llama whose layers differ in heads and FFN width (OpenELM, arXiv:2404.14619).

In: `init: {config: {model_type: layerwise_llama, hidden_size: 1280, head_dim: 64,
num_hidden_layers: 16}}`. Out: a model that AutoModelForCausalLM makes, saves and loads once this
module is imported. Shown by: `python -m pytest tests/train/models/test_layerwise.py`.
Limit: transformers alone and vLLM do not know it: import this module first, or serve it with
transformers.

Heads grow from 0.5 to 1.0 of the width and the FFN from 0.5 to 4.0, four query heads share a key
head, queries and keys are normalised by head, embeddings are tied. A config may also say each
layer's shape itself, in transformers' `per_layer_config`.
"""

from __future__ import annotations

from typing import Any

from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, LlamaConfig
from transformers.models.llama.modeling_llama import (
    LlamaAttention,
    LlamaDecoderLayer,
    LlamaForCausalLM,
    LlamaModel,
    LlamaPreTrainedModel,
    LlamaRMSNorm,
    LlamaRotaryEmbedding,
)
from transformers.models.qwen3.modeling_qwen3 import Qwen3Attention

from train.models.layer_shapes import layer_shapes


class LayerwiseLlamaConfig(LlamaConfig):  # type: ignore[misc]
    """Llama's config with the multipliers; `per_layer_config` follows from them."""

    model_type = "layerwise_llama"

    hidden_size: int = 1280
    num_hidden_layers: int = 16
    head_dim: int | None = 64
    tie_word_embeddings: bool = True
    head_multipliers: list[float] | tuple[float, ...] = (0.5, 1.0)
    ffn_multipliers: list[float] | tuple[float, ...] = (0.5, 4.0)
    key_group: int = 4  # query heads that share a key head
    ffn_divisor: int = 256
    qk_norm: bool = True

    def __post_init__(self, **options: Any) -> None:
        head_dim = self.head_dim or 64
        self.num_attention_heads = self.hidden_size // head_dim
        self.num_key_value_heads = max(1, self.num_attention_heads // self.key_group)
        options["per_layer_config"] = options.get("per_layer_config") or self._scaled(head_dim)
        options["allow_global_per_layer_attribute_access"] = True
        super().__post_init__(**options)

    def _scaled(self, head_dim: int) -> dict[int, dict[str, int]]:
        shapes = layer_shapes(
            self.num_hidden_layers,
            self.hidden_size,
            head_dim,
            self.head_multipliers,
            self.ffn_multipliers,
            self.key_group,
            self.ffn_divisor,
        )
        return {
            n: {
                "num_attention_heads": shape.heads,
                "num_key_value_heads": shape.key_heads,
                "intermediate_size": shape.ffn,
            }
            for n, shape in enumerate(shapes)
        }


class NormedAttention(LlamaAttention):  # type: ignore[misc]
    """Attention with an RMSNorm on each head's query and key, before RoPE."""

    def __init__(self, config: LlamaConfig, layer_idx: int) -> None:
        super().__init__(config, layer_idx)
        self.q_norm = LlamaRMSNorm(self.head_dim, eps=config.rms_norm_eps)
        self.k_norm = LlamaRMSNorm(self.head_dim, eps=config.rms_norm_eps)
        self.sliding_window = None  # Qwen3's forward pass reads it

    forward = Qwen3Attention.forward


class LayerwiseDecoderLayer(LlamaDecoderLayer):  # type: ignore[misc]
    """A decoder layer of its own shape."""

    def __init__(self, config: LayerwiseLlamaConfig, layer_idx: int) -> None:
        own = config.per_layer_config[layer_idx]
        super().__init__(own, layer_idx)
        if config.qk_norm:
            self.self_attn = NormedAttention(own, layer_idx)


class LayerwiseLlamaPreTrainedModel(LlamaPreTrainedModel):  # type: ignore[misc]
    """What transformers asks of its models."""

    config_class = LayerwiseLlamaConfig
    _no_split_modules = ["LayerwiseDecoderLayer"]  # noqa: RUF012
    _can_record_outputs = {  # noqa: RUF012
        "hidden_states": LayerwiseDecoderLayer,
        "attentions": LlamaAttention,
    }


class LayerwiseLlamaModel(LayerwiseLlamaPreTrainedModel, LlamaModel):  # type: ignore[misc]
    """LlamaModel with layers of their own shapes."""

    def __init__(self, config: LayerwiseLlamaConfig) -> None:
        LlamaPreTrainedModel.__init__(self, config)  # LlamaModel's would make layers of one shape
        self.padding_idx = config.pad_token_id
        self.vocab_size = config.vocab_size
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size, self.padding_idx)
        self.layers = nn.ModuleList(
            [LayerwiseDecoderLayer(config, n) for n in range(config.num_hidden_layers)]
        )
        self.norm = LlamaRMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.rotary_emb = LlamaRotaryEmbedding(config=config)
        self.gradient_checkpointing = False
        self.post_init()


class LayerwiseLlamaForCausalLM(LayerwiseLlamaPreTrainedModel, LlamaForCausalLM):  # type: ignore[misc]
    """LlamaForCausalLM over it."""

    def __init__(self, config: LayerwiseLlamaConfig) -> None:
        LlamaPreTrainedModel.__init__(self, config)
        self.model = LayerwiseLlamaModel(config)
        self.vocab_size = config.vocab_size
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()


AutoConfig.register(LayerwiseLlamaConfig.model_type, LayerwiseLlamaConfig, exist_ok=True)
AutoModelForCausalLM.register(LayerwiseLlamaConfig, LayerwiseLlamaForCausalLM, exist_ok=True)
