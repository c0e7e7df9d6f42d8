"""The Python face: a flow over plain dicts, without a store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gristmill.errors import RecipeError
from synth.compose import run_flow
from synth.engines.fake import FakeSpec
from synth.prompt import Prompt
from synth.sample import Sample

ROWS = [{"id": f"r{n}", "topic": f"topic {n}"} for n in range(10)]
DO: list[Any] = [
    Prompt(user="On {{ topic }}"),
    Sample(n=2, max_tokens=60),
    {"emit": {"columns": ["topic"]}},
]


def test_ops_and_engines_are_objects_or_what_a_recipe_writes() -> None:
    written = [
        {"prompt": {"user": "On {{ topic }}"}},
        {"sample": {"n": 2, "max_tokens": 60}},
        {"emit": {"columns": ["topic"]}},
    ]
    one = run_flow(ROWS, DO, {"main": FakeSpec()})
    two = run_flow(ROWS, written, {"main": {"fake": {}}})
    assert one.rows == two.rows and one.ledger == two.ledger
    assert len(one.rows) == len(one.completions) == 20
    assert [row["state"] for row in one.ledger] == ["kept"] * 10
    assert one.rows[0]["parents"] == ["r0"] and one.rows[0]["topic"] == "topic 0"
    assert one.facts["kept_tokens"] == one.facts["completion_tokens"] > 0


def test_answers_are_kept_in_a_folder_if_one_is_given(tmp_path: Path) -> None:
    first = run_flow(ROWS, DO, {"main": FakeSpec()}, requests=tmp_path)
    dying = FakeSpec(dies_at=tuple(range(99)))
    again = run_flow(ROWS, DO, {"main": dying}, requests=tmp_path)
    assert again.rows == first.rows and again.facts["requests"] == 0


def test_mistakes_are_told_before_anything_runs() -> None:
    with pytest.raises(RecipeError, match="did you mean 'topic'"):
        run_flow(ROWS, [{"prompt": {"user": "{{ topics }}"}}, *DO[1:]], {"main": FakeSpec()})
    with pytest.raises(RecipeError, match="does not end with `emit`"):
        run_flow(ROWS, DO[:-1], {"main": FakeSpec()})


def test_a_budget_leaves_rows_pending() -> None:
    result = run_flow(ROWS, DO, {"main": FakeSpec()}, budget={"tokens": 300})
    assert {row["state"] for row in result.ledger} == {"kept", "pending"}
