"""The report of a mixture: what was asked and what came, source by source and stage by stage.

In: segments, what each source's rows hold, tokens of each source. Out: rows of the output
`.report`. Shown by: `python -m mixtures.blend.report STORE mix/pretrain`.
Limit: the controls are what the heuristics would have asked for, over the sources that share the
weights; replayed and injected sources have none.

Stage -1 is the whole mixture. Shares are of all rows (`observed_rows`) and of all tokens in them
(`observed_tokens`): they differ where one source's rows hold more padding than another's.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from rich.console import Console
from rich.table import Table

from gristmill.errors import RecipeError, StoreError
from gristmill.store import Dataset, Store
from mixtures.blend.resolve import Source
from mixtures.blend.segments import Segment
from mixtures.laws.repetition import effective_tokens
from mixtures.weights.heuristics import controls

WHOLE = -1
DRIFT = 0.01  # a share of tokens that is further off than this is told
CONTROLS = ("natural", "uniform", "temperature", "unimax")
Ledgers = Sequence[Sequence[Mapping[str, int]]]  # by source and segment

SCHEMA = pa.schema(
    [
        ("stage", pa.int32()),
        ("source", pa.string()),
        ("weights", pa.string()),  # how they were chosen
        ("first_token", pa.int64()),
        ("requested", pa.float64()),
        ("observed_rows", pa.float64()),
        ("observed_tokens", pa.float64()),
        ("rows", pa.int64()),
        ("tokens", pa.int64()),
        ("unique_tokens", pa.int64()),
        ("epochs", pa.float64()),
        ("effective_tokens", pa.float64()),
        *((name, pa.float64()) for name in CONTROLS),
    ]
)


def report_table(
    sources: Sequence[Source],
    segments: Sequence[Segment],
    ledgers: Ledgers,
    chosen: Sequence[str],
    budget: int,
) -> pa.Table:
    """Rows by stage, the whole mixture first, and source.

    ledgers: entries of every source, an injected one last. chosen: how each stage's weights came
    about.
    """
    requested = np.array([segment.weights for segment in segments])
    rows = np.array([[entry["rows"] for entry in source] for source in ledgers], np.float64)
    tokens = np.array([[e["kept"] + e["split"] for e in source] for source in ledgers], np.float64)
    stage_of = np.array([segment.span.stage for segment in segments])
    passed = tokens + [[entry["dropped"] for entry in source] for source in ledgers]
    size = np.array([segment.span.tokens for segment in segments], np.float64)
    starts = np.cumsum(size) - size
    found: list[dict[str, Any]] = []
    for stage in [WHOLE, *sorted(set(stage_of.tolist()))]:
        here = np.ones(len(segments), bool) if stage == WHOLE else stage_of == stage
        asked = size[here] @ requested[here] / size[here].sum()
        row_tokens = rows[:, here] @ np.array([s.span.seq for s in segments], np.float64)[here]
        held = tokens[:, here].sum(axis=1)
        how = ", ".join(dict.fromkeys(chosen)) if stage == WHOLE else chosen[stage]
        base = _controls(sources, budget if stage == WHOLE else float(size[here].sum()))
        for n, source in enumerate(sources):
            unique = max(1, source.tokens)
            found.append(
                {
                    "stage": stage,
                    "source": source.name,
                    "weights": how,
                    "first_token": int(starts[here][0]),
                    "requested": float(asked[n]),
                    "observed_rows": float(row_tokens[n] / row_tokens.sum()),
                    "observed_tokens": float(held[n] / max(1.0, held.sum())),
                    "rows": int(rows[n, here].sum()),
                    "tokens": int(held[n]),
                    "unique_tokens": source.tokens,
                    "epochs": float(passed[n, here].sum() / unique),
                    "effective_tokens": _effective(source.tokens, float(held[n])),
                    **{name: base[name][n] for name in CONTROLS},
                }
            )
    return pa.Table.from_pylist(found, SCHEMA)


def missing_notes(names: Sequence[str], segments: Sequence[Segment]) -> list[str]:
    """Sources that get no row at all."""
    found = []
    for n, name in enumerate(names):
        if not any(segment.counts[n] for segment in segments):
            asked = max(segment.weights[n] for segment in segments)
            why = f"a share of {asked:.1e} of so few" if asked else "weight 0 in every stage"
            found.append(f"source {name!r} gets no row: {why}")
    return found


def bare_notes(names: Sequence[str], records: Sequence[Mapping[str, Any]]) -> list[str]:
    """Rows that a mask leaves no token of; RecipeError for a source that has no other."""
    found = []
    for name, record in zip(names, records, strict=True):
        if record["rows"] and record["bare"] == record["rows"]:
            raise RecipeError(
                f"source {name!r}: no token of its {record['rows']:,} rows bears loss, so nothing "
                "could be learnt from it; tokenise it with a mask that leaves answers (chats: an "
                "assistant's turn that the template prints), or leave the source out"
            )
        if record["bare"]:
            found.append(
                f"source {name!r}: in {record['bare']:,} of {record['rows']:,} rows no token bears "
                "loss; a run reads them and learns nothing from them"
            )
    return found


def drift_notes(report: pa.Table) -> list[str]:
    """Sources whose share of the tokens is not what was asked for, injected rows aside."""
    rows = [row for row in report.to_pylist() if row["stage"] == WHOLE and row["requested"] > 0]
    held = sum(row["observed_tokens"] for row in rows) or 1.0
    return [
        f"source {row['source']!r} was to have {row['requested']:.1%} of the tokens and has "
        f"{row['observed_tokens'] / held:.1%}: its rows hold more or less padding than others' "
        "(see the token ledger)"
        for row in rows
        if abs(row["observed_tokens"] / held - row["requested"]) > DRIFT
    ]


def _effective(unique: int, total: float) -> float:
    """What the tokens are worth as new ones: those seen once are, a repetition is worth less."""
    if not unique or not total:
        return 0.0
    return float(effective_tokens(min(float(unique), total), total))


def _controls(sources: Sequence[Source], budget: float) -> dict[str, list[float | None]]:
    """Shares by each heuristic of the sources that have no fixed share; None for the others."""
    free = [n for n, source in enumerate(sources) if source.replay is None]
    rest = 1 - sum(source.replay or 0 for source in sources)
    found: dict[str, list[float | None]] = {name: [None] * len(sources) for name in CONTROLS}
    if not free or rest <= 0:
        return found
    by_name = controls([sources[n].tokens for n in free], budget * rest)
    for name in CONTROLS:
        for n, share in zip(free, by_name[name].tolist(), strict=True):
            found[name][n] = share * rest
    return found


def report_rows(dataset: Dataset) -> list[dict[str, Any]]:
    """Rows of a mixture's report; StoreError for other datasets."""
    if dataset.manifest["kind"] != "packed":
        raise StoreError(
            f"{dataset.ref} holds rows of kind {dataset.manifest['kind']!r} and is no mixture; "
            "`use: mixture` makes one"
        )
    rows: list[dict[str, Any]] = dataset.output(".report").to_table().to_pylist()
    return rows


