"""train_tokenizer: a byte-level BPE from a dataset's own text.

In: a dataset with a column text. Out: kind `tokenizer`: `tokenizer.json` and its config, which
`tokenize`, `tokenizers` and `transformers` read.
Shown by: `- {name: tok/bpe, use: train_tokenizer, from: web/final, vocab_size: 32000}`.
Limit: one task, with the threads of the library; memory grows with the different words of the
sample, about 1 GB for a `sample_bytes` of 2e9.

The same sample gives the same merges for any number of threads: the library breaks ties by token
ids, and its alphabet here is fixed (all 256 bytes).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field
from tokenizers import AddedToken, Regex, Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel, FixedLength, PreTokenizer, Sequence, Split
from tokenizers.trainers import BpeTrainer

from gristmill.errors import GristmillError, RecipeError
from gristmill.ids import canonical_json
from gristmill.rng import derive_seed, keyed_uniform
from gristmill.step import Output, Phase, Step, StepRun, Task, TaskContext
from gristmill.store import Dataset, Store
from mixtures.tokens.tokenizers import CONFIG, MAIN, ROLES, SCHEMA, table_of

LONGEST_WORD = 256  # characters; the trainer's time grows with the square of the longest word

# What is one word to the BPE: the published patterns, with the number of digits left open.
_GPT2 = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}DIGITS| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}DIGITS"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
PATTERNS = {"gpt2": (_GPT2, "+"), "llama3": (_LLAMA3, "{1,3}")}  # and its own rule for digits


class TrainTokenizer(Step):
    """Train a byte-level BPE."""

    VERSION: ClassVar[int] = 1

    from_: str = Field(alias="from")
    vocab_size: int = 32_000  # with bytes and special tokens
    pattern: Literal["gpt2", "llama3"] = "llama3"  # what splits text into words
    digits: int | None = None  # that a token may hold, 0: any number; null: the pattern's own
    eos: str | None = "<|endoftext|>"
    bos: str | None = None
    pad: str | None = "<|pad|>"
    special_tokens: tuple[str, ...] = ()  # more of them, such as those of a chat
    min_frequency: int = 2  # of a pair that is merged
    max_token_length: int | None = None  # bytes of a token
    sample_bytes: float = 1e9  # of text: documents are drawn by `seed` up to about this many
    seed: int = 0

    def inputs(self) -> list[str]:
        return [self.from_]

    def packages(self) -> list[str]:
        return ["tokenizers"]

    def outputs(self) -> dict[str, Output]:
        return {"": Output("tokenizer", "the trained tokenizer's files")}

    def check(self) -> None:
        least = 256 + len(special_of(self))
        if self.vocab_size < least:
            raise RecipeError(
                f"vocab_size {self.vocab_size}: the 256 bytes and {least - 256} special tokens "
                f"alone are {least}; ask for more"
            )
        for field, value, low in (
            ("digits", self.digits, 0),
            ("min_frequency", self.min_frequency, 1),
            ("max_token_length", self.max_token_length, 1),
            ("sample_bytes", self.sample_bytes, 1),
        ):
            if value is not None and value < low:
                raise RecipeError(f"{field} is {value}; it must be {low} or more")

    def phases(self, run: StepRun) -> Iterator[Phase]:
        self.check()
        dataset = run.inputs[self.from_]
        if "text" not in dataset.schema.names:
            names = ", ".join(dataset.schema.names)
            raise RecipeError(f"{dataset.ref} has no column 'text' to train on; it has {names}")
        size = max(1, min(dataset.manifest["totals"]["text_bytes"], int(self.sample_bytes)))
        args = {"step": self, "ref": dataset.ref}
        yield Phase("train", [Task("train", _train, args, size)])
        facts = run.records("train")[0].value
        run.facts.update(facts)
        if facts["vocab_size"] < self.vocab_size:
            run.note(
                f"the text gave {facts['vocab_size']:,} tokens of the {self.vocab_size:,} asked "
                f"for: no other pair occurs {self.min_frequency} times"
            )


def special_of(step: TrainTokenizer) -> list[str]:
    """Special tokens in the order of their ids."""
    named = [getattr(step, role, None) for role in ROLES]
    return list(dict.fromkeys(token for token in (*named, *step.special_tokens) if token))


def words(pattern: str, digits: int | None, longest: int | None = None) -> PreTokenizer:
    """The pre-tokeniser. longest: cut words beyond this many characters (in training only)."""
    text, own = PATTERNS[pattern]
    rule = own if digits is None else "+" if digits == 0 else f"{{1,{digits}}}"
    steps: list[PreTokenizer] = [Split(Regex(text.replace("DIGITS", rule)), "isolated")]
    if longest is not None:
        steps.append(FixedLength(length=longest))
    return Sequence([*steps, ByteLevel(add_prefix_space=False, use_regex=False)])


def train(step: TrainTokenizer, texts: Iterator[list[str]]) -> Tokenizer:
    """The tokenizer of these texts."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = words(step.pattern, step.digits, LONGEST_WORD)
    tokenizer.decoder = ByteLevelDecoder()
    special = special_of(step)
    trainer = BpeTrainer(
        vocab_size=step.vocab_size,
        min_frequency=step.min_frequency,
        special_tokens=[AddedToken(token, special=True, normalized=False) for token in special],
        initial_alphabet=sorted(ByteLevel.alphabet()),
        max_token_length=step.max_token_length,
        show_progress=False,
    )
    os.environ["TOKENIZERS_PARALLELISM"] = "true"  # no other task runs beside this one
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.pre_tokenizer = words(step.pattern, step.digits)
    return tokenizer


