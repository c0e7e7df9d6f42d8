"""What the request logs of a store hold, model by model, and how to let one go.

In: a store. Out: a line a model: answers, tokens, bytes, first and last.
Shown by: `gristmill requests`. Limit: counts come from footers and two columns; damaged shards are
counted apart.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from gristmill.errors import StoreError, nearest
from gristmill.store import Store
from synth.driving.log import MODEL
from synth.driving.shards import listed, open_shard


@dataclass(frozen=True, slots=True)
class Kept:
    """The log of one model."""

    folder: str  # 12 hex digits of the model's revision
    model: str
    answers: int
    prompt_tokens: int
    completion_tokens: int
    bytes: int
    shards: int
    damaged: int
    last: str  # when an answer was last added

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def kept(store: Store) -> list[Kept]:
    """All logs of a store, the one used last at the end."""
    home = store.path / ".requests"
    folders = [f for f in home.iterdir() if f.is_dir()] if home.is_dir() else []
    return sorted((_kept(folder) for folder in folders), key=lambda k: (k.last, k.folder))


def drop(store: Store, folder: str) -> Kept:
    """Remove a model's log; what steps committed is untouched."""
    found = {one.folder: one for one in kept(store)}
    if folder not in found:
        raise StoreError(f"no request log {folder!r}{nearest(folder, found)}")
    try:
        shutil.rmtree(store.path / ".requests" / folder)
    except OSError as error:
        raise StoreError(f"cannot remove the request log {folder}: {error.strerror}") from None
    return found[folder]


def _kept(folder: Path) -> Kept:
    sums = {"prompt_tokens": 0, "completion_tokens": 0}
    answers = damaged = size = 0
    last = 0.0
    shards = listed(folder)
    for path in shards:
        try:
            with open_shard(path) as file:
                table = file.read(list(sums))
        except (OSError, pa.ArrowException):
            damaged += 1
            continue
        answers += table.num_rows
        for name in sums:
            sums[name] += pc.sum(table[name]).as_py() or 0
        status = path.stat()
        size, last = size + status.st_size, max(last, status.st_mtime)
    when = datetime.fromtimestamp(last, UTC).isoformat(timespec="seconds") if last else ""
    return Kept(
        folder.name, _name(folder), answers, **sums, bytes=size, shards=len(shards),
        damaged=damaged, last=when,
    )  # fmt: skip


def _name(folder: Path) -> str:
    try:
        return str(json.loads((folder / MODEL).read_text())["name"])
    except (OSError, ValueError, KeyError):
        return ""
