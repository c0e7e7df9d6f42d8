"""Rows into sequences of token ids, with an account of what could not be learnt from.

In: a stage's Shape, a tokenizer, batches of rows. Out: examples for train.data.prepared, and what
was dropped, by reason. Shown by: `python -m pytest tests/train/data/test_prepare.py`.
Limit: a row that gives two examples (KTO of pairs) counts as used when one of them is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from gristmill.errors import RecipeError
from mixtures.tokens.chat import BadChat, Parts
from mixtures.tokens.encode_chat import ChatEncoder, Tokens
from train.data.prepared import Tokenised, Writer
from train.data.shapes import OTHER, BadRow, Row, Shape
from train.data.teacher import tokenised
from train.spec import Rows

Pair = tuple[Row, Row]  # a row and the one after it
Example = tuple[list[Tokenised], Row]  # sequences, and the row with its numbers
NOT_DROPPED = ("in", "cut")  # of an account


@dataclass(slots=True)
class RowEncoder:
    """A tokenizer and the account."""

    spec: Rows
    tokenizer: Any  # transformers', None for a teacher's rows
    encoder: ChatEncoder | None
    top: int  # a teacher's tokens a place
    account: Counter[str] = field(default_factory=lambda: Counter({"in": 0, "cut": 0}))
    ends: set[int] = field(default_factory=set)
    endless: int = 0  # answers that no special token ends
    said: str = ""  # by a template that refused a row

    def write(self, writer: Writer, shape: Shape, rows: list[Pair]) -> None:
        """Tokenise a batch, drop what cannot be learnt from, write the rest."""
        kept = list(self._taught(rows) if shape.teacher else self._read(shape, rows))
        if not kept:
            return
        numbers = [[_number(row[name]) for name in shape.numbers] for _, row in kept]
        names = ("id", *shape.texts)
        values = [pa.array([row.get(n) for _, row in kept], pa.string()) for n in names]
        shaped = np.array(numbers, np.float64).reshape(len(kept), len(shape.numbers))
        writer.add([found for found, _ in kept], shaped, pa.record_batch(values, list(names)))

    def _read(self, shape: Shape, rows: list[Pair]) -> Iterator[Example]:
        made = [self._parts(shape, row, after) for row, after in rows]
        chats = [chat for examples in made for parts, _ in examples for chat in parts]
        encoded = iter(self._encode(chats, shape.whole))
        for examples in made:
            kept, reason = 0, None
            for parts, row in examples:
                found = [
                    self._fitted(next(encoded), name) for name in shape.sequences[: len(parts)]
                ]
                reason = self._refused(shape, found)
                if reason is None:
                    kept += 1
                    yield found, row
            if examples and not kept:
                self.account[str(reason)] += 1

    def _parts(self, shape: Shape, row: Row, after: Row) -> list[tuple[list[Parts], Row]]:
        """A row's examples as text; none, and counted, where it is refused."""
        try:
            found = shape.parts(self.tokenizer, row, after)
            if any(filled[name] is None for _, filled in found for name in shape.needed):
                raise BadRow("null")
        except BadRow as error:
            self.account[str(error)] += 1
        except BadChat as error:
            self.account["template"] += 1
            self.said = self.said or str(error)
        except RecipeError as error:
            raise RecipeError(f"row {row['id']}: {error}") from None
        else:
            return found
        return []

    def _encode(self, chats: list[Parts], whole: bool) -> list[Tokens]:
        if not chats:
            return []
        assert self.encoder is not None
        return self.encoder.whole(chats) if whole else self.encoder.encode(chats)

    def _fitted(self, tokens: Tokens, name: str) -> Tokenised:
        """Cut where that is asked for; how answers end is remembered."""
        assert self.encoder is not None
        longest = self.spec.max_length
        foreign = name == OTHER  # measures, and is not learnt: its end may go
        if len(tokens.ids) > longest and (self.spec.too_long == "cut" or foreign):
            self.account["cut"] += not foreign
            return Tokenised(tokens.ids[:longest], tokens.learnt[:longest])
        if any(tokens.learnt):
            last = len(tokens.ids) - 1 - tokens.learnt[::-1].index(True)
            if tokens.ids[last] in self.encoder.special:
                self.ends.add(tokens.ids[last])
            else:
                self.endless += 1
        return Tokenised(tokens.ids, tokens.learnt)

    def _refused(self, shape: Shape, found: list[Tokenised]) -> str | None:
        """Why an example cannot be learnt from."""
        there = [one for one in found if one.ids]
        if any(len(one.ids) > self.spec.max_length for one in there):
            return "too long"
        if shape.learnt and not all(any(one.learnt[1:]) for one in there):
            return "no answer"
        if OTHER not in shape.sequences and len({tuple(one.ids) for one in there}) < len(there):
            return "equal"
        return None

    def _taught(self, rows: list[Pair]) -> Iterator[Example]:
        for row, _ in rows:
            found = tokenised(row, self.top, self.spec)
            if isinstance(found, str):
                self.account[found] += 1
                continue
            self.account["cut"] += len(row["input_ids"]) > len(found.ids)
            yield [found], row


def told(counts: Counter[str], said: str) -> str:
    """The account for people: `12 too long, 3 equal`; said: by a template that refused a row."""
    named = [(name, n) for name, n in counts.most_common() if n and name != "in"]
    tail = f" (the template: {said})" if said else ""
    return ", ".join(f"{n:,} {name}" for name, n in named) + tail


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)
