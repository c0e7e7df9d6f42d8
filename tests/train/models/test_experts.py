"""Balance of experts, added as transformers adds it; shares of the experts."""

from __future__ import annotations

import pytest

from tests.extras import needs

needs("torch", "transformers")

import torch  # noqa: E402

from tests.train.models.make_model import LLAMA, MIXTRAL, ids, make  # noqa: E402
from train.losses.cross_entropy import objective  # noqa: E402
from train.models.experts import balanced, expert_shares, routing_facts  # noqa: E402
from train.trainer import Batch  # noqa: E402

QWEN = {
    **LLAMA,
    "model_type": "qwen3_moe",
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 16,
    "router_aux_loss_coef": 0.01,
}


def batch_of(rows: int = 2) -> Batch:
    tokens = ids(rows)
    positions = torch.arange(tokens.shape[1]).expand_as(tokens)
    return {"input_ids": tokens, "labels": tokens.clone(), "position_ids": positions}


@pytest.mark.parametrize("config", [MIXTRAL, QWEN])
def test_balance_is_added_as_transformers_adds_it(config: dict[str, object]) -> None:
    model, batch = make(config, router_aux_loss_coef=0.3), batch_of()
    theirs = model(**batch, output_router_logits=True, use_cache=False)
    found = balanced(model, objective)(model, batch, None)
    torch.testing.assert_close(found.total, theirs.loss)
    torch.testing.assert_close(found.metrics["experts/balance_loss"], theirs.aux_loss)
    found.total.backward()
    weights = [w for name, w in model.named_parameters() if name.endswith("gate.weight")]
    assert weights and all(w.grad is not None and bool(w.grad.any()) for w in weights)


def test_parts_of_a_step_add_the_terms_once() -> None:
    model, batch = make(MIXTRAL, router_aux_loss_coef=0.3), batch_of()
    batch["labels"][1, 3:] = -100
    counted = (batch["labels"][:, 1:] != -100).sum()
    plain = objective(model, batch, None).total
    loss = balanced(model, objective)
    rows = [{name: value[n : n + 1] for name, value in batch.items()} for n in range(2)]
    parts = [loss(model, row, counted) for row in rows]
    shares = [float((row["labels"][:, 1:] != -100).sum() / counted) for row in rows]
    added = sum(
        share * 0.3 * float(part.metrics["experts/balance_loss"])
        for share, part in zip(shares, parts, strict=True)
    )
    assert float(sum(part.total for part in parts)) == pytest.approx(float(plain) + added, rel=1e-5)


def test_gradients_are_the_same_with_activations_computed_again() -> None:
    found = []
    for again in (False, True):
        model = make(MIXTRAL, router_aux_loss_coef=0.3).train()
        if again:
            model.gradient_checkpointing_enable()
        loss = balanced(model, objective)
        for _ in range(2):
            model.zero_grad()
            loss(model, batch_of(), None).total.backward()
        found.append([w.grad for w in model.parameters()])
    for plain, recomputed in zip(*found, strict=True):
        torch.testing.assert_close(plain, recomputed)


class Few:
    """Two steps of two micro-batches."""

    per_step, steps, unit = 2, 2, "rows"

    def __len__(self) -> int:
        return 4

    def __getitem__(self, number: int) -> Batch:
        tokens = ids(1, seed=number)
        return {"input_ids": tokens, "position_ids": torch.arange(12)[None]}

    def before(self, step: int) -> int:
        return step * 2

    def named(self, step: int) -> list[str]:
        return []


def test_facts_tell_where_the_last_steps_tokens_went() -> None:
    model = make(MIXTRAL)
    shares = routing_facts(model, Few())["expert_shares"]
    tokens = torch.cat([ids(1, seed=2), ids(1, seed=3)])
    told = model(input_ids=tokens, output_router_logits=True, use_cache=False).router_logits
    for layer, logits in zip(shares, told, strict=True):
        torch.testing.assert_close(torch.tensor(layer), expert_shares(logits, 2), atol=1e-3, rtol=0)
        assert sum(layer) == pytest.approx(1, abs=1e-3)
    assert routing_facts(make(LLAMA), Few()) == {}
