"""train_tokenizer: the same sample gives the same tokenizer, which gives the text back."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from gristmill.errors import GristmillError, RecipeError, TaskError
from gristmill.store import Dataset, Store
from mixtures.tokens.tokenizers import LoadedTokenizer, load_tokenizer
from mixtures.tokens.train_tokenizer import TrainTokenizer, sample, train
from tests.curation.minhash.corpora import documents, put_texts
from tests.run_step import InProcess, run_step

TEXT = "The miller's 12345 sacks of rye weigh 20 tons.\n\nHe DIDN'T grind them — but σίτος, 小麦!\n"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def asked(**options: Any) -> TrainTokenizer:
    given = {"name": "tok/bpe", "use": "train_tokenizer", "from": "web/clean", "vocab_size": 310}
    return TrainTokenizer(**{**given, **options})


def build(store: Store, texts: Sequence[str | None], **options: Any) -> Dataset:
    put_texts(store, "web/clean", documents(texts), 4)
    made = run_step(asked(**options), store, executor=InProcess())
    return store[f"tok/bpe@{made['tok/bpe']}"]


def pieces(loaded: LoadedTokenizer, text: str) -> list[str]:
    return [loaded.tokenizer.decode([t]) for t in loaded.tokenizer.encode(text).ids]


def test_it_learns_and_gives_text_back(store: Store) -> None:
    loaded = load_tokenizer(build(store, [TEXT] * 6 + [None, ""]))
    assert (loaded.vocab_size, loaded.eos, loaded.pad, loaded.bos) == (310, 0, 1, None)
    assert {"The", " mil", "'s"} <= set(pieces(loaded, TEXT))
    strange = TEXT + "\x00\t  \u200b🌾 ça\r\n" + " " * 9
    assert loaded.decode(loaded.tokenizer.encode(strange).ids) == strange
    facts = store.build("tok/bpe", store.builds("tok/bpe")[0]["fingerprint"])["facts"]  # type: ignore[index]
    assert facts == {"vocab_size": 310, "documents": 6, "text_bytes": 6 * len(TEXT.encode())}


def test_same_text_same_version_however_it_lies_in_shards(store: Store) -> None:
    texts = [TEXT.replace("rye", word) for word in ("oats", "millet", "spelt", "wheat", "corn")]
    first = build(store, texts)
    put_texts(store, "web/clean", documents(texts), 2)
    made = run_step(asked(), store, executor=InProcess())
    assert made["tok/bpe"] == first.version
    assert build(store, texts, vocab_size=311).version != first.version


@pytest.mark.slow
def test_any_number_of_threads_gives_the_same_merges() -> None:
    """Many ties: each word occurs twice."""
    script = (
        "import hashlib, random\n"
        "from tests.mixtures.tokens.test_train_tokenizer import asked, train\n"
        "draw = random.Random(1)\n"
        "words = [''.join(draw.choices('abcdefgh', k=6)) for _ in range(3000)] * 2\n"
        "texts = [' '.join(words[i::60]) for i in range(60)]\n"
        "batches = [texts[i : i + 7] for i in range(0, 60, 7)]\n"
        "made = train(asked(vocab_size=900), iter(batches))\n"
        "print(hashlib.sha256(made.to_str().encode()).hexdigest())"
    )
    made = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "RAYON_NUM_THREADS": threads},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for threads in ("1", "2", "5")
    }
    assert len(made) == 1 and len(made.pop()) == 65


@pytest.mark.parametrize(
    ("options", "longest"),
    [({}, 3), ({"pattern": "gpt2"}, 6), ({"digits": 1}, 1), ({"digits": 0}, 6), ({"digits": 2}, 2)],
)
def test_digits(options: dict[str, Any], longest: int) -> None:
    made = train(asked(**options, vocab_size=600), iter([["123456 " * 9, "x 123456"] * 3]))
    digits = [re.sub(r"\D", "", token) for token in made.get_vocab()]
    assert max(map(len, digits)) == longest


def test_a_word_of_megabytes_takes_no_minutes() -> None:
    draw = random.Random(0)
    long = "".join(draw.choices("abcdefgh", k=300_000))
    assert train(asked(vocab_size=600), iter([[long]])).get_vocab_size() == 600


def test_the_sample_is_bounded_and_drawn_by_the_seed(store: Store) -> None:
    dataset = put_texts(store, "web/clean", documents([f"{n:05d}" * 20 for n in range(2000)]), 300)

    def drawn(seed: int, limit: float) -> set[str]:
        counts = {"documents": 0, "text_bytes": 0}
        found = [text for texts in sample(dataset, seed, limit, counts) for text in texts]
        assert counts == {"documents": len(found), "text_bytes": 100 * len(found)}
        return set(found)

    tenth = drawn(0, 20_000)
    assert 140 < len(tenth) < 260 and tenth == drawn(0, 20_000)
    assert len(tenth & drawn(1, 20_000)) < 60
    assert tenth < drawn(0, 100_000) and len(drawn(0, 1e9)) == 2000


def test_special_tokens_have_the_first_ids(store: Store) -> None:
    made = build(store, [TEXT], bos="<s>", pad=None, special_tokens=["<|user|>", "<s>"])
    loaded = load_tokenizer(made)
    assert (loaded.eos, loaded.bos, loaded.pad, loaded.padding) == (0, 1, None, 0)
    assert loaded.tokenizer.token_to_id("<|user|>") == 2


def test_less_text_than_tokens_is_said(store: Store) -> None:
    made = build(store, ["ab ab"], vocab_size=5000)
    (note,) = made.build()["notes"]
    assert "gave 259 tokens of the 5,000" in note and load_tokenizer(made).vocab_size == 259


@pytest.mark.parametrize("texts", [[], [None, ""]])
def test_no_text_is_an_error(store: Store, texts: list[str | None]) -> None:
    with pytest.raises(TaskError, match="has no text to train on"):
        build(store, texts)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vocab_size": 257}, "the 256 bytes and 2 special tokens alone are 258"),
        ({"digits": -1}, "digits is -1; it must be 0 or more"),
        ({"sample_bytes": 0}, "sample_bytes is 0.0; it must be 1 or more"),
    ],
)
def test_what_cannot_be_asked_for(options: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        asked(**options).check()


def test_a_dataset_without_text_is_refused(store: Store) -> None:
    from tests.make_store import put

    put(store, "web/clean", {"": ("rows", [pa.table({"id": ["a"]})])})
    with pytest.raises(GristmillError, match="no column 'text' to train on; it has id"):
        run_step(asked(), store, executor=InProcess())


@pytest.mark.slow
def test_real_text_comes_back(store: Store, shared_data: Path) -> None:
    """Every text of the shared sets, in all their scripts."""
    import gzip
    import json

    texts = []
    for path in sorted((shared_data / "text").glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            texts += [json.loads(line)["text"][:4000] for line in lines]
    draw = np.random.default_rng(0)
    some = [texts[n] for n in draw.permutation(len(texts))[:600]]
    for pattern in ("gpt2", "llama3"):
        made = train(asked(vocab_size=3000, pattern=pattern), iter([some[:300]]))
        for text, encoding in zip(some, made.encode_batch_fast(some), strict=True):
            assert made.decode(encoding.ids) == text
