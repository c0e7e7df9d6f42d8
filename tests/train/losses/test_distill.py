"""Losses against a teacher: their formulas, written out, and what they have in common."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

from gristmill.errors import RecipeError
from tests.extras import needs

needs("torch", "transformers")

import torch  # noqa: E402

from train.losses.distill import (  # noqa: E402
    drawn_nats,
    entropy,
    full_nats,
    objective,
    topk_nats,
)
from train.spec.loss import parse_loss  # noqa: E402

torch.set_num_threads(1)
B, T, V = 2, 5, 7
F64 = torch.float64


def draw(seed: int) -> torch.Tensor:
    return torch.randn(B, T, V, generator=torch.Generator().manual_seed(seed), dtype=F64) * 2


def softmax(values: Any, temperature: float = 1.0) -> np.ndarray[Any, Any]:
    e = np.exp(np.asarray(values) / temperature)
    return e / e.sum(-1, keepdims=True)


def of_labels(teacher: torch.Tensor) -> torch.Tensor:
    """A teacher's log-probabilities as rows hold them: at i of token i, which i - 1 predicts."""
    return teacher.log_softmax(-1).roll(1, dims=1)


def test_top1_is_cross_entropy_with_the_mixed_target() -> None:
    student, best = draw(0), torch.randint(0, V, (B, T))
    labels = torch.randint(0, V, (B, T))
    batch = {"input_ids": labels, "labels": labels, "position_ids": labels}
    batch["top_ids"] = torch.stack([best, best], -1)
    labels[0, 2] = -100
    loss = parse_loss({"kd_top1": {"weight": 0.9}}).open()
    found = loss(lambda **_: Out(student), batch, None)
    total, count = 0.0, 0
    for b, i in itertools.product(range(B), range(1, T)):
        if labels[b, i] < 0:
            continue
        target = np.zeros(V)
        target[best[b, i]] += 0.9
        target[labels[b, i]] += 0.1
        total -= float(target @ np.log(softmax(student[b, i - 1])))
        count += 1
    assert float(found.total) == pytest.approx(total / count, abs=1e-6)
    assert parse_loss("kd_top1").model_dump()["weight"] == 0.9


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_full_is_the_sum_over_the_vocabulary(temperature: float) -> None:
    student, teacher = draw(1), draw(2)
    found = full_nats(student, teacher, temperature).numpy()
    p, q = (softmax(x[:, :-1], temperature) for x in (teacher, student))
    np.testing.assert_allclose(found, -(p * np.log(q)).sum(-1) * temperature**2, atol=1e-12)


def test_full_is_trls_forward_kl_and_the_teachers_entropy() -> None:
    needs("trl")
    from trl.experimental.gkd import GKDTrainer

    student, teacher = draw(3), draw(4)
    kl = GKDTrainer.generalized_jsd_loss(
        student[:, :-1], teacher[:, :-1], beta=0.0, reduction="sum"
    )
    ours = (full_nats(student, teacher) - entropy(teacher)).sum()
    assert float(ours) == pytest.approx(float(kl), abs=1e-9)
    torch.testing.assert_close(full_nats(teacher, teacher), entropy(teacher))


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_topk_makes_the_teacher_sum_to_one(temperature: float) -> None:
    student, teacher = draw(5), draw(6)
    logprobs, ids = of_labels(teacher).topk(3, -1)
    found = topk_nats(student, ids, logprobs, "drop", temperature).numpy()
    for b, i in itertools.product(range(B), range(1, T)):
        p = np.exp(logprobs[b, i].numpy() / temperature)
        q = softmax(student[b, i - 1], temperature)[ids[b, i].numpy()]
        wanted = -(p / p.sum()) @ np.log(q) * temperature**2
        assert found[b, i - 1] == pytest.approx(wanted, abs=1e-9)


def test_topk_with_the_rest_as_one_token() -> None:
    student, teacher = draw(7), draw(8)
    logprobs, ids = of_labels(teacher).topk(3, -1)
    found = topk_nats(student, ids, logprobs, "bin").numpy()
    for b, i in itertools.product(range(B), range(1, T)):
        p = np.exp(logprobs[b, i].numpy())
        q = softmax(student[b, i - 1])[ids[b, i].numpy()]
        wanted = -p @ np.log(q) - (1 - p.sum()) * np.log(1 - q.sum())
        assert found[b, i - 1] == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize("rest", ["drop", "bin"])
def test_topk_of_the_whole_vocabulary_is_full(rest: str) -> None:
    student, teacher = draw(9), draw(10)
    student.requires_grad_()
    logprobs, ids = of_labels(teacher).topk(V, -1)
    found = topk_nats(student, ids, logprobs, rest)
    torch.testing.assert_close(found, full_nats(student, teacher))
    found.sum().backward()
    assert student.grad is not None and bool(student.grad.isfinite().all())


def test_the_bin_leaves_mass_to_the_rest_where_dropping_takes_it() -> None:
    """The gradient vanishes at the teacher itself with the bin only."""
    teacher = draw(11)
    logprobs, ids = of_labels(teacher).topk(2, -1)
    for rest, still in (("bin", True), ("drop", False)):
        student = teacher.clone().requires_grad_()
        topk_nats(student, ids, logprobs, rest).sum().backward()
        assert student.grad is not None
        assert bool((student.grad.abs() < 1e-9).all()) is still


