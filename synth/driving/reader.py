"""Reading a request log: an index of all keys, and row groups decoded as they are asked for.

In: a folder of shards. Out: answers by key and limit. Shown by: `python -m pytest
tests/synth/test_log.py`.
Limit: requests in another order than they were made decode many row groups for each batch.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from synth.calls import KEY_BYTES, Answer
from synth.driving.answers import Entry, fits, from_table
from synth.driving.index import Index, prefixes, split
from synth.driving.shards import damage, listed, open_shard

_OPEN_FILES = 64
_GROUPS = 192  # row groups kept decoded


class Reader:
    """The shards of a folder as they were when it was opened, and those added since."""

    def __init__(self, folder: Path) -> None:
        self.notes: list[str] = []  # what the user should know: damaged shards
        self._folder = folder
        self._load()

    def __len__(self) -> int:
        return len(self._index)

    def add(self, path: Path, keys: bytes) -> None:
        """A shard that was written just now."""
        self._index.add(prefixes(keys), len(self._paths))
        self._paths.append(path)

    def _load(self) -> None:
        """Index all shards; anew where another run merged some of them meanwhile."""
        while True:
            self._paths: list[Path] = []
            self._index = Index()
            self._files: OrderedDict[int, tuple[pq.ParquetFile, list[int]]] = OrderedDict()
            self._groups: OrderedDict[tuple[int, int], pa.Table] = OrderedDict()
            try:
                for path in listed(self._folder):
                    self._index_shard(path)
                return
            except FileNotFoundError:
                continue

    def _index_shard(self, path: Path) -> None:
        try:
            with open_shard(path) as file:
                keys = file.read(["key"])["key"]
        except FileNotFoundError:
            raise
        except (OSError, pa.ArrowException) as error:
            self._note(damage(path, error))
            return
        raw = b"".join(
            memoryview(c.buffers()[1])[c.offset * KEY_BYTES : (c.offset + len(c)) * KEY_BYTES]
            for c in keys.chunks
            if len(c)
        )
        self.add(path, raw)

    def _note(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)

    def find(self, keys: Sequence[bytes], limits: Sequence[int]) -> list[Answer | None]:
        """The answer to each request under its max_tokens, where a shard has one that fits."""
        found: list[Answer | None] = [None] * len(keys)
        if not len(self._index) or not keys:
            return found
        asked, places = self._index.find(prefixes(b"".join(keys)))
        if not len(asked):
            return found
        shards, rows = split(places)
        for shard in np.unique(shards).tolist():
            here = np.flatnonzero(shards == shard)
            try:
                entries = self._read(shard, rows[here])
            except FileNotFoundError:
                self._load()  # another run merged shards: look where they are now
                return self.find(keys, limits)
            except (OSError, pa.ArrowException) as error:
                self._note(damage(self._paths[shard], error))
                continue
            for number, entry in zip(asked[here].tolist(), entries, strict=True):
                match = entry.key == keys[number] and found[number] is None
                if match and fits(entry, limits[number]):
                    found[number] = entry.answer
        return found

    def _read(self, shard: int, rows: np.ndarray) -> list[Entry]:
        """Entries of rows of a shard, which are in order."""
        file, bounds = self._open(shard)
        entries: list[Entry] = []
        groups = np.searchsorted(bounds, rows, "right") - 1
        for group in np.unique(groups).tolist():
            table = self._groups.get((shard, group))
            if table is None:
                table = file.read_row_group(group)
                self._groups[shard, group] = table
                while len(self._groups) > _GROUPS:
                    self._groups.popitem(last=False)
            self._groups.move_to_end((shard, group))
            entries += from_table(table.take(pa.array(rows[groups == group] - bounds[group])))
        return entries

    def _open(self, shard: int) -> tuple[pq.ParquetFile, list[int]]:
        if shard not in self._files:
            file = open_shard(self._paths[shard])
            sizes = [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)]
            self._files[shard] = (file, np.cumsum([0, *sizes]).tolist())
            while len(self._files) > _OPEN_FILES:
                self._files.popitem(last=False)[1][0].close()
        self._files.move_to_end(shard)
        return self._files[shard]
