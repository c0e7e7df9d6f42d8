"""Benchmark items in one neutral form, so that every decontaminator indexes the same text.

In: `../shared/data/benchmarks/*.jsonl.gz`. Out: JSONL {"task", "query", "label"} in `.bench/`.
Shown by: `python -m bench.items`. Limit: code benchmarks are left out (their items are programs).
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.corpora import fresh_path, publish, source_data

_QUERY = ("question", "query", "input", "context")
_LABEL = ("answer", "target", "continuation", "chain_of_thought")


def _item(row: dict[str, Any]) -> tuple[str, str] | None:
    query = next((row[key] for key in _QUERY if isinstance(row.get(key), str)), None)
    choices, gold = row.get("choices"), row.get("gold", row.get("answer"))
    if query is None:
        return None
    if isinstance(choices, list) and isinstance(gold, int):
        return query, str(choices[gold])
    label = next((row[key] for key in _LABEL if isinstance(row.get(key), str)), "")
    return query, label


def items() -> Path:
    """Question and answer of each item; written once."""
    path, temporary, there = fresh_path("items.jsonl")
    if there:
        return path
    with temporary.open("w", encoding="utf-8") as out:
        for source in sorted((source_data() / "benchmarks").glob("*.jsonl.gz")):
            if source.name.startswith("human"):
                continue
            for query, label in _read(source):
                row = {"task": source.name.partition(".")[0], "query": query, "label": label}
                out.write(json.dumps(row, ensure_ascii=False) + "\n")
    return publish(path, temporary)


def _read(source: Path) -> Iterator[tuple[str, str]]:
    with gzip.open(source, "rt", encoding="utf-8") as lines:
        for line in lines:
            found = _item(json.loads(line))
            if found:
                yield found


if __name__ == "__main__":
    with items().open(encoding="utf-8") as written:
        print(sum(1 for _ in written), "items in", items())
