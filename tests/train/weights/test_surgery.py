"""Pruned, sliced, grown and upcycled models compute at step 0 what their definition says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.extras import needs

needs("torch", "transformers", "safetensors")

import torch  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

from gristmill.errors import RecipeError  # noqa: E402
from tests.train.weights.tiny import (  # noqa: E402
    generates,
    llama,
    load,
    logits,
    make,
    mixtral,
    report,
    saved,
    tensors,
)
from train.weights.ops.prune import largest  # noqa: E402


def test_pruned_matrices_have_their_share_of_zeros(tmp_path: Path) -> None:
    one = saved(tmp_path / "a")
    made = make(tmp_path, prune={"of": one, "share": 0.75})
    before, after = tensors(one), tensors(made)
    for name, tensor in before.items():
        if "proj" not in name:
            assert torch.equal(tensor, after[name])
            continue
        gone = after[name] == 0
        assert int(gone.sum()) == round(0.75 * tensor.numel())
        assert tensor[gone].abs().max() <= tensor[~gone].abs().min()
        assert torch.equal(tensor[~gone], after[name][~gone])
    assert report(tmp_path)["model.layers.1.mlp.up_proj.weight"]["zeros"] == 0.75
    generates(load(made))


def test_of_equals_the_first_stay() -> None:
    mask = largest(torch.tensor([[1.0, 2.0, 1.0], [3.0, 1.0, 1.0]]), 4)
    assert mask.tolist() == [True, True, True, True, False, False]
    assert largest(torch.zeros(3), 0).tolist() == [False] * 3
    assert largest(torch.zeros(3), 3).tolist() == [True] * 3


def test_n_of_m_keeps_the_largest_of_each_group(tmp_path: Path) -> None:
    one = saved(tmp_path / "a")
    before = tensors(one)["model.layers.0.mlp.down_proj.weight"].reshape(-1, 4)
    made = make(tmp_path, prune={"of": one, "pattern": "2:4"})
    after = tensors(made)["model.layers.0.mlp.down_proj.weight"].reshape(-1, 4)
    assert ((after != 0).sum(1) == 2).all()
    largest = before.abs().sort(dim=1, descending=True).values[:, :2].sum(1)
    torch.testing.assert_close(after.abs().sum(1), largest)
    with pytest.raises(RecipeError, match="do not divide by 7"):
        make(tmp_path, prune={"of": one, "pattern": "3:7"})


def test_random_masks_are_drawn_from_the_seed(tmp_path: Path) -> None:
    one = saved(tmp_path / "a")
    op = {"of": one, "share": 0.5, "by": "random"}
    name = "model.layers.0.self_attn.q_proj.weight"
    first, again, other = (
        tensors(make(tmp_path, f"m/{n}", seed=seed, prune=op))[name] == 0
        for n, seed in enumerate((1, 1, 2))
    )
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert int(first.sum()) == first.numel() // 2


def masked(folder: str, masks: dict[int, torch.Tensor]) -> torch.Tensor:
    """Logits of a model whose FFN units are multiplied by masks."""
    model = load(folder)
    for number, layer in enumerate(model.model.layers):
        layer.mlp.down_proj.register_forward_pre_hook(
            lambda _, args, number=number: (args[0] * masks[number],)
        )
    return logits(model)


def test_a_sliced_model_is_the_masked_one(tmp_path: Path) -> None:
    one = saved(tmp_path / "a")
    weights = tensors(one)
    masks = {}
    for layer in range(2):
        at = f"model.layers.{layer}.mlp."
        score = (
            weights[at + "gate_proj.weight"].double().norm(dim=1)
            * weights[at + "up_proj.weight"].double().norm(dim=1)
            * weights[at + "down_proj.weight"].double().norm(dim=0)
        )
        masks[layer] = (score >= score.sort(descending=True).values[19]).float()
    made = make(tmp_path, slice={"of": one, "keep": 20})
    model = load(made)
    assert model.config.intermediate_size == 20
    torch.testing.assert_close(logits(model), masked(one, masks), rtol=1e-6, atol=1e-6)
    generates(model)


def test_slicing_by_a_learned_mask(tmp_path: Path) -> None:
    one = saved(tmp_path / "a")
    torch.manual_seed(3)
    masks = {}
    for layer in range(2):
        masks[layer] = (torch.rand(48).argsort().argsort() < 12).float()
    (tmp_path / "a" / "masks").mkdir()
    named = {f"model.layers.{layer}.mlp": mask for layer, mask in masks.items()}
    save_file(named, tmp_path / "a" / "masks" / "ffn.safetensors")
    made = make(tmp_path, slice={"of": one, "keep": 0.25, "by": "mask"})
    torch.testing.assert_close(logits(load(made)), masked(one, masks), rtol=1e-6, atol=1e-6)


def test_slice_refuses_what_it_cannot_cut(tmp_path: Path) -> None:
    one = saved(tmp_path / "a")
    with pytest.raises(RecipeError, match="has 48 units"):
        make(tmp_path, slice={"of": one, "keep": 49})
    with pytest.raises(RecipeError, match="soft_top_k"):
        make(tmp_path, slice={"of": one, "keep": 4, "by": "mask"})
    mixtral().save_pretrained(tmp_path / "moe")
    with pytest.raises(RecipeError, match=r"mixtral.*dense gated FFNs"):
        make(tmp_path, slice={"of": str(tmp_path / "moe"), "keep": 4})


def test_a_stacked_model_repeats_its_layers(tmp_path: Path) -> None:
    one = saved(tmp_path / "a", tie_word_embeddings=True)
    made = make(tmp_path, grow={"of": one, "times": 3})
    before, after = tensors(one), tensors(made)
    model = load(made)
    assert len(model.model.layers) == model.config.num_hidden_layers == 6
    for name, tensor in after.items():
        parts = name.split(".")
        if parts[1] == "layers":
            parts[2] = str(int(parts[2]) % 2)
        assert torch.equal(tensor, before[".".join(parts)]), name
    # What the definition says: the same two layers, three times over.
    small = load(one)
    small.model.layers = torch.nn.ModuleList([*small.model.layers] * 3)
    small.config.num_hidden_layers = 6
    small.config.use_cache = False
    torch.testing.assert_close(logits(small), logits(model), rtol=1e-6, atol=1e-6)
    generates(model)


def test_layers_by_hand(tmp_path: Path) -> None:
    one = saved(tmp_path / "a")
    same = make(tmp_path, "m/1", grow={"of": one, "layers": [0, 1]})
    assert torch.equal(logits(load(same)), logits(load(one)))
    made = tensors(make(tmp_path, "m/2", grow={"of": one, "layers": [1, 1, 0]}))
    name = "model.layers.{}.mlp.up_proj.weight"
    assert torch.equal(made[name.format(2)], tensors(one)[name.format(0)])
    with pytest.raises(RecipeError, match="has layers 0 to 1"):
        make(tmp_path, grow={"of": one, "layers": [0, 2]})


def test_lists_with_an_entry_a_layer_are_stacked_too(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, Qwen3Config

    from tests.train.weights.tiny import SHAPE

    kinds = ["sliding_attention", "full_attention"]
    keys = {"layer_types": kinds, "use_sliding_window": True, "sliding_window": 4, "head_dim": 4}
    AutoModelForCausalLM.from_config(Qwen3Config(**{**SHAPE, **keys})).save_pretrained(
        tmp_path / "q"
    )
    made = make(tmp_path, grow={"of": str(tmp_path / "q"), "times": 2})
    assert load(made).config.layer_types == kinds * 2


@pytest.mark.parametrize("tied", [False, True])
def test_plain_upcycling_computes_the_dense_model(tmp_path: Path, tied: bool) -> None:
    one = saved(tmp_path / "a", tie_word_embeddings=tied)
    made = make(tmp_path, upcycle={"of": one, "experts": 4, "per_token": 2})
    model = load(made)
    assert type(model).__name__ == "MixtralForCausalLM"
    torch.testing.assert_close(logits(model), logits(load(one)), rtol=1e-6, atol=1e-6)
    routers = model.model.layers[0].mlp.gate.weight
    assert 0 < float(routers.detach().std()) < 0.1
    generates(model)


def test_shuffled_experts_of_full_size_compute_the_dense_model_too(tmp_path: Path) -> None:
    one = saved(tmp_path / "a")
    made = make(tmp_path, upcycle={"of": one, "experts": 4, "shuffle": True})
    torch.testing.assert_close(logits(load(made)), logits(load(one)), rtol=1e-6, atol=1e-6)


def test_fine_grained_experts_hold_every_unit(tmp_path: Path) -> None:
    """8 experts of 12 units are two shuffled repetitions of 48 units."""
    one = saved(tmp_path / "a")
    op = {"of": one, "experts": 8, "per_token": 4, "expert_size": 12, "shuffle": True}
    made = make(tmp_path, "m/1", upcycle=op)
    dense, moe = tensors(one), tensors(made)
    expert = "model.layers.1.block_sparse_moe.experts.{}.{}.weight"
    up = torch.cat([moe[expert.format(n, "w3")] for n in range(8)])
    down = torch.cat([moe[expert.format(n, "w2")] for n in range(8)], dim=1)
    mlp = "model.layers.1.mlp.{}_proj.weight"
    for half in (slice(0, 48), slice(48, 96)):
        rows = {tuple(row.tolist()) for row in up[half]}
        assert rows == {tuple(row.tolist()) for row in dense[mlp.format("up")]}
        # A unit's row and column stay together.
        for row, column in zip(up[half], down[:, half].T, strict=True):
            unit = int((dense[mlp.format("up")] == row).all(1).nonzero())
            assert torch.equal(column, dense[mlp.format("down")][:, unit])
    assert not torch.equal(up[:48], up[48:])
    fresh = make(tmp_path, "m/2", upcycle={**op, "reinit": 0.5})
    assert load(fresh).config.intermediate_size == 12
    changed = tensors(fresh)[expert.format(3, "w1")] != moe[expert.format(3, "w1")]
    assert 0.35 < float(changed.float().mean()) < 0.65


def test_upcycle_refuses_what_is_no_llama(tmp_path: Path) -> None:
    mixtral().save_pretrained(tmp_path / "moe")
    with pytest.raises(RecipeError, match="is a mixtral"):
        make(tmp_path, upcycle={"of": str(tmp_path / "moe")})
    saved(tmp_path / "bias", attention_bias=True)
    with pytest.raises(RecipeError, match="attention_bias"):
        make(tmp_path, upcycle={"of": str(tmp_path / "bias")})


def test_an_upcycled_model_is_merged_and_grown(tmp_path: Path) -> None:
    """Operations go on from what operations made."""
    one = saved(tmp_path / "a")
    make(tmp_path, "m/moe", upcycle={"of": one, "experts": 4})
    make(tmp_path, "m/deep", grow={"of": "m/moe", "times": 2})
    made = make(tmp_path, "m/mean", average={"of": ["m/deep", "m/deep"]})
    assert len(load(made).model.layers) == 4


def test_warm_averages_reward_models(tmp_path: Path) -> None:
    from transformers import AutoModelForSequenceClassification

    folders = []
    for seed in range(3):
        llama(seed).save_pretrained(tmp_path / "base")
        model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "base", num_labels=1)
        model.save_pretrained(tmp_path / f"rm{seed}")
        folders.append(str(tmp_path / f"rm{seed}"))
    made = make(tmp_path, warm={"of": folders})
    one, two, three = map(tensors, folders)
    for name, tensor in tensors(made).items():
        mean = (one[name].double() + two[name].double() + three[name].double()) / 3
        torch.testing.assert_close(tensor.double(), mean, rtol=1e-6, atol=1e-7)
    assert AutoModelForSequenceClassification.from_pretrained(made).num_labels == 1
    with pytest.raises(RecipeError, match=r"no score.weight"):
        make(tmp_path, warm={"of": [folders[0], saved(tmp_path / "lm")]})
