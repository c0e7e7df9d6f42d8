"""What the log of a stage tells in words."""

from __future__ import annotations

from typing import Any

from tests.extras import needs

needs("torch")

from train.loop.told import notes_of  # noqa: E402


def lines(losses: list[float], **more: Any) -> list[dict[str, Any]]:
    return [{"step": n + 1, "loss": loss, **more} for n, loss in enumerate(losses)]


def test_a_loss_that_ends_above_its_start_is_told() -> None:
    risen = [6.9] * 10 + [272.0] * 10 + [24.0] * 10
    (note,) = notes_of(lines(risen), "pretrain")
    assert note.startswith("the loss ends higher than it began: 6.9 over the first 3 lines")
    assert "24 over the last 3" in note


def test_a_loss_that_rose_and_came_back_is_not() -> None:
    assert notes_of(lines([6.9] * 10 + [20.0] * 5 + [3.0] * 10), "pretrain") == []


def test_of_a_policy_or_a_few_steps_nothing_is_said() -> None:
    assert notes_of(lines([0.0] * 20 + [0.5] * 20), "rl") == []
    assert notes_of(lines([1.0, 2.0]), "sft") == []


def test_rows_without_a_label_are_summed() -> None:
    (note,) = notes_of(lines([3.0, 2.0], rows_without_label=600), "sft")
    assert note.startswith("1,200 rows had no label")
