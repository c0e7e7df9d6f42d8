"""Tiny models, tokenizers and jobs for tests of training: at most 100,000 parameters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

import train.models.layerwise  # noqa: F401
from gristmill.store import Store
from tests.mixtures.make_tokens import tokenizer_files
from train.data.prepared import Meta, Writer
from train.job import Job
from train.step import Train

torch.set_num_threads(1)  # on a busy machine, threads wait for one another most of the time

VOCABULARY = 300
LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "bos_token_id": None,
    "eos_token_id": 0,
}
MIXTRAL = {**LLAMA, "model_type": "mixtral", "num_local_experts": 4, "num_experts_per_tok": 2}
LAYERWISE: dict[str, Any] = {
    "model_type": "layerwise_llama",
    "hidden_size": 64,
    "head_dim": 8,
    "num_hidden_layers": 4,
    "ffn_divisor": 16,
    "max_position_embeddings": 64,
    "bos_token_id": None,
    "eos_token_id": 0,
}


def make(config: dict[str, Any], seed: int = 0, **more: Any) -> PreTrainedModel:
    """A model with random weights, large enough for its answers to differ."""
    torch.manual_seed(seed)
    options = {"vocab_size": VOCABULARY, "initializer_range": 0.2, **config, **more}
    found = AutoModelForCausalLM.from_config(AutoConfig.for_model(**options))
    return found.eval()  # type: ignore[no-any-return]


def save(model: PreTrainedModel, folder: Path, size: int = VOCABULARY) -> Path:
    """A model folder with the tokenizer that `size` words make."""
    model.save_pretrained(folder)
    for name, content in tokenizer_files(size).items():
        (folder / name).write_bytes(content)
    return folder


def ids(rows: int = 2, length: int = 12, seed: int = 0) -> torch.Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randint(1, VOCABULARY, (rows, length), generator=draw)


def job(tmp_path: Path, step: dict[str, Any], **inputs: str) -> Job:
    """A job over rows that are never read: as far as opening a model goes."""
    given = {"name": "models/x", "use": "train", "kind": "sft", "data": {"rows": "rows"}, **step}
    work, rows = str(tmp_path / "work"), tmp_path / "rows"
    if not rows.is_dir():
        Writer(rows, pa.schema([])).close(Meta(("answer",), (), 0, "", (), ()))
    return Job(Train(**given), str(tmp_path / "store"), {**inputs}, work, str(rows))


__all__ = ["LAYERWISE", "LLAMA", "MIXTRAL", "Store", "ids", "job", "make", "save"]
