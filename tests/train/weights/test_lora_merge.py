"""Adapters against peft's own merging."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.extras import needs

needs("torch", "transformers", "safetensors", "peft")

import torch  # noqa: E402

from gristmill.errors import RecipeError  # noqa: E402
from tests.train.weights.tiny import generates, llama, load, logits, make, saved  # noqa: E402


def adapted(tmp: Path, **keys: Any) -> torch.Tensor:
    """Save a base with an adapter beside it; logits of peft's merged model."""
    from peft import LoraConfig, get_peft_model

    saved(tmp / "tuned")
    torch.manual_seed(5)
    options = {"r": 4, "lora_alpha": 10, "target_modules": ["q_proj", "down_proj"], **keys}
    model = get_peft_model(llama(), LoraConfig(task_type="CAUSAL_LM", **options))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_" in name:
                weight.normal_(std=0.2)
    model.save_pretrained(tmp / "tuned" / "adapter")
    return logits(model.merge_and_unload().eval())


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"use_rslora": True},
        {"alpha_pattern": {"q_proj": 3}, "rank_pattern": {"layers.1.mlp.down_proj": 2}},
        {"modules_to_save": ["lm_head"]},
    ],
    ids=["plain", "rslora", "patterns", "modules_to_save"],
)
def test_it_is_what_peft_makes(tmp_path: Path, keys: dict[str, Any]) -> None:
    expected = adapted(tmp_path, **keys)
    made = make(tmp_path, lora_merge={"of": str(tmp_path / "tuned")})
    torch.testing.assert_close(logits(load(made)), expected, rtol=1e-5, atol=1e-5)
    generates(load(made))


def test_an_adapter_apart_from_its_base(tmp_path: Path) -> None:
    expected = adapted(tmp_path)
    op = {"of": str(tmp_path / "tuned" / "adapter"), "base": str(tmp_path / "tuned")}
    torch.testing.assert_close(
        logits(load(make(tmp_path, lora_merge=op))), expected, rtol=1e-5, atol=1e-5
    )
    wide = saved(tmp_path / "wide", intermediate_size=64)
    with pytest.raises(RecipeError, match="belongs to another base"):
        make(tmp_path, lora_merge={**op, "base": wide})


def test_dora_is_refused(tmp_path: Path) -> None:
    adapted(tmp_path, use_dora=True)
    with pytest.raises(RecipeError, match="use_dora"):
        make(tmp_path, lora_merge={"of": str(tmp_path / "tuned")})


def test_other_operations_do_not_lose_an_adapter(tmp_path: Path) -> None:
    adapted(tmp_path)
    with pytest.raises(RecipeError, match=r"lora_merge: \{of: .*tuned\}"):
        make(tmp_path, average={"of": [str(tmp_path / "tuned")]})
