"""Every rule of every set keeps its passing vector and drops its failing one, by that rule."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from datatrove.data import Document
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
)

from curation.rules import evaluate, known, rule_set
from gristmill.text.signals import FAMILIES, compute_signals
from tests.curation.rules.vectors import ROWS

_IDS = [f"{ref}.{rule}" for ref, rule, _, _ in ROWS]


def test_every_rule_has_its_vector() -> None:
    rules = {(ref, rule.name) for ref in known() for rule in rule_set(ref).rules}
    assert {(ref, rule) for ref, rule, _, _ in ROWS} == rules


@pytest.mark.parametrize(("ref", "name", "keeps", "drops"), ROWS, ids=_IDS)
def test_both_sides_of_the_threshold(ref: str, name: str, keeps: str, drops: str) -> None:
    chosen = rule_set(ref)
    column = pa.array([keeps, drops])
    failures = evaluate(chosen, compute_signals(column, chosen.families))
    found = next(f for f in failures if f.rule == f"{chosen.name}.{name}")
    assert found.mask.tolist() == [False, True], found.value


# each datatrove filter with all but one rule out of the way, which is named as we name it
_OFF: dict[str, dict[str, Any]] = {
    "gopher_quality": {
        "min_words": "min_doc_words",
        "max_words": "max_doc_words",
        "min_mean_word_length": "min_avg_word_length",
        "max_mean_word_length": "max_avg_word_length",
        "max_bullet_lines": "max_bullet_lines_ratio",
        "max_ellipsis_lines": "max_ellipsis_lines_ratio",
        "min_alpha_words": "max_non_alpha_words_ratio",
        "min_stop_words": "min_stop_words",
        "max_hash_ratio": "max_symbol_word_ratio",
        "max_ellipsis_ratio": "max_symbol_word_ratio",
    },
    "gopher_repetition": {
        "max_duplicate_lines": "dup_line_frac",
        "max_duplicate_paragraphs": "dup_para_frac",
        "max_duplicate_line_chars": "dup_line_char_frac",
        "max_duplicate_paragraph_chars": "dup_para_char_frac",
    },
}


def _real_filter(name: str, rule: str) -> Callable[[Document], Any]:
    if name == "gopher_quality":
        asked = _OFF[name][rule]
        return GopherQualityFilter(
            **{argument: None for argument in _OFF[name].values() if argument != asked}
        ).filter
    if name == "gopher_repetition":
        options: dict[str, Any] = {a: None for r, a in _OFF[name].items() if r != rule}
        defaults = GopherRepetitionFilter()
        sizes = [n for n, _ in (*defaults.top_n_grams, *defaults.dup_n_grams)]
        size = next((n for n in sizes if f"_{n}gram_" in rule), 0)
        options["top_n_grams"] = [pair for pair in defaults.top_n_grams if pair[0] == size]
        options["dup_n_grams"] = [pair for pair in defaults.dup_n_grams if pair[0] == size]
        return GopherRepetitionFilter(**options).filter
    if name == "fineweb":
        options = {"line_punct_thr": 0, "short_line_thr": 1, "char_duplicates_ratio": 1}
        options |= {"new_line_ratio": 10}
        kept = {
            "min_terminal_lines": "line_punct_thr",
            "max_short_lines": "short_line_thr",
            "max_duplicate_line_chars": "char_duplicates_ratio",
            "max_newlines": "new_line_ratio",
        }[rule]
        return FineWebQualityFilter(**{k: v for k, v in options.items() if k != kept}).filter
    return C4QualityFilter(
        min_num_sentences=5 if rule == "min_sentences" else -1,
        filter_lorem_ipsum=rule == "max_lorem_ipsum",
        filter_curly_bracket=rule == "max_curly_brackets",
    ).filter


@pytest.mark.parametrize(
    ("ref", "name", "keeps", "drops"),
    [row for row in ROWS if row[0].endswith("@datatrove-0.10")],
    ids=[f"{ref}.{rule}" for ref, rule, _, _ in ROWS if ref.endswith("@datatrove-0.10")],
)
def test_datatrove_itself_decides_so(ref: str, name: str, keeps: str, drops: str) -> None:
    decide = _real_filter(ref.partition("@")[0], name)
    assert decide(Document(text=keeps, id="1")) is True
    assert decide(Document(text=drops, id="2")) is not True


def test_families_hold_the_signals_that_rules_name() -> None:
    for ref in known():
        chosen = rule_set(ref)
        names = {name for family in chosen.families for name in FAMILIES[family].names}
        assert {signal for rule in chosen.rules for signal in rule.signals()} <= names, ref
        needed = [f for f in chosen.families if names - set(FAMILIES[f].names)]
        assert len(chosen.families) == 1 or needed, f"{ref}: a family is not needed"


def test_nothing_and_everything() -> None:
    for ref in known():
        chosen = rule_set(ref)
        signals = compute_signals(pa.array(["", None, " \n "]), chosen.families)
        for failure in evaluate(chosen, signals):
            assert failure.mask.dtype == np.bool_ and len(failure.value) == 3
            assert failure.mask[0] == failure.mask[1], failure.rule
