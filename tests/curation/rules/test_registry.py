"""Names, dialects, thresholds: what a recipe may write, and what it is told when it errs."""

from __future__ import annotations

import numpy as np
import pytest

from curation.ops import parse_op
from curation.rules import Rule, RuleSet, evaluate, known, rule_set
from gristmill.errors import RecipeError


def test_default_dialects() -> None:
    assert rule_set("gopher_quality").ref == "gopher_quality@paper"
    assert rule_set("nemotron").ref == "nemotron@curator"
    assert rule_set("refinedweb").ref == "refinedweb@dclm"
    dialects = {"paper", "datatrove-0.10", "dolma"}
    for name in ("gopher_quality", "gopher_repetition", "c4"):
        assert {ref.partition("@")[2] for ref in known() if ref.startswith(name + "@")} == dialects


@pytest.mark.parametrize(
    ("ref", "thresholds", "message"),
    [
        ("gopher_qualty", {}, "no rule set 'gopher_qualty'; did you mean 'gopher_quality@"),
        ("gopher_quality@papr", {}, "did you mean 'gopher_quality@paper'?"),
        ("gopher_quality", {"min_word": 3}, "has no rule 'min_word'; did you mean 'min_words'?"),
        ("gopher_quality", {"min_words": "3"}, "a threshold is a number or null"),
        ("gopher_quality", {"min_words": True}, "a threshold is a number or null"),
    ],
)
def test_mistakes(ref: str, thresholds: dict[str, float], message: str) -> None:
    with pytest.raises(RecipeError, match=message.replace("?", r"\?")):
        rule_set(ref, thresholds)
    with pytest.raises(RecipeError, match=message.replace("?", r"\?")):
        parse_op({"rules": {"set": ref, **thresholds}})


def test_thresholds_change_and_rules_go() -> None:
    changed = rule_set("gopher_quality@dolma", {"min_words": 30, "min_stop_words": None})
    names = [rule.name for rule in changed.rules]
    assert names[0] == "min_words" and changed.rules[0].threshold == 30
    assert "min_stop_words" not in names
    assert rule_set("gopher_quality@dolma").rules[0].threshold == 50


def test_op_reads_the_families_of_its_set() -> None:
    assert parse_op({"rules": "fineweb"}).families() == {"base", "repetition"}
    assert parse_op({"rules": {"set": "c4@dolma", "max_javascript": None}}).families() == {"dolma"}


def test_evaluate_is_exact_at_the_threshold_and_fails_nothing_unmeasured() -> None:
    rules = (
        Rule("a", "n", ">=", 2, ""),
        Rule("b", ("n", "d"), "<=", 0.1, ""),
        Rule("c", ("n", "2"), "<", 1.5, ""),
    )
    chosen = RuleSet("x", "y", ("base",), rules, "")
    signals = {"n": np.array([1, 2, 3, 0]), "d": np.array([10, 20, 29, 0])}
    found = {f.rule: (f.mask.tolist(), f.value.tolist()) for f in evaluate(chosen, signals)}
    assert found["x.a"] == ([True, False, False, True], [1, 2, 3, 0])
    assert found["x.b"] == ([False, False, True, False], [0.1, 0.1, 3 / 29, 0.0])
    assert found["x.c"] == ([False, False, True, False], [0.5, 1.0, 1.5, 0.0])
    unknown = {"n": np.array([np.nan, 1.0]), "d": np.array([1.0, np.nan])}
    assert [f.mask.tolist() for f in evaluate(chosen, unknown)] == [
        [False, True],
        [False, False],
        [False, False],
    ]
