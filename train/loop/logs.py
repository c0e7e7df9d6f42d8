"""The log of a stage: a JSON line a step, appended as it goes; at the end, a table.

In: lines. Out: `work/log.jsonl`, and a table for `.log`. Shown by: `tail -f
STORE/.staging/*/work/log.jsonl`. Limit: lines after the last checkpoint may be lost with the
machine's power; they are written again when the run goes on.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from gristmill.fs import flush_to_disk

FILE = "log.jsonl"
_WHOLE = ("step", "tokens", "rows", "memory", "rows_without_label")  # columns of whole numbers


class Log:
    """Lines of one run. `step` of a line: steps done by then."""

    def __init__(self, work: Path) -> None:
        self.path = work / FILE

    def begin(self, step: int) -> None:
        """Cut what was written after the checkpoint of `step`, a torn line among it."""
        kept = [line for line in read_lines(self.path) if line["step"] <= step]
        text = "".join(json.dumps(line) + "\n" for line in kept)
        fresh = self.path.with_suffix(".new")
        fresh.write_text(text)
        os.replace(fresh, self.path)

    def settle(self) -> None:
        """What is written is on the disk: a checkpoint builds on it."""
        flush_to_disk(self.path)

    def add(self, line: Mapping[str, Any]) -> None:
        """Append a line."""
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a log; a last one that was not finished is left out."""
    if not path.is_file():
        return []
    found = []
    for line in path.read_text().splitlines():
        try:
            found.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return found


def log_table(path: Path) -> pa.Table:
    """A row a line: step, tokens or rows before it, then numbers by name; null where none."""
    lines = read_lines(path)
    names = dict.fromkeys(name for line in lines for name in line)
    first = [name for name in ("step", "tokens", "rows", "loss") if name in names]
    order = first + [name for name in names if name not in first]
    types = {name: pa.int64() if name in _WHOLE else pa.float64() for name in order}
    columns = {name: pa.array([line.get(name) for line in lines], types[name]) for name in order}
    return pa.table(columns) if order else pa.table({"step": pa.array([], pa.int64())})
