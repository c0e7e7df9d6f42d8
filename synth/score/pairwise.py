"""Score pairwise: which of two texts a judge prefers, asked in both orders.

In: two fields of an item, or one field of a row's items, two by two. Out: `preferred`: the name of
the better field, or "tie"; of items a Bradley-Terry or win-rate score in `pairwise`.
Shown by: `python -m pytest tests/synth/score/test_score_pairwise.py`.
Limit: k items cost k (k - 1) calls; for more than ten use `score: judge` or a reward model.

The prompt reads `first` and `second` and what both texts have in common. A judge that prefers the
same place in both orders prefers neither: a tie (Zheng et al. 2023, section 3.4).
"""

from __future__ import annotations

import re
from itertools import combinations
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import model_validator

from synth.calls import Call, Failure, Generate
from synth.items import Item, Row
from synth.ops import Running, register_op
from synth.score.asking import Asking, said, unread
from synth.templates import RenderError
from synth.values import text_of

PATTERN = (
    r"\b(?:better|winner|verdict|preferred)\b[\s*_\"'`]*(?:[:=]|\bis\b)[\s*_\"'`(]*(A|B|tie)\b"
)
TIE = "tie"
Result = float | Failure  # of the first of a pair: 1 won, 0 lost, 0.5 a tie


