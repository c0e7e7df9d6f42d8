"""tokenize, over chats: what a template prints, as tokens of which the answers' are learnt.

In: rows of kind `chat`. Out: rows of kind `tokens` with `loss_mask`, a byte a token: 1 where it is
learnt. Shown by: `- {name: tokens/chat, use: tokenize, from: synth/chat, tokenizer: tok/bpe}`.
Limit: a chat without an answer, or that the template refuses, has no tokens; `.report` counts it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from gristmill.errors import RecipeError
from gristmill.step import TaskContext
from mixtures.tokens.chat import TEMPLATE, BadChat, Parts, chat_parts, open_chat_tokenizer
from mixtures.tokens.encode import Encoded
from mixtures.tokens.encode_chat import ChatEncoder, open_chat_encoder
from mixtures.tokens.read import read_rows
from mixtures.tokens.report import Account


@dataclass(frozen=True, slots=True)
class Chats:
    """What a worker keeps: the template's renderer and the encoder."""

    tokenizer: Any
    encoder: ChatEncoder
    dtype: np.dtype[Any]
    unknown: int | None


def open_chats(folder: str) -> Chats:
    """From settled files in a folder, the chat template among them."""
    files = {path.name: path.read_bytes() for path in Path(folder).iterdir()}
    tokenizer = open_chat_tokenizer(files)
    dtype = np.dtype("<u2" if len(tokenizer) <= 1 << 16 else "<u4")
    return Chats(tokenizer, open_chat_encoder(tokenizer), dtype, tokenizer.unk_token_id)


def with_template(files: dict[str, bytes], template: str | None) -> dict[str, bytes]:
    """The files with the chat template that is used: the file `template`, their own, or ours."""
    text = None if template is None else Path(template).expanduser().read_text()
    chosen: str = open_chat_tokenizer(files, text).chat_template
    return {**files, TEMPLATE: chosen.encode()}


def tokenize_chats(
    ctx: TaskContext, path: str, first: int, end: int, columns: list[str]
) -> dict[str, Any]:
    """Rows first..end of one shard."""
    chats: Chats = ctx.state
    writer = None
    account = Account()
    start = 0
    for batch in read_rows(path, first, end, ["id", "messages", *columns]):
        made, mask, text = _encode(chats, batch["id"].to_pylist(), batch["messages"].to_pylist())
        counts = made.counts.astype(np.int64)
        starts = start + np.cumsum(counts) - counts
        start += int(counts.sum())
        arrays = [batch["id"], pa.array(starts), pa.array(made.counts), made.column(), mask]
        names = ["id", "start", "count", "tokens", "loss_mask", *columns]
        table = pa.table([*arrays, *(batch[name] for name in columns)], names)
        writer = writer or ctx.writer("", table.schema)
        writer.write(table)
        source = batch["source"] if "source" in columns else None
        account.add(source, text, made, chats.unknown)
        ctx.advance(batch.num_rows)
    return {"sources": account.value()}


def _encode(
    chats: Chats, ids: Sequence[str], messages: Sequence[Any]
) -> tuple[Encoded, pa.Array, pa.Array]:
    """Tokens of each chat, its mask, and its text."""
    parts = [_parts(chats, row, turns) for row, turns in zip(ids, messages, strict=True)]
    encoded = chats.encoder.encode(parts)
    kept = [made if any(made.learnt[1:]) else None for made in encoded]
    counts = np.array([len(made.ids) if made else 0 for made in kept], np.int32)
    tokens = np.array([n for made in kept if made for n in made.ids], chats.dtype)
    mask = [bytes(made.learnt) if made else b"" for made in kept]
    text = pa.array(["".join(piece for piece, _ in chat) for chat in parts], pa.string())
    return Encoded(tokens, counts, np.zeros(len(kept), bool)), pa.array(mask, pa.binary()), text


def _parts(chats: Chats, row: str, turns: Any) -> Parts:
    if not turns or any(turn["role"] is None or turn["content"] is None for turn in turns):
        return []
    try:
        return chat_parts(chats.tokenizer, turns)
    except BadChat:
        return []
    except RecipeError as error:
        raise RecipeError(f"chat {row}: {error}") from None
