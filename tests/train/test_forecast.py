"""The forecast against the model itself, against what a stage then did, and without torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from gristmill.errors import RecipeError
from gristmill.step import Ahead
from gristmill.store import Store
from pipelines.plan import plan_recipe
from train.forecast import forecast, table_row
from train.machines import machine
from train.models.sizes import FAMILIES, sizes_of
from train.step import Train

LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "vocab_size": 300,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
LAYERWISE = {"model_type": "layerwise_llama", "vocab_size": 300, "hidden_size": 64, "head_dim": 8}
CONFIGS: list[dict[str, Any]] = [
    *({"model_type": family} for family in FAMILIES),
    LLAMA,
    {**LLAMA, "tie_word_embeddings": True, "num_key_value_heads": None},
    {**LLAMA, "attention_bias": True, "mlp_bias": True, "head_dim": 16},
    {**LLAMA, "model_type": "qwen2"},
    {**LLAMA, "model_type": "qwen3", "tie_word_embeddings": True},
    {**LLAMA, "model_type": "mixtral", "num_local_experts": 4, "num_experts_per_tok": 1},
    LAYERWISE,
    {**LAYERWISE, "qk_norm": False, "ffn_divisor": 16, "num_hidden_layers": 3},
    {
        **LAYERWISE,
        "num_hidden_layers": 2,
        "per_layer_config": {"0": {"intermediate_size": 24}, "1": {"num_attention_heads": 2}},
    },
]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: "-".join(map(str, c.values()))[:60])
def test_parameters_are_those_of_the_model(config: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    from transformers import AutoConfig, AutoModelForCausalLM

    import train.models.layerwise  # noqa: F401

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**config))
    sizes = sizes_of(config)
    assert sizes is not None
    assert sizes.parameters == model.num_parameters()
    saved = sizes_of(model.config.to_dict())  # as config.json says it
    assert saved is not None and saved == sizes
    experts = sum(w.numel() for name, w in model.named_parameters() if ".experts." in name)
    part = sizes.active / sizes.experts if sizes.experts else 1
    assert sizes.active_parameters == round(model.num_parameters() - experts * (1 - part))


def test_flops_are_counted_by_torch() -> None:
    """Forward and backward of a row: 6 N a token, and attention's 12 layers x width x length."""
    torch = pytest.importorskip("torch")
    from torch.utils.flop_counter import FlopCounterMode
    from transformers import AutoConfig, AutoModelForCausalLM

    model = AutoModelForCausalLM.from_config(
        AutoConfig.for_model(**LLAMA), attn_implementation="eager"
    )
    sizes, tokens = sizes_of(LLAMA), torch.randint(0, 300, (2, 64))
    with FlopCounterMode(display=False) as counter:
        model(input_ids=tokens, use_cache=False).logits.sum().backward()
    assert sizes is not None
    # Norms are not matrix products; the first layer's input needs no gradient, but it is a table.
    assert counter.get_total_flops() == pytest.approx(2 * 64 * sizes.flops(64), rel=0.01)


def recipe(tmp_path: Path, **more: Any) -> Path:
    """Pages that are not there yet, a mixture of 1,000,000 tokens, and stages after it."""
    texts = tmp_path / "texts.jsonl"
    texts.write_text('{"text": "' + "word " * 2000 + '"}\n')
    base = {"name": "models/base", "use": "train", "kind": "pretrain", "data": "mix/a"}
    config = {key: value for key, value in LLAMA.items() if key != "vocab_size"}
    steps: list[dict[str, Any]] = [
        {"name": "web/raw", "use": "curate", "from": {"jsonl": str(texts)}, "ops": []},
        {"name": "tok/a", "use": "train_tokenizer", "from": "web/raw", "vocab_size": 400},
        {"name": "tokens/a", "use": "tokenize", "from": "web/raw", "tokenizer": "tok/a"},
        {
            "name": "mix/a",
            "use": "mixture",
            "sources": {"web": "tokens/a"},
            "budget": 1_024_000,
            "shape": [{"seq": 128, "batch": 16}, {"at": 0.5, "seq": 256, "batch": 16}],
        },
        {**base, "init": {"config": config}, **more},
        {**base, "name": "models/more", "init": "models/base", "run": {"machine": "h100x8"}},
    ]
    file = tmp_path / "r.yaml"
    file.write_text(yaml.safe_dump({"steps": steps}))
    return file


def test_a_mixture_that_is_planned_gives_its_steps(tmp_path: Path) -> None:
    planned = plan_recipe(recipe(tmp_path), store=tmp_path / "store")
    base, more = planned[-2].stage, planned[-1].stage
    assert base["tokens"] == 1_024_000 and base["steps"] == 250 + 125
    sizes = sizes_of({**LLAMA, "vocab_size": 400})
    assert sizes is not None
    assert base["parameters"] == more["parameters"] == sizes.parameters
    assert base["flops"] == 512_000 * (sizes.flops(128) + sizes.flops(256))
    assert more["machine"] == "h100x8"
    assert more["device_hours"] == pytest.approx(base["flops"] / (989.4e12 * 0.4) / 3600)
    weights = 4 * sizes.parameters
    assert base["memory"]["weights"] == base["memory"]["gradients"] == weights
    assert base["memory"]["optimizer"] == 2 * weights
    row = table_row("models/base", base)
    assert row["steps"] == "375" and row["tokens"] == "1.02M" and row["unknown"] == ""
    assert planned[0].stage == {}