@pytest.mark.parametrize("proposal", [1.0, 1.6])
def test_drawn_is_the_weighted_mean_of_the_draws(proposal: float) -> None:
    student, teacher = draw(12), of_labels(draw(13))
    ids = torch.randint(0, V, (B, T, 4))
    found = drawn_nats(student, ids, teacher.gather(-1, ids), proposal).numpy()
    for b, i in itertools.product(range(B), range(1, T)):
        p = np.exp(teacher[b, i].numpy())
        q = p ** (1 / proposal)
        q /= q.sum()
        weight = (p / q)[ids[b, i].numpy()]
        ours = np.log(softmax(student[b, i - 1]))[ids[b, i].numpy()]
        assert found[b, i - 1] == pytest.approx(-(weight / weight.sum()) @ ours, abs=1e-9)


def test_the_mean_over_all_draws_is_the_full_loss_and_the_top_is_not() -> None:
    student, teacher = draw(14)[:1, :2], draw(15)[:1, :2]
    told = of_labels(teacher)
    full = float(full_nats(student, teacher))
    mean = 0.0
    for pair in itertools.product(range(V), repeat=2):
        ids = torch.tensor(pair).expand(1, 2, 2)
        logprobs = told.gather(-1, ids)
        mean += math.exp(float(logprobs[0, 1].sum())) * float(drawn_nats(student, ids, logprobs))
    assert mean == pytest.approx(full, abs=1e-9)
    logprobs, ids = told.topk(2, -1)
    assert abs(float(topk_nats(student, ids, logprobs)) - full) > 1e-3


def test_places_that_no_teacher_told_need_fewer_tokens_and_no_numbers() -> None:
    student, teacher = draw(16), of_labels(draw(17))
    logprobs, ids = teacher.topk(4, -1)
    short = logprobs.clone()
    short[..., 2:] = -math.inf
    for held in (topk_nats, drawn_nats):
        torch.testing.assert_close(
            held(student, ids, short), held(student, ids[..., :2], logprobs[..., :2])
        )
    labels = torch.zeros(B, T, dtype=torch.long)
    labels[0] = -100
    short[0] = -math.inf  # no token told at all
    batch = {"labels": labels, "input_ids": labels, "position_ids": labels}
    student.requires_grad_()
    computed = objective(lambda logits, _: {"teacher": topk_nats(logits, ids, short)}, 0.5)
    loss = computed(lambda **_: Out(student), batch, None).total
    loss.backward()
    assert student.grad is not None and bool(student.grad.isfinite().all())
    assert not student.grad[0].any() and bool(student.grad[1, :-1].any())


class Out:
    """What a model returns, as far as a loss reads it."""

    def __init__(self, logits: torch.Tensor) -> None:
        self.logits = logits


@pytest.mark.parametrize("loss", ["kd_top1", {"kd_topk": {"k": 3}}, "kd_full"])
def test_a_live_teacher_says_what_a_stored_one_does(loss: Any) -> None:
    student, teacher = draw(18), draw(19)
    labels = torch.randint(0, V, (B, T))
    batch = {"input_ids": labels, "labels": labels, "position_ids": labels}
    logprobs, ids = of_labels(teacher).topk(3, -1)
    stored = {**batch, "top_ids": ids, "top_logprobs": logprobs}
    name = loss if isinstance(loss, str) else "kd_topk"
    live = parse_loss(loss).open(lambda _: teacher)(lambda **_: Out(student), batch, None)  # type: ignore[call-arg]
    if name == "kd_full":
        wanted = full_nats(student, teacher).mean()
        kept = live.metrics["nats_teacher"] - live.metrics["nats_teacher_entropy"]
        torch.testing.assert_close(kept, wanted - entropy(teacher).mean())
    else:
        wanted = parse_loss(name).open()(lambda **_: Out(student), stored, None).total
    torch.testing.assert_close(live.total, wanted)


def test_parts_of_a_step_sum_to_the_step() -> None:
    student, teacher = draw(20), draw(21)
    labels = torch.randint(0, V, (B, T))
    labels[1, 1:3] = -100
    batch = {"input_ids": labels, "labels": labels, "position_ids": labels}
    rows = [{name: value[n : n + 1] for name, value in batch.items()} for n in range(B)]

    def against(n: slice) -> Any:
        return objective(lambda logits, _: {"teacher": full_nats(logits, teacher[n])}, 0.7)

    whole = against(slice(None))(lambda **_: Out(student), batch, None).total
    counted = (labels[:, 1:] != -100).sum()
    parts = [
        against(slice(n, n + 1))(lambda n=n, **_: Out(student[n : n + 1]), row, counted).total
        for n, row in enumerate(rows)
    ]
    torch.testing.assert_close(sum(parts), whole)


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        ({"kd_topk": {"temperature": 2, "rest": "bin"}}, "temperature"),
        ({"kd_topk": {"temperature": 2, "subset": "drawn"}}, "temperature"),
        ({"kd_top1": {"wieght": 0.5}}, "weight"),
    ],
)
def test_options_that_cannot_be_are_refused(loss: Any, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        parse_loss(loss)
