"""Packing in plain Python, one document after another: what the kernels must agree with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from gristmill.rng import derive_seed, permutation

Row = tuple[int, list[tuple[int, int, int]]]  # epoch, pieces (document, offset, length)
Plan = list[list[tuple[int, int]]]  # rows of (place in the pool, tokens)


@dataclass
class Waiting:
    """A document, or the end of one."""

    document: int
    total: int
    out: int = 0
    waited: bool = False

    @property
    def left(self) -> int:
        return self.total - self.out


def concat(lengths: list[int], seq: int) -> Plan:
    rows: Plan = [[]]
    for place, length in enumerate(lengths):
        for _ in range(length):  # a token at a time
            if sum(tokens for _, tokens in rows[-1]) == seq:
                rows.append([])
            if rows[-1] and rows[-1][-1][0] == place:
                rows[-1][-1] = (place, rows[-1][-1][1] + 1)
            else:
                rows[-1].append((place, 1))
    return [row for row in rows if row]


def greedy(lengths: list[int], seq: int) -> Plan:
    rows: Plan = [[]]
    for place, length in enumerate(lengths):
        for part in pieces(length, seq):
            if sum(tokens for _, tokens in rows[-1]) + part > seq:
                rows.append([])
            rows[-1].append((place, part))
    return [row for row in rows if row]


def pieces(length: int, seq: int) -> list[int]:
    return [seq] * (length // seq) + [length % seq] * (length % seq > 0)


def best_fit(lengths: list[int], seq: int) -> Plan:
    """Full rows; then the longest piece into the fullest row, of equals the latest touched."""
    full: Plan = [[(n, seq)] for n, length in enumerate(lengths) for _ in range(length // seq)]
    rests = [(length % seq, place) for place, length in enumerate(lengths) if length % seq]
    rows: Plan = []
    touched: list[int] = []
    for rest, place in sorted(rests, key=lambda pair: (-pair[0], pair[1])):
        room = [seq - sum(tokens for _, tokens in row) for row in rows]
        fitting = [n for n in touched if room[n] >= rest]
        if fitting:
            row = min(reversed(fitting), key=lambda n: room[n])
            touched.remove(row)
        else:
            row = len(rows)
            rows.append([])
        rows[row].append((place, rest))
        touched.append(row)
    return full + [sorted(row) for row in rows]


@dataclass
class Reference:
    """`Packer`, without arrays."""

    method: str
    lengths: Callable[[int, int, int], list[tuple[int, int]]]
    per_epoch: int
    seed: int
    window: int
    window_rows: int
    epoch: int = 0
    drawn: int = 0
    turn: int = 0
    pool: list[Waiting] = field(default_factory=list)
    dropped: int = 0

    def rows(self, count: int, seq: int) -> Iterator[Row]:
        while count:
            if self.drawn == self.per_epoch and not self.pool:
                self.epoch, self.drawn, self.turn = self.epoch + 1, 0, 0
            self.draw(seq)
            plan, order = self.plan(seq)
            self.turn += 1
            for row in order[:count]:
                taken = []
                for place, tokens in plan[row]:
                    doc = self.pool[place]
                    taken.append((doc.document, doc.out, tokens))
                    doc.out += tokens
                    if self.method == "one_per_row":
                        self.dropped += doc.left
                        doc.out = doc.total
                yield self.epoch, taken
            if len(order) <= count:
                if self.method == "whole":
                    self.dropped += sum(doc.left for doc in self.pool if doc.left > seq)
                    self.pool = [doc for doc in self.pool if doc.left <= seq]
                for doc in self.pool:
                    doc.waited = True
            self.pool = [doc for doc in self.pool if doc.left]
            count -= min(count, len(order))

    def draw(self, seq: int) -> None:
        self.ask(self.window - len(self.pool))
        while (
            self.drawn < self.per_epoch
            and sum(doc.left for doc in self.pool) < self.window_rows * seq
        ):
            self.ask(max(self.window, len(self.pool)))

    def ask(self, count: int) -> None:
        left = self.per_epoch - self.drawn
        if count < 1 or left < 1:
            return
        take = count if left - count >= self.window // 2 else left
        for document, total in self.lengths(self.epoch, self.drawn, take):
            if total:
                self.pool.append(Waiting(document, total))
        self.drawn += take

    def plan(self, seq: int) -> tuple[Plan, list[int]]:
        """Rows of the pool, and which of them come out, in which order."""
        lengths = [doc.left for doc in self.pool]
        last = self.drawn == self.per_epoch
        if self.method == "one_per_row":
            rows = [[(place, min(length, seq))] for place, length in enumerate(lengths)]
            return rows, list(range(len(rows)))
        if self.method in ("concat", "greedy"):
            rows = (concat if self.method == "concat" else greedy)(lengths, seq)
            is_open = rows and not last and sum(tokens for _, tokens in rows[-1]) < seq
            return rows, list(range(len(rows) - bool(is_open)))
        if self.method == "whole":
            lengths = [length if length <= seq else 0 for length in lengths]
        rows = best_fit(lengths, seq)
        room = [seq - sum(tokens for _, tokens in row) for row in rows]
        waits = []
        for n, row in enumerate(rows):
            again = any(self.pool[place].waited for place, _ in row) and len(row) > 0
            if room[n] > seq // 1024 and not (again and 2 * room[n] <= seq):
                waits.append(n)
        waits = sorted(waits, key=lambda n: -room[n])[: max(1, len(rows) // 8)]
        goes = [n for n in range(len(rows)) if last or n not in waits]
        if not goes:
            return rows, []
        seed = derive_seed(self.seed, "packing", self.epoch, self.turn)
        return rows, [goes[n] for n in permutation(seed, len(goes), np.arange(len(goes)))]