def files_of_trained(step: TrainTokenizer, tokenizer: Tokenizer) -> dict[str, bytes]:
    """`tokenizer.json` and the config that `transformers` reads beside it."""
    config: dict[str, Any] = {f"{role}_token": getattr(step, role, None) for role in ROLES}
    config |= {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,  # decoding gives the text, not a tidier one
    }
    return {MAIN: tokenizer.to_str(pretty=True).encode(), CONFIG: canonical_json(config).encode()}


def sample(
    dataset: Dataset, seed: int, limit: float, counts: dict[str, int]
) -> Iterator[list[str]]:
    """Texts of about `limit` bytes; whether a document is drawn depends on seed and row number."""
    share = limit / max(1, dataset.manifest["totals"]["text_bytes"])
    drawn_by = derive_seed(seed, "train_tokenizer")
    row = 0
    for batch in dataset.scan(["text"], 256):
        rows = np.arange(row, row + batch.num_rows)
        row += batch.num_rows
        texts = batch["text"]
        if share < 1:
            texts = texts.filter(pa.array(keyed_uniform(drawn_by, rows) < share))
        found = [text for text in texts.cast(pa.binary()).to_pylist() if text]
        counts["documents"] += len(found)
        counts["text_bytes"] += sum(map(len, found))
        yield [text.decode("utf-8", "replace") for text in found]


def _train(ctx: TaskContext, step: TrainTokenizer, ref: str) -> dict[str, Any]:
    dataset = Store(ctx.run.store)[ref]
    counts = {"documents": 0, "text_bytes": 0}

    def texts() -> Iterator[list[str]]:
        told = 0
        for drawn in sample(dataset, step.seed, step.sample_bytes, counts):
            yield drawn
            ctx.advance(counts["text_bytes"] - told)
            told = counts["text_bytes"]

    tokenizer = train(step, texts())
    if not counts["text_bytes"]:
        raise GristmillError(
            f"{ref} has no text to train on ({dataset.rows:,} rows drawn from, sample_bytes "
            f"{step.sample_bytes:g}); name documents with text, or a larger sample"
        )
    ctx.writer("", SCHEMA).write(table_of(files_of_trained(step, tokenizer)))
    return {"vocab_size": tokenizer.get_vocab_size(), **counts}
