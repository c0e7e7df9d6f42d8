"""Loading tokenizers: special tokens, vocabulary sizes, and files that are not tokenizers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from gristmill.errors import GristmillError, StoreError
from gristmill.store import Store
from mixtures.tokens.tokenizers import (
    CONFIG,
    MAIN,
    SPECIAL_MAP,
    from_files,
    load_tokenizer,
    save_files,
    settle,
    tokenizer_files,
    vocab_size,
)
from tests.make_store import put_documents
from tests.mixtures.tiny_tokenizers import put_tokenizer, tiny_bpe, tiny_files


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def test_a_stored_tokenizer_says_what_a_trainer_must_know(store: Store, tmp_path: Path) -> None:
    loaded = load_tokenizer(put_tokenizer(store))
    assert (loaded.eos, loaded.pad, loaded.bos, loaded.unk) == (0, 1, None, None)
    assert loaded.vocab_size == 300 and loaded.dtype == np.dtype("<u2") and loaded.padding == 1
    assert loaded.decode(np.array(loaded.tokenizer.encode("rye — 麦").ids, np.uint16)) == "rye — 麦"
    made = save_files(store["tok/tiny"], tmp_path / "out")
    assert {path.name for path in made} == {MAIN, CONFIG}
    assert Tokenizer.from_file(str(tmp_path / "out" / MAIN)).get_vocab_size() == 300


def test_special_tokens_are_found_in_the_files_or_given() -> None:
    tokenizer = tiny_bpe(special=["<s>", "</s>", "<pad>", "<|im_end|>"])
    ids = {t: tokenizer.token_to_id(t) for t in ("<s>", "</s>", "<pad>", "<|im_end|>")}
    usual = from_files(settle(tiny_files(tokenizer), {}, "t"), "t")
    assert (usual.bos, usual.eos, usual.pad) == (ids["<s>"], ids["</s>"], ids["<pad>"])
    told = tiny_files(tokenizer, eos_token={"content": "<|im_end|>"}, pad_token=None)
    assert from_files(settle(told, {}, "t"), "t").eos == ids["<|im_end|>"]
    mapped = {**tiny_files(tokenizer), SPECIAL_MAP: b'{"eos_token": "<|im_end|>"}'}
    assert from_files(settle(mapped, {}, "t"), "t").eos == ids["<|im_end|>"]
    given = settle(told, {"eos": "</s>", "pad": None}, "t")
    loaded = from_files(given, "t")
    assert (loaded.eos, loaded.pad, loaded.padding) == (ids["</s>"], None, ids["</s>"])
    assert from_files(settle(given, {}, "t"), "t").eos == ids["</s>"]  # settled is settled
    assert json.loads(given[CONFIG])["eos_token"] == "</s>"


def test_tokens_that_are_not_there_are_refused_and_unclear_ones_left_out() -> None:
    two = tiny_bpe(special=["<|endoftext|>", "</s>"])
    assert from_files(settle(tiny_files(two), {}, "t"), "t").eos is None
    assert from_files(settle(tiny_files(two), {"eos": "</s>"}, "t"), "t").eos == 1
    with pytest.raises(GristmillError, match=r"eos '<\|endoftxt\|>'.*did you mean '<\|endoftext"):
        settle(tiny_files(), {"eos": "<|endoftxt|>"}, "t")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not JSON"),
        (b'{"version": "1.0", "model"', "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        (b"[]", "holds list"),
        (b'{"hidden_size": 64}', "not a tokenizer"),
        (Tokenizer(WordLevel({}, unk_token="x")).to_str().encode(), "empty vocabulary"),
    ],
)
def test_files_that_are_no_tokenizers_are_explained(content: bytes, message: str) -> None:
    with pytest.raises(GristmillError, match=message):
        settle({MAIN: content}, {}, "t")


def test_a_slow_tokenizer_is_named_as_such() -> None:
    with pytest.raises(GristmillError, match=r"no tokenizer.json among vocab.txt"):
        settle({"vocab.txt": b"a"}, {}, "t")


def test_a_dataset_of_another_kind_is_refused(store: Store) -> None:
    with pytest.raises(StoreError, match="kind 'document', not a tokenizer"):
        tokenizer_files(put_documents(store, "web/clean", range(3)))


def test_truncation_and_padding_of_the_file_do_not_touch_data() -> None:
    tokenizer = tiny_bpe()
    long = "the miller grinds rye " * 50
    plain = tokenizer.encode(long).ids
    tokenizer.enable_truncation(8)
    tokenizer.enable_padding(length=4000)
    assert from_files(settle(tiny_files(tokenizer), {}, "t"), "t").tokenizer.encode(long).ids == (
        plain
    )


def test_the_vocabulary_ends_behind_the_largest_id() -> None:
    tokenizer = Tokenizer(WordLevel({"a": 0, "b": 70_000}, unk_token="a"))
    assert vocab_size(tokenizer) == 70_001
    tokenizer.add_special_tokens(["</s>"])
    loaded = from_files(settle(tiny_files(tokenizer), {}, "t"), "t")
    assert loaded.vocab_size == 70_001 and loaded.dtype == np.dtype("<u4")
