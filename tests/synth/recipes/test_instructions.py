"""Recipes that make instructions and dialogues, end to end with a real engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.synth.recipes.building import build, rows
from tests.synth.recipes.conftest import Source

pytestmark = pytest.mark.slow


def test_self_instruct_grows_a_pool(
    engine: dict[str, Any], instructions: Source, tmp_path: Path
) -> None:
    settings = {"engine": engine, "from": instructions(40), "count": 8, "rounds": 2}
    made = build("self_instruct", tmp_path, settings)
    seeds = {row["instruction"] for row in rows(made["synth/seeds"])}
    new = [row for n in (1, 2) for row in rows(made[f"synth/tasks/{n}"])]
    assert len(seeds) == 40 and new
    assert all(row["near"] < 0.7 and row["instruction"] not in seeds for row in new)
    texts = [row["instruction"] for row in new]
    assert len(texts) == len(set(texts))
    chats = [row for n in (1, 2) for row in rows(made[f"synth/self_instruct/{n}"])]
    assert chats and all(len(row["messages"]) == 2 for row in chats)
    pool = {row["id"] for name in ("0", "1") for row in rows(made[f"synth/tasks/{name}"])}
    for row in rows(made["synth/new_tasks/2"]):
        assert len(row["parents"]) == 8 and set(row["parents"]) <= pool


def test_evol_instruct_goes_on_from_its_last_round(
    engine: dict[str, Any], instructions: Source, tmp_path: Path
) -> None:
    settings = {"engine": engine, "from": instructions(12), "rounds": 2, "max_tokens": 200}
    made = build("evol_instruct", tmp_path, settings)
    first, second = (rows(made[f"synth/evolved/{n}"]) for n in (1, 2))
    assert first and {row["id"] for row in first} >= {p for row in second for p in row["parents"]}
    seeds = {row["id"]: row["instruction"] for row in rows(made["synth/evolved/0"])}
    for row in first:
        assert row["instruction"] != seeds[row["parents"][0]]
        assert row["messages"][0]["content"] == row["instruction"]
        assert [one["stage"] for one in row["made"]] == ["instruction", "gain", "response"]


def test_magpie_starts_from_nothing(engine: dict[str, Any], tmp_path: Path) -> None:
    settings = {"engine": engine, "count": 12, "max_instruction": 80, "max_response": 160}
    made = build("magpie", tmp_path, settings)
    found = rows(made["synth/magpie"])
    assert found and {row["quality"] for row in found} <= {"average", "good", "excellent"}
    asked = [row["instruction"] for row in found]
    assert len(asked) == len(set(asked))
    assert all(row["messages"][0]["content"] == row["instruction"] for row in found)
    first = rows(made["synth/magpie/instructions"])[0]["made"][0]
    assert first["stage"] == "instruction" and first["template"] == ""


def test_personas_go_from_texts_to_people_to_problems(
    engine: dict[str, Any], passages: Source, tmp_path: Path
) -> None:
    settings = {"engine": engine, "from": passages(8), "hops": 2, "words": 60, "max_tokens": 160}
    made = build("personas", tmp_path, settings)
    people = [{row["persona"] for row in rows(made[f"synth/personas/{n}"])} for n in (0, 2)]
    assert people[1] and not people[0] & people[1]
    found = rows(made["synth/persona_maths"])
    assert found and all("\\boxed{" in row["messages"][1]["content"] for row in found)
    assert {row["persona"] for row in found} <= people[1]


def test_dialogues_have_three_turns_on_a_tree_of_topics(
    engine: dict[str, Any], tmp_path: Path
) -> None:
    topics = {"values": {"topic": ["bread", "clocks"]}}
    settings = {"engine": engine, "from": topics, "subtopics": 2, "questions": 2}
    made = build("dialogues", tmp_path, {**settings, "max_tokens": 160})
    found = rows(made["synth/dialogues"])
    assert found and {row["manner"] for row in found} > {None} - {None}
    for row in found:
        roles = [turn["role"] for turn in row["messages"]]
        assert roles == ["user", "assistant"] * 3
        stages = [one["stage"] for one in row["made"]]
        assert stages == ["subtopics", "questions", "response", *["said", "response"] * 2]
    assert len({row["topic"] for row in found}) > 1
