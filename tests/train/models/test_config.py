"""Configs as recipes write them: filled in, patched, refused with the fix."""

from __future__ import annotations

from typing import Any

import pytest

from gristmill.errors import RecipeError
from tests.extras import needs

needs("torch", "transformers")


from tests.mixtures.make_tokens import tokenizer_files  # noqa: E402
from tests.train.models.make_model import LAYERWISE, LLAMA, MIXTRAL, ids, make  # noqa: E402
from train.models.config import filled, patched  # noqa: E402

TOKENIZER = tokenizer_files(300)
PLAIN = {k: v for k, v in LLAMA.items() if k not in ("bos_token_id", "eos_token_id")}


def test_the_tokenizer_fills_in_sizes_and_special_tokens() -> None:
    config = filled(PLAIN, TOKENIZER)
    assert (config.vocab_size, config.eos_token_id, config.bos_token_id) == (300, 0, None)
    assert filled({**PLAIN, "vocab_size": 320}, TOKENIZER).vocab_size == 320


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model_type": "lama"}, "did you mean 'llama'"),
        ({"model_type": "vit"}, "predicts no next tokens"),
        ({"hiden_size": 32}, "did you mean 'hidden_size'"),
        ({"rope_theta": 1e6}, "rope_parameters"),
        ({"num_attention_heads": 5}, "hidden_size is 32, not a multiple of num_attention_heads, 5"),
        ({"head_dim": 7}, "even rotary dimension"),
        ({"num_key_value_heads": 3}, r"num_attention_heads is 4 \(layer 0\), not a multiple of"),
        ({"hidden_size": "32"}, "whole number"),
        ({"rms_norm_eps": "small"}, "expected float"),
        ({**MIXTRAL, "num_experts_per_tok": 5}, "num_experts_per_tok is 5, of 4"),
        ({"hidden_act": "sulu"}, "did you mean 'silu'"),
        ({"rope_parameters": {"rope_type": "yern"}}, "did you mean 'yarn'"),
        ({"rope_parameters": {"rope_type": "yarn", "faktor": 4.0}}, "did you mean 'factor'"),
        ({"rope_parameters": {"rope_type": "linear"}}, "needs factor"),
    ],
)
def test_configs_that_cannot_be_are_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        filled({**PLAIN, **change}, TOKENIZER)


@pytest.mark.parametrize("config", [PLAIN, MIXTRAL, LAYERWISE])
def test_every_model_can_be_made(config: dict[str, Any]) -> None:
    assert filled(config, TOKENIZER).model_type == config["model_type"]


@pytest.mark.parametrize(
    ("rope", "wanted"),
    [
        ({"rope_theta": 5e5}, {"rope_type": "default", "rope_theta": 5e5}),
        (
            {"rope_type": "linear", "factor": 4.0},
            {"rope_type": "linear", "factor": 4.0, "rope_theta": 1e4},
        ),
        (
            {"rope_type": "yarn"},
            {
                "rope_type": "yarn",
                "factor": 4.0,
                "rope_theta": 1e4,
                "original_max_position_embeddings": 64,
            },
        ),
        (
            {
                "rope_type": "llama3",
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "rope_theta": 5e5,
            },
            {"rope_theta": 5e5, "original_max_position_embeddings": 64},
        ),
        (
            {"rope_type": "longrope", "short_factor": [1.0] * 4, "long_factor": [4.0] * 4},
            {"factor": 4.0, "original_max_position_embeddings": 64},
        ),
    ],
)
def test_a_patch_lengthens_a_checkpoint(rope: dict[str, Any], wanted: dict[str, Any]) -> None:
    """What scales, scales from the length of the checkpoint, not from the one that is asked for."""
    before = make(LLAMA)
    config = patched(before.config, {"max_position_embeddings": 256, "rope_parameters": rope})
    assert config.max_position_embeddings == 256
    assert {key: config.rope_parameters[key] for key in wanted} == wanted
    after = type(before)(config).eval()
    after.load_state_dict(before.state_dict())
    moved = (after(input_ids=ids()).logits - before(input_ids=ids()).logits).abs().amax((0, 2))
    assert float(moved[0]) < 1e-5 and float(moved[1:].max()) > 1e-3  # position 0 is not turned


def test_a_second_patch_keeps_what_the_first_one_said() -> None:
    first = patched(
        make(LLAMA).config,
        {"max_position_embeddings": 128, "rope_parameters": {"rope_type": "yarn"}},
    )
    second = patched(first, {"max_position_embeddings": 256, "rope_parameters": {"factor": 4.0}})
    assert second.rope_parameters["original_max_position_embeddings"] == 64
    plain = patched(second, {"rope_parameters": {"rope_type": "default"}})
    assert plain.rope_parameters == {"rope_type": "default", "rope_theta": 10_000.0}


def test_other_keys_are_replaced_and_the_checkpoints_config_stays() -> None:
    config = make(LLAMA).config
    assert patched(config, {"attention_dropout": 0.1}).attention_dropout == 0.1
    assert config.attention_dropout == 0.0


@pytest.mark.parametrize(
    ("patch", "words"),
    [
        ({"atention_dropout": 0.1}, "did you mean 'attention_dropout'"),
        ({"hidden_size": 64}, "changes the weight"),
        ({"num_hidden_layers": 3}, "layers.2.*it is absent, with the patch"),
        ({"tie_word_embeddings": True, "model_type": "mistral"}, "stays the llama"),
        ({"rope_parameters": {"rope_type": "llama3", "factor": 2.0}}, "high_freq_factor"),
    ],
)
def test_patches_that_cannot_be_are_refused(patch: dict[str, Any], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        patched(make(LLAMA).config, patch)


def test_a_layerwise_model_is_patched_too() -> None:
    before = make(LAYERWISE).config
    config = patched(
        before, {"max_position_embeddings": 256, "rope_parameters": {"rope_theta": 1e6}}
    )
    assert config.rope_parameters["rope_theta"] == 1e6
    assert config.to_dict()["per_layer_config"] == before.to_dict()["per_layer_config"]
