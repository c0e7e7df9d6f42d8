"""Layer-wise scaling against OpenELM's own numbers; the model saves, loads and generates."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.extras import needs
from train.models.layer_shapes import layer_shapes

needs("torch", "transformers")

import torch  # noqa: E402
from transformers import AutoConfig, AutoModelForCausalLM  # noqa: E402

from tests.train.models.make_model import LAYERWISE, LLAMA, ids, make  # noqa: E402

# apple/OpenELM-1_1B, config.json: num_query_heads, num_kv_heads.
HEADS = [16] * 3 + [20] * 7 + [24] * 8 + [28] * 6 + [32] * 4
KEYS = [4] * 3 + [5] * 7 + [6] * 8 + [7] * 6 + [8] * 4


def test_heads_of_openelm_1_1b() -> None:
    shapes = layer_shapes(28, 2048, 64)
    assert [shape.heads for shape in shapes] == HEADS
    assert [shape.key_heads for shape in shapes] == KEYS
    assert [shape.ffn for shape in shapes[:3]] == [1024, 1280, 1536]
    assert shapes[-1].ffn == 8192


@pytest.mark.parametrize("width", [768, 1280, 3072])
@pytest.mark.parametrize("layers", [1, 2, 12, 36])
def test_every_layer_follows_the_rule(width: int, layers: int) -> None:
    for n, shape in enumerate(layer_shapes(layers, width, 64)):
        part = n / max(1, layers - 1)
        heads, ffn = round(0.5 + 0.5 * part, 2), round(0.5 + 3.5 * part, 2)
        assert shape.heads % 4 == 0 and shape.heads == 4 * shape.key_heads
        assert abs(shape.heads * 64 - width * heads) <= 64 * 4 / 2 + 0.1 * width
        assert shape.ffn % 256 == 0 and abs(shape.ffn - width * ffn) <= 128 + 0.1 * width * ffn


@pytest.mark.parametrize(
    ("layers", "width", "head_dim", "parameters"),
    [  # arXiv:2404.14619, table 10: 0.27, 0.45, 1.08 and 3.04 billion
        (16, 1280, 64, 0.27),
        (20, 1536, 64, 0.45),  # prints 0.46
        (28, 2048, 64, 1.08),
        (36, 3072, 128, 3.04),
    ],
)
def test_parameters_of_the_published_models(
    layers: int, width: int, head_dim: int, parameters: float
) -> None:
    config = AutoConfig.for_model(
        "layerwise_llama",
        hidden_size=width,
        num_hidden_layers=layers,
        head_dim=head_dim,
        vocab_size=32000,
    )
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    assert model.num_parameters() / 1e9 == pytest.approx(parameters, abs=0.01)


def test_it_saves_loads_and_generates(tmp_path: Path) -> None:
    model = make(LAYERWISE)
    model.save_pretrained(tmp_path)
    again = AutoModelForCausalLM.from_pretrained(tmp_path, dtype="float32").eval()
    assert type(again) is type(model)
    torch.testing.assert_close(again(input_ids=ids()).logits, model(input_ids=ids()).logits)
    made = again.generate(ids(), max_new_tokens=6, do_sample=False, eos_token_id=None)
    by_hand = ids()
    for _ in range(6):
        best = model(input_ids=by_hand, use_cache=False).logits[:, -1:].argmax(-1)
        by_hand = torch.cat([by_hand, best], 1)
    assert torch.equal(made, by_hand)


def test_documents_of_a_packed_row_do_not_see_each_other() -> None:
    model, row = make(LAYERWISE), ids(1, 16)
    positions = torch.cat([torch.arange(9), torch.arange(7)])[None]
    packed = model(input_ids=row, position_ids=positions, use_cache=False).logits
    alone = model(input_ids=row[:, 9:], use_cache=False).logits
    torch.testing.assert_close(packed[:, 9:], alone, atol=1e-5, rtol=1e-5)


def test_a_config_may_say_each_layers_shape_itself(tmp_path: Path) -> None:
    own = {
        n: {"intermediate_size": 16 * (n + 1), "num_attention_heads": 4, "num_key_value_heads": 2}
        for n in range(4)
    }
    model = make(LAYERWISE, per_layer_config=own, qk_norm=False, tie_word_embeddings=False)
    sizes = [layer.mlp.gate_proj.out_features for layer in model.model.layers]
    assert sizes == [16, 32, 48, 64]
    model.save_pretrained(tmp_path)
    again = AutoModelForCausalLM.from_pretrained(tmp_path, dtype="float32").eval()
    torch.testing.assert_close(again(input_ids=ids()).logits, model(input_ids=ids()).logits)


def test_with_equal_layers_it_computes_what_llama_computes() -> None:
    llama = make(LLAMA)
    same = {"num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 48}
    keys = ("hidden_size", "num_hidden_layers", "max_position_embeddings")
    model = make(
        {**LAYERWISE, **{key: LLAMA[key] for key in keys}},
        per_layer_config=dict.fromkeys(range(2), same),
        qk_norm=False,
        tie_word_embeddings=False,
    )
    model.load_state_dict(llama.state_dict())
    torch.testing.assert_close(model(input_ids=ids()).logits, llama(input_ids=ids()).logits)
