"""Sweep: what other thresholds would keep and drop, from the ledger's signals alone.

In: a curated dataset (or one made from it) and new thresholds. Out: counts and examples.
Shown by: `gristmill sweep web/clean --set gopher_quality.min_words=30`.
Limit: rows that would pass a rule but then meet ops that never saw them and might drop them are
undecided, unless the step ran with `evaluate: all`; later steps (deduplication) are not run again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.ops import Op, OpResult, Signals, parse_op
from curation.rules.model import Rule, RuleSet, evaluate
from curation.rules.op import Rules
from curation.segments import OpenOp, cut
from gristmill.errors import GristmillError, nearest
from gristmill.lineage import at, ledger_of, lineage
from gristmill.store import Dataset

EXAMPLES = 5


@dataclass(slots=True)
class Sweep:
    """What would change. `kept_after` counts what is certain; `undecided` rows are not in it."""

    step: str
    rows: int
    kept_before: int
    kept_after: int = 0
    newly_dropped: int = 0
    newly_kept: int = 0
    undecided: int = 0
    unanswered: list[str] = field(default_factory=list)  # ops that might drop the undecided rows
    rules: list[dict[str, Any]] = field(default_factory=list)  # thresholds and failures, twice
    examples: list[dict[str, Any]] = field(default_factory=list)  # change, id, url, rule, value

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Swept:
    """A `rules` op under other thresholds, and where its signals stand in the ledger."""

    segment: int
    before: RuleSet
    after: RuleSet
    columns: Mapping[str, str]  # signal -> ledger column


def sweep(dataset: Dataset, thresholds: Mapping[str, float | None]) -> Sweep:
    """Count what `{"gopher_quality.min_words": 30}` would change; None leaves a rule out.

    Raises: GristmillError where no step of the lineage has such a rule set, RecipeError for an
    unknown rule of it.
    """
    changes = _by_set(thresholds)
    step, ledger, config = _find_step(dataset, set(changes))
    ops = [parse_op(dict(entry)) for entry in config["ops"]]
    # Only for the places where segments are cut: nothing is opened or applied.
    segments = cut([OpenOp(op.NAME, op.EDITS, op.families(), _nothing) for op in ops])
    swept = _swept_ops(ops, segments, changes)
    whole = config.get("evaluate") == "all"
    found = Sweep(step.ref, ledger.rows, 0)
    failed: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
    remaining = iter(ops)
    dropping = [
        number
        for number, segment in enumerate(segments)
        if any([op.drops() for op in islice(remaining, len(segment))])
    ]
    names = {column for op in swept for column in op.columns.values()}
    for batch in ledger.scan(["id", "url", "state", "rules", *sorted(names)]):
        _sweep_batch(pa.table(batch), swept, dropping[-1], whole, found, failed)
    found.kept_after = found.kept_before - found.newly_dropped + found.newly_kept
    if found.undecided:
        last = min(op.segment for op in swept)
        seen = sum(len(segment) for segment in segments[: last + 1])
        found.unanswered = [_name(op) for op in ops[seen:] if op.drops()]
    for op in swept:
        found.rules += _rule_lines(op, failed)
    return found


def _by_set(thresholds: Mapping[str, float | None]) -> dict[str, dict[str, float | None]]:
    changes: dict[str, dict[str, float | None]] = {}
    for key, value in thresholds.items():
        name, dot, rule = key.partition(".")
        if not dot or not rule:
            raise GristmillError(
                f"--set {key}: name a rule set and a rule, e.g. gopher_quality.min_words=30"
            )
        changes.setdefault(name.partition("@")[0], {})[rule] = value
    return changes


def _find_step(dataset: Dataset, wanted: set[str]) -> tuple[Dataset, Dataset, dict[str, Any]]:
    """The nearest step that applied all the rule sets: its dataset, ledger and config."""
    seen: set[str] = set()
    for made in reversed(lineage(dataset)):
        ledger = ledger_of(dataset, made)
        step = at(dataset, made.ref)
        if ledger is None or not dataset.store.builds_of(step):
            continue
        config = step.build()["config"]
        has = {name for entry in config.get("ops") or [] if (name := _set_name(entry))}
        seen |= has
        if wanted <= has:
            return step, ledger, config
    missing = sorted(wanted - seen) or sorted(wanted)
    raise GristmillError(
        f"no step of {dataset.ref} with a ledger applied the rule set {missing[0]!r}"
        f"{nearest(missing[0], seen)}"
    )


def _set_name(entry: Mapping[str, Any]) -> str | None:
    options = entry.get("rules")
    return str(options["set"]).partition("@")[0] if options else None


def _nothing(table: pa.Table, signals: Signals) -> OpResult:
    return OpResult()


def _name(op: Op) -> str:
    return op.chosen().name if isinstance(op, Rules) else op.NAME


def _swept_ops(
    ops: Sequence[Op],
    segments: Sequence[Sequence[OpenOp]],
    changes: Mapping[str, Mapping[str, float | None]],
) -> list[_Swept]:
    """The ops whose thresholds change; signals of a later segment have `_2`, `_3` in the ledger."""
    from gristmill.text.signals import FAMILIES

    times: Counter[str] = Counter()
    swept = []
    remaining = iter(ops)
    for number, segment in enumerate(segments):
        families = frozenset[str]().union(*(op.families for op in segment))
        signals = {name for family in families for name in FAMILIES[family].names}
        times.update(signals)
        columns = {n: n if times[n] == 1 else f"{n}_{times[n]}" for n in signals}
        for op in islice(remaining, len(segment)):
            if isinstance(op, Rules) and _name(op) in changes:
                before = op.chosen()
                after = before.with_thresholds(changes[before.name])
                used = {signal for rule in before.rules for signal in rule.signals()}
                swept.append(_Swept(number, before, after, {s: columns[s] for s in used}))
    return swept


def _sweep_batch(
    table: pa.Table,
    swept: Sequence[_Swept],
    last: int,
    whole: bool,
    found: Sweep,
    failed: tuple[Counter[str], Counter[str]],
) -> None:
    size = table.num_rows
    dropped = np.asarray(pc.equal(table["state"], "dropped"))
    others = _other_failures(table["rules"], {op.before.name for op in swept})
    fails = np.zeros(size, bool)
    reached = np.full(size, -1)  # the last swept segment that measured the row
    why: list[tuple[Rule, np.ndarray, np.ndarray]] = []
    for op in swept:
        signals = {
            name: table[column].cast(pa.float64()).to_numpy() for name, column in op.columns.items()
        }
        measured = ~np.isnan(next(iter(signals.values())))
        reached[measured] = op.segment
        for which, rules in enumerate((op.before, op.after)):
            for rule, failure in zip(rules.rules, evaluate(rules, signals), strict=True):
                failed[which][f"{op.segment} {failure.rule}"] += int(failure.mask.sum())
                if which:
                    fails |= failure.mask
                    why.append((rule, failure.mask, failure.value))
    newly_dropped = ~dropped & fails
    passes = dropped & ~others & ~fails & (reached >= 0)
    decided = passes if whole else passes & (reached >= last)
    found.kept_before += int((~dropped).sum())
    found.newly_dropped += int(newly_dropped.sum())
    found.newly_kept += int(decided.sum())
    found.undecided += int((passes & ~decided).sum())
    for change, mask in (("dropped", newly_dropped), ("kept", decided), ("?", passes & ~decided)):
        shown = sum(example["change"] == change for example in found.examples)
        for row in np.flatnonzero(mask)[: EXAMPLES - shown].tolist():
            cause = next(((rule.name, value[row]) for rule, hit, value in why if hit[row]), None)
            found.examples.append(
                {
                    "change": change,
                    "id": table["id"][row].as_py(),
                    "url": table["url"][row].as_py(),
                    "rule": cause and cause[0],
                    "value": cause and float(cause[1]),
                }
            )


def _other_failures(rules: pa.ChunkedArray, sets: set[str]) -> np.ndarray:
    """bool per row: a rule outside the swept sets failed."""
    lists = rules.combine_chunks()
    names = pc.struct_field(pc.list_flatten(lists), "rule")
    ours = np.zeros(len(names), bool)
    for name in sets:
        ours |= np.asarray(pc.starts_with(names, f"{name}."))
    parents = np.asarray(pc.list_parent_indices(lists))[~ours]
    return np.asarray(np.bincount(parents, minlength=len(lists)) > 0)


def _rule_lines(op: _Swept, failed: tuple[Counter[str], Counter[str]]) -> list[dict[str, Any]]:
    after = {rule.name: rule for rule in op.after.rules}
    lines = []
    for rule in op.before.rules:
        key = f"{op.segment} {op.before.name}.{rule.name}"
        new = after.get(rule.name)
        lines.append(
            {
                "rule": f"{op.before.name}.{rule.name}",
                "keep": rule.keep,
                "threshold": rule.threshold,
                "new_threshold": new.threshold if new else None,
                "failed": failed[0][key],
                "would_fail": failed[1][key],
            }
        )
    return lines
