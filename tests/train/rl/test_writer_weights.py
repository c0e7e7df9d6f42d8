"""Samples that another engine drew: weighed, they give the policy's own gradient, to the cap."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tests.extras import needs

needs("torch", "transformers", "accelerate")

import torch  # noqa: E402

from tests.train.rl.tiny_policy import new_model  # noqa: E402
from train.losses.policy import writer_weights  # noqa: E402
from train.rl.critic import attach  # noqa: E402
from train.rl.forward import in_columns, laid_out, passed, targets  # noqa: E402
from train.rl.judged import weigh  # noqa: E402
from train.rl.objective import PolicyObjective  # noqa: E402
from train.spec import parse_loss  # noqa: E402

CAP = 1.5
PROMPTS = [[2, 3, 4], [5, 6], [7, 8, 9, 10]]
WRITTEN = [[3, 4, 0], [5], [6, 7]]
LOSSES: dict[str, dict[str, Any]] = {
    "grpo": {"beta": 0.3},
    "rloo": {},
    "mdloo": {"eta": 0.7},
    "ppo": {"whiten": False},
}


def made(name: str) -> tuple[PolicyObjective, Any, dict[str, torch.Tensor]]:
    """An objective, a policy, and a batch whose writer, old and new policy differ."""
    objective: PolicyObjective = parse_loss({name: LOSSES[name]}).open()
    policy = new_model().eval()
    if name == "ppo":
        objective.critic = attach(policy, "head")
    policy.double()
    batch = laid_out(PROMPTS, WRITTEN, [True, True, True], policy.device)
    weigh(objective.spec, [batch], 4, 1)
    with torch.no_grad():
        said = passed(policy, batch, 1.0, objective.critic)
    own = said.logits.log_softmax(-1).gather(-1, targets(batch)[..., None])[..., 0].double()
    draw = torch.Generator().manual_seed(0)
    for key, by in (("old", 0.1), ("reference", 0.3), ("writer", 0.6)):
        batch[key] = own + by * torch.randn(own.shape, generator=draw, dtype=torch.float64)
    shape = (3,) if name in ("rloo", "mdloo") else own.shape
    batch["advantages"] = torch.randn(shape, generator=draw, dtype=torch.float64)
    batch["returns"] = torch.randn(own.shape, generator=draw, dtype=torch.float64)
    batch["values"] = torch.zeros_like(own)
    return objective, policy, batch


@pytest.mark.parametrize("name", LOSSES)
def test_each_loss_weighs_what_was_drawn_by_the_formula(name: str) -> None:
    objective, policy, batch = made(name)
    objective.cap = None
    plain = objective(policy, batch, None)
    objective.cap = CAP
    found = objective(policy, batch, None)
    with torch.no_grad():
        said = passed(policy, batch, 1.0, objective.critic)
    own = said.logits.log_softmax(-1).gather(-1, targets(batch)[..., None])[..., 0].tolist()
    old, writer = batch["old"].tolist(), batch["writer"].tolist()
    reference, advantages = batch["reference"].tolist(), batch["advantages"].tolist()
    difference, gap, capped = 0.0, 0.0, 0
    for row, written in enumerate(WRITTEN):
        places = [c for c, on in enumerate(batch["mask"][row].tolist()) if on]
        assert len(places) == len(written)
        whole = math.exp(sum(old[row][c] - writer[row][c] for c in places))
        ratio = math.exp(sum(own[row][c] - old[row][c] for c in places))
        gap += sum(abs(old[row][c] - writer[row][c]) for c in places)
        if name in ("rloo", "mdloo"):
            loss = -ratio * advantages[row]
            if name == "rloo":
                loss = max(loss, -min(max(ratio, 0.8), 1.2) * advantages[row])
            else:
                steps = [own[row][c] - old[row][c] for c in places]
                loss += sum(s * math.exp(s) - math.exp(s) + 1 for s in steps) / 0.7
            difference += (min(whole, CAP) - 1) * loss / 3
            capped += len(places) if whole > CAP else 0
            continue
        for c in places:
            trust = math.exp(old[row][c] - writer[row][c])
            r = math.exp(own[row][c] - old[row][c])
            loss = max(-r * advantages[row][c], -min(max(r, 0.8), 1.2) * advantages[row][c])
            if name == "grpo":
                away = reference[row][c] - own[row][c]
                loss += 0.3 * r * (math.exp(away) - away - 1)
            difference += (min(trust, CAP) - 1) * loss / 6  # tokens
            capped += trust > CAP
    assert 0 < capped < 6, "some are to be cut"
    assert float((found.total - plain.total).detach()) == pytest.approx(difference, abs=1e-6)
    assert float(found.metrics["engine_gap"]) == pytest.approx(gap / 6, abs=1e-6)
    assert float(found.metrics["capped"]) == pytest.approx(capped / 6, abs=1e-6)
    assert "capped" not in plain.metrics and "engine_gap" in plain.metrics


@pytest.mark.parametrize("rows", [False, True])
def test_without_a_cap_the_expected_gradient_is_the_policy_s(rows: bool) -> None:
    """Summed over all completions of two tokens, each as often as the writer draws it."""
    draw = torch.Generator().manual_seed(1)
    vocabulary = 5
    theta = torch.randn(2, vocabulary, generator=draw, dtype=torch.float64, requires_grad=True)
    other = torch.randn(2, vocabulary, generator=draw, dtype=torch.float64).log_softmax(-1)
    pairs = torch.cartesian_prod(torch.arange(vocabulary), torch.arange(vocabulary))
    logps = torch.stack([theta.log_softmax(-1)[n, pairs[:, n]] for n in range(2)], dim=1)
    writer = torch.stack([other[n, pairs[:, n]] for n in range(2)], dim=1)
    if rows:  # what a completion is worth depends on both of its tokens
        worth = torch.randn(len(pairs), 1, generator=draw, dtype=torch.float64)
    else:  # each token for itself
        worth = torch.randn(2, vocabulary, generator=draw, dtype=torch.float64)
        worth = torch.stack([worth[n, pairs[:, n]] for n in range(2)], dim=1)
    ones = torch.ones_like(writer)
    weights, cut = writer_weights(logps.detach(), writer, ones, math.inf, rows)
    assert not cut.any()
    moved = logps.sum(dim=1, keepdim=True) if rows else logps
    ratios = (moved - moved.detach()).exp()
    often = writer.sum(dim=1, keepdim=True).exp()
    (found,) = torch.autograd.grad(
        (often * weights * ratios * worth).sum(), theta, retain_graph=True
    )
    drawn = logps.sum(dim=1, keepdim=True).exp()  # the policy itself
    (wanted,) = torch.autograd.grad((drawn * worth).sum(), theta)
    assert float((found - wanted).abs().max()) < 1e-12


def test_numbers_of_tokens_stand_where_the_tokens_do() -> None:
    batch = laid_out(PROMPTS, WRITTEN, [True, False, True], torch.device("cpu"))
    found = in_columns([[1.0, 2.0, 3.0], [4.0], [5.0, 6.0]], batch["written"])
    assert found.tolist() == [[0, 1, 2, 3], [4, 0, 0, 0], [0, 0, 5, 6]]
