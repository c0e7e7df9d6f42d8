"""The request log: what was flushed is found again, exactly, whatever happened since."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from synth.calls import Answer, Model
from synth.driving import shards
from synth.driving.index import Index, prefixes, split
from synth.driving.log import FLUSH_SECONDS, Logs, MemoryLog, RequestLog, StoreLog, log_folder

MODEL = Model("m", "0123456789abcdef")


def key(number: int) -> bytes:
    return random.Random(number).randbytes(16)


def answer(number: int, finish: str = "stop") -> Answer:
    draw = random.Random(number)
    return Answer(
        f"answer {number} ünï\n",
        [draw.randrange(50_000) for _ in range(draw.randrange(9))],
        finish,
        draw.randrange(100),
        draw.randrange(100),
        -draw.random() * 40,
        [-draw.random() for _ in range(3)] if number % 2 else None,
        [[1, 2], [3]] if number % 3 else None,
        [[-0.1, -2.5], [float("-inf")]] if number % 3 else None,
        draw.random() if number % 5 else None,
    )


def fill(log: RequestLog, numbers: range) -> None:
    for number in numbers:
        log.add(key(number), 100, answer(number))


def found(log: RequestLog, numbers: range) -> list[Answer | None]:
    return log.find([key(n) for n in numbers], [100] * len(numbers))


def test_answers_come_back_to_the_last_bit(tmp_path: Path) -> None:
    log = StoreLog(tmp_path)
    fill(log, range(3000))
    assert found(log, range(3000)) == [answer(n) for n in range(3000)]  # before any flush
    log.flush()
    assert found(log, range(3000)) == [answer(n) for n in range(3000)]
    again = StoreLog(tmp_path)
    assert found(again, range(3000)) == [answer(n) for n in range(3000)]
    assert found(again, range(3000, 3100)) == [None] * 100


def test_both_logs_agree_on_what_fits_another_limit(tmp_path: Path) -> None:
    for log in (MemoryLog(), StoreLog(tmp_path)):
        log.add(key(1), 50, Answer("ended", None, "stop", 3, 20))
        log.add(key(2), 50, Answer("cut", None, "length", 3, 50))
        log.flush()

        def has(number: int, limit: int, log: RequestLog = log) -> bool:
            return log.find([key(number)], [limit])[0] is not None

        assert [has(1, limit) for limit in (10, 20, 50, 400)] == [False, True, True, True]
        assert [has(2, limit) for limit in (49, 50, 51)] == [False, True, False]
        log.add(key(2), 80, Answer("longer", None, "stop", 3, 60))
        assert log.find([key(2)] * 3, [50, 60, 59]) == [
            Answer("cut", None, "length", 3, 50),
            Answer("longer", None, "stop", 3, 60),
            None,
        ]


def test_keys_that_begin_alike_are_told_apart(tmp_path: Path) -> None:
    log = StoreLog(tmp_path)
    alike = [b"same 8 b" + bytes([n]) * 8 for n in range(20)]
    for number, one in enumerate(alike):
        log.add(one, 100, answer(number))
    log.flush()
    assert log.find(alike, [100] * 20) == [answer(n) for n in range(20)]
    assert log.find([b"same 8 b" + b"z" * 8], [100]) == [None]


def test_it_flushes_by_time_and_by_size(tmp_path: Path) -> None:
    now = [0.0]
    log = StoreLog(tmp_path, clock=lambda: now[0])
    fill(log, range(3))
    log.tick()
    assert not shards.listed(tmp_path)
    now[0] += FLUSH_SECONDS
    log.tick()
    log.flush()
    assert len(shards.listed(tmp_path)) == 1
    log.add(key(9), 100, Answer("x" * 9_000_000))
    log.tick()
    log.flush()
    assert len(shards.listed(tmp_path)) == 2


def small_shards(folder: Path, count: int) -> None:
    log = StoreLog(folder)
    for number in range(count):
        fill(log, range(number * 10, number * 10 + 10))
        log.flush()


def test_small_shards_are_merged_when_a_log_is_opened(tmp_path: Path) -> None:
    small_shards(tmp_path, 40)
    log = StoreLog(tmp_path)
    assert len(shards.listed(tmp_path)) == 1
    assert found(log, range(400)) == [answer(n) for n in range(400)]


def test_a_log_open_elsewhere_finds_its_answers_after_a_merge(tmp_path: Path) -> None:
    small_shards(tmp_path, 5)
    open_before = StoreLog(tmp_path)
    writer = StoreLog(tmp_path)
    for number in range(5, 30):
        fill(writer, range(number * 10, number * 10 + 10))
        writer.flush()
    StoreLog(tmp_path)
    assert len(shards.listed(tmp_path)) == 1
    for log in (open_before, writer):
        assert found(log, range(300)) == [answer(n) for n in range(300)]


class Stop(Exception):
    """A crash at a chosen point."""


@pytest.mark.parametrize("point", ["before rename", "after rename"])
def test_a_crash_while_merging_loses_nothing(
    tmp_path: Path, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_shards(tmp_path, 20)
    real = os.rename if point == "before rename" else Path.unlink

    def crash(*_: object, **__: object) -> None:
        raise Stop

    with monkeypatch.context() as patch:
        patch.setattr(shards.os if real is os.rename else Path, real.__name__, crash)
        with pytest.raises(Stop):
            StoreLog(tmp_path)
    log = StoreLog(tmp_path)
    assert found(log, range(200)) == [answer(n) for n in range(200)]
    assert len(log) == 200
    assert len(shards.listed(tmp_path)) == 1


def test_a_damaged_shard_is_named_and_its_requests_are_unknown(tmp_path: Path) -> None:
    log = StoreLog(tmp_path)
    for first in (0, 10, 20):
        fill(log, range(first, first + 10))
        log.flush()
    truncated, flipped, _ = shards.listed(tmp_path)
    truncated.write_bytes(truncated.read_bytes()[:200])
    raw = bytearray(flipped.read_bytes())
    raw[len(raw) // 3 : len(raw) // 3 + 40] = os.urandom(40)
    flipped.write_bytes(raw)
    log = StoreLog(tmp_path)
    answers = found(log, range(30))
    assert answers[:20] == [None] * 20
    assert answers[20:] == [answer(n) for n in range(20, 30)]
    assert sorted(str(p) for p in (truncated, flipped) for n in log.notes if str(p) in n) == sorted(
        [str(truncated), str(flipped)]
    )


def test_a_failed_write_keeps_its_answers_for_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = StoreLog(tmp_path)
    fill(log, range(10))

    def full(*_: object) -> Path:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("synth.driving.log.write_shard", full)
        with pytest.raises(OSError, match="No space"):
            log.flush()
    assert found(log, range(10)) == [answer(n) for n in range(10)]
    fill(log, range(10, 12))
    log.flush()
    assert found(StoreLog(tmp_path), range(12)) == [answer(n) for n in range(12)]


WRITER = """
import sys
from pathlib import Path
from tests.synth.test_log import fill
from synth.driving.log import StoreLog
log = StoreLog(Path(sys.argv[1]))
for first in range(int(sys.argv[2]), int(sys.argv[2]) + 200, 10):
    fill(log, range(first, first + 10))
    log.flush()
    StoreLog(Path(sys.argv[1]))
