"""Chunk: one document into passages of bounded length, cut at paragraphs, then sentences.

In: an item with `text`. Out: an item a passage: `text` is the passage, `document` the whole.
Shown by: `gristmill run pipelines/recipes/synth/wrap.yaml`.
Limit: length is counted in words (runs of non-space), not in tokens of a model.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pyarrow as pa
from pydantic import Field

from synth.items import Item, Row
from synth.ops import SynthOp, register_op

_SENTENCE = re.compile(r"(?<=[.!?…。！？])\s+")
_PARAGRAPH = re.compile(r"[^\n]*\S[^\n]*")
_WORD = re.compile(r"\S+")


@register_op("chunk")
class Chunk(SynthOp):
    """Passages of at most `words` words; neighbours are joined while they fit."""

    words: int = Field(300, ge=1)
    min_words: int = Field(1, ge=0)  # shorter passages are filtered
    of: str = "text"
    keep: int | None = Field(None, ge=1)  # at most so many passages of a document, drawn at random
    into: str | None = None  # one item with the list of passages in this field, instead

    def fields(self) -> dict[str, pa.DataType]:
        return {"document": pa.string(), "chunk": pa.int64()}

    def plain(self, items: list[Item], row: Row) -> list[Item]:
        found = []
        for item in items:
            whole = item.fields.get(self.of) or ""
            passages = cut(whole, self.words)
            if self.into is not None:
                item.fields[self.into] = [p for p in passages if len(p.split()) >= self.min_words]
                found.append(item)
                continue
            numbers = list(range(len(passages)))
            if self.keep is not None and len(numbers) > self.keep:
                numbers = sorted(
                    sorted(numbers, key=lambda n: row.seed_for("chunk", n))[: self.keep]
                )
            for number in numbers:
                words = len(passages[number].split())
                if words < self.min_words:
                    row.filter("chunk", "chunk.min_words", words, self.min_words)
                    continue
                values = {self.of: passages[number], "document": whole, "chunk": number}
                found.append(item.child(number, **values))
            if not passages:
                row.filter("chunk", "chunk.empty")
        return found


def cut(text: str, words: int) -> list[str]:
    """Passages of at most `words` words, as they stand in the text; longer sentences are cut."""
    found: list[tuple[int, int]] = []
    count = 0
    for start, end, size in _pieces(text, words):
        if found and count + size <= words:
            found[-1] = (found[-1][0], end)
            count += size
        else:
            found.append((start, end))
            count = size
    return [text[start:end] for start, end in found]


def _pieces(text: str, words: int) -> Iterator[tuple[int, int, int]]:
    """Where paragraphs lie, or of longer ones sentences, or of longer ones some words; words."""
    for paragraph in _PARAGRAPH.finditer(text):
        size = len(paragraph[0].split())
        if size <= words:
            yield paragraph.start(), paragraph.end(), size
            continue
        start = paragraph.start()
        ends = [start + match.start() for match in _SENTENCE.finditer(paragraph[0])]
        for end in [*ends, paragraph.end()]:
            found = list(_WORD.finditer(text, start, end))
            for first in range(0, len(found), words):
                some = found[first : first + words]
                yield some[0].start(), some[-1].end(), len(some)
            start = end
