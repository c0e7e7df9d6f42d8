"""Verdicts equal the plain definition; planted benchmark questions are found, calendars are not."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.decontam import recipes
from gristmill.decontam.match import Totals, item_thresholds, scan
from gristmill.decontam.recipes import (
    DecontaminationRecipe,
    decontamination_recipe,
    register_recipe,
)
from gristmill.errors import GristmillError, RecipeError
from gristmill.text.ngrams import NgramIndex, build_index
from gristmill.text.words import normalized_words
from tests.gristmill.text.test_ngrams import is_evidence, reference_entries

GPT3, LLAMA3 = decontamination_recipe("gpt3_13gram"), decontamination_recipe("llama3_8gram")
some = st.lists(
    st.sampled_from(["mill", "Flour", "wind", "ox", "sack", "3", "4", "a"]), max_size=14
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(some.map(" ".join), min_size=1, max_size=4),
    st.lists(some.map(", ".join), max_size=4),
    st.sampled_from([0.0, 0.3, 0.5, 1.0]),
)
def test_coverage_equals_the_plain_definition(
    items: list[str], docs: list[str], threshold: float
) -> None:
    index = build_index(pa.array(items), [3], 2, min_distinct=1)
    totals = Totals.zeros(len(items))
    thresholds = np.full(len(items), threshold)
    found, _ = scan(pa.array(docs, pa.string()), index, GPT3, thresholds, totals)
    entries = reference_entries(items, [3], 2, 1, 3)
    item_words = [normalized_words(item) for item in items]
    reach = [np.zeros(len(words), bool) for words in item_words]
    for ngram, places in entries.items():
        for item, at in places:
            reach[item][at : at + len(ngram)] = True
    told = dict(zip(found.text.tolist(), range(len(found.text)), strict=True))
    sharing, matched, best = np.zeros((3, len(items)))
    for number, doc in enumerate(docs):
        words = normalized_words(doc)
        masks = [np.zeros(len(words), bool) for words in item_words]
        shared = 0
        for ngram, places in entries.items():
            n = len(ngram)
            if any(tuple(words[at : at + n]) == ngram for at in range(len(words))):
                shared += 1
                for item, at in places:
                    masks[item][at : at + n] = True
        values = [
            mask.sum() / whole.sum() if whole.any() else 0.0
            for mask, whole in zip(masks, reach, strict=True)
        ]
        assert (number in told) == (shared > 0)
        if not shared:
            continue
        row = told[number]
        enough = [value > 0 and value >= threshold for value in values]
        assert found.ngrams[row] == shared
        assert found.items[row] == sum(enough)
        assert found.matched[row] == any(enough)
        assert found.item[row] == values.index(max(values))
        assert found.value[row] == pytest.approx(max(values))
        span = doc.encode()[found.start[row] : found.end[row]].decode()
        assert tuple(normalized_words(span)) in entries
        sharing += [value > 0 for value in values]
        matched += enough
        best = np.maximum(best, values)
    assert totals.sharing.tolist() == sharing.tolist()
    assert totals.matched.tolist() == matched.tolist()
    assert totals.best == pytest.approx(best)


def test_thresholds_by_benchmark() -> None:
    names = pa.chunked_array([["a", "a", "b"]])
    assert item_thresholds(names, 0.5, None).tolist() == [0.5, 0.5, 0.5]
    assert item_thresholds(names, 0.5, 0.7).tolist() == [0.7, 0.7, 0.7]
    assert item_thresholds(names, 0.5, {"b": 0.9}).tolist() == [0.5, 0.5, 0.9]
    with pytest.raises(GristmillError, match="no benchmark 'bb'"):
        item_thresholds(names, 0.5, {"bb": 0.9})
    with pytest.raises(RecipeError, match="did you mean 'gpt3_13gram'"):
        decontamination_recipe("gpt3_13grams")


def test_short_items_are_found_whole_and_too_short_ones_are_not_covered() -> None:
    items = [
        "What do the three old millers grind?",
        "Is two even?",
        "What do three old millers do?",
    ]
    index = build_index(pa.array(items), GPT3.lengths, 6)
    assert index.item_kept.tolist() == [1, 0, 1]
    docs = [
        "He asked: what do the three old millers grind today?",
        "Is two even?",
        "three old millers",
    ]
    found, _ = scan(pa.array(docs), index, GPT3)
    assert (found.text.tolist(), found.item.tolist(), found.value.tolist()) == ([0], [0], [1.0])


def test_a_new_recipe_is_one_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    """n-grams of 4 to 13 words, but those of common use: AFM's shape."""
    monkeypatch.setattr(recipes, "_RECIPES", dict(recipes._RECIPES))
    afm = register_recipe(
        DecontaminationRecipe("afm_like", "test", tuple(range(4, 14)), 4, 0.0, common_use=1)
    )
    assert decontamination_recipe("afm_like") is afm
    items = ["the three old millers grind rye and wheat", "once upon a time there was a miller"]
    index = build_index(pa.array(items), afm.lengths, afm.min_words)
    assert index.item_kept.tolist() == [5 + 4 + 3 + 2 + 1] * 2
    docs = pa.array(["once upon a time in a mill", "once upon a time", "old millers grind rye"])
    found, hits = scan(docs, index, afm)
    assert (found.text.tolist(), found.item.tolist()) == ([0, 1, 2], [1, 1, 0])
    exempt = np.bincount(hits.entry, minlength=len(index)) > 1
    assert scan(docs, index, afm, exempt=exempt)[0].text.tolist() == [2]


