"""Recipes that make documents of documents, end to end on real passages with a real engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gristmill.store import Store
from pipelines.steps import step_class
from synth.parse.pairs import read_pairs
from tests.run_step import run_step
from tests.synth.recipes.building import build, rows
from tests.synth.recipes.conftest import Source

LENGTH = {"max_tokens": 200, "words": 60}

pytestmark = pytest.mark.slow


def test_wrap_writes_four_styles_and_no_copies(
    engine: dict[str, Any], passages: Source, tmp_path: Path
) -> None:
    made = build("wrap", tmp_path, {"engine": engine, "from": passages(8), **LENGTH})
    found = rows(made["synth/wrap"])
    assert {"easy", "medium", "qa"} <= {row["style"] for row in found}
    assert all(row["near"] < 0.9 for row in found)
    assert all(read_pairs(row["text"]) for row in found if row["style"] == "qa")
    assert not any(row["text"].startswith("Here is") for row in found)


def test_rewire_keeps_the_best_of_what_a_filter_rejected(
    engine: dict[str, Any], passages: Source, tmp_path: Path
) -> None:
    rule = {"rules": {"set": "gopher_quality", "min_words": 1000}}
    step = {"name": "web/clean", "use": "curate", "from": passages(12), "ops": [rule]}
    curate = step_class("curate").model_validate({**step, "rejected": True})
    run_step(curate, Store(tmp_path / "store"))
    settings = {"engine": engine, "from": "web/clean.rejected", "fraction": 0.25, **LENGTH}
    made = build("rewire", tmp_path / "store", settings)
    found = rows(made["synth/rewire"])
    ledger = rows(made["synth/rewire.ledger"])
    scored = [row for row in ledger if row["state"] == "kept" or row["reason"] == "select.top"]
    assert 1 <= len(found) == -(-len(scored) // 4)
    assert all("<improved>" not in row["text"] and row["judge"] for row in found)


def test_diverse_qa_appends_some_pairs_to_the_passage(
    engine: dict[str, Any], passages: Source, tmp_path: Path
) -> None:
    settings = {"engine": engine, "from": passages(8), "least": 40, **LENGTH}
    made = build("diverse_qa", tmp_path, {**settings, "min_words": 1})
    found = rows(made["synth/diverse_qa"])
    assert found and all(read_pairs(row["text"]) for row in found)
    sources = {row["id"] for row in found}
    assert len(sources) == len(found)
    assert all(len(row["text"].split()) >= 40 for row in found)
    assert all("Question:" not in row["text"].partition("\n\n")[0] for row in found)


def test_distil_is_shorter_than_its_source(
    engine: dict[str, Any], passages: Source, tmp_path: Path
) -> None:
    settings = {"engine": engine, "from": passages(8), "least": 5, "min_words": 1, **LENGTH}
    made = build("distil", tmp_path, settings)
    found = rows(made["synth/distil"])
    assert found and all(5 <= row["length"] < row["source_words"] for row in found)


def test_knowledge_list_is_a_fact_a_line(
    engine: dict[str, Any], passages: Source, tmp_path: Path
) -> None:
    settings = {"engine": engine, "from": passages(8), "least": 10, "min_words": 1, **LENGTH}
    made = build("knowledge_list", tmp_path, settings)
    found = rows(made["synth/knowledge_list"])
    assert found and all(row["text"].splitlines() == row["facts"] for row in found)
    assert not any(fact.startswith("-") for row in found for fact in row["facts"])


def test_finephrase_restructures(engine: dict[str, Any], passages: Source, tmp_path: Path) -> None:
    made = build("finephrase", tmp_path, {"engine": engine, "from": passages(6), **LENGTH})
    assert all(read_pairs(row["text"]) for row in rows(made["synth/faq"]))
    assert all(row["text"].count("|\n|") >= 2 for row in rows(made["synth/table"]))
    assert all("\n1. " in row["text"] for row in rows(made["synth/tutorial"]))
    assert all(made[f"synth/{name}"].rows for name in ("faq", "table", "tutorial"))


def test_textbook_draws_readers_and_is_deduplicated(
    engine: dict[str, Any], passages: Source, tmp_path: Path, shared_data: Path
) -> None:
    against = [str(shared_data / "benchmarks" / "boolq.jsonl.gz")]
    settings = {"engine": engine, "from": passages(8), "least": 5, "against": against, **LENGTH}
    made = build("textbook", tmp_path, settings)
    found = rows(made["synth/textbook/final"])
    assert found and len({(row["format"], row["audience"]) for row in found}) > 1
    assert made["synth/textbook"].rows >= made["synth/textbook/unique"].rows >= len(found)
    assert all(row["made"] for row in found), "provenance goes on through curation steps"
    params = {one["params"] for row in found for one in row["made"]}
    assert all('"top_k":50' in one and '"repetition_penalty":1.2' in one for one in params)


def test_instruction_pretraining_prepends_earlier_rounds(
    engine: dict[str, Any], passages: Source, tmp_path: Path
) -> None:
    settings = {"engine": engine, "from": passages(6, sentences=6), "rounds": 2}
    made = build("instruction_pretraining", tmp_path, {**settings, "words": 30, "max_tokens": 200})
    found = rows(made["synth/instruction_pretraining"])
    assert found
    for row in found:
        first, second = row["made"]
        assert second["prompt_tokens"] > first["prompt_tokens"], "the second round sees the first"
    assert {row["form"] for row in found} <= {"labels", "letters", "plain"}


@pytest.mark.parametrize("detail", ["short", "long"])
def test_literary_answers_with_the_passage_itself(
    engine: dict[str, Any], tmp_path: Path, shared_data: Path, detail: str
) -> None:
    novels = {"jsonl": str(shared_data / "text" / "eltec_eng_15novels.jsonl.gz")}
    settings = {"engine": engine, "from": novels, "passages": 2, "words": 60, "min_words": 20}
    settings |= {"synth/literary.rows": 4, "synth/literary.do.1.draw.detail": [detail]}
    made = build("literary", tmp_path, settings)
    found = rows(made["synth/literary"])
    assert found and {row["detail"] for row in found} == {detail}
    novel = " ".join(str(read_text(shared_data)).split())
    for row in found:
        request, passage = (turn["content"] for turn in row["messages"])
        assert " ".join(passage.split()) in novel
        assert passage not in request


def read_text(shared_data: Path) -> str:
    """The first parts of the first novel."""
    from tests.synth.recipes.building import read

    parts = read(shared_data / "text" / "eltec_eng_15novels.jsonl.gz", 4)
    return "\n".join(part["text"] for part in parts)
