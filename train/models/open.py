"""The model of a stage: from a configuration or a checkpoint, with its patch, and its tokenizer.

In: a job. Out: Opened. Shown by: any `use: train`.
Limit: weights are float32; `model.dtype` is that of the forward pass.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from gristmill.errors import RecipeError
from mixtures.plan import open_plan
from mixtures.tokens.tokenizer_sources import read_source
from mixtures.tokens.tokenizers import FILES, from_files, tokenizer_files
from train.job import Job


@dataclass
class Opened:
    """A model and the files of its tokenizer."""

    model: PreTrainedModel
    tokenizer: dict[str, bytes]
    origin: str  # for people: where the weights come from
    facts: dict[str, Any] = field(default_factory=dict)


def open_model(job: Job) -> Opened:
    """Random weights or a checkpoint, as `init` and `model` say."""
    init = job.step.init
    tokenizer = tokenizer_of(job)
    if init.config:
        config = filled(init.config, tokenizer)
        made = AutoModelForCausalLM.from_config(
            config, attn_implementation=job.step.model.attention
        )
        return Opened(made, tokenizer, f"random {config.model_type}")
    assert init.from_ is not None
    folder = job.model_folder(init.from_)
    config = AutoConfig.from_pretrained(folder)
    for key, value in job.step.model.patch.items():
        if not hasattr(config, key):
            raise RecipeError(f"model.patch.{key}: the config of {folder} has no such key")
        setattr(config, key, value)
    loaded = AutoModelForCausalLM.from_pretrained(
        folder, config=config, attn_implementation=job.step.model.attention, dtype="float32"
    )
    return Opened(loaded, tokenizer, str(init.from_))


def tokenizer_of(job: Job) -> dict[str, bytes]:
    """Name -> content of the tokenizer's files: init's own, the checkpoint's, or the mixture's."""
    init, step = job.step.init, job.step
    if init.tokenizer is not None:
        return read_source(init.tokenizer, job.inputs, job.store)
    if init.from_ is not None:
        folder = job.model_folder(init.from_)
        return {name: (folder / name).read_bytes() for name in FILES if (folder / name).is_file()}
    if isinstance(step.data, str):
        plan = open_plan(job.store, job.inputs[step.data])
        from gristmill.store import Store

        return tokenizer_files(Store(job.store)[plan.spec.tokenizer])
    raise RecipeError("init.config needs `init.tokenizer`: rows are tokenised with it")


def filled(given: Mapping[str, Any], tokenizer: Mapping[str, bytes]) -> Any:
    """transformers' config with the tokenizer's sizes and special tokens."""
    loaded = from_files(dict(tokenizer), "init.tokenizer")
    known = {
        "vocab_size": loaded.tokenizer.get_vocab_size(),
        "bos_token_id": loaded.bos,
        "eos_token_id": loaded.eos,
        "pad_token_id": loaded.pad,
    }
    options = {**known, **given}
    return AutoConfig.for_model(options.pop("model_type"), **options)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object of a model folder."""
    found: dict[str, Any] = json.loads(path.read_text())
    return found
