"""Tokenizers as datasets: files in, one loaded tokenizer with its special tokens out.

In: a dataset of kind `tokenizer`, or the files of a Hugging Face tokenizer. Out: `LoadedTokenizer`.
Shown by: `python -m mixtures.tokens.tokenizers STORE tokens/web.tokenizer`.
Limit: what the `tokenizers` library reads (`tokenizer.json`); no code of a model's repository runs.

Truncation and padding that a file asks for are switched off: they are a model's, not the data's.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from tokenizers import Tokenizer

from gristmill.errors import GristmillError, StoreError, nearest
from gristmill.ids import canonical_json
from gristmill.store import Dataset, Store

MAIN, CONFIG, SPECIAL_MAP = "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"
FILES = (MAIN, CONFIG, SPECIAL_MAP, "chat_template.jinja")  # what is read of a folder
SCHEMA = pa.schema([("file", pa.string()), ("content", pa.binary())])
ROLES = ("eos", "bos", "pad", "unk")
AUTO = "auto"  # find it in the tokenizer's own files

# What public tokenizers call them; asked only where their files do not say.
_USUAL = {
    "eos": (
        "<|endoftext|>",
        "<|end_of_text|>",
        "</s>",
        "<eos>",
        "<|eos|>",
        "[EOS]",
        "<｜end▁of▁sentence｜>",
    ),
    "bos": ("<|begin_of_text|>", "<s>", "<bos>", "<|bos|>", "[BOS]", "<｜begin▁of▁sentence｜>"),
    "pad": ("<pad>", "<|pad|>", "[PAD]", "<|padding|>", "<|finetune_right_pad_id|>"),
    "unk": ("<unk>", "<|unk|>", "[UNK]"),
}


@dataclass(frozen=True, slots=True)
class LoadedTokenizer:
    """A tokenizer that is ready to encode, and what a trainer must know of it."""

    tokenizer: Tokenizer
    vocab_size: int  # every id is below this
    eos: int | None
    bos: int | None
    pad: int | None
    unk: int | None

    @property
    def dtype(self) -> np.dtype[Any]:
        """Little-endian uint16 where the vocabulary fits, else uint32."""
        return np.dtype("<u2" if self.vocab_size <= 1 << 16 else "<u4")

    @property
    def padding(self) -> int:
        """What fills a row behind its last token: pad, else EOS, else 0. Labels mask it anyway."""
        return next((token for token in (self.pad, self.eos) if token is not None), 0)

    def decode(self, tokens: npt.ArrayLike) -> str:
        """Text of tokens, special ones left out."""
        return str(self.tokenizer.decode(np.asarray(tokens).tolist(), skip_special_tokens=True))


def load_tokenizer(dataset: Dataset) -> LoadedTokenizer:
    """The tokenizer of a dataset of kind `tokenizer` (`NAME.tokenizer`, or `train_tokenizer`'s)."""
    return from_files(tokenizer_files(dataset), dataset.ref)


def tokenizer_files(dataset: Dataset) -> dict[str, bytes]:
    """File name -> content, as `train_tokenizer` and `tokenize` stored them."""
    if dataset.manifest["kind"] != "tokenizer":
        raise StoreError(
            f"{dataset.ref} is a dataset of kind {dataset.manifest['kind']!r}, not a tokenizer; "
            "make one with `use: train_tokenizer`, or name a tokenizer.json"
        )
    table = dataset.to_table(["file", "content"])
    return dict(zip(table["file"].to_pylist(), table["content"].to_pylist(), strict=True))


def save_files(dataset: Dataset, folder: Path) -> list[Path]:
    """Write the files where a trainer wants them; `AutoTokenizer.from_pretrained` reads them."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for name, content in tokenizer_files(dataset).items():
        made.append(folder / Path(name).name)
        made[-1].write_bytes(content)
    return made


def from_files(files: Mapping[str, bytes], where: str) -> LoadedTokenizer:
    """Load settled files: the special tokens are what `tokenizer_config.json` says, no guess."""
    tokenizer = parse(files, where)
    tokens = _declared(files, where)
    ids = {role: _token_id(tokenizer, tokens.get(role), role, where) for role in ROLES}
    return LoadedTokenizer(tokenizer, vocab_size(tokenizer), **ids)


def settle(
    files: Mapping[str, bytes], asked: Mapping[str, str | None], where: str
) -> dict[str, bytes]:
    """The files to keep: `tokenizer.json` as it is, special tokens decided and written down.

    asked: role -> its token, None for none, "auto" (or no entry) to find it: in
    `tokenizer_config.json`, then `special_tokens_map.json`, then by its usual names among the
    special tokens; none where two could be meant. Raises GristmillError for a token that is not in
    the vocabulary.
    """
    tokenizer = parse(files, where)
    config = _object(files, CONFIG, where)
    found = _declared(files, where)
    special = special_tokens(tokenizer)
    for role in ROLES:
        wanted = asked.get(role, AUTO)
        if wanted == AUTO:
            wanted = found.get(role) or _usual(role, special)
        _token_id(tokenizer, wanted, role, where)
        config[f"{role}_token"] = wanted
    config.setdefault("tokenizer_class", "PreTrainedTokenizerFast")
    more = {name: files[name] for name in FILES if name in files and name != SPECIAL_MAP}
    return {**more, CONFIG: canonical_json(config).encode()}


def parse(files: Mapping[str, bytes], where: str) -> Tokenizer:
    """The tokenizer itself, or an error that says what the file is instead."""
    if MAIN not in files:
        raise GristmillError(
            f"{where}: no {MAIN} among {', '.join(sorted(files)) or 'its files'}; slow tokenizers "
            "(vocab.txt, tokenizer.model) must be saved by `transformers` in the fast form first"
        )
    _object(files, MAIN, where)
    try:
        tokenizer = Tokenizer.from_buffer(files[MAIN])
    except Exception as error:  # the library raises bare Exceptions
        raise GristmillError(
            f"{where}: {MAIN} is JSON, but not a tokenizer ({error}); name the tokenizer.json that "
            "`tokenizers` or `transformers` wrote"
        ) from None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    if vocab_size(tokenizer) == 0:
        raise GristmillError(f"{where}: {MAIN} has an empty vocabulary; train it first")
    return tokenizer


def vocab_size(tokenizer: Tokenizer) -> int:
    """The largest id and 1: ids may have gaps, and added tokens lie behind the model's."""
    return max(tokenizer.get_vocab(with_added_tokens=True).values(), default=-1) + 1


def special_tokens(tokenizer: Tokenizer) -> list[str]:
    """The added tokens that are marked as special."""
    return [t.content for t in tokenizer.get_added_tokens_decoder().values() if t.special]


def table_of(files: Mapping[str, bytes]) -> pa.Table:
    """Rows of kind `tokenizer`, `tokenizer.json` first."""
    names = sorted(files, key=lambda name: (name != MAIN, name))
    return pa.table([names, [files[name] for name in names]], SCHEMA)


def _declared(files: Mapping[str, bytes], where: str) -> dict[str, str]:
    """Role -> token, as the files beside tokenizer.json say."""
    found: dict[str, str] = {}
    for name in (CONFIG, SPECIAL_MAP):
        loaded = _object(files, name, where)
        for role in ROLES:
            token = loaded.get(f"{role}_token")
            token = token.get("content") if isinstance(token, dict) else token
            if isinstance(token, str) and token:
                found.setdefault(role, token)
    return found


def _usual(role: str, special: list[str]) -> str | None:
    """The one special token of a usual name; none where two could be meant."""
    names = [name for name in _USUAL[role] if name in special]
    return names[0] if len(names) == 1 else None


def _token_id(tokenizer: Tokenizer, token: str | None, role: str, where: str) -> int | None:
    if token is None:
        return None
    found: int | None = tokenizer.token_to_id(token)
    if found is None:
        special = [t.content for t in tokenizer.get_added_tokens_decoder().values()]
        raise GristmillError(
            f"{where}: {role} {token!r} is not in its vocabulary{nearest(token, special)}"
        )
    return found


def _object(files: Mapping[str, bytes], name: str, where: str) -> dict[str, Any]:
    """A JSON file as an object; empty where there is no such file."""
    if name not in files:
        return {}
    try:
        loaded = json.loads(files[name])
    except (ValueError, RecursionError) as error:
        raise GristmillError(f"{where}: {name} is not JSON ({error}); is it complete?") from None
    if not isinstance(loaded, dict):
        raise GristmillError(f"{where}: {name} holds {type(loaded).__name__}, not an object")
    return loaded


def main() -> None:
    """Print what a tokenizer dataset is."""
    loaded = load_tokenizer(Store(sys.argv[1])[sys.argv[2]])
    roles = ", ".join(f"{role} {getattr(loaded, role)}" for role in ROLES)
    print(f"{sys.argv[2]}: {loaded.vocab_size:,} tokens as {loaded.dtype}; {roles}")


if __name__ == "__main__":
    main()
