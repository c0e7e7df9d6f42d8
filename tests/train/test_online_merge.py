"""The online merging optimiser against its formulas, written anew."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from tests.extras import needs

needs("torch", "transformers")

import torch  # noqa: E402
from torch import nn  # noqa: E402

from gristmill.errors import RecipeError  # noqa: E402
from gristmill.rng import derive_seed  # noqa: E402
from train.online_merge import OnlineMerging  # noqa: E402
from train.spec.optim import OnlineMerge  # noqa: E402

F64 = torch.float64


class Two(nn.Module):
    """A matrix and a vector."""

    def __init__(self) -> None:
        super().__init__()
        self.m = nn.Parameter(torch.randn(6, 5, dtype=F64))
        self.v = nn.Parameter(torch.randn(7, dtype=F64))


def stage(
    method: str, density: float, weight: float
) -> tuple[Two, dict[str, torch.Tensor], OnlineMerging]:
    torch.manual_seed(0)
    model = Two()
    base = {n: w.detach() - 0.3 * torch.randn_like(w) for n, w in model.named_parameters()}
    spec = OnlineMerge(base="models/base", method=method, density=density, weight=weight)
    return model, base, OnlineMerging(model, base, spec, seed=9)


def one_step(
    model: Two, merging: OnlineMerging, optimizer: torch.optim.Optimizer, step: int
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Weights before, and what the optimiser alone made of them."""
    state = SimpleNamespace(global_step=step)
    generator = torch.Generator().manual_seed(step)
    for weight in model.parameters():
        weight.grad = torch.randn(weight.shape, dtype=F64, generator=generator)
    before = {n: w.detach().clone() for n, w in model.named_parameters()}
    merging.on_pre_optimizer_step(None, state, None)
    optimizer.step()
    alone = {n: w.detach().clone() for n, w in model.named_parameters()}
    merging.on_optimizer_step(None, state, None)
    return before, alone


def mask(name: str, step: int | str, like: torch.Tensor, density: float) -> torch.Tensor:
    drawn = torch.Generator().manual_seed(derive_seed(9, "online_merge", step, name))
    return (torch.rand(like.shape, generator=drawn) < density).to(F64)


def test_on_dare() -> None:
    density, weight = 0.4, 0.2
    model, base, merging = stage("dare", density, weight)
    start = {n: w.detach().clone() for n, w in model.named_parameters()}
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.1)
    for step in range(3):
        before, alone = one_step(model, merging, optimizer, step)
        for name, found in model.named_parameters():
            kept = mask(name, "reference", found, density)
            reference = ((start[name] - base[name]) * kept / density).clamp(-1, 1)
            update = (alone[name] - before[name]) * mask(name, step, found, density) / density
            expected = before[name] + (1 - weight) * update + weight * reference
            torch.testing.assert_close(found.detach(), expected, rtol=1e-6, atol=1e-12)


def top(tensor: torch.Tensor, density: float) -> torch.Tensor:
    keep = max(1, round(density * tensor.numel()))
    places = tensor.flatten().abs().argsort(descending=True)[:keep]
    found = torch.zeros_like(tensor).flatten()
    found[places] = tensor.flatten()[places]
    return found.reshape(tensor.shape)


def test_on_ties() -> None:
    density, weight = 0.5, 0.3
    model, base, merging = stage("ties", density, weight)
    start = {n: w.detach().clone() for n, w in model.named_parameters()}
    before, alone = one_step(model, merging, torch.optim.SGD(model.parameters(), lr=0.1), 0)
    for name, found in model.named_parameters():
        reference = top(start[name] - base[name], density)
        update = top(alone[name] - before[name], density)
        expected = before[name].clone()
        for place in range(expected.numel()):
            r, u = float(reference.flatten()[place]), float(update.flatten()[place])
            sign = 1 if r + u >= 0 else -1
            add = (1 - weight) * (u if u * sign > 0 else 0) + weight * (r if r * sign > 0 else 0)
            expected.view(-1)[place] += add
        torch.testing.assert_close(found.detach(), expected, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("method", ["dare", "ties"])
def test_all_of_the_update_and_none_of_the_reference_is_the_optimiser(method: str) -> None:
    model, base, merging = stage(method, 1.0, 0.0)
    if method == "ties":  # signs are elected against the reference: without one, all agree
        merging.changed = {name: torch.zeros_like(value) for name, value in base.items()}
    _, alone = one_step(model, merging, torch.optim.SGD(model.parameters(), lr=0.1), 0)
    for name, found in model.named_parameters():
        torch.testing.assert_close(found.detach(), alone[name], rtol=1e-14, atol=1e-15)


def test_another_model_as_base_is_refused() -> None:
    model, base, _ = stage("dare", 0.5, 0.1)
    spec = OnlineMerge(base="models/base")
    with pytest.raises(RecipeError, match=r"v is \[7\] in the model and \[6\] in models/base"):
        OnlineMerging(model, {**base, "v": torch.zeros(6)}, spec, 0)
    with pytest.raises(RecipeError, match=r"absent in models/base"):
        OnlineMerging(model, {"m": base["m"]}, spec, 0)
