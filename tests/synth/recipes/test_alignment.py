"""Recipes for alignment, distillation, long contexts and thoughts, on a real engine."""

from __future__ import annotations

from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np
import pytest

from synth.verify import verifier
from tests.synth.recipes.building import build, read, reasons, rows, write
from tests.synth.recipes.conftest import Source

pytestmark = pytest.mark.slow


def test_committee_picks_by_prompt(
    engine: dict[str, Any], tiny_reward: Path, problems: Source, tmp_path: Path
) -> None:
    (backend,) = engine.values()
    settings = {
        "engine": engine,
        "second_engine": {"transformers": {**backend, "name": "second"}},
        "reward_engine": {"transformers": {"model": str(tiny_reward), "pooling": True}},
        "from": problems(12),
        "n": 2,
        "max_tokens": 100,
        "synth/committee.do.5.emit.columns": ["engine", "reward", "answer"],
        "synth/committee/pairs.do.5.emit.columns": ["answer"],
    }
    made = build("committee", tmp_path / "store", settings)
    best, pairs = rows(made["synth/committee"]), rows(made["synth/committee/pairs"])
    assert len(best) == len({row["parents"][0] for row in best}) > 0
    assert {row["engine"] for row in best} <= {"main", "second"}
    assert pairs and {row["chosen"] for row in pairs} <= {
        row["messages"][1]["content"] for row in best
    }
    score = verifier("maths")
    chosen = sum(score(row["chosen"], row["answer"], "") for row in pairs)
    rejected = sum(score(row["rejected"], row["answer"], "") for row in pairs)
    assert chosen > rejected, "the reward model knows right sums"
    assert "best.reward" in reasons(made["synth/committee.ledger"])


def test_critique_revision_keeps_what_a_judge_finds_better(
    engine: dict[str, Any], instructions: Source, tmp_path: Path
) -> None:
    settings = {"engine": engine, "from": instructions(12), "max_tokens": 160}
    made = build("critique_revision", tmp_path, settings)
    found = rows(made["synth/critique_revision"])
    assert found
    for row in found:
        assert row["judged_after"] > row["judged_before"]
        assert row["chosen"] != row["rejected"] and row["critique"].startswith("- ")


def test_teacher_tells_its_most_probable_tokens(
    engine: dict[str, Any], passages: Source, tmp_path: Path
) -> None:
    made = build("teacher", tmp_path, {"engine": engine, "from": passages(4), "top": 5})
    whole, first = rows(made["synth/teacher"]), rows(made["synth/teacher/top1"])
    assert len(whole) == len(first) == 4
    for row, one in zip(whole, first, strict=True):
        assert row["input_ids"] == one["input_ids"]
        assert {len(ids) for ids in row["top_ids"]} == {5}
        assert [ids[0] for ids in row["top_ids"]] == [ids[0] for ids in one["top_ids"]]
        logprobs = np.array(row["top_logprobs"])
        assert (np.diff(logprobs, axis=1) <= 0).all() and (logprobs <= 0).all()
        assert (np.exp(logprobs).sum(axis=1) <= 1 + 1e-5).all()


def test_latent_thoughts_are_drawn_by_weight_round_after_round(
    tiny_writer: Path, passages: Source, tmp_path: Path
) -> None:
    copytree(tiny_writer, tmp_path / "models" / "0")
    engine = {"main": {"transformers": {"model": str(tmp_path / "models" / "0")}}}
    settings = {"models": str(tmp_path / "models"), "from": passages(4), "max_tokens": 80}
    settings |= {"words": 60, "min_words": 16, "prefix_words": 12, "k": 3}
    made = build(
        "latent_thoughts", tmp_path / "s", {**settings, "synth/thoughts/1.engines": engine}
    )
    found = rows(made["synth/thoughts/1"])
    assert found and "resample.drawn" in reasons(made["synth/thoughts/1.ledger"])
    for row in found:
        assert row["log_weight"] == row["log_weight_p"] - row["log_weight_q"]
        assert row["text"].count("<thought>") == row["text"].count("</thought>") == 1
    drawn = len(rows(made["synth/thoughts/1.completions"]))
    assert drawn == 3 * 4

    trained(tmp_path / "models" / "0", tmp_path / "models" / "1", [r["text"] for r in found])
    other = {"main": {"transformers": {"model": str(tmp_path / "models" / "1")}}}
    again = {**settings, "rounds": 2, "synth/thoughts/1.engines": engine}
    later = build("latent_thoughts", tmp_path / "s", {**again, "synth/thoughts/2.engines": other})
    assert later["synth/thoughts/1"].version == made["synth/thoughts/1"].version
    assert rows(later["synth/thoughts/2"])
    models = [{one["revision"] for row in rows(later[f"synth/thoughts/{n}"]) for one in row["made"]}
              for n in (1, 2)]  # fmt: skip
    assert models[0] != models[1], "the second round samples from the model trained on the first"


def trained(start: Path, end: Path, texts: list[str]) -> None:
    """An M-step: a few steps of gradient descent on the texts."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(start)
    model = AutoModelForCausalLM.from_pretrained(start)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    for text in texts:
        ids = tokenizer(text, return_tensors="pt").input_ids
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    copytree(start, end)
    model.save_pretrained(end)


def test_long_context_differs_from_the_context_that_asked(
    engine: dict[str, Any], held_out: list[list[str]], tmp_path: Path, shared_data: Path
) -> None:
    news = read(shared_data / "text" / "c4_demo.jsonl.gz", 1)[0]["text"]
    texts = [" ".join(found[:12]) for found in held_out if len(found) >= 12][:4]
    source = write(tmp_path / "long.jsonl", ({"text": text} for text in [*texts, news[:100]]))
    settings = {"engine": engine, "from": source, "words": 40, "least": 80, "parts": 2}
    made = build("long_context_qa", tmp_path / "store", {**settings, "max_tokens": 200})
    found = rows(made["synth/long_context_qa"])
    assert found
    for row in found:
        context = row["messages"][0]["content"].removesuffix(row["question"]).strip()
        assert context in texts
        (one,) = row["made"]
        assert one["prompt_tokens"] < len(context.split()) * 2
        assert row["messages"][1]["content"]
    assert "document_words.min" in reasons(made["synth/long_context_qa.ledger"])