# --- planted questions -------------------------------------------------------------------------


def read(path: Path, field: str) -> list[str]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line)[field] for line in file]


@pytest.fixture(scope="module")
def questions(shared_data: Path) -> list[str]:
    return read(shared_data / "benchmarks" / "gsm8k_test.jsonl.gz", "question")


@pytest.fixture(scope="module")
def pages(shared_data: Path) -> list[str]:
    return read(shared_data / "text" / "c4_demo.jsonl.gz", "text")


@pytest.fixture(scope="module")
def index(questions: list[str]) -> NgramIndex:
    return build_index(pa.array(questions), GPT3.lengths, GPT3.min_words)


def _edited(question: str) -> str:
    """One word in the middle replaced."""
    words = question.split()
    words[len(words) // 2] = "xylophone"
    return " ".join(words)


def _bold(question: str) -> str:
    return " ".join(
        f"**{word}**" if n % 3 == 0 else word for n, word in enumerate(question.split())
    )


DISGUISES: dict[str, Callable[[str], str]] = {
    "as it is": lambda q: q,
    "upper case": str.upper,
    "other punctuation": lambda q: q.translate(str.maketrans("’',.?$“”", "'’;!¡€«»")),
    "line breaks": lambda q: q.replace(" ", " \r\n "),
    "no-break spaces": lambda q: q.replace(" ", "\u00a0"),
    "sentences joined by removed markup": lambda q: q.replace(". ", ".").replace(", ", ","),
    "emphasis": _bold,
    "tags left in": lambda q: "<p>" + q.replace(". ", ".</p><br/><p>") + "</p>",
    "soft hyphens": lambda q: q.replace("er", "e\u00adr"),
    "underscores": lambda q: q.replace(" ", "_"),
    "one word replaced": _edited,
}
ALTERING = {"tags left in", "one word replaced"}  # they add or change words


def _planted(pages: list[str], texts: list[str]) -> pa.Array:
    """Each text inside a real page, at a place recipe by seed."""
    random.seed(7)
    docs = []
    for number, text in enumerate(texts):
        page = pages[number % len(pages)]
        at = random.randrange(len(page) + 1)
        docs.append(f"{page[:at]}\n{text}\n{page[at:]}")
    return pa.array(docs)


@pytest.mark.parametrize("disguise", DISGUISES)
@pytest.mark.parametrize("recipe", [GPT3, LLAMA3], ids=lambda recipe: recipe.name)
def test_planted_gsm8k_questions_are_found(
    disguise: str,
    recipe: DecontaminationRecipe,
    questions: list[str],
    pages: list[str],
    index: NgramIndex,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if recipe is LLAMA3:
        index = build_index(pa.array(questions), recipe.lengths, recipe.min_words)
    texts = [DISGUISES[disguise](question) for question in questions]
    found, _ = scan(_planted(pages, texts), index, recipe)
    covered = int((index.item_kept > 0).sum())
    hit = found.text[found.matched]
    with capsys.disabled():
        print(f"\n{recipe.name}, {disguise}: {len(hit)} of {covered} covered found", end=" ")
    assert covered == len(questions) == 1319
    if disguise not in ALTERING:
        assert len(hit) == covered
        assert (found.value[found.matched] > 0.99).all()
    elif recipe is GPT3:  # 13 words in a row are not left of every question
        left = [n for n, text in enumerate(texts) if _shares(text, questions[n])]
        assert left == hit.tolist()
    assert len(hit) > 0.8 * covered


def _shares(text: str, question: str) -> bool:
    words, asked = normalized_words(text), normalized_words(question)
    have = {tuple(words[at : at + 13]) for at in range(len(words) - 12)}
    want = (tuple(asked[at : at + 13]) for at in range(len(asked) - 12))
    return any(ngram in have and is_evidence(ngram, 4, 3) for ngram in want)


def test_clean_pages_are_no_hits(pages: list[str], index: NgramIndex) -> None:
    found, _ = scan(pa.array(pages), index, GPT3)
    assert len(found.text) == 0


def test_calendars_are_no_hits_of_any_shared_benchmark(shared_data: Path) -> None:
    """MATH holds "1 2 3 … 13": without the rule, every calendar would match it."""
    items = pa.array(read(shared_data / "benchmarks" / "math.jsonl.gz", "context"))
    days = " ".join(map(str, range(1, 32)))
    calendars = pa.array([
        f"March 2021\n| S | M | T | W | T | F | S |\n{days}",
        f"Mo Di Mi Do Fr Sa So\n{days.replace(' ', chr(10))}",
        f"lun mar mer jeu ven sam dim {days} « Fév Avr »",
        f"Page: {days} next",
    ])  # fmt: skip
    naive = build_index(items, GPT3.lengths, GPT3.min_words, min_distinct=0, max_counting=99)
    assert scan(calendars, naive, GPT3)[0].text.tolist() == [0, 1, 2, 3]
    for recipe in (GPT3, LLAMA3):
        ours = build_index(items, recipe.lengths, recipe.min_words)
        assert len(scan(calendars, ours, recipe)[0].text) == 0
