"""Cross-entropy, whole and in pieces: the formula, gradients, z-loss, rows of the log."""

from __future__ import annotations

from typing import Any

import pytest

from tests.extras import needs

needs("torch", "transformers")

import torch  # noqa: E402

from gristmill.errors import RecipeError  # noqa: E402
from tests.train.models.make_model import LLAMA, ids, make  # noqa: E402
from train.losses.cross_entropy import IGNORED, CrossEntropy, token_nats  # noqa: E402
from train.losses.fused import fuse, sum_of_nats  # noqa: E402


def labelled(rows: int = 3, length: int = 12) -> dict[str, torch.Tensor]:
    tokens = ids(rows, length)
    labels = tokens.clone()
    labels[0, :5] = IGNORED
    labels[:, 7] = IGNORED
    places = torch.arange(length).expand(rows, length)
    return {"input_ids": tokens, "labels": labels, "position_ids": places}


def formula(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """-log softmax of the label, place by place."""
    found = torch.zeros(labels.shape[0], labels.shape[1] - 1, dtype=torch.float64)
    for row in range(labels.shape[0]):
        for place in range(labels.shape[1] - 1):
            if (label := int(labels[row, place + 1])) != IGNORED:
                powers = logits[row, place].double().exp()
                found[row, place] = -torch.log(powers[label] / powers.sum())
    return found


def test_nats_are_the_formula() -> None:
    logits, labels = torch.randn(3, 12, 300, dtype=torch.float64), labelled()["labels"]
    torch.testing.assert_close(token_nats(logits, labels), formula(logits, labels))
    near = token_nats(logits.bfloat16(), labels)
    assert near.dtype == torch.float32


@pytest.mark.parametrize("bias, z, piece", [(False, 0.0, 10**9), (True, 0.1, 700), (False, 1, 1)])
def test_pieces_are_the_whole(bias: bool, z: float, piece: int) -> None:
    """Sum and gradients, in float64."""
    draw = torch.Generator().manual_seed(0)
    hidden = torch.randn(20, 8, generator=draw, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(30, 8, generator=draw, dtype=torch.float64, requires_grad=True)
    more = torch.randn(30, generator=draw, dtype=torch.float64, requires_grad=True)
    labels = torch.randint(0, 30, (20,), generator=draw)
    labels[3:9] = IGNORED
    given = [hidden, weight, more] if bias else [hidden, weight]
    logits = hidden @ weight.T + (more if bias else 0)
    kept = labels != IGNORED
    log_z = logits.exp().sum(1).log()
    nats = log_z - logits[torch.arange(20), labels.clamp(min=0)]
    whole = (nats + z * log_z**2)[kept].sum() * 0.37
    expected = torch.autograd.grad(whole, given)
    total, seen, term = sum_of_nats(hidden, weight, more if bias else None, labels, z, piece)
    torch.testing.assert_close(total * 0.37, whole)
    torch.testing.assert_close(seen[kept], nats[kept])
    assert (seen[~kept] == 0).all()
    torch.testing.assert_close(term, z * (log_z[kept] ** 2).sum())
    for ours, theirs in zip(torch.autograd.grad(total * 0.37, given), expected, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("z", [0.0, 1e-2])
def test_a_model_with_a_fused_head_learns_the_same(tied: bool, z: float) -> None:
    found = []
    for fused in (False, True):
        model = make({**LLAMA, "tie_word_embeddings": tied}).train()
        head = fuse(model) if fused else None
        loss = CrossEntropy(z, head)(model, labelled(), torch.tensor(50))
        loss.total.backward()
        grads = {name: p.grad for name, p in model.named_parameters()}
        found.append((loss, grads))
        assert model(input_ids=ids()).logits.shape == (2, 12, 300)
    (plain, plain_grads), (ours, our_grads) = found
    torch.testing.assert_close(ours.total, plain.total, atol=1e-6, rtol=1e-6)
    assert plain.rows is not None and ours.rows is not None
    for one, other in zip(ours.rows, plain.rows, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-6)
    assert ours.metrics.keys() == plain.metrics.keys() == ({"z_loss"} if z else set())
    for name, grad in plain_grads.items():
        torch.testing.assert_close(our_grads[name], grad, atol=1e-6, rtol=1e-5)


def test_rows_sum_to_the_loss() -> None:
    loss = CrossEntropy()(make(LLAMA), labelled(), None)
    assert loss.rows is not None
    nats, counts = loss.rows
    assert counts.tolist() == [6, 10, 10]
    torch.testing.assert_close(nats.sum() / counts.sum(), loss.total)


@pytest.mark.parametrize("more", [{"final_logit_softcapping": 5.0}])
def test_a_head_that_does_more_is_an_error(more: dict[str, Any]) -> None:
    gemma = {**LLAMA, "model_type": "gemma2", "head_dim": 8, "sliding_window": 16, **more}
    with pytest.raises(RecipeError, match=r"run\.fused_loss"):
        fuse(make(gemma))
