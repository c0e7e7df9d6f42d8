"""Verdicts: what the rules found of the rows of a batch, and the ledger columns that say so.

In: failures, one rule at a time. Out: state, step_op, reason (the first) and rules (all) of every
row.
Shown by: `gristmill why web/clean URL`. Limit: a batch of at most 2^31 failures.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from curation.ops import Failure
from gristmill.schema import RULE


@dataclass(slots=True)
class Verdicts:
    """What was found of the rows of a batch, by position in it."""

    size: int
    first: list[tuple[np.ndarray, str, str]] = field(default_factory=list)  # rows, op, rule
    rows: list[np.ndarray] = field(default_factory=list)
    rules: list[str] = field(default_factory=list)  # one a block of `rows`
    values: list[np.ndarray] = field(default_factory=list)
    thresholds: list[float] = field(default_factory=list)
    dropped: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.dropped = np.zeros(self.size, bool)

    def fail(self, op: str, failure: Failure, rows: np.ndarray) -> None:
        """`rows` maps the failure's rows to rows of the batch."""
        hit = np.flatnonzero(failure.mask)
        if not len(hit):
            return
        where = rows[hit]
        fresh = where[~self.dropped[where]]
        if len(fresh):
            self.first.append((fresh, op, failure.rule))
            self.dropped[fresh] = True
        self.rows.append(where)
        self.rules.append(failure.rule)
        self.values.append(np.asarray(failure.value, np.float64)[hit])
        self.thresholds.append(failure.threshold)

    def columns(self) -> dict[str, pa.Array]:
        """state, step_op, reason and rules of every row."""
        names = sorted({name for _, op, rule in self.first for name in (op, rule)})
        code = {name: i for i, name in enumerate(names)}
        op_codes, rule_codes = np.full(self.size, -1, np.int32), np.full(self.size, -1, np.int32)
        for rows, op, rule in self.first:
            op_codes[rows], rule_codes[rows] = code[op], code[rule]
        state = pa.array(np.where(self.dropped, "dropped", "kept"))
        lookup = pa.array(names, pa.string())
        return {
            "state": state.cast(pa.string()),
            "step_op": lookup.take(pa.array(op_codes, mask=op_codes < 0)),
            "reason": lookup.take(pa.array(rule_codes, mask=rule_codes < 0)),
            "rules": self._failed_rules(),
        }

    def _failed_rules(self) -> pa.Array:
        """list<rule, value, threshold> a row, in the order in which the rules were tried."""
        sizes = [len(rows) for rows in self.rows]
        rows = np.concatenate(self.rows) if self.rows else np.zeros(0, np.int64)
        order = np.argsort(rows, kind="stable")
        which = np.repeat(np.arange(len(sizes)), sizes)[order] if sizes else np.zeros(0, np.int64)
        values = (np.concatenate(self.values) if self.values else np.zeros(0))[order]
        thresholds = np.asarray(self.thresholds, np.float64)[which]
        offsets = np.zeros(self.size + 1, np.int32)
        np.cumsum(np.bincount(rows, minlength=self.size), out=offsets[1:])
        struct = pa.StructArray.from_arrays(
            [
                pa.array(self.rules, pa.string()).take(pa.array(which)),
                pa.array(values, mask=np.isnan(values)),
                pa.array(thresholds, mask=np.isnan(thresholds)),
            ],
            fields=list(RULE),
        )
        return pa.ListArray.from_arrays(pa.array(offsets), struct)
