"""Bytes that each token of a vocabulary spells.

In: a tokenizer. Out: int64[vocabulary], 0 for special tokens; None where tokens alone do not tell.
Shown by: the metric bits_per_byte of a mixture. Limit: byte-level BPE, and SentencePiece's pieces
with or without byte fallback; a WordPiece token's spaces depend on its neighbours.
"""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

_BYTE = re.compile(r"<0x[0-9A-F]{2}>")
SPACE = "▁"  # what SentencePiece writes for a space


def token_bytes(tokenizer: Any) -> NDArray[np.int64] | None:
    """Sizes by token id."""
    found = json.loads(tokenizer.to_str()).get("decoder") or {}
    kinds = {one.get("type") for one in (found, *found.get("decoders", ()))}
    level = "ByteLevel" in kinds
    if not level and not kinds & {"Metaspace", "ByteFallback"}:
        return None
    added = tokenizer.get_added_tokens_decoder()
    vocabulary = tokenizer.get_vocab(with_added_tokens=True)
    sizes = np.zeros(max(vocabulary.values(), default=-1) + 1, np.int64)
    for token, number in vocabulary.items():
        if number in added:
            sizes[number] = 0 if added[number].special else len(token.encode())
        elif level:
            sizes[number] = len(token)  # a character for each byte
        elif _BYTE.fullmatch(token):
            sizes[number] = 1
        else:
            sizes[number] = len(token.replace(SPACE, " ").encode())
    return sizes
