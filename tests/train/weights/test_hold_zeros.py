"""Sparse training: zeros stay under every optimiser, and grow back without the mask."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.extras import needs

needs("torch", "transformers", "safetensors")

import torch  # noqa: E402

from gristmill.errors import RecipeError  # noqa: E402
from tests.train.weights.tiny import llama, mixtral  # noqa: E402
from train.weights.hold_zeros import HoldZeros  # noqa: E402

Make = Callable[[list[torch.nn.Parameter]], torch.optim.Optimizer]
OPTIMIZERS: dict[str, Make] = {
    "adamw": lambda p: torch.optim.AdamW(p, lr=1e-2, weight_decay=0.1),
    "sgd": lambda p: torch.optim.SGD(p, lr=1e-2, momentum=0.9),
    "muon": lambda p: torch.optim.Muon([w for w in p if w.ndim == 2], lr=1e-2),
}


def steps(model: torch.nn.Module, optimizer: torch.optim.Optimizer, callback: HoldZeros) -> None:
    tokens = torch.randint(3, 96, (4, 12), generator=torch.Generator().manual_seed(0))
    for _ in range(3):
        model(tokens, labels=tokens).loss.backward()
        optimizer.step()
        callback.on_optimizer_step(None, None, None)
        optimizer.zero_grad()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_zeros_stay_and_the_rest_learns(name: str) -> None:
    model = llama()
    callback = HoldZeros(model, 0.75, seed=3)
    before = {n: w.detach().clone() for n, w in model.named_parameters()}
    assert callback.share == pytest.approx(0.75, abs=0.01)
    steps(model, OPTIMIZERS[name](list(model.parameters())), callback)
    for n, weight in model.named_parameters():
        if "proj" in n:
            assert torch.equal(weight == 0, before[n] == 0), n
            assert not torch.equal(weight, before[n]), n


def test_masked_gradients_do_not_count_in_the_norm() -> None:
    model = llama()
    HoldZeros(model, 0.5, seed=3)
    tokens = torch.randint(3, 96, (4, 12), generator=torch.Generator().manual_seed(0))
    model(tokens, labels=tokens).loss.backward()
    weight = model.model.layers[0].mlp.up_proj.weight
    assert (weight.grad[weight == 0] == 0).all() and (weight.grad[weight != 0] != 0).any()


def test_a_pruned_model_keeps_its_own_zeros_and_a_dense_stage_fills_them() -> None:
    model = llama()
    HoldZeros(model, 0.5, seed=1)
    again = llama()
    again.load_state_dict(model.state_dict())
    callback = HoldZeros(again, "zeros", seed=0)
    assert callback.share == pytest.approx(0.5, abs=0.01)
    dense = llama()
    dense.load_state_dict(model.state_dict())
    weight = dense.model.layers[0].mlp.up_proj.weight
    assert float((weight == 0).float().mean()) == pytest.approx(0.5)
    tokens = torch.randint(3, 96, (4, 12), generator=torch.Generator().manual_seed(0))
    dense(tokens, labels=tokens).loss.backward()
    torch.optim.AdamW(dense.parameters(), lr=1e-2).step()
    assert float((weight == 0).float().mean()) < 0.01


def test_routers_and_embeddings_are_dense() -> None:
    model = mixtral()
    HoldZeros(model, 0.5, seed=1)
    for name, weight in model.named_parameters():
        sparse = weight.ndim > 1 and ".layers." in name and not name.endswith("gate.weight")
        assert bool((weight == 0).any()) == sparse, name


def test_a_dense_model_has_no_zeros_to_keep() -> None:
    with pytest.raises(RecipeError, match=r"prune it first"):
        HoldZeros(llama(), "zeros", seed=0)
