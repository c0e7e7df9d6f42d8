"""Names that templates of a flow read are looked for before a model is asked."""

from __future__ import annotations

from typing import Any

import pytest

from gristmill.errors import RecipeError
from synth.checks import check_names
from synth.ops import parse_ops


def check(*ops: dict[str, Any]) -> bool:
    return check_names(parse_ops(list(ops), "do"), {"id", "text"})


def looped(body: dict[str, Any], **options: Any) -> dict[str, Any]:
    return {"loop": {"max": 2, "do": [body], **options}}


def test_a_field_that_is_there_or_was_set_may_be_read() -> None:
    assert check({"set": {"long": "{{ text }}"}}, {"set": {"twice": "{{ long }}{{ long }}"}})
    assert check({"set": {"mild": "{{ absent | default('none') }}"}})


def test_a_body_reads_its_counter_and_what_it_sets_itself() -> None:
    assert check(looped({"set": {"text": "{{ round }}: {{ text }}"}}))
    assert check(looped({"set": {"text": "{{ turn }}"}}, counter="turn"))
    assert check(looped({"set": {"done": "{{ 'yes' if round else '' }}"}}, until="done"))


@pytest.mark.parametrize(
    "op",
    [
        {"set": {"long": "{{ absent }}"}},
        {"set": {"long": "{{ round }}"}},
        looped({"set": {"text": "{{ absent }}"}}),
        looped({"set": {"text": "{{ text }}"}}, until="absent"),
    ],
    ids=repr,
)
def test_another_name_is_told(op: dict[str, Any]) -> None:
    with pytest.raises(RecipeError, match=r"(reads|names) field '(absent|round)'"):
        check(op)
