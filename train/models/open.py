"""The model of a stage: from a configuration or a checkpoint, with its patch, and its tokenizer.

In: a job. Out: Opened. Shown by: any `use: train`.
Limit: weights are float32; `model.dtype` is that of the forward pass. Quantised weights are frozen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transformers import AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel
from transformers.utils import logging

from gristmill.errors import RecipeError
from train.job import Job
from train.models import adapters
from train.models.config import filled, folder_config, patched
from train.models.sizes import check_positions
from train.models.vocabulary import check_size, longest_row, named, tokenizer_of
from train.spec import ModelSpec
from train.weights import soft_top_k

logging.disable_progress_bar()  # of each tensor's loading; the step shows its own

__all__ = ["Opened", "load_folder", "open_model", "tokenizer_of"]


def _as_it_is(model: Any, folder: Path) -> PreTrainedModel:
    return model


@dataclass
class Opened:
    """A model and the files of its tokenizer."""

    model: PreTrainedModel
    tokenizer: dict[str, bytes]
    origin: str  # for people: where the weights come from
    facts: dict[str, Any] = field(default_factory=dict)
    # What is saved of the trained model: adapters are merged, or put beside into the folder.
    finish: Callable[[Any, Path], PreTrainedModel] = _as_it_is


def open_model(job: Job) -> Opened:
    """Random weights or a checkpoint, as `init` and `model` say.

    Raises RecipeError for configs that cannot be, patches that change a shape, a tokenizer that is
    not the data's, packages or a GPU that quantised weights need.
    """
    step = job.step
    adapters.check_packages(step.model)
    tokenizer = tokenizer_of(job)
    if step.init.config:
        config = filled(step.init.config, tokenizer)
        origin, key = f"random {config.model_type}", "init.config"
    else:
        assert step.init.from_ is not None
        folder = job.model_folder(step.init.from_)
        config = folder_config(folder)
        if step.model.patch:
            config = patched(config, step.model.patch)
        origin, key = named(job, step.init.from_), "model.patch"
    check_size(config.vocab_size, tokenizer, "init.config" if step.init.config else origin)
    check_positions(config.to_dict().get("max_position_embeddings"), longest_row(job), key)
    if step.init.config:
        made = AutoModelForCausalLM.from_config(config, attn_implementation=step.model.attention)
        opened = Opened(made, tokenizer, origin)
    else:
        loaded = load_folder(folder, step.model, config)
        opened = Opened(loaded, tokenizer, origin)
    if step.model.lora is not None:
        again = None if step.init.config else folder
        opened.model, opened.finish = adapters.adapt(opened.model, step.model, again)
    if step.model.soft_top_k is not None:
        opened.finish = soft_top_k.attach(opened.model, step.model.soft_top_k)
    opened.facts = _facts(opened)
    return opened


def load_folder(
    folder: Path, model: ModelSpec | None = None, config: PreTrainedConfig | None = None
) -> PreTrainedModel:
    """A model folder in float32 (or quantised, as `model` says), an adapter beside it merged."""
    spec = model or ModelSpec()
    options = adapters.quantized(spec.quantize) if spec.quantize else {}
    loaded = AutoModelForCausalLM.from_pretrained(
        folder,
        config=config or folder_config(folder),
        attn_implementation=spec.attention,
        dtype="float32",
        **options,
    )
    beside = folder / adapters.BESIDE
    if not beside.is_dir():
        found: PreTrainedModel = loaded
        return found
    if spec.quantize:
        raise RecipeError(
            f"{folder} has an adapter beside its weights, which cannot be merged into "
            f"{spec.quantize} weights; train it with `lora: {{merge: true}}`"
        )
    return adapters.merged(loaded, beside)


def _facts(opened: Opened) -> dict[str, Any]:
    weights = list(opened.model.parameters())
    trained = sum(weight.numel() for weight in weights if weight.requires_grad)
    return {
        "from": opened.origin,
        "parameters": opened.model.num_parameters(),
        "trained_parameters": trained,
    }
