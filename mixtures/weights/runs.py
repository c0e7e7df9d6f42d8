"""What proxy runs were trained on and what they reached: two tables, joined by the run's name.

In: Parquet, CSV or versions of datasets, a row a run: shares of the sources; metrics. Out: `Runs`.
Shown by: `- {name: best, use: mixture_fit, mixtures: mixtures.csv, metrics: losses.csv}`.
Limit: the tables are read whole: runs are hundreds, not millions.

RegMix's public tables are read as they are: their `index` is the run, and their shares, printed to
three decimals, sum to 1 only nearly.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from gristmill.errors import RecipeError, nearest
from gristmill.fs import open_file
from gristmill.store import Store
from mixtures.weights.heuristics import F64

RUN_COLUMNS = ("run", "index")
RESERVED = ("run", "control", "strength")  # columns of a swarm that are no source
FILES = (".csv", ".csv.gz", ".parquet")
SUM_TOLERANCE = 0.02  # RegMix's 17 shares of three decimals miss 1 by up to 0.008


@dataclass(frozen=True, slots=True)
class Table:
    """Numbers of each run: float64[runs, columns]."""

    runs: list[str]
    columns: list[str]
    values: F64


@dataclass(frozen=True, slots=True)
class Runs:
    """Runs of which both tables tell: shares [runs, sources], losses [runs, targets]."""

    names: list[str]
    sources: list[str]
    targets: list[str]
    shares: F64
    losses: F64
    notes: list[str]


def is_file(place: str) -> bool:
    """Whether a recipe's `mixtures` or `metrics` is a path; else it names a dataset."""
    return place.endswith(FILES)


def read_table(place: str, store: str = "") -> pa.Table:
    """A file by its ending, or the rows of a version `name@version`."""
    if not is_file(place):
        return Store(store)[place].to_table()
    with open_file(place) as file:
        if place.endswith(".parquet"):
            import pyarrow.parquet as pq

            return pq.read_table(file)
        import pyarrow.csv as pacsv

        data = pa.CompressedInputStream(file, "gzip") if place.endswith(".gz") else file
        names = dict.fromkeys(RUN_COLUMNS, pa.string())
        return pacsv.read_csv(data, convert_options=pacsv.ConvertOptions(column_types=names))


def numbers(
    table: pa.Table, place: str, only: Sequence[str] | None = None, aside: Sequence[str] = ()
) -> Table:
    """Columns of numbers by run: those of `only`, or all but `aside`."""
    run = next((name for name in RUN_COLUMNS if name in table.column_names), None)
    if run is None:
        raise RecipeError(
            f"{place}: no column 'run' (or 'index') that names the runs; it has "
            f"{', '.join(table.column_names)}"
        )
    runs = [run_name(value) for value in table[run].to_pylist()]
    if twice := [name for name, times in Counter(runs).items() if times > 1]:
        raise RecipeError(f"{place}: run {twice[0]!r} is there twice; name each run once")
    for name in only or ():
        if name not in table.column_names:
            raise RecipeError(f"{place}: no column {name!r}{nearest(name, table.column_names)}")
    columns = [
        field.name
        for field in table.schema
        if field.name != run and field.name not in aside and (only is None or field.name in only)
    ]
    columns = list(only) if only is not None else [n for n in columns if _is_number(table, n)]
    if not runs or not columns:
        raise RecipeError(f"{place}: {len(runs)} runs and {len(columns)} columns of numbers")
    for name in columns:
        if not _is_number(table, name):
            raise RecipeError(
                f"{place}: column {name!r} is {table.schema.field(name).type}, not a number"
            )
    values = np.column_stack([_floats(table[name]) for name in columns])
    return Table(runs, columns, values)


def run_name(value: object) -> str:
    """`007`, 7 and 7.0 are one run: tables lose leading zeros on their way through other tools."""
    text = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
    return text.lstrip("0") or "0" if text.isdecimal() else text


def run_shares(table: pa.Table, place: str, run: int | str) -> dict[str, float]:
    """Shares by source of one run of a swarm."""
    shares, name = numbers(table, place, aside=RESERVED[1:]), run_name(run)
    if name not in shares.runs:
        ends = f"{len(shares.runs)} runs, {shares.runs[0]} to {shares.runs[-1]}"
        close = "" if name.isdecimal() else nearest(name, shares.runs)
        raise RecipeError(f"{place} has {ends}, and no run {run!r}{close}")
    values = shares.values[shares.runs.index(name)].tolist()
    return dict(zip(shares.columns, values, strict=True))


def _is_number(table: pa.Table, name: str) -> bool:
    kind = table.schema.field(name).type
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _floats(column: pa.ChunkedArray) -> F64:
    return np.asarray(column.cast(pa.float64()).to_numpy(), np.float64)


def join(mixtures: Table, metrics: Table, place: str) -> Runs:
    """Runs that both tables have, in the order of the mixtures; what is left out is noted."""
    for run, shares in zip(mixtures.runs, mixtures.values, strict=True):
        total = float(shares.sum())
        off = float(min(abs(total - 1), abs(total / 100 - 1)))
        if not np.isfinite(total) or shares.min() < 0 or off > SUM_TOLERANCE:
            raise RecipeError(
                f"{place}: shares of run {run!r} sum to {total:g} (lowest {shares.min():g}): they "
                "are numbers from 0 that sum to 1 (or 100); is a column not a source? Name the "
                "sources with `sources`"
            )
    row = {run: number for number, run in enumerate(metrics.runs)}
    both = [run for run in mixtures.runs if run in row]
    if not both:
        raise RecipeError(
            f"no run has both shares ({mixtures.runs[0]!r}, …) and metrics "
            f"({metrics.runs[0]!r}, …): name the runs alike in both tables"
        )
    losses = metrics.values[[row[run] for run in both]]
    finite = np.asarray(np.isfinite(losses).all(axis=1))
    place_of = {run: number for number, run in enumerate(mixtures.runs)}
    kept = [run for run, fine in zip(both, finite, strict=True) if fine]
    if not kept:
        raise RecipeError("every run lacks a metric: each needs a number for each target")
    shares = mixtures.values[[place_of[run] for run in kept]]
    notes = []
    for missing, what in (
        (len(mixtures.runs) - len(both), "have no metrics"),
        (len(metrics.runs) - len(both), "of the metrics have no mixture"),
        (len(both) - len(kept), "lack the value of a metric"),
    ):
        if missing:
            notes.append(f"{missing} runs {what} and are left out")
    return Runs(
        kept, mixtures.columns, metrics.columns,
        shares / shares.sum(axis=1, keepdims=True), losses[finite], notes,
    )  # fmt: skip
