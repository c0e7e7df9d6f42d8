"""Text into tokens, batch after batch: the `tokenizers` library's rate, ids as arrays.

In: an Arrow column of text. Out: one flat array of ids and how many of them each document has.
Shown by: `python -m bench.tokenizing`.
Limit: the library takes about 140 bytes of memory a byte of text; a document of 16 MiB without a
line that begins behind a letter is encoded whole, in 2.2 GB.

One process is one thread: N workers then scale without the locks that the library's own threads
share. Chat rows will need their own function of this shape, which also makes the loss mask.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from gristmill.errors import GristmillError
from mixtures.tokens.tokenizers import LoadedTokenizer, from_files

BATCH = 1 << 19  # characters encoded at once: what the library holds of them fits into 100 MB
CACHED_WORDS = 1 << 17  # some 20 MB; the library's own 10,000 are full after a few megabytes
PIECE = 1 << 20  # characters; longer documents are encoded in pieces where that changes nothing

Special = Literal["text", "token"]


@dataclass(frozen=True, slots=True)
class Encoder:
    """A tokenizer and what stands around each document."""

    loaded: LoadedTokenizer
    before: int | None  # BOS
    after: int | None  # EOS
    cuts: bool  # whether cutting between a letter and a line break leaves the tokens as they are


@dataclass(frozen=True, slots=True)
class Encoded:
    """Documents as tokens: `tokens` one after another, `counts` of them each."""

    tokens: npt.NDArray[Any]  # uint16 or uint32
    counts: npt.NDArray[np.int32]
    replaced: npt.NDArray[np.bool_]  # not UTF-8: broken bytes became U+FFFD

    def column(self) -> pa.Array:
        """Binary, one value a document, over the memory of `tokens`."""
        offsets = np.concatenate(([0], np.cumsum(self.counts, dtype=np.int64)))
        offsets = (offsets * self.tokens.itemsize).astype(np.int32)
        buffers = [None, pa.py_buffer(offsets), pa.py_buffer(self.tokens)]
        return pa.Array.from_buffers(pa.binary(), len(self.counts), buffers)


def open_encoder(folder: str, before: int | None, after: int | None, special: Special) -> Encoder:
    """The encoder of a worker, from settled files in a folder."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # the library looks at every call
    files = {path.name: path.read_bytes() for path in Path(folder).iterdir()}
    return make_encoder(from_files(files, folder), before, after, special)


def make_encoder(
    loaded: LoadedTokenizer, before: int | None, after: int | None, special: Special
) -> Encoder:
    """special: what the name of a special token that stands in a document becomes."""
    loaded.tokenizer.encode_special_tokens = special == "text"
    # Of BPE and Unigram models, and not part of what the library promises.
    if (resize := getattr(loaded.tokenizer.model, "_resize_cache", None)) is not None:
        resize(CACHED_WORDS)
    return Encoder(loaded, before, after, _cuts(loaded))


def encode(encoder: Encoder, texts: pa.Array) -> Encoded:
    """Tokens of each text; null and empty ones, and texts without any token, have none at all."""
    strings, replaced = _strings(texts)
    ids, lengths, owners = array("I"), array("I"), array("I")
    for batch, batch_owners in _batches(strings, encoder.cuts):
        for encoding in _encode(encoder, batch):
            ids.fromlist(encoding.ids)
            lengths.append(len(encoding))
        owners.extend(batch_owners)
    flat = np.frombuffer(ids, np.uint32)
    size = encoder.loaded.vocab_size
    if flat.size and int(flat.max()) >= size:
        raise GristmillError(
            f"the tokenizer gave token {int(flat.max())}, outside its vocabulary of {size}; "
            "its tokenizer.json contradicts itself: save it again"
        )
    counts = np.zeros(len(strings), np.int64)
    np.add.at(counts, np.frombuffer(owners, np.uint32), np.frombuffer(lengths, np.uint32))
    return Encoded(*_framed(encoder, flat, counts), replaced)


