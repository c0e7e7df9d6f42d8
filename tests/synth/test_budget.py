"""Budgets: never exceeded, every row accounted for, and a larger one goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from synth.driving.budget import Budget, Purse
from synth.driving.goodput import Goodput
from synth.engines.fake import FakeSpec, requests_made
from tests.synth.fake_flows import ASK, rows, run, texts

PRICES = {"main": {"input": 1e6, "output": 2e6}}


@pytest.mark.parametrize("tokens", [1, 50, 500, 3000])
def test_tokens_are_never_exceeded_and_rows_are_kept_or_pending(tokens: int) -> None:
    total = Goodput()
    purse = Purse(Budget(tokens=tokens))
    spec = {"main": FakeSpec(capacity=16, seconds_per_word=0.0001)}
    done = run(rows(400), ASK, spec, goodput=total, purse=purse)
    assert total.prompt_tokens + total.completion_tokens == purse.tokens <= tokens
    assert [one.row.number for one in done] == list(range(400))
    assert {one.state for one in done if not one.items} == {"pending"}
    assert purse.tokens > tokens - 80  # it stops because the next might not fit


def test_money_is_never_exceeded() -> None:
    purse = Purse(Budget(cost=1000), PRICES)
    done = run(rows(200), ASK, {"main": FakeSpec(capacity=8)}, purse=purse)
    assert 800 < purse.cost <= 1000
    spent = sum(one.prompt_tokens + 2 * one.completion_tokens for one in done)
    assert spent == pytest.approx(purse.cost)


def test_time_ends_a_run_and_what_was_under_way_is_dropped() -> None:
    now = [0.0]

    def clock() -> float:
        now[0] += 0.01
        return now[0]

    purse = Purse(Budget(seconds=2), clock=clock)
    done = run(rows(3000), ASK, {"main": FakeSpec(capacity=4)}, purse=purse)
    pending = [one.row.number for one in done if one.state == "pending"]
    assert 0 < len(pending) < 3000
    assert len(done) == 3000


def test_a_larger_budget_goes_on_from_where_the_smaller_ended(tmp_path: Path) -> None:
    spec = {"main": FakeSpec(record=str(tmp_path / "made"), capacity=16)}
    whole = texts(run(rows(100), ASK))
    made = 0
    for tokens in (500, 1500, 100_000):
        purse = Purse(Budget(tokens=tokens))
        done = run(rows(100), ASK, spec, tmp_path / "log", purse=purse)
        now = len(requests_made(tmp_path / "made"))
        assert now > made
        made = now
        assert purse.tokens <= tokens
    assert made == 100 and texts(done) == whole


def test_rows_that_need_no_further_model_are_finished_by_other_services() -> None:
    do = [*ASK, {"test.work": {"function": "double"}}]
    purse = Purse(Budget(tokens=300))
    done = run(rows(100), do, {"main": FakeSpec(capacity=8)}, purse=purse)
    ended = [one for one in done if one.state == "ended"]
    assert ended and all(one.items[0].fields["value"] == 2 * one.row.number for one in ended)
    assert all(one.completions == 0 for one in done if one.state == "pending")


def test_without_a_budget_nothing_is_pending() -> None:
    assert {one.state for one in run(rows(50), ASK)} == {"ended"}
