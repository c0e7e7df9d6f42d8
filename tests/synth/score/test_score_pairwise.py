"""Pairwise judging: both orders, ties, Bradley-Terry and win rates."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize

from gristmill.errors import RecipeError
from synth.calls import Answer, Call, Failure, Generate
from synth.ops import parse_op
from synth.score.pairwise import bradley_terry, win_rate
from tests.synth.by_hand import Answers, drive, lost, row, samples

Verdict = Callable[[str, str], str | Failure]


def pairwise(**options: Any) -> Any:
    return parse_op({"score": {"pairwise": options}})


def judged(verdict: Verdict, seen: list[Generate] | None = None) -> Callable[[list[Call]], Answers]:
    """A judge that sees the texts as the prompt shows them."""

    def answer(calls: list[Call]) -> Answers:
        found: Answers = []
        for call in calls:
            assert isinstance(call, Generate) and call.messages
            if seen is not None:
                seen.append(call)
            text = call.messages[-1]["content"]
            first = text.partition("<answer_a>\n")[2].partition("\n</answer_a>")[0]
            second = text.partition("<answer_b>\n")[2].partition("\n</answer_b>")[0]
            said = verdict(first, second)
            found.append(said if isinstance(said, Failure) else Answer(said, finish_reason="stop"))
        return found

    return answer


def longer(first: str, second: str) -> str:
    if len(first) == len(second):
        return "Both are the same.\nBetter: tie"
    return f"It says more.\n**Better: {'A' if len(first) > len(second) else 'B'}**"


FIELDS = {"between": ["chosen", "rejected"]}
PAIR = {"instruction": "Count.", "chosen": "one", "rejected": "one two", "id": 7}


@pytest.mark.parametrize(
    ("verdict", "preferred"),
    [
        (longer, "rejected"),
        (lambda a, b: "Better: A", "tie"),  # the first, whichever it is
        (lambda a, b: "better is B", "tie"),
        (lambda a, b: "Better: tie" if len(a) < len(b) else "Better: A", "tie"),
        (lambda a, b: "Better: A. No. Better: B" if len(a) > len(b) else "Winner: a", "chosen"),
    ],
)
def test_two_fields_in_both_orders(verdict: Verdict, preferred: str) -> None:
    seen: list[Generate] = []
    op = pairwise(**FIELDS)
    (item,) = drive(op, samples(PAIR), row(), judged(verdict, seen))
    assert item.fields["preferred"] == preferred and item.fields["preferred_failed"] is None
    assert len(seen) == 2 and "Count." in seen[0].messages[0]["content"]  # type: ignore[index]
    assert set(op.fields()) == {"preferred", "preferred_failed"}


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (Failure("server"), "server"),
        ("I prefer neither.", "unparsable"),
        ("Better: C", "unparsable"),
        ("I'm sorry, but I can't compare these.", "refused"),
    ],
)
def test_one_lost_order_is_a_lost_pair(said: str | Failure, reason: str) -> None:
    def once(first: str, second: str) -> str | Failure:
        return said if first == "one" else "Better: A"

    of = row()
    assert drive(pairwise(**FIELDS), samples(PAIR), of, judged(once)) == []
    assert lost(of) == [("score.pairwise", reason)]
    (item,) = drive(pairwise(**FIELDS, on_failure="null"), samples(PAIR), row(), judged(once))
    assert item.fields["preferred"] is None and item.fields["preferred_failed"] == reason


def test_an_item_without_what_the_prompt_reads_is_lost_alone() -> None:
    of = row()
    without = {"chosen": "one", "rejected": "one two"}
    found = drive(pairwise(**FIELDS), samples(without, PAIR, {}), of, judged(longer))
    assert [item.path for item in found] == [(1,)]
    assert lost(of) == [("score.pairwise", "missing")] * 2


def test_items_of_a_row() -> None:
    items = samples(*({"instruction": "Go on.", "response": "word " * n} for n in (2, 4, 1, 4)))
    seen: list[Generate] = []
    found = drive(pairwise(), items, row(), judged(longer, seen))
    assert len(seen) == 12 and len({call.seed for call in seen}) == 12
    wins = np.array([[0, 0, 1, 0], [1, 0, 1, 0.5], [0, 0, 0, 0], [1, 0.5, 1, 0]])
    expected = bradley_terry(wins)
    assert [item.fields["pairwise"] for item in found] == pytest.approx(expected, abs=1e-6)
    found = drive(pairwise(method="win_rate", into="wins"), items, row(), judged(longer))
    assert [item.fields["wins"] for item in found] == [round(n / 6, 6) for n in (2, 5, 0, 5)]


def test_only_what_both_have_is_shown_and_one_item_needs_no_judge() -> None:
    items = samples(
        {"instruction": "Go.", "response": "a", "engine": "x"},
        {"instruction": "Go.", "response": "b", "engine": "y"},
    )
    drive(pairwise(), items, row(), judged(longer))
    of = row()
    items[0].fields["instruction"] = "Stop."
    assert drive(pairwise(), items, of, judged(longer)) == []
    assert lost(of) == [("score.pairwise", "missing")] * 2
    (item,) = drive(pairwise(), items[:1], row(), judged(longer))
    assert item.fields["pairwise"] == 0 and item.fields["pairwise_failed"] is None
    assert drive(pairwise(), samples({}), row(), judged(longer)) == []


def test_a_lost_pair_costs_its_items_one_game() -> None:
    def deaf_to_two(first: str, second: str) -> str | Failure:
        return Failure("timeout") if "two" in (first, second) else longer(first, second)

    items = samples(*({"instruction": "", "response": t} for t in ("one", "two", "three", "four5")))
    of = row()
    found = drive(pairwise(method="win_rate"), items, of, judged(deaf_to_two))
    assert [item.path[0] for item in found] == [0, 2, 3]
    assert [item.fields["pairwise"] for item in found] == [0, 0.75, 0.75]
    assert {item.fields["pairwise_failed"] for item in found} == {"timeout"}
    assert lost(of) == [("score.pairwise", "timeout")]


def test_bradley_terry_is_the_most_probable_strength() -> None:
    rng = np.random.default_rng(5)
    for size in (2, 3, 6):
        wins = rng.integers(0, 3, (size, size)) / 2.0
        np.fill_diagonal(wins, 0)

        def cost(theta: np.ndarray, wins: np.ndarray = wins) -> float:
            total = 0.0
            for i, j in combinations(range(len(theta)), 2):
                gap = theta[i] - theta[j]
                total += wins[i, j] * np.logaddexp(0, -gap) + wins[j, i] * np.logaddexp(0, gap)
            ties = np.logaddexp(0, -theta) + np.logaddexp(0, theta)
            return float(total + 0.5 * ties.sum())

        best = minimize(cost, np.zeros(size), tol=1e-12).x
        assert bradley_terry(wins) == pytest.approx(best, abs=1e-4)
    unbeaten = bradley_terry(np.array([[0.0, 1], [0, 0]]))
    assert math.isfinite(unbeaten[0]) and unbeaten[0] == pytest.approx(-unbeaten[1])
    assert bradley_terry(np.zeros((3, 3))).tolist() == [0, 0, 0]
    assert win_rate(np.array([[0.0, 1, 0.5], [0, 0, 0], [0.5, 0, 0]])).tolist() == [0.75, 0, 0.5]


def test_errors_name_the_fix() -> None:
    with pytest.raises(RecipeError, match="twice"):
        pairwise(between=["a", "a"])
    with pytest.raises(RecipeError, match="2 groups"):
        pairwise(pattern="(A)(B)")
    assert pairwise().files()[0].endswith("compare.md")