def alone(tmp_path: Path, **given: Any) -> Any:
    step = Train(**{"name": "m", "use": "train", "kind": "sft", "data": {"rows": "chat"}, **given})
    ahead = Ahead(Store(tmp_path), {}, {}, {"chat": (1000.0, 100_000.0)})
    return forecast(step, ahead)


def test_rows_adapters_teachers_and_what_is_computed_again(tmp_path: Path) -> None:
    init = {"config": {**LLAMA, "vocab_size": 300}, "tokenizer": "./none.json"}
    plain = alone(tmp_path, init=init, data={"rows": "chat", "batch": 32, "epochs": 2})
    assert plain.steps == 63 and plain.tokens == 63 * 32 * 100
    again = alone(
        tmp_path,
        init=init,
        data={"rows": "chat", "batch": 32, "epochs": 2},
        run={"checkpointing": True, "micro_batch": 4, "fused_loss": True},
    )
    assert again.flops == pytest.approx(plain.flops * 4 / 3)
    assert again.memory.activations < plain.memory.activations / 8
    lora = alone(
        tmp_path,
        init=init,
        data={"rows": "chat", "batch": 32, "epochs": 2},
        model={"lora": {"r": 2}},
    )
    assert lora.flops == pytest.approx(plain.flops * 2 / 3)
    assert lora.memory.optimizer < plain.memory.optimizer / 5


def test_samples_of_a_policy_are_counted_as_long_as_they_may_be(tmp_path: Path) -> None:
    init = {"config": {**LLAMA, "vocab_size": 300}, "tokenizer": "./none.json"}
    given = {"kind": "rl", "init": init, "data": {"rows": "chat", "batch": 50, "max_length": 160}}
    rollout = {"samples": 4, "max_tokens": 60, "updates": 2}
    found = alone(tmp_path, **given, loss={"grpo": {"beta": 0}}, rollout=rollout)
    assert found.steps == 2 * 1000 / 50
    assert found.tokens == 2 * 1000 * 4 * (100 + 60)
    sizes = sizes_of({**LLAMA, "vocab_size": 300})
    assert sizes is not None
    # Two updates; before them a pass that writes and one that says the log-probabilities.
    assert found.flops == pytest.approx(1000 * 4 * 160 * sizes.flops(160) * (2 + 2 / 3))
    kept = alone(tmp_path, **given, loss={"grpo": {"beta": 0.1}}, rollout=rollout)
    assert kept.flops == pytest.approx(1000 * 4 * 160 * sizes.flops(160) * (2 + 3 / 3))
    assert "at most 60 tokens" in found.unknown[0]


def test_rows_of_an_unknown_length_are_as_long_as_they_may_be(tmp_path: Path) -> None:
    """Beside others whose length is known: a mean over both would be of neither."""
    init = {"config": {**LLAMA, "vocab_size": 300}, "tokenizer": "./none.json"}
    data = {"rows": ["a", "b"], "batch": 30, "max_length": 64}
    step = Train(name="m", use="train", kind="sft", init=init, data=data)  # type: ignore[arg-type]
    known = {"a": (100.0, 0.0), "b": (200.0, 2000.0)}
    assert forecast(step, Ahead(Store(tmp_path), {}, {}, known)).tokens == 10 * 30 * 28


def other_step() -> Train:
    """A stage whose model is not there: nothing is known of what follows it."""
    init = {"hub": "a/b", "revision": "0" * 40}
    return Train(name="x", use="train", kind="sft", data={"rows": "chat"}, init={"from": init})  # type: ignore[arg-type]


def test_what_is_not_known_is_said(tmp_path: Path) -> None:
    init = {"config": {"model_type": "gpt2"}, "tokenizer": "./none.json"}
    other = alone(tmp_path, init={**init, "config": {"model_type": "gpt2", "vocab_size": 9}})
    assert other.parameters is None and "'gpt2' is not counted" in other.unknown[0]
    hub = {"hub": "a/b", "revision": "0" * 40}
    some = alone(tmp_path, init={"config": {"model_type": "llama"}, "tokenizer": hub})
    assert some.parameters and "taken to have 32,000 tokens" in some.unknown[0]
    step = Train(name="m", use="train", kind="sft", data={"rows": "chat"}, init="models/none")  # type: ignore[arg-type]
    maker = Train(name="models/none", use="train", kind="rl", data={"rows": "p"}, init="x")  # type: ignore[arg-type]
    of = {"models/none": maker, "x": other_step(), "chat": maker}
    found = forecast(step, Ahead(Store(tmp_path), of, {}, {}))
    assert found.steps is None and found.unknown
    with pytest.raises(RecipeError, match="did you mean 'h100x8'"):
        machine("h100x9")


def test_a_plan_needs_no_torch(tmp_path: Path) -> None:
    code = (
        "import sys; from pipelines.plan import plan_recipe; "
        f"plan_recipe({str(recipe(tmp_path))!r}, store={str(tmp_path / 'store')!r}); "
        "print({'torch', 'transformers', 'peft', 'trl'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