@register_op("score.pairwise")
class Pairwise(Asking):
    """Compare texts two by two, in both orders."""

    prompt: str = "compare"
    of: str = "response"  # the field compared between the items of a row
    between: tuple[str, str] | None = None  # instead: two fields of each item
    engine: str = "main"
    method: Literal["bradley_terry", "win_rate"] = "bradley_terry"
    pattern: str = PATTERN  # its last match counts: A, B or tie
    on_failure: Literal["fail", "null"] = "fail"
    into: str | None = None  # default: `preferred` of two fields, `pairwise` of items

    @model_validator(mode="after")
    def _sound(self) -> Pairwise:
        try:
            groups = re.compile(self.pattern).groups
        except re.error as error:
            raise ValueError(f"pairwise.pattern is {self.pattern!r}: {error}") from None
        if groups != 1:
            raise ValueError(f"pairwise.pattern has {groups} groups; the one is A, B or tie")
        if self.between is not None and self.between[0] == self.between[1]:
            raise ValueError(f"pairwise.between names {self.between[0]!r} twice; name two fields")
        return self

    @property
    def name(self) -> str:
        """The field that it adds."""
        return self.into or ("pairwise" if self.between is None else "preferred")

    def engines(self) -> list[str]:
        return [self.engine]

    def fields(self) -> dict[str, pa.DataType]:
        kind = pa.float64() if self.between is None else pa.string()
        return {self.name: kind, f"{self.name}_failed": pa.string()}

    def run(self, items: list[Item], row: Row) -> Running:
        names = self.between or (self.of,)
        asked = [
            item
            for item in items
            if all(text_of(item, name, row, self.NAME) is not None for name in names)
        ]
        calls: list[Generate] = []
        for one, other in self._pairs(asked):
            try:
                calls += self._calls(one, other, row)
            except RenderError as error:
                if one is not other:  # it lies in what the items of the row share
                    for _ in asked:
                        row.fail(self.NAME, error.reason, str(error))
                    return []
                row.fail(self.NAME, error.reason, str(error))
                asked = [item for item in asked if item is not one]
        answers = []
        if calls:
            sent: list[Call] = [*calls]
            answers = yield sent
        read = [
            self._read(said(row, self.name, call, answer))
            for call, answer in zip(calls, answers, strict=True)
        ]
        results = [_both(a, b) for a, b in zip(read[::2], read[1::2], strict=True)]
        if self.between is None:
            return self._scored(asked, results, row)
        first, second = self.between
        kept = []
        for item, result in zip(asked, results, strict=True):
            if isinstance(result, Failure):
                if self._failed(item, [result], row):
                    kept.append(item)
                continue
            item.fields[self.name] = {1.0: first, 0.0: second}.get(result, TIE)
            item.fields[f"{self.name}_failed"] = None
            kept.append(item)
        return kept

    def _pairs(self, items: list[Item]) -> list[tuple[Item, Item]]:
        if self.between is not None:
            return [(item, item) for item in items]
        return list(combinations(items, 2))

    def _calls(self, one: Item, other: Item, row: Row) -> list[Generate]:
        """The two orders of one pair."""
        names = self.between or (self.of, self.of)
        texts = [one.fields[names[0]], other.fields[names[1]]]
        shared = one.fields
        if one is not other:
            gone = object()
            shared = {k: v for k, v in shared.items() if other.fields.get(k, gone) == v}
        places: tuple[str | int, ...] = (*one.path, "and", *other.path)
        return [
            self.call(
                self.engine,
                {**shared, "first": texts[order], "second": texts[1 - order]},
                row.seed_for(self.name, self.engine, *places, order),
            )
            for order in (0, 1)
        ]

    def _read(self, text: str | Failure) -> Result:
        """1 where the text shown first is better, 0 where the second is."""
        if isinstance(text, Failure):
            return text
        found = re.findall(self.pattern, text, re.IGNORECASE)
        said_last = found[-1].casefold() if found else ""
        if said_last not in ("a", "b", TIE):
            return unread(text, "verdict")
        return {"a": 1.0, "b": 0.0, TIE: 0.5}[said_last]

    def _scored(self, items: list[Item], results: list[Result], row: Row) -> list[Item]:
        wins = np.zeros((len(items), len(items)))
        failures: list[list[Failure]] = [[] for _ in items]
        for (i, j), result in zip(combinations(range(len(items)), 2), results, strict=True):
            if isinstance(result, Failure):
                failures[i].append(result)
                failures[j].append(result)
            else:
                wins[i, j], wins[j, i] = result, 1 - result
        method = bradley_terry if self.method == "bradley_terry" else win_rate
        kept = []
        for item, score, failed in zip(items, method(wins).tolist(), failures, strict=True):
            if failed and len(failed) == len(items) - 1:
                if self._failed(item, failed, row):
                    kept.append(item)
                continue
            item.fields[self.name] = round(score, 6)
            item.fields[f"{self.name}_failed"] = ", ".join(f.reason for f in failed) or None
            kept.append(item)
        return kept

    def _failed(self, item: Item, failures: list[Failure], row: Row) -> bool:
        """True where the item goes on without a value."""
        if self.on_failure == "fail":
            row.fail(self.NAME, failures[0].reason, failures[0].detail)
            return False
        item.fields[self.name] = None
        item.fields[f"{self.name}_failed"] = ", ".join(one.reason for one in failures)
        return True


def _both(forth: Any, back: Any) -> Result:
    """The result of a pair from both orders; `back` is told of the swapped texts."""
    for one in (forth, back):
        if isinstance(one, Failure):
            return one
    return float(forth) if forth == 1 - back else 0.5


def win_rate(wins: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Wins over games, ties as halves; 0.5 without a game. wins: [k, k], row against column."""
    games = (wins + wins.T).sum(axis=1)
    return np.where(games > 0, wins.sum(axis=1) / np.maximum(games, 1), 0.5)


def bradley_terry(wins: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Log strengths (Bradley and Terry 1952) by Hunter's MM algorithm (2004). wins: [k, k].

    Each item also ties once with one of strength 1, so that whoever wins every game stays finite
    and items without a game have 0.
    """
    games = wins + wins.T
    won = wins.sum(axis=1) + 0.5
    strength = np.ones(len(wins))
    for _ in range(10_000):
        each = games / (strength[:, None] + strength[None, :])
        following = won / (each.sum(axis=1) + 1 / (strength + 1))
        moved = np.abs(np.log(following / strength)).max(initial=0.0)
        strength = following
        if moved < 1e-9:
            break
    return np.log(strength)
