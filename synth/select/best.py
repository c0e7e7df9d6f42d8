"""Select best: of a row's items the n with the highest score, or those of the majority's answer.

In: the items of a row, of one engine or of a committee. Out: at most n of them (of each group).
Shown by: `gristmill run pipelines/recipes/synth/committee.yaml`.
Limit: answers are compared as normalised text and numbers, not as mathematics.

Best of n is Llama 2's and 3's rejection sampling; over a committee of engines it is iTeC's argmax
by prompt. `vote` is self-consistency (Wang et al. 2022, arXiv:2203.11171): the most frequent answer
wins; its items go on with the part of the votes that it had, in `agreement`.
"""

from __future__ import annotations

import re
from typing import Any

import pyarrow as pa
from pydantic import Field, model_validator

from synth.items import Item, Row
from synth.ops import SynthOp, register_op
from synth.values import number_of

_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")


@register_op("select.best")
class Best(SynthOp):
    """The n best by a field; ties go to the earlier sample."""

    by: str | None = None  # a field with a number; needed unless `vote` is given
    n: int | None = Field(None, ge=1)  # default: 1 with `by`, all of the winners without
    lowest: bool = False  # the lowest values are the best
    group_by: str | None = None  # n of each value of this field
    vote: str | None = None  # a field with an answer: only items with the most frequent one go on

    @model_validator(mode="after")
    def _something(self) -> Best:
        if self.by is None and self.vote is None:
            raise ValueError("best needs `by`, a field with a score, or `vote`, one with an answer")
        return self

    def fields(self) -> dict[str, pa.DataType]:
        return {} if self.vote is None else {"agreement": pa.float64()}

    def plain(self, items: list[Item], row: Row) -> list[Item]:
        groups: dict[Any, list[Item]] = {}
        for item in items:
            key = None if self.group_by is None else str(item.fields.get(self.group_by))
            groups.setdefault(key, []).append(item)
        chosen = [item for group in groups.values() for item in self._chosen(group, row)]
        places = {id(item): number for number, item in enumerate(items)}
        return sorted(chosen, key=lambda item: places[id(item)])

    def _chosen(self, items: list[Item], row: Row) -> list[Item]:
        if self.vote is not None:
            items = self._winners(items, self.vote, row)
        if self.by is None:
            scored = [(0.0, item) for item in items]
        else:
            values = [(number_of(item, self.by, row, self.NAME), item) for item in items]
            scored = [(value, item) for value, item in values if value is not None]
        sign = 1 if self.lowest else -1
        scored.sort(key=lambda pair: (sign * pair[0], pair[1].path))
        n = self.n or (len(scored) if self.by is None else 1)
        for value, _ in scored[n:]:
            row.filter(self.NAME, f"best.{self.by or 'n'}", value, scored[n - 1][0])
        return [item for _, item in scored[:n]]

    def _winners(self, items: list[Item], field: str, row: Row) -> list[Item]:
        votes: dict[str, list[Item]] = {}
        for item in items:
            answer = item.fields.get(field)
            if answer is None:
                row.fail(self.NAME, "missing", f"field {field!r} is {answer!r}")
                continue
            votes.setdefault(normal(answer), []).append(item)
        total = sum(map(len, votes.values()))
        ranked = sorted(
            votes.values(), key=lambda voters: (-len(voters), min(i.path for i in voters))
        )
        for losers in ranked[1:]:
            for _ in losers:
                row.filter(self.NAME, f"vote.{field}", len(losers) / total, len(ranked[0]) / total)
        for item in ranked[0] if ranked else []:
            item.fields["agreement"] = len(ranked[0]) / total
        return ranked[0] if ranked else []


def normal(answer: Any) -> str:
    """What counts as the same answer: 12, 12.0, " 12" and "12."; "Paris" and "paris"."""
    text = " ".join(str(answer).split()).casefold().rstrip(".")
    try:
        number = float(_THOUSANDS.sub("", text).removeprefix("$"))
    except ValueError:
        return text
    return str(int(number)) if number.is_integer() else repr(number)
