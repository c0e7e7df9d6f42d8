"""Benches of tiny models that tests make: random weights, or weights that copy.

In: a seed. Out: a model folder with a byte-level tokenizer; a Bench over a model in memory.
Shown by: `python -m pytest tests/train/evaluate`. Limit: tokens are bytes, or pairs of letters.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from transformers import LlamaConfig, LlamaForCausalLM

from gristmill.store import Store
from synth.engines.rendering import load_rendering
from train.evaluate.bench import Bench, Machine

END = "<|end|>"
LONGEST = 256


def byte_tokenizer(merges: tuple[tuple[str, str], ...] = ()) -> Tokenizer:
    """Bytes, and such pairs of letters as `merges` joins."""
    letters = [*sorted(ByteLevel.alphabet()), *(a + b for a, b in merges)]
    made = Tokenizer(BPE({letter: n for n, letter in enumerate(letters)}, list(merges)))
    made.pre_tokenizer = ByteLevel(add_prefix_space=False, use_regex=False)
    made.decoder = ByteLevelDecoder()
    made.add_special_tokens([AddedToken(END, special=True)])
    return made


def save_tokenizer(folder: Path, tokenizer: Tokenizer, template: str | None = None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text(tokenizer.to_str())
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": END,
        "clean_up_tokenization_spaces": False,
        **({"chat_template": template} if template else {}),
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


def llama(vocab: int, seed: int = 0, **sizes: Any) -> LlamaForCausalLM:
    """Random weights, large enough to have opinions."""
    torch.manual_seed(seed)
    shape = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": LONGEST,
        "initializer_range": 0.2,
    }
    options = {"vocab_size": vocab, "bos_token_id": None, "eos_token_id": vocab - 1}
    return LlamaForCausalLM(LlamaConfig(**{**shape, **options, **sizes})).eval()


def save_model(folder: Path, seed: int = 0, merges: tuple[tuple[str, str], ...] = ()) -> str:
    """A model folder; its path as recipes write it."""
    tokenizer = byte_tokenizer(merges)
    llama(tokenizer.get_vocab_size(), seed).save_pretrained(folder)
    save_tokenizer(folder, tokenizer)
    return str(folder)


def bench(
    tmp: Path, model: Any = None, inputs: dict[str, str] | None = None, tokenizer: Any = None,
    batch_tokens: int = 512, template: str | None = None,
) -> Bench:  # fmt: skip
    """A bench over a model in memory; random weights by default."""
    made = tokenizer or byte_tokenizer()
    save_tokenizer(tmp / "tokenizer", made, template)
    rendering = load_rendering(tmp / "tokenizer", "tiny", LONGEST)
    chosen = model if model is not None else llama(made.get_vocab_size())
    return Bench(
        "./tiny", "tiny", "", chosen, rendering, Store(tmp / "store"), inputs or {}, 0,
        Machine(batch_tokens),
    )  # fmt: skip