def _framed(
    encoder: Encoder, flat: npt.NDArray[np.uint32], counts: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[Any], npt.NDArray[np.int32]]:
    """BOS before and EOS behind the tokens of each document that has any."""
    some = counts > 0
    extra = (encoder.before is not None) + (encoder.after is not None)
    framed = counts + some * extra
    out = np.empty(int(framed.sum()), encoder.loaded.dtype)
    ends = np.cumsum(framed)[some]
    text = np.ones(len(out), bool)
    for token, places in ((encoder.before, ends - framed[some]), (encoder.after, ends - 1)):
        if token is not None:
            out[places] = token
            text[places] = False
    out[text] = flat
    return out, framed.astype(np.int32)


def _encode(encoder: Encoder, texts: list[str]) -> list[Any]:
    call = encoder.loaded.tokenizer.encode_batch_fast
    try:
        found: list[Any] = call(texts, add_special_tokens=False)
        return found
    except BaseException as error:
        if not _is_failure(error):
            raise
    for text in texts:
        try:
            call([text], add_special_tokens=False)
        except BaseException as error:
            if not _is_failure(error):
                raise
            raise GristmillError(
                f"the tokenizer fails on the text that begins {text[:60]!r}: {error}; "
                "one without an unknown token cannot take every text"
            ) from None
    raise GristmillError(f"the tokenizer fails on {len(texts)} texts at once, and on none alone")


def _is_failure(error: BaseException) -> bool:
    """The library's panics are no Exceptions; they would end the worker."""
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


def _strings(texts: pa.Array) -> tuple[list[str | None], npt.NDArray[np.bool_]]:
    """Python strings, and which of them had bytes that are not UTF-8 (lone surrogates, mostly)."""
    try:
        return texts.to_pylist(), np.zeros(len(texts), bool)
    except UnicodeDecodeError:
        raw = pc.cast(texts, pa.binary()).to_pylist()
    strings = [None if value is None else value.decode("utf-8", "replace") for value in raw]
    pairs = zip(raw, strings, strict=True)
    return strings, np.array([text is not None and text.encode() != raw for raw, text in pairs])


def _batches(strings: Iterable[str | None], cuts: bool) -> Iterator[tuple[list[str], list[int]]]:
    """Pieces of texts, at least one and about BATCH characters at a time, and whose they are."""
    pieces: list[str] = []
    owners: list[int] = []
    size = 0
    for owner, text in enumerate(strings):
        if not text:
            continue
        for piece in _pieces(text) if cuts and len(text) > PIECE else (text,):
            if size + len(piece) > BATCH and pieces:
                yield pieces, owners
                pieces, owners, size = [], [], 0
            pieces.append(piece)
            owners.append(owner)
            size += len(piece)
    if pieces:
        yield pieces, owners


def _pieces(text: str) -> Iterator[str]:
    """The text in pieces of about PIECE characters, cut where a line ends with a letter."""
    start = 0
    while len(text) - start > PIECE:
        cut = text.find("\n", start + PIECE)
        while 0 < cut < len(text) - 1 and not (text[cut - 1].isalpha() and _begins(text[cut + 1])):
            cut = text.find("\n", cut + 1)
        if not 0 < cut < len(text) - 1:
            break
        yield text[start:cut]
        start = cut
    yield text[start:]


def _begins(character: str) -> bool:
    return character.isalpha() or character.isdecimal()


_ENDS = ("word", "Word", "WORD", "it's", "x" * 40, "λόγος", "слово", "麦", "12b", "“quote", "(a")
_STARTS = ("word", "Word", "WORD", "1", "2024", "s", "ll", "слово", "麦", "x" * 40)


def _cuts(loaded: LoadedTokenizer) -> bool:
    """Whether this tokenizer sees a line break behind a letter as a border, tried on samples.

    Byte-level BPE with the usual splitting patterns does; what prepends a space to its input, or
    lets tokens run over lines, does not.
    """

    def ids(text: str) -> list[int]:
        found: list[int] = loaded.tokenizer.encode(text, add_special_tokens=False).ids
        return found

    try:
        return all(
            ids(f"a {end}\n{start} b") == ids(f"a {end}") + ids(f"\n{start} b")
            for end in _ENDS
            for start in _STARTS
        )
    except Exception:  # a tokenizer without an unknown token, and not of these letters
        return False