"""


@pytest.mark.slow
def test_two_runs_at_once_write_merge_and_read_one_log(tmp_path: Path) -> None:
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), str(first)])
        for first in (0, 200, 400)
    ]
    log = StoreLog(tmp_path)
    while any(writer.poll() is None for writer in writers):
        seen = found(log, range(600))
        assert all(one is None or one == answer(n) for n, one in enumerate(seen))
        log = StoreLog(tmp_path)
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    assert found(StoreLog(tmp_path), range(600)) == [answer(n) for n in range(600)]


def test_the_index_finds_every_row_of_every_key() -> None:
    index = Index()
    draw = np.random.default_rng(0)
    expected: dict[int, list[tuple[int, int]]] = {}
    for shard, size in enumerate([1, 500, 3, 0, 70, 2, 900]):
        keys = draw.integers(0, 300, size).astype(np.uint64)
        index.add(keys, shard)
        for row, one in enumerate(keys.tolist()):
            expected.setdefault(one, []).append((shard, row))
    asked = np.arange(320, dtype=np.uint64)
    who, where = index.find(asked)
    got: dict[int, list[tuple[int, int]]] = {}
    for number, shard, row in zip(who.tolist(), *map(np.ndarray.tolist, split(where)), strict=True):
        got.setdefault(number, []).append((shard, row))
    assert got == expected
    assert len(index) == 1476
    assert prefixes(key(1) + key(2)).tolist() == [
        int.from_bytes(key(n)[:8], "little") for n in (1, 2)
    ]


def test_models_have_folders_of_their_own(tmp_path: Path) -> None:
    assert log_folder(tmp_path, MODEL) == tmp_path / "0123456789ab"
    named = log_folder(tmp_path, Model("gpt", "2026-01"))
    assert len(named.name) == 12 and named != log_folder(tmp_path, Model("gpt", "2026-02"))
    logs = Logs(tmp_path)
    assert logs.of(MODEL) is logs.of(Model("another name", MODEL.revision))


@pytest.fixture(autouse=True)
def _no_leftovers(tmp_path: Path) -> Iterator[None]:
    yield
    assert not list(tmp_path.glob("**/.*.tmp"))
