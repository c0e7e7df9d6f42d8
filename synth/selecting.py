"""The second phase of `select: top`: an exact cut over the candidates of all tasks.

In: candidates with their scores, in the order of the source. Out: the best of them, and ledgers.
Shown by: `gristmill run pipelines/recipes/synth/rewire.yaml`.
Limit: candidates are written twice; scores are read once more for each pass of the cut.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from gristmill.task import TaskContext
from synth.ledger import LEDGER, SELECTED
from synth.select.top import Cut, Top, chosen, threshold

CANDIDATES, LEDGERS, SCORES = "candidates.parquet", "ledger.parquet", "scores.parquet"
SCORED = pa.schema([("id", pa.string()), ("score", pa.float64())])
BATCH = 512  # source rows taken together


@dataclass(slots=True)
class CandidateFiles:
    """Where a task of the first phase leaves what is not final."""

    ctx: TaskContext
    schema: pa.Schema
    _writers: dict[str, pq.ParquetWriter] = field(default_factory=dict)

    def write(self, name: str, table: pa.Table) -> None:
        """Append rows to one of the files."""
        if name not in self._writers:
            path = self.ctx.path(name)
            self._writers[name] = pq.ParquetWriter(path, table.schema, compression="zstd")
        if len(table):
            self._writers[name].write_table(table)

    def close(self) -> None:
        """Finish them; a task without rows leaves empty ones."""
        for name, schema in ((CANDIDATES, self.schema), (LEDGERS, LEDGER), (SCORES, SCORED)):
            self.write(name, schema.empty_table())
        for writer in self._writers.values():
            writer.close()


class Scores(Sequence[tuple[Any, pa.Array]]):
    """Scores and ids of the candidates of every task, read anew whenever they are asked for."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = list(paths)

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, place: Any) -> Any:
        return read_scores(self._paths[place])

    def __iter__(self) -> Iterator[tuple[Any, pa.Array]]:
        return map(read_scores, self._paths)


def read_scores(path: Path) -> tuple[Any, pa.Array]:
    """float64[n] and ids."""
    table = pq.read_table(path).combine_chunks()
    return np.asarray(table["score"]), _array(table["id"], pa.string())


def find_cut(paths: Sequence[Path], top: Top) -> Cut | None:
    """The cut over all tasks."""
    return threshold(Scores(paths), top.fraction, top.count, top.lowest)


def select(ctx: TaskContext, folder: str, cut: Cut | None, schema: pa.Schema) -> dict[str, Any]:
    """One task: the chosen of one task's candidates, and its ledger as it is now."""
    home = Path(folder)
    scores, ids = read_scores(home / SCORES)
    mask = chosen(scores, ids, cut) if cut is not None else np.zeros(len(ids), bool)
    kept_rows, ledger = ctx.writer("", schema), ctx.writer(".ledger", LEDGER)
    candidates = _Ahead(home / CANDIDATES)
    states: Counter[str] = Counter()
    at = tokens = 0
    with pq.ParquetFile(home / LEDGERS) as file:
        for batch in file.iter_batches(BATCH):
            rows = batch.to_pylist()
            counts = [row["rows_out"] for row in rows]
            here = mask[at : at + sum(counts)]
            table = candidates.take(len(here)).filter(pa.array(here))
            tokens += _tokens(table)
            kept_rows.write(table)
            first = 0
            for row, count in zip(rows, counts, strict=True):
                mine = here[first : first + count]
                if count and cut is not None:
                    _correct(row, mine, scores[at + first : at + first + count], cut)
                elif count:
                    row |= {"rows_out": 0, "state": "filtered", "step_op": SELECTED}
                states[row["state"]] += 1
                first += count
            ledger.write(pa.Table.from_pylist(rows, LEDGER))
            at += len(here)
    candidates.close()
    return {"states": dict(states), "kept_tokens": tokens, "cut": int((~mask).sum())}


def _correct(row: dict[str, Any], mine: Any, scores: Any, cut: Cut) -> None:
    """A ledger row after the cut: how many of its candidates are left, and the best that is not."""
    row["rows_out"] = int(mine.sum())
    if mine.all():
        return
    lost = scores[~mine]
    best = float(lost.min() if cut.lowest else lost.max())
    rule = {"rule": SELECTED, "value": best, "threshold": cut.score}
    row["rules"] = [*(row["rules"] or []), rule]
    if not mine.any():
        row |= {"state": "filtered", "step_op": SELECTED, "reason": SELECTED}


def _tokens(table: pa.Table) -> int:
    """Completion tokens behind rows; a completion behind several counts once."""
    made = {
        one["key"]: one["completion_tokens"] for row in table["made"].to_pylist() for one in row
    }
    return sum(made.values())


class _Ahead:
    """Rows of a file in order, so many at a time."""

    def __init__(self, path: Path) -> None:
        self._file = pq.ParquetFile(path)
        self._batches = self._file.iter_batches(BATCH)
        self._held = self._file.schema_arrow.empty_table()

    def take(self, count: int) -> pa.Table:
        """The next `count` rows."""
        held = [self._held]
        while sum(map(len, held)) < count:
            held.append(pa.Table.from_batches([next(self._batches)]))
        whole = pa.concat_tables(held)
        self._held = whole.slice(count)
        return whole.slice(0, count)

    def close(self) -> None:
        self._file.close()


def _array(column: pa.ChunkedArray, kind: pa.DataType) -> pa.Array:
    return column.chunk(0) if column.num_chunks else pa.array([], kind)
