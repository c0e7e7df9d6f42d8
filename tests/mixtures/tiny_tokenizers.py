"""Tokenizers that tests train themselves, as files and as datasets of a store."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from tokenizers import AddedToken, Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer

from gristmill.store import Dataset, Store
from mixtures.tokens.tokenizers import CONFIG, MAIN, settle, table_of
from tests.make_store import put

WORDS = ["the miller grinds rye and wheat", "flour goes out weighed", "Grain number 12, 345."]


def tiny_bpe(
    texts: Sequence[str] = WORDS,
    vocab_size: int = 300,
    special: Sequence[str] = ("<|endoftext|>", "<|pad|>"),
) -> Tokenizer:
    """A byte-level BPE; its first ids are the special tokens."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.decoder = ByteLevelDecoder()
    trainer = BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[AddedToken(token, special=True, normalized=False) for token in special],
        initial_alphabet=ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def tiny_files(tokenizer: Tokenizer | None = None, **config: object) -> dict[str, bytes]:
    """The files of a Hugging Face folder; `config` goes into tokenizer_config.json."""
    files = {MAIN: (tokenizer or tiny_bpe()).to_str().encode()}
    return {**files, CONFIG: json.dumps(config).encode()} if config else files


def write_tokenizer(folder: Path, tokenizer: Tokenizer | None = None, **config: object) -> Path:
    """A Hugging Face folder on disk."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in tiny_files(tokenizer, **config).items():
        (folder / name).write_bytes(content)
    return folder


def put_tokenizer(
    store: Store, name: str = "tok/tiny", tokenizer: Tokenizer | None = None, **config: object
) -> Dataset:
    """A tokenizer dataset, special tokens settled."""
    files = settle(tiny_files(tokenizer, **config), {}, name)
    return put(store, name, {"": ("tokenizer", [table_of(files)])})
