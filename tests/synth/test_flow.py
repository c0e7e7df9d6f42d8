"""Flows: ops in order over a row's items, as generators that a driver answers."""

from __future__ import annotations

from typing import Any

import pytest

from synth.calls import Answer, Failure, Generate
from synth.flow import flow
from synth.items import Item, Row
from synth.ops import parse_ops
from tests.synth.fake_flows import rows, run

LOOP: list[Any] = [
    {"set": {"draft": "{{ n }}"}},
    {
        "loop": {
            "max": 4,
            "until": "done",
            "do": [
                {"prompt": {"user": "Improve {{ draft }}"}},
                {"sample": {"max_tokens": 60}},
                {"set": {"values": {"done": "response | length > 60", "draft": "response"}}},
            ],
        }
    },
]


def by_hand(do: list[Any], row: Row, answers: list[Answer | Failure]) -> tuple[list[Item], int]:
    """Run a flow with given answers; its items, and how many lists of calls it yielded."""
    running = flow(parse_ops(do), row)
    given = iter(answers)
    asked = 0
    try:
        calls = next(running)
        while True:
            asked += 1
            calls = running.send([next(given) for _ in calls])
    except StopIteration as stop:
        return stop.value, asked


def test_a_flow_yields_its_calls_and_goes_on_with_their_answers_in_order() -> None:
    row = Row("a", 0, {"n": 1}, 0)
    do = [{"prompt": {"user": "{{ n }}"}}, {"sample": 3}]
    said: list[Answer | Failure] = [
        Answer("one", finish_reason="stop"),
        Failure("server", "500"),
        Answer("three", finish_reason="stop"),
    ]
    items, asked = by_hand(do, row, said)
    assert asked == 1
    assert [(item.fields["response"], item.path) for item in items] == [
        ("one", (0,)),
        ("three", (2,)),
    ]
    assert [(lost.reason, lost.detail) for lost in row.lost] == [("server", "500")]
    assert [text for _, text in row.made] == ["one", "three"]


def test_a_flow_without_items_asks_nothing_more() -> None:
    do = [{"prompt": {"user": "{{ gone }}"}}, "sample", {"prompt": {"user": "x"}}, "sample"]
    assert by_hand(do, Row("a", 0, {}, 0), []) == ([], 0)


def test_a_loop_goes_round_until_its_field_is_true() -> None:
    done = run(rows(40), LOOP)
    rounds = [item.fields["round"] for one in done for item in one.items]
    assert min(rounds) == 0 and max(rounds) <= 3 and len(set(rounds)) > 1
    for one in done:
        assert one.completions == len(one.row.made)
        for item in one.items:
            assert item.fields["done"] or item.fields["round"] == 3
            assert len(item.made) == item.fields["round"] + 1


def test_rounds_of_a_loop_draw_seeds_of_their_own() -> None:
    done = run(rows(40), LOOP)
    for one in done:
        seeds = [made.seed for made, _ in one.row.made]
        assert len(set(seeds)) == len(seeds)


@pytest.mark.parametrize("first", [0, 7])
def test_draws_depend_on_the_row_and_not_on_its_place(first: int) -> None:
    def texts(source: Any) -> dict[str, list[str]]:
        do = [{"prompt": {"user": "Say"}}, {"sample": {"n": 2, "max_tokens": 60}}]
        return {one.row.id: [i.fields["response"] for i in one.items] for one in run(source, do)}

    every = texts(rows(20))
    assert len({str(said) for said in every.values()}) == 20
    assert texts(reversed(list(rows(20, 0)))) == every
    some = texts(rows(5, first))
    assert some == {id_: every[id_] for id_ in some}


def test_calls_carry_what_the_prompt_said() -> None:
    do = parse_ops([{"prompt": {"system": "Be kind.", "user": "Hi {{ n }}"}}, {"sample": 2}])
    calls = next(flow(do, Row("a", 0, {"n": 1}, 3)))
    assert all(isinstance(call, Generate) for call in calls)
    first, second = calls
    assert isinstance(first, Generate) and isinstance(second, Generate)
    assert (
        first.messages
        == second.messages
        == (
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": "Hi 1"},
        )
    )
    assert first.seed != second.seed and first.sampling is second.sampling
