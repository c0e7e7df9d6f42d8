"""Recipes whose answers are checked exactly, end to end with a real engine and a real sandbox."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from synth.verify import verifier
from tests.extras import needs
from tests.synth.recipes.building import build, reasons, rows
from tests.synth.recipes.conftest import Source
from tests.synth.tiny.functions import FUNCTIONS
from tests.synth.tiny.programs import unfenced

needs("math_verify")
SUMS = {"procedural": {"task": "sums", "count": 12, "parameters": {"operations": "+", "digits": 1}}}
MATHS = {"from": SUMS, "question": "{{ prompt }}", "max_tokens": 120}


def right(text: str, answer: str) -> bool:
    return bool(verifier("maths")(text, answer, ""))


pytestmark = pytest.mark.slow


def test_rejection_maths_keeps_what_is_right_and_pairs_it_with_what_is_wrong(
    engine: dict[str, Any], tmp_path: Path
) -> None:
    made = build("rejection_maths", tmp_path, {"engine": engine, "n": 6, **MATHS})
    chats, pairs = rows(made["synth/maths"]), rows(made["synth/maths/pairs"])
    assert chats and pairs
    assert all(right(row["messages"][1]["content"], row["answer"]) for row in chats)
    for row in pairs:
        assert right(row["chosen"], row["answer"]) and not right(row["rejected"], row["answer"])
        assert len(row["made"]) == 2, "both completions are in the provenance"
    assert "correct.is" in reasons(made["synth/maths.ledger"])
    told = made["synth/maths/pairs"].build()["facts"]["goodput"]
    assert told["requests"] == 0 and told["cached"] == 12 * 6, "pairs came from the request log"


def test_tutorship_agrees_with_the_known_answer(engine: dict[str, Any], tmp_path: Path) -> None:
    (backend,) = engine.values()
    pupil = {"transformers": {**backend, "name": "pupil"}}
    settings = {"engine": engine, "weak_engine": pupil, "n": 3, **MATHS}
    made = build("tutorship", tmp_path, settings)
    found = rows(made["synth/tutorship"])
    assert found
    for row in found:
        assert (row["verdict"].lower() == "correct") == row["attempt_correct"]
        assert right(row["text"], row["answer"])
        assert row["made"][0]["model"] == "pupil"
    assert reasons(made["synth/tutorship.ledger"]) & {"agreed.is", "correct.is"}, "all were right"


def test_code_feedback_repairs_what_fails(
    engine: dict[str, Any], snippets: Source, tmp_path: Path
) -> None:
    settings = {"engine": engine, "from": snippets(10, ours=False), "max_tokens": 160}
    made = build("code_feedback", tmp_path, settings)
    found = rows(made["synth/code_feedback"])
    assert found
    for row in found:
        assert row["messages"][-1]["content"].count("```") == 2
        assert row["code"] in row["messages"][-1]["content"]
    repaired = [row for row in found if len(row["messages"]) > 2]
    assert repaired and all("did not pass" in row["messages"][2]["content"] for row in repaired)
    right = {unfenced(function.code()) for function in FUNCTIONS}
    assert all(row["code"] in right for row in found), "what passes its tests is right"


def test_code_backtranslation_compares_both_programs(
    engine: dict[str, Any], snippets: Source, tmp_path: Path
) -> None:
    settings = {"engine": engine, "from": snippets(8), "max_tokens": 160}
    made = build("code_backtranslation", tmp_path, settings)
    found = rows(made["synth/code_backtranslation"])
    assert found and all(row["judge"] >= 8 for row in found)
    for row in found:
        assert row["code"] not in row["messages"][1]["content"]
        assert row["messages"][0]["content"].startswith("Document this code.")


def test_procedural_answers_are_exact(tmp_path: Path) -> None:
    made = build("procedural", tmp_path, {"count": 4})
    for task in ("depo", "brevo", "capo", "mano", "lano"):
        found = rows(made[f"synth/{task}"])
        assert len(found) == 4
        for row in found:
            assert all(
                0 <= span["start"] < span["end"] <= len(row["text"]) for span in row["spans"]
            )
            assert verifier(row["verifier"])(row["answer"], row["answer"], row["prompt"]) == 1
        assert json.dumps(found[0]["text"]) != json.dumps(found[1]["text"])
