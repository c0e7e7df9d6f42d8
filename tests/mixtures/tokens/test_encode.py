"""encode(): batches, long documents in pieces, and the frame of BOS and EOS, without a store."""

from __future__ import annotations

import random

import numpy as np
import pyarrow as pa
import pytest
from tokenizers import Tokenizer, normalizers
from tokenizers.pre_tokenizers import Metaspace

from mixtures.tokens import encode as module
from mixtures.tokens.encode import Encoder, encode, make_encoder
from mixtures.tokens.tokenizers import from_files, settle
from mixtures.tokens.train_tokenizer import words
from tests.mixtures.tiny_tokenizers import tiny_bpe, tiny_files


def encoder_of(
    tokenizer: Tokenizer, before: int | None = None, after: int | None = None
) -> Encoder:
    files = settle(tiny_files(tokenizer), {}, "t")
    return make_encoder(from_files(files, "t"), before, after, "text")


def bpe(pattern: str) -> Tokenizer:
    tokenizer = tiny_bpe([PAGE] * 3, 400)
    tokenizer.pre_tokenizer = words(pattern, None)
    return tokenizer


PAGE = (
    "The miller's sacks\nWeigh 20 tons.\n\n  def f(x):\n\treturn x\nχωρίς\n小麦粉\n麦\r\nend\n"
    "one\n2\n— dash\nword\n\n\nword \n word\n's\n"
)


@pytest.mark.parametrize("pattern", ["gpt2", "llama3"])
def test_pieces_of_a_long_document_leave_its_tokens_as_they_are(
    pattern: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = encoder_of(bpe(pattern))
    assert encoder.cuts
    draw = random.Random(0)
    lines = PAGE.splitlines(keepends=True)
    for size in (1, 7, 64):
        monkeypatch.setattr(module, "PIECE", size)
        text = "".join(draw.choices(lines, k=400))
        assert len(list(module._pieces(text))) > 1
        whole = encoder.loaded.tokenizer.encode(text, add_special_tokens=False).ids
        assert encode(encoder, pa.array([text, "x", text])).tokens.tolist() == [
            *whole, *encoder.loaded.tokenizer.encode("x").ids, *whole
        ]  # fmt: skip


def test_tokenizers_that_see_the_start_of_a_text_are_given_it_whole() -> None:
    space = tiny_bpe()
    space.pre_tokenizer = Metaspace()
    assert not encoder_of(space).cuts
    prepends = tiny_bpe()
    prepends.normalizer = normalizers.Prepend("_")
    assert not encoder_of(prepends).cuts


@pytest.mark.parametrize("batch", [1, 10, 1000])
@pytest.mark.parametrize(("before", "after"), [(None, None), (0, None), (None, 1), (0, 1)])
def test_frames_and_batches(
    batch: int, before: int | None, after: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BATCH", batch)
    encoder = encoder_of(tiny_bpe(), before, after)
    texts = ["rye", None, "", "the miller", "x" * 30, None]
    made = encode(encoder, pa.array(texts))
    ends = np.cumsum(made.counts)
    assert made.tokens.dtype == np.uint16
    for text, start, end in zip(texts, ends - made.counts, ends, strict=True):
        ids = encoder.loaded.tokenizer.encode(text).ids if text else []
        head, tail = [before] if before is not None else [], [after] if after is not None else []
        assert made.tokens[start:end].tolist() == ([*head, *ids, *tail] if ids else [])
    column = made.column()
    assert [len(value) for value in column.to_pylist()] == (2 * made.counts).tolist()
    assert b"".join(column.to_pylist()) == made.tokens.tobytes()
