"""Tiny models that tests make themselves, and steps over them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, LlamaConfig, MixtralConfig, PreTrainedModel

from gristmill.store import Store
from tests.run_step import InProcess, run_step
from train.weights.step import Checkpoint

SHAPE = {
    "vocab_size": 96,
    "hidden_size": 16,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}


def llama(seed: int = 0, **keys: Any) -> PreTrainedModel:
    """Random weights with norms that are not all 1."""
    return _random(LlamaConfig(**{**SHAPE, **keys}), seed)


def mixtral(seed: int = 0, **keys: Any) -> PreTrainedModel:
    """The same with four experts."""
    return _random(MixtralConfig(**{**SHAPE, "num_local_experts": 4, **keys}), seed)


def _random(config: Any, seed: int) -> PreTrainedModel:
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    return model.eval()


def saved(folder: Path, seed: int = 0, shard: str = "1GB", **keys: Any) -> str:
    """A tiny Llama on disk."""
    llama(seed, **keys).save_pretrained(folder, max_shard_size=shard)
    (folder / "tokenizer.json").write_text("{}")
    return str(folder)


def several(tmp: Path, count: int, **keys: Any) -> list[str]:
    """Folders of models with different weights."""
    return [saved(tmp / f"m{seed}", seed, **keys) for seed in range(count)]


def make(tmp: Path, name: str = "models/made", seed: int = 0, **op: Any) -> Path:
    """The folder that a checkpoint step gives."""
    store = Store(tmp / "store")
    step = Checkpoint.model_validate({"name": name, "use": "checkpoint", "seed": seed, **op})
    step.check()
    run_step(step, store, executor=InProcess())  # type: ignore[arg-type]
    return store[name].path


def report(tmp: Path, name: str = "models/made") -> dict[str, dict[str, Any]]:
    """Rows of the report, by tensor."""
    rows = Store(tmp / "store")[name + ".report"].to_table().to_pylist()
    return {row["tensor"]: row for row in rows}


def tensors(folder: Path | str) -> dict[str, torch.Tensor]:
    """All weights of a folder."""
    found: dict[str, torch.Tensor] = {}
    for file in sorted(Path(folder).glob("*.safetensors")):
        found |= load_file(file)
    return found


def load(folder: Path | str) -> PreTrainedModel:
    """As a user loads it; every weight must be there and none too many."""
    model, about = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert not about["missing_keys"] and not about["unexpected_keys"], about
    return model.eval()


def logits(model: PreTrainedModel) -> torch.Tensor:
    """float32[2, 12, vocabulary] for fixed tokens."""
    tokens = torch.randint(3, 96, (2, 12), generator=torch.Generator().manual_seed(7))
    with torch.no_grad():
        return model(tokens).logits


def generates(model: PreTrainedModel) -> None:
    """A few tokens by greedy decoding."""
    out = model.generate(torch.tensor([[1, 5, 9]]), max_new_tokens=4, do_sample=False)
    assert out.shape[1] >= 4
