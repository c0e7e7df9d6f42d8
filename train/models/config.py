"""transformers' configs as recipes write them: filled in, patched, and checked before any weight.

In: `init.config`, or a checkpoint's config and `model.patch`. Out: a config; RecipeError with the
nearest name for an unknown key, and the rule for values that cannot be.
Shown by: `python -m pytest tests/train/models/test_config.py`.
Limit: a key that a model's class does not declare is unknown, even if its code would read it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedConfig
from transformers.activations import ACT2FN
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING

import train.models.layerwise  # noqa: F401  # its model_type becomes known
from gristmill.errors import RecipeError, nearest
from mixtures.tokens.tokenizers import from_files
from train.models.rope import check_rope, patched_rope
from train.models.sizes import check_sizes

# Not a model's: how it is loaded, or what its heads of other tasks are named.
_NOT_OURS = {"transformers_version", "architectures", "dtype", "return_dict", "id2label"}
_NOT_OURS |= {"label2id", "problem_type", "use_cache", "output_hidden_states"}


def filled(given: Mapping[str, Any], tokenizer: Mapping[str, bytes]) -> PreTrainedConfig:
    """`init.config` with the tokenizer's sizes and special tokens where it says nothing of them."""
    loaded = from_files(dict(tokenizer), "init.tokenizer")
    cls = _class(str(given["model_type"]))
    own = {key: value for key, value in given.items() if key != "model_type"}
    _check_keys("init.config", own, cls)
    known = {
        "vocab_size": loaded.vocab_size,
        "bos_token_id": loaded.bos,
        "eos_token_id": loaded.eos,
        "pad_token_id": loaded.pad,
    }
    return made(cls, {**known, **own}, "init.config")


def patched(config: PreTrainedConfig, patch: Mapping[str, Any]) -> PreTrainedConfig:
    """A checkpoint's config with `model.patch` merged into it; no weight may change its shape."""
    cls = type(config)
    if "model_type" in patch:
        raise RecipeError(
            f"model.patch.model_type is {patch['model_type']!r}: a checkpoint stays the "
            f"{config.model_type} that it is; `use: checkpoint` turns a model into another one"
        )
    _check_keys("model.patch", patch, cls)
    before = config.to_dict()
    merged = _merged(before, {k: v for k, v in patch.items() if k != "rope_parameters"})
    if rope := patch.get("rope_parameters"):
        merged["rope_parameters"] = patched_rope(before, rope, merged)
    drop = {"model_type", "transformers_version", "architectures", "dtype"}
    found = made(cls, {k: v for k, v in merged.items() if k not in drop}, "model.patch")
    _same_shapes(config, found)
    return found


def made(cls: type[PreTrainedConfig], options: Mapping[str, Any], where: str) -> PreTrainedConfig:
    """A config, or RecipeError with what its class says against the options."""
    check_sizes({**options, "model_type": cls.model_type}, where)
    if rope := options.get("rope_parameters"):
        check_rope(rope, where)
    act = options.get("hidden_act")
    if act is not None and act not in ACT2FN:
        raise RecipeError(
            f"{where}.hidden_act is {act!r}, no activation{nearest(str(act), ACT2FN)}"
        )
    try:
        config = cls(**options)
    except (StrictDataclassError, ValueError, TypeError, KeyError) as error:
        raise RecipeError(f"{where}: {' '.join(str(error).split())}") from None
    return config


def _class(model_type: str) -> type[PreTrainedConfig]:
    """The config class of a model that writes text."""
    if model_type not in CONFIG_MAPPING:
        raise RecipeError(
            f"init.config.model_type is {model_type!r}, which transformers does not know"
            f"{nearest(model_type, CONFIG_MAPPING)}"
        )
    cls: type[PreTrainedConfig] = CONFIG_MAPPING[model_type]
    if cls not in MODEL_FOR_CAUSAL_LM_MAPPING:
        raise RecipeError(
            f"init.config.model_type is {model_type!r}, which predicts no next tokens; name a "
            "causal language model (llama, qwen3, mixtral, layerwise_llama, …)"
        )
    return cls


def _check_keys(where: str, given: Mapping[str, Any], cls: type[PreTrainedConfig]) -> None:
    known = {one.name for one in dataclasses.fields(cls)} | set(cls.attribute_map)
    known = (known | {"per_layer_config"}) - _NOT_OURS
    for key in given:
        if key in ("rope_theta", "rope_scaling") and "rope_parameters" in known:
            raise RecipeError(
                f"{where}.{key}: transformers 5 has it in rope_parameters; write `rope_parameters: "
                "{rope_type: default, rope_theta: 500000}`"
            )
        if key not in known:
            raise RecipeError(
                f"{where}: a {cls.model_type} has no key {key!r}{nearest(key, known)}"
            )


def _merged(base: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """`patch` into `base`: mappings key by key, all else replaced."""
    found = dict(base)
    for key, value in patch.items():
        old = found.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        found[key] = _merged(old, value) if both else value  # type: ignore[arg-type]
    return found


def _same_shapes(before: PreTrainedConfig, after: PreTrainedConfig) -> None:
    old, new = _shapes(before), _shapes(after)
    for name in sorted({*old, *new}):
        if old.get(name) == new.get(name):
            continue
        raise RecipeError(
            f"model.patch changes the weight {name}: it is {_shape(old.get(name))}, with the patch "
            f"{_shape(new.get(name))}; a patch keeps all shapes: `use: checkpoint` prunes, grows "
            "and upcycles"
        )


def _shapes(config: PreTrainedConfig) -> dict[str, tuple[int, ...]]:
    """Name -> shape of all weights, without making them."""
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    return {name: tuple(weight.shape) for name, weight in model.state_dict().items()}


def _shape(shape: tuple[int, ...] | None) -> str:
    return "absent" if shape is None else "x".join(map(str, shape))


def folder_config(folder: Any) -> PreTrainedConfig:
    """The config of a model folder."""
    found: PreTrainedConfig = AutoConfig.from_pretrained(folder)
    return found
