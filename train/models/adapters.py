"""Low-rank adapters and quantised weights, by peft and bitsandbytes.

In: a model and `model: {lora: {r: 16, targets: all-linear}, quantize: nf4}`. Out: a model of which
only the adapter learns, and what is done with it at the end.
Shown by: `python -m pytest tests/train/models/test_adapters.py`.
Limit: quantised weights need a GPU (bitsandbytes packs nf4 for a CPU when a model is evaluated, and
then has no gradient); what is saved has the checkpoint's float32 weights.

`merge: false` leaves the checkpoint's weights as they were and the adapter in the subfolder
`adapter/`, which peft reads (`PeftModel.from_pretrained(model, folder / "adapter")`).
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from gristmill.errors import RecipeError, nearest
from train.spec import Lora, ModelSpec

BESIDE = "adapter"
Finish = Callable[[Any, Path], PreTrainedModel]


def check_packages(spec: ModelSpec) -> None:
    """RecipeError where what the spec asks for is not there."""
    if spec.lora is not None and find_spec("peft") is None:
        raise RecipeError("model.lora needs the package peft: `pip install 'gristmill[train]'`")
    if spec.quantize is None:
        return
    if find_spec("bitsandbytes") is None:
        raise RecipeError(
            f"model.quantize is {spec.quantize!r}, which needs the package bitsandbytes: `pip "
            "install bitsandbytes`, or leave `quantize` out"
        )
    if not torch.cuda.is_available():
        raise RecipeError(
            f"model.quantize is {spec.quantize!r}, which needs a GPU; leave `quantize` out here"
        )


def quantized(kind: str) -> dict[str, Any]:
    """For from_pretrained: LLM.int8() (arXiv:2208.07339) or NF4 (QLoRA, arXiv:2305.14314)."""
    from transformers import BitsAndBytesConfig

    if kind == "int8":
        return {"quantization_config": BitsAndBytesConfig(load_in_8bit=True)}
    return {
        "quantization_config": BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16,
        )
    }


def adapt(model: PreTrainedModel, spec: ModelSpec, again: Path | None) -> tuple[Any, Finish]:
    """The model with an adapter, and what makes it a plain model at the end.

    again: the folder of the weights, read anew where the model has them quantised.
    """
    from peft import LoraConfig, TaskType, get_peft_model, prepare_model_for_kbit_training

    assert spec.lora is not None
    if spec.quantize:
        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    config = LoraConfig(
        r=spec.lora.r,
        lora_alpha=spec.lora.alpha,
        lora_dropout=spec.lora.dropout,
        target_modules=targets(model, spec.lora),
        task_type=TaskType.CAUSAL_LM,
    )
    found = get_peft_model(model, config)
    if spec.quantize:
        assert again is not None  # train.checks: quantised weights are a checkpoint's
        whole = copy.deepcopy(model.config)
        del whole.quantization_config
        return found, _anew(again, whole, config, spec.lora.merge)
    return found, _merge if spec.lora.merge else _apart


def targets(model: PreTrainedModel, lora: Lora) -> str | list[str]:
    """Names of modules for peft; RecipeError with the nearest name for one that is not there."""
    if lora.targets == "all-linear":
        return "all-linear"
    wanted = [lora.targets] if isinstance(lora.targets, str) else list(lora.targets)
    linear = {
        name.rpartition(".")[2]
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear)
    }
    for name in wanted:
        if name.rpartition(".")[2] not in linear:
            raise RecipeError(
                f"model.lora.targets has {name!r}, no linear module of {type(model).__name__}"
                f"{nearest(name, linear)}"
            )
    return wanted


def merged(model: PreTrainedModel, folder: Path) -> PreTrainedModel:
    """A model with the adapter of a folder in its weights."""
    from peft import PeftModel

    found: PreTrainedModel = PeftModel.from_pretrained(model, folder).merge_and_unload()
    return found.requires_grad_(True)  # peft froze the weights


def _merge(model: Any, folder: Path) -> PreTrainedModel:
    found: PreTrainedModel = model.merge_and_unload(safe_merge=True)
    return found


def _apart(model: Any, folder: Path) -> PreTrainedModel:
    for config in model.peft_config.values():
        config.base_model_name_or_path = ""  # a path of this machine; the weights lie above it
    model.save_pretrained(folder / BESIDE)
    (folder / BESIDE / "README.md").unlink(missing_ok=True)  # a form to be filled in
    found: PreTrainedModel = model.unload()
    return found


def _anew(source: Path, config: Any, lora: Any, merge: bool) -> Finish:
    """With the float32 weights of the folder: sums in four bits would lose most of the adapter."""

    def finish(model: Any, folder: Path) -> PreTrainedModel:
        from peft import get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
        from transformers import AutoModelForCausalLM

        learnt = {name: value.cpu() for name, value in get_peft_model_state_dict(model).items()}
        plain = AutoModelForCausalLM.from_pretrained(source, config=config, dtype="float32")
        whole = get_peft_model(plain, lora)
        set_peft_model_state_dict(whole, learnt)
        return _merge(whole, folder) if merge else _apart(whole, folder)

    return finish
