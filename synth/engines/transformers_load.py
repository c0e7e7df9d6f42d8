"""A model of a folder in memory, for generation, scoring or rewards.

In: a folder, a device, a dtype. Out: the module, in inference mode. Nothing is ever fetched.
Shown by: `python -m pytest tests/synth/engines/test_transformers.py`.
Limit: one device; a model that needs several is vLLM's.
"""

from __future__ import annotations

import inspect
import os
from pathlib import Path
from typing import Any

from gristmill.errors import RecipeError, nearest


def load(folder: Path, device: str, dtype: str, rewards: bool) -> Any:
    """The module; RecipeError for a device or dtype that is not there."""
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification
    from transformers.utils import logging

    where = _device(device)
    if where == "cpu":  # our workers run with one thread; the model may use what we may
        allowed = getattr(os, "sched_getaffinity", None)  # Linux only
        torch.set_num_threads(len(allowed(0)) if allowed else os.cpu_count() or 1)
    kind = AutoModelForSequenceClassification if rewards else AutoModelForCausalLM
    bar = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        model = kind.from_pretrained(str(folder), dtype=_dtype(dtype), local_files_only=True)
    except (OSError, ValueError) as error:
        raise RecipeError(f"transformers cannot load model {str(folder)!r}: {error}") from error
    finally:
        if bar:
            logging.enable_progress_bar()
    if rewards and model.config.num_labels != 1:
        raise RecipeError(
            f"model {folder.name!r} has {model.config.num_labels} labels; a reward model has one"
        )
    needed = {"past_key_values", "position_ids", "logits_to_keep"}
    if not rewards and not needed <= set(inspect.signature(model.forward).parameters):
        raise RecipeError(
            f"model {folder.name!r} ({type(model).__name__}) has no cache of keys and values, "
            "which the engine transformers batches rows by; use the engine vllm"
        )
    return model.eval().to(where)


def _device(name: str) -> str:
    import torch

    if name != "auto":
        return name
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _dtype(name: str) -> Any:
    import torch

    known = {"float32", "float16", "bfloat16"}
    if name == "auto":
        return "auto"
    if name not in known:
        raise RecipeError(f"dtype is {name!r}; it is auto or a torch type{nearest(name, known)}")
    return getattr(torch, name)
