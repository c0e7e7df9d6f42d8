"""Reads a JSONL corpus with the standard library, for sides of any environment.

In: a path, the rows {"id", "url", "text"}. Out: lists. Shown by: any script of `bench/`.
Limit: the whole corpus is in memory; samples for peers are a few megabytes.
"""

from __future__ import annotations

import json
from pathlib import Path


def texts(path: str) -> list[str]:
    """The texts, in order."""
    with Path(path).open(encoding="utf-8") as lines:
        return [json.loads(line)["text"] for line in lines]


def rows(path: str) -> list[dict[str, str]]:
    """The rows, in order."""
    with Path(path).open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]
