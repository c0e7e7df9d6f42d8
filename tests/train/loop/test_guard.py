"""What ends a stage: numbers that are none, runaways, steps without labels; rows are named."""

from __future__ import annotations

import math

import pytest

from train.loop.guard import WARM, Stopped, Watchdog
from train.spec import Guard


def named(step: int) -> list[str]:
    return [f"row {step}: web/{n}" for n in range(14)]


@pytest.mark.parametrize("loss, norm, what", [(math.nan, 1, "loss is nan"), (1, math.inf, "inf")])
def test_no_number_stops_and_names_the_rows(loss: float, norm: float, what: str) -> None:
    dog = Watchdog(Guard(), named, " (optim.lr 3)")
    dog.check_numbers(3, 1.0, 1.0)
    with pytest.raises(Stopped, match=f"step 5: its .*{what}") as caught:
        dog.check_numbers(4, loss, norm)
    told = str(caught.value)
    assert "row 4: web/0" in told and "web/9" in told and "web/10" not in told
    assert "and 4 more" in told and "these rows (optim.lr 3); a lower rate" in told


def test_a_step_without_labels_stops() -> None:
    dog = Watchdog(Guard(), named)
    dog.check_labels(0, 1)
    with pytest.raises(Stopped, match="none of its rows has a label"):
        dog.check_labels(1, 0)


def course(dog: Watchdog, first: int, losses: list[float]) -> None:
    for step, loss in enumerate(losses, first):
        dog.check_course(step, loss, 1.0)


def test_a_spike_stops_after_its_patience_and_not_before() -> None:
    dog = Watchdog(Guard(spike=4, patience=3), named)
    usual = [5 + 0.1 * math.sin(step) for step in range(WARM + 5)]
    course(dog, 0, usual)
    course(dog, 25, [9, 9, 5])  # one usual step, and patience begins again
    course(dog, 28, [9, 9])
    with pytest.raises(Stopped, match=r"step 31: loss 9, the running mean 5.* 3 steps in a row"):
        dog.check_course(30, 9, 1.0)


def test_the_course_goes_on_from_its_state() -> None:
    one, other = Watchdog(Guard(spike=4), named), Watchdog(Guard(spike=4), named)
    usual = [5 + 0.1 * math.sin(step) for step in range(40)]
    course(one, 0, usual)
    course(other, 0, usual[:17])
    again = Watchdog(Guard(spike=4), named)
    again.load(other.state())
    course(again, 17, usual[17:])
    assert again.state() == one.state()


def test_without_limits_nothing_but_numbers_is_judged() -> None:
    course(Watchdog(Guard(), named), 0, [1.0] * 30 + [1e9] * 30)


def test_a_gradient_norm_above_its_limit_stops() -> None:
    dog = Watchdog(Guard(norm=2, patience=2), named)
    dog.check_course(0, 1, 3)
    with pytest.raises(Stopped, match=r"gradient norm 3, the limit guard.norm 2, for 2 steps"):
        dog.check_course(1, 1, 3)
