"""What a step tells of its micro-batches: means, loss by source, rows without a label."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.extras import needs

needs("torch", "transformers")

import torch  # noqa: E402

from gristmill.errors import RecipeError  # noqa: E402
from mixtures.plan import open_plan  # noqa: E402
from tests.train.loop.make_stage import make_mixture  # noqa: E402
from train.data.plan import PlanBatches, parts  # noqa: E402
from train.loop.meter import BARE, TOKENS, Meter  # noqa: E402

CPU = torch.device("cpu")


def batch(*source: int) -> dict[str, torch.Tensor]:
    return {"input_ids": torch.zeros(len(source), 10), "source": torch.tensor(source)}


def test_a_step_is_the_mean_of_its_micro_batches_and_the_sums_of_its_sources() -> None:
    meter = Meter(["web", "news", "maths"])
    rows = torch.tensor([6.0, 2.0]), torch.tensor([3, 1])
    meter.see({"kl": 1.0}, rows, batch(0, 1))
    meter.see(
        {"kl": torch.tensor(2.0)}, (torch.tensor([4.0, 0.0]), torch.tensor([1, 0])), batch(0, 1)
    )
    found = meter.take(CPU)
    assert found == {TOKENS: 40, BARE: 1, "kl": 1.5, "loss/web": 2.5, "loss/news": 2.0}
    meter.see({}, rows, batch(2, 2))
    assert meter.take(CPU) == {TOKENS: 20, "loss/maths": 2.0}


def test_batches_without_sources_have_no_loss_by_source() -> None:
    meter = Meter([])
    meter.see({}, (torch.ones(1), torch.zeros(1)), {"input_ids": torch.zeros(1, 4)})
    assert meter.take(CPU) == {TOKENS: 4}


def test_a_step_is_cut_into_equal_parts(tmp_path: Path) -> None:
    plan = open_plan(make_mixture(tmp_path), "mix")
    sizes = {(1, None): 1, (1, 8): 1, (1, 3): 4, (2, 3): 4, (2, 1): 8, (8, None): 8}
    for (ranks, micro), expected in sizes.items():
        assert parts(micro, ranks, plan) == expected
    with pytest.raises(RecipeError, match=r"run.ranks is 3: the mixture's steps have \[8\] rows"):
        parts(None, 3, plan)
    one, many = PlanBatches(plan, 1), PlanBatches(plan, 4)
    places = [one.before(step) for step in range(one.steps + 1)]
    assert places == [many.before(step) for step in range(one.steps + 1)]
    assert places[-1] == sum(s.rows * s.seq for s in plan.segments)
    for step in (0, 9, one.steps - 1):
        assert places[step + 1] - places[step] == one[step]["input_ids"].numel()
        cut = torch.cat([many[step * 4 + part]["input_ids"] for part in range(4)])
        assert torch.equal(cut, one[step]["input_ids"])
        assert one.named(step) == many.named(step) and one.named(step)[0].startswith("row ")
