"""Score near: how much a text repeats its source, earlier texts in a field, or its siblings.

In: a text field; a field with one text or a list of them, or the row's other items. Out: the
highest similarity (0 to 1) in `near`. Shown by: `gristmill run pipelines/recipes/synth/wrap.yaml`.
Limit: one row at a time; the step `minhash_dedup` compares all generations of a dataset.

jaccard: of the word shingles of both, the part that both have. containment: of the item's
shingles, the part that the other has too (1: it was copied out of it). rouge_l: F-measure of the
longest common subsequence of words; Self-Instruct (Wang et al. 2023, section 2.2) takes a new
instruction only where it is below 0.7 with every earlier one: `pass: {near: {below: 0.7}}`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field, model_validator

from gristmill.text.lcs import rouge_l, word_hashes
from gristmill.text.shingles import DEFAULT_NGRAM, shingle_sets
from synth.items import Item, Row
from synth.ops import SynthOp, register_op
from synth.values import text_array, text_of

U64 = npt.NDArray[np.uint64]
Measure = Literal["jaccard", "containment", "rouge_l"]


@register_op("score.near")
class Near(SynthOp):
    """The highest similarity of an item to what came before it."""

    of: str = "response"
    to: str | None = "text"  # a field with a text or a list of texts; null: siblings alone
    siblings: bool = False  # also the row's items before it: of two copies the later one is near
    measure: Measure = "jaccard"
    ngram: int = Field(DEFAULT_NGRAM, ge=1)  # words of a shingle; rouge_l has none
    into: str = "near"

    @model_validator(mode="after")
    def _something(self) -> Near:
        if self.to is None and not self.siblings:
            raise ValueError(
                "near compares with nothing: name a field as `to`, or `siblings: true`"
            )
        return self

    def fields(self) -> dict[str, pa.DataType]:
        return {self.into: pa.float64()}

    def plain(self, items: list[Item], row: Row) -> list[Item]:
        kept: list[Item] = []
        texts: list[str] = []
        others: list[range] = []  # of each item, where the texts of `to` stand
        places: dict[int, range] = {}  # items of a row share their source's texts
        for item in items:
            text = text_of(item, self.of, row, self.NAME)
            if text is None:
                continue
            given = self._given(item, row)
            if given is None:
                continue
            value = id(item.fields.get(self.to or ""))
            if value not in places:
                places[value] = range(len(texts), len(texts) + len(given))
                texts += given
            others.append(places[value])
            kept.append(item)
        own = len(texts)
        texts += [item.fields[self.of] for item in kept]
        words = self._words(text_array(texts))
        for number, (item, at) in enumerate(zip(kept, others, strict=True)):
            before = range(own, own + number) if self.siblings else range(0)
            mine = words[own + number]
            item.fields[self.into] = max(
                (self._measured(mine, words[k]) for k in (*at, *before)), default=0.0
            )
        return kept

    def _given(self, item: Item, row: Row) -> Sequence[str] | None:
        """The texts of the field `to`; None after a failure was noted."""
        if self.to is None:
            return ()
        value: Any = item.fields.get(self.to)
        if isinstance(value, list | tuple) and all(isinstance(entry, str) for entry in value):
            return value
        text = text_of(item, self.to, row, self.NAME)
        return None if text is None else (text,)

    def _words(self, texts: pa.Array) -> list[U64]:
        if self.measure == "rouge_l":
            return word_hashes(texts)
        values, bounds = shingle_sets(texts, self.ngram)
        return [values[a:b] for a, b in pairwise(bounds)]

    def _measured(self, item: U64, other: U64) -> float:
        if self.measure == "rouge_l":
            return rouge_l(item, other)
        if not len(item) or not len(other):
            return 0.0
        common = len(np.intersect1d(item, other, assume_unique=True))
        whole = len(item) if self.measure == "containment" else len(item) + len(other) - common
        return common / whole
