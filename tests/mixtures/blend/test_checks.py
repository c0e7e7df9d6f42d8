"""Checks before packing: tokenizers, vocabulary, shared documents, epochs."""

from __future__ import annotations

from pathlib import Path

import pytest

from gristmill.errors import RecipeError, StoreError
from gristmill.store import Store
from mixtures.blend.checks import (
    check_vocabulary,
    epoch_notes,
    least_epochs,
    one_tokenizer,
    shared_documents,
    shared_notes,
)
from mixtures.blend.token_ledger import Entry, check_entries
from mixtures.packing import METHODS
from tests.gristmill.test_mapped import made
from tests.mixtures.make_tokens import put_tokens


def test_one_tokenizer_is_one_version_under_any_name(tmp_path: Path) -> None:
    store = Store(tmp_path)
    same = [put_tokens(store, f"tokens/{name}", prefix=name, documents=3) for name in "ab"]
    assert one_tokenizer(same).name == "tokens/a.tokenizer"
    other = put_tokens(store, "tokens/c", documents=3, vocabulary=1001)
    with pytest.raises(StoreError) as error:
        one_tokenizer([*same, other])
    for dataset in (same[0], other):
        assert dataset.output(".tokenizer").ref in str(error.value)
    with pytest.raises(StoreError, match="has no tokenizer beside it"):
        one_tokenizer([made(tmp_path)])


def test_a_token_outside_the_vocabulary_is_named_with_its_document(tmp_path: Path) -> None:
    texts = ((1, 2), (), (3, 999), (1000, 5))
    good = put_tokens(Store(tmp_path), "tokens/good", texts=texts[:3])
    assert check_vocabulary(good, 1000) == 999
    bad = put_tokens(Store(tmp_path), "tokens/bad", texts=texts, rows_a_shard=3)
    with pytest.raises(StoreError, match=r"tokens/bad@\w+: document 'd3' holds token 1,000; its"):
        check_vocabulary(bad, 1000)


def test_shared_documents_are_counted_by_pairs(tmp_path: Path) -> None:
    store = Store(tmp_path)
    web = put_tokens(store, "tokens/web", documents=30, prefix="x").ref
    news = put_tokens(store, "tokens/news", documents=10, prefix="x").ref
    maths = put_tokens(store, "tokens/maths", documents=10, prefix="m").ref
    asked = [("web", web, None), ("news", news, "id <> 'x3'"), ("maths", maths, None)]
    found = shared_documents(store, asked)
    assert found == [{"sources": ["web", "news"], "documents": 9, "example": "x0"}]
    (note,) = shared_notes(found)
    assert "'web' and 'news' share 9 documents, e.g. 'x0'" in note
    halves = [("a", web, "id < 'x2'"), ("b", web, "id >= 'x2'")]
    assert not shared_documents(store, halves)


def test_repetition_is_told_above_4_epochs_and_refused_above_16() -> None:
    assert not epoch_notes(["a", "b"], [1, 4], None)
    (note,) = epoch_notes(["a", "b"], [1, 4.5], None)
    assert "'b' is seen 4.5 times" in note and "2305.16264" in note
    with pytest.raises(RecipeError, match=r"'a' would be seen 16.5 times, more than 16, .*2305"):
        epoch_notes(["a"], [16.5], None)
    with pytest.raises(RecipeError, match=r"more than 2, your max_epochs.* set max_epochs: 3"):
        epoch_notes(["a"], [2.5], 2)
    assert len(epoch_notes(["a"], [30], 40)) == 1


@pytest.mark.parametrize("method", METHODS)
def test_epochs_known_beforehand_are_never_too_many(method: str) -> None:
    # 10 documents of 30 tokens: an epoch takes 10 rows of 40 alone, 8 packed, 1 of 400
    assert least_epochs(method, 10, 40, 300, 10) <= 10 / 8 + 1e-9
    assert least_epochs(method, 10, 400, 300, 10) <= 10


def entry(**changes: int) -> Entry:
    """10 rows of 8 tokens from 100 drawn, 20 of them dropped, 10 left over."""
    whole = {"rows": 10, "seq": 8, "drawn": 100, "kept": 40, "split": 30, "dropped": 20}
    more = {"carried": 10, "padding": 10, "masked": 5, "documents": 9}
    return Entry(**{**whole, **more, **changes})


def test_a_ledger_that_adds_up_passes_over_segments() -> None:
    second = entry(drawn=0, kept=5, split=5, dropped=0, carried=0, rows=2, padding=6)
    check_entries("web", [entry(), second], handed=100, counted=100)


@pytest.mark.parametrize(
    ("changes", "handed", "counted", "message"),
    [
        ({"kept": 41, "padding": 9}, 100, 100, "drawn and carried over are 100, accounted.* 101"),
        ({"padding": 11}, 100, 100, "room in its rows are 80, accounted for are 81"),
        ({}, 101, 101, "tokens drawn are 100"),
        ({}, 100, 99, "by the dataset's counts are 99"),
    ],
)
def test_a_ledger_that_does_not_add_up_fails(
    changes: dict[str, int], handed: int, counted: int, message: str
) -> None:
    with pytest.raises(StoreError, match=message):
        check_entries("web", [entry(**changes)], handed, counted)
