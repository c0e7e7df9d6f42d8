"""The request log: every answer of a model, by the key of its request.

In: answers as they come. Out: the same answers to whoever asks again: this run after a kill,
another step, another recipe.
Shown by: `python -m pytest tests/synth/test_log.py`.
Limit: what is not flushed (two seconds, or some MB) is lost to `kill -9` and made again.

    STORE/.requests/<12 hex digits of the model>/<time>-<random>.parquet
"""

from __future__ import annotations

import hashlib
import json
import re
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from threading import RLock
from typing import Protocol

from synth.calls import Answer, Model
from synth.driving.answers import Entry, fits, to_table
from synth.driving.reader import Reader
from synth.driving.shards import merge_small, write_shard

FLUSH_SECONDS = 2.0
FLUSH_BYTES = 8 << 20
MODEL = "model.json"


class RequestLog(Protocol):
    """Where answers are kept and found again."""

    notes: list[str]

    def find(self, keys: Sequence[bytes], limits: Sequence[int]) -> list[Answer | None]:
        """The answer to each request under its max_tokens, where one fits."""

    def add(self, key: bytes, limit: int, answer: Answer) -> None:
        """Keep an answer."""

    def tick(self) -> None:
        """Called often: flushes when it is time."""

    def flush(self) -> None:
        """All that was added is on disk when this returns."""


class MemoryLog:
    """A log without a store."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self._held: dict[bytes, list[Entry]] = {}

    def find(self, keys: Sequence[bytes], limits: Sequence[int]) -> list[Answer | None]:
        return [_first(self._held.get(k, ()), n) for k, n in zip(keys, limits, strict=True)]

    def add(self, key: bytes, limit: int, answer: Answer) -> None:
        self._held.setdefault(key, []).append(Entry(key, limit, answer))

    def tick(self) -> None:
        return None

    def flush(self) -> None:
        return None


class StoreLog:
    """The log of one model in a store. Runs at once may share it; each writes shards of its own."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        merged = merge_small(folder)
        self._shards = Reader(folder)
        self.notes: list[str] = self._shards.notes
        self.notes += merged
        self._clock = clock
        self._lock = RLock()  # what ends a process flushes from another thread
        self._writer = ThreadPoolExecutor(1, "request-log")
        self._writing: list[tuple[Future[Path], list[Entry]]] = []
        self._buffer: list[Entry] = []
        self._buffered = 0
        self._since = 0.0
        self._recent: dict[bytes, list[Entry]] = {}  # not in a shard yet

    def __len__(self) -> int:
        return len(self._shards) + sum(map(len, self._recent.values()))

    def find(self, keys: Sequence[bytes], limits: Sequence[int]) -> list[Answer | None]:
        found = self._shards.find(keys, limits)
        if self._recent:
            for number, key in enumerate(keys):
                if found[number] is None and key in self._recent:
                    found[number] = _first(self._recent[key], limits[number])
        return found

    def add(self, key: bytes, limit: int, answer: Answer) -> None:
        entry = Entry(key, limit, answer)
        with self._lock:
            if not self._buffer:
                self._since = self._clock()
            self._buffer.append(entry)
            self._recent.setdefault(key, []).append(entry)
            self._buffered += 200 + len(answer.text) + 4 * len(answer.token_ids or ())
            if answer.top_ids is not None:
                self._buffered += 12 * sum(map(len, answer.top_ids))

    def tick(self) -> None:
        with self._lock:
            self._collect(wait=False)
            if not self._buffer:
                return
            if self._buffered >= FLUSH_BYTES or self._clock() - self._since >= FLUSH_SECONDS:
                self._hand_over()

    def flush(self) -> None:
        with self._lock:
            self._hand_over()
            self._collect(wait=True)

    def _hand_over(self) -> None:
        """Give the buffer to the writing thread: the loop does not wait for the disk."""
        if not self._buffer:
            return
        entries, self._buffer, self._buffered = self._buffer, [], 0
        self._writing.append((self._writer.submit(_write, self.folder, entries), entries))

    def _collect(self, wait: bool) -> None:
        while self._writing and (wait or self._writing[0][0].done()):
            future, entries = self._writing[0]
            try:
                path = future.result()
            except BaseException:
                self._writing.pop(0)
                self._buffer = entries + self._buffer  # a disk that is full now may not be later
                raise
            self._writing.pop(0)
            self._shards.add(path, b"".join(entry.key for entry in entries))
            for entry in entries:
                if self._recent.get(entry.key, [None])[0] is entry:
                    del self._recent[entry.key]


def _write(folder: Path, entries: list[Entry]) -> Path:
    return write_shard(folder, to_table(entries))


def _first(entries: Sequence[Entry], limit: int) -> Answer | None:
    return next((entry.answer for entry in entries if fits(entry, limit)), None)


def log_folder(requests: Path, model: Model) -> Path:
    """Where a model's answers lie: by its revision, as it is or digested."""
    revision = model.revision
    if not re.fullmatch(r"[0-9a-f]{12,}", revision):
        revision = hashlib.sha256(revision.encode()).hexdigest()
    return requests / revision[:12]


def name_folder(folder: Path, model: Model) -> None:
    """Say beside the shards whose answers they are: for people, and `gristmill requests`."""
    place = folder / MODEL
    if not place.exists():
        temporary = folder / f".{uuid.uuid4().hex}.json"
        temporary.write_text(json.dumps(asdict(model)))
        temporary.replace(place)


class Logs:
    """The logs of a run, opened when a model is first asked; without a store they are in memory."""

    def __init__(self, requests: Path | None) -> None:
        self._requests = requests
        self._open: dict[str, RequestLog] = {}

    def of(self, model: Model) -> RequestLog:
        """The log of a model."""
        folder = log_folder(self._requests or Path(), model)
        if str(folder) not in self._open:
            self._open[str(folder)] = StoreLog(folder) if self._requests else MemoryLog()
            if self._requests:
                name_folder(folder, model)
        return self._open[str(folder)]

    def tick(self) -> None:
        """Flush where it is time."""
        for log in self._open.values():
            log.tick()

    def flush(self) -> None:
        """All answers are on disk when this returns; any thread may ask."""
        for log in list(self._open.values()):
            log.flush()

    def notes(self) -> list[str]:
        """What the user should know, once."""
        found = [note for log in self._open.values() for note in log.notes]
        for log in self._open.values():
            log.notes.clear()
        return found
