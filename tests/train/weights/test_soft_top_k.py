"""Learned FFN masks: the operator against its definition, and what a trained model leaves."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tests.extras import needs

needs("torch", "transformers", "safetensors")

import torch  # noqa: E402
from safetensors.torch import load_file  # noqa: E402

from gristmill.errors import RecipeError  # noqa: E402
from tests.train.weights.tiny import generates, llama, load, logits, make, mixtral  # noqa: E402
from train.spec.masks import SoftTopK  # noqa: E402
from train.weights.soft_top_k import Harden, UnitMask, attach, soft_top_k  # noqa: E402


def by_descent(scores: np.ndarray, keep: float, temperature: float) -> np.ndarray:
    """CoDA's coordinate descent, in float64, until it stands still."""
    b = np.zeros_like(scores)
    for _ in range(20_000):
        a = temperature * (np.log(keep) - np.log(np.exp((scores + b) / temperature).sum()))
        b = np.minimum(-scores - a, 0)
    return np.exp((scores + b + a) / temperature)


@pytest.mark.parametrize("keep", [1, 2.5, 7, 11.75, 12])
@pytest.mark.parametrize("temperature", [0.3, 1.0])
def test_it_is_where_coordinate_descent_ends(keep: float, temperature: float) -> None:
    scores = torch.randn(12, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    found = soft_top_k(scores, keep, temperature)
    assert float(found.sum()) == pytest.approx(keep) and found.max() <= 1 and found.min() > 0
    expected = by_descent(scores.numpy(), keep, temperature)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5, atol=1e-7)


def test_it_becomes_the_top_k() -> None:
    scores = torch.tensor([0.3, 2.0, -1.0, 1.0, 0.9])
    found = soft_top_k(scores, 3, 0.01)
    torch.testing.assert_close(found, torch.tensor([0.0, 1.0, 0.0, 1.0, 1.0]))
    torch.testing.assert_close(soft_top_k(scores, 5, 1.0), torch.ones(5))
    equal = soft_top_k(torch.zeros(8), 2, 1.0)
    torch.testing.assert_close(equal, torch.full((8,), 0.25))


def test_its_gradient_is_the_numeric_one() -> None:
    scores = torch.randn(9, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    scores.requires_grad_()
    assert torch.autograd.gradcheck(lambda s: soft_top_k(s, 3.5, 0.7), scores)


def test_a_model_starts_as_it_was_and_ends_as_its_slice(tmp_path: Path) -> None:
    """From attach to `slice: {by: mask}`, with a few steps of training between."""
    model = llama()
    before = logits(model)
    finish = attach(model, SoftTopK(keep=0.25, until=0.5))
    torch.testing.assert_close(logits(model), before, rtol=1e-6, atol=1e-6)
    callback, steps = Harden(model), 8
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    tokens = torch.randint(3, 96, (4, 12), generator=torch.Generator().manual_seed(0))
    layers = list(model.model.layers)
    first = [layer.mlp.soft_top_k.scores.detach().clone() for layer in layers]
    for step in range(steps):
        callback.on_step_begin(None, SimpleNamespace(global_step=step, max_steps=steps), None)
        model(tokens, labels=tokens).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    for layer, start in zip(layers, first, strict=True):
        assert not torch.equal(layer.mlp.soft_top_k.scores, start)
    finish(model, tmp_path / "tuned").save_pretrained(tmp_path / "tuned")
    masks = load_file(tmp_path / "tuned/masks/ffn.safetensors")
    assert set(masks) == {"model.layers.0.mlp", "model.layers.1.mlp"}
    whole = load(tmp_path / "tuned")
    for mask in masks.values():
        assert int(mask.count_nonzero()) == 12 and float(mask.sum()) > 11
    made = make(tmp_path, slice={"of": str(tmp_path / "tuned"), "keep": 12, "by": "mask"})
    torch.testing.assert_close(logits(load(made)), logits(whole), rtol=1e-6, atol=1e-6)
    generates(load(made))


def test_the_mask_hardens_with_the_stage() -> None:
    mask = UnitMask(torch.linspace(-1, 1, 10), SoftTopK(keep=4, until=0.5))
    seen = []
    for progress in (0, 0.25, 0.5, 1):
        mask.at(progress)
        seen.append((mask.keep, round(mask.temperature, 6)))
    assert seen == [(10, 1.0), (7, 0.1), (4, 0.01), (4, 0.01)]


def test_what_it_refuses() -> None:
    with pytest.raises(RecipeError, match="an FFN of the model has 48 units"):
        attach(llama(), SoftTopK(keep=48))
    with pytest.raises(RecipeError, match=r"MixtralForCausalLM has no mlp.down_proj"):
        attach(mixtral(), SoftTopK(keep=4))
    with pytest.raises(RecipeError, match="0 < end <= start"):
        SoftTopK(keep=4, temperature=(0.1, 1.0))