def print_report(dataset: Dataset, console: Console) -> None:
    """The report as tables, one a stage."""
    rows = report_rows(dataset)
    stages = list(dict.fromkeys(row["stage"] for row in rows))
    for stage in stages if len(stages) > 2 else stages[:1]:
        here = [row for row in rows if row["stage"] == stage]
        first, how = here[0]["first_token"], here[0]["weights"]
        what = "whole mixture" if stage == WHOLE else f"stage {stage}, from {first:,}"
        table = Table(title=f"{dataset.ref}: {what} ({how})", title_justify="left")
        table.add_column("source")
        for column in ("asked", "rows", "tokens", "count", "epochs", "worth", *CONTROLS):
            table.add_column(column, justify="right")
        for row in here:
            shares = (row["requested"], row["observed_rows"], row["observed_tokens"])
            table.add_row(
                row["source"],
                *(f"{share:.2%}" for share in shares),
                f"{row['tokens']:,}",
                f"{row['epochs']:.2f}",
                f"{row['effective_tokens'] / row['tokens']:.0%}" if row["tokens"] else "",
                *("" if row[c] is None else f"{row[c]:.2%}" for c in CONTROLS),
            )
        console.print(table)


def main() -> None:
    """Print the report of a mixture."""
    print_report(Store(sys.argv[1])[sys.argv[2]], Console(width=140))


if __name__ == "__main__":
    main()
