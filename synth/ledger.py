"""The ledger of generated rows: what became of each source row, and every completion.

In: finished rows. Out: one ledger row each, their emitted rows, and all their completions.
Shown by: `gristmill why synth/qa ID`. Limit: a row's ledger names each rule or reason once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from gristmill.schema import LOCATOR, RULE
from synth.driver import Finished
from synth.driving.goodput import Goodput
from synth.items import Lost, Made

STATES = ("kept", "filtered", "failed", "pending")
SELECTED = "select.top"  # the rule of candidates that an exact cut left out
LEDGER = pa.schema(
    [
        ("id", pa.string()),
        ("url", pa.string()),
        *LOCATOR,
        ("state", pa.string()),
        ("step_op", pa.string()),
        ("reason", pa.string()),
        ("rules", pa.list_(RULE)),
        ("detail", pa.string()),
        ("rows_out", pa.int32()),
        ("completions", pa.int32()),
        ("prompt_tokens", pa.int64()),
        ("completion_tokens", pa.int64()),
    ]
)
_MADE = [name for name in Made.__slots__ if name != "stage"]
_KINDS = {"seed": pa.int64(), "prompt_tokens": pa.int32(), "completion_tokens": pa.int32()}
COMPLETIONS = pa.schema(
    [
        ("id", pa.string()),
        ("number", pa.int32()),
        ("stage", pa.string()),
        *((name, _KINDS.get(name, pa.string())) for name in _MADE),
        ("text", pa.string()),
    ]
)


@dataclass(slots=True)
class Outcome:
    """A finished row and the rows that it emitted; `scores` by their ids, where a cut follows."""

    done: Finished
    rows: list[dict[str, Any]]
    scores: dict[str, float] = field(default_factory=dict)

    @property
    def state(self) -> str:
        """Kept, filtered, failed or pending."""
        if self.rows:
            return "kept"
        if self.done.state == "pending":
            return "pending"
        lost = self.done.row.lost
        return "failed" if lost and all(one.failed for one in lost) else "filtered"


def ledger_table(outcomes: Sequence[Outcome]) -> pa.Table:
    """Rows of LEDGER, in order."""
    return pa.Table.from_pylist([ledger_row(one) for one in outcomes], LEDGER)


def completions_table(outcomes: Sequence[Outcome]) -> pa.Table:
    """Rows of COMPLETIONS: every completion that a row's flow used, kept or not."""
    ids: list[str] = []
    numbers: list[int] = []
    made: list[Made] = []
    texts: list[str] = []
    for one in outcomes:
        row = one.done.row
        for number, (of, text) in enumerate(row.made):
            ids.append(row.id)
            numbers.append(number)
            made.append(of)
            texts.append(text)
    columns: dict[str, list[Any]] = {
        "id": ids,
        "number": numbers,
        **{name: [getattr(of, name) for of in made] for name in ("stage", *_MADE)},
        "text": texts,
    }
    return pa.Table.from_pydict(columns, COMPLETIONS)


def account(total: Goodput, one: Outcome) -> None:
    """Add what a row's tokens became to the goodput."""
    row = one.done.row
    for lost in row.lost:
        (total.failed if lost.failed else total.filtered)[lost.reason] += 1
    kept_keys = {made["key"] for emitted in one.rows for made in emitted["made"]}
    spent = one.done.completion_tokens
    kept = sum(
        tokens
        for key, tokens in {of.key: of.completion_tokens for of, _ in row.made}.items()
        if key in kept_keys
    )
    total.kept_tokens += kept
    if wasted := spent - kept:
        reasons = [lost.reason for lost in row.lost]
        if one.done.state == "pending":
            reasons = ["pending"]
        share, rest = divmod(wasted, len(reasons) or 1)
        for place, reason in enumerate(reasons or ["unused"]):
            total.lost_tokens[reason] += share + (place < rest)


def ledger_row(one: Outcome) -> dict[str, Any]:
    """One row of LEDGER; columns that are null throughout are left out."""
    done, row, state = one.done, one.done.row, one.state
    told = _cause(row.lost, state)
    url = row.source.get("url")
    return {
        "id": row.id,
        "url": url if isinstance(url, str) else None,
        "state": state,
        "step_op": told.stage if told else None,
        "reason": told.reason if told else _UNTOLD.get(state),
        "rules": _rules(row.lost),
        "detail": told.detail or None if told else None,
        "rows_out": len(one.rows),
        "completions": done.completions,
        "prompt_tokens": done.prompt_tokens,
        "completion_tokens": done.completion_tokens,
    }


_UNTOLD = {"filtered": "dropped", "pending": "budget"}


def _cause(lost: Sequence[Lost], state: str) -> Lost | None:
    if state not in ("failed", "filtered"):
        return None
    wanted = state == "failed"
    return next((one for one in lost if one.failed is wanted), None)


def _rules(lost: Sequence[Lost]) -> list[dict[str, Any]]:
    found: dict[str, Mapping[str, Any]] = {}
    for one in lost:
        found.setdefault(
            one.reason, {"rule": one.reason, "value": one.value, "threshold": one.threshold}
        )
    return [dict(rule) for rule in found.values()]
