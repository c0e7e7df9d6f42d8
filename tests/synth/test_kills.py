"""kill -9 at random moments: the same versions in the end, and no flushed request made again."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from gristmill.store import Store
from synth.engines.fake import requests_made
from synth.step import Synthesize
from tests.run_step import run_step

ROOT = Path(__file__).resolve().parents[2]
OUTPUTS = ("synth/x", "synth/x.ledger", "synth/x.completions")


def recipe(seed: int, record: Path | None, rows: int, seconds_per_word: float) -> dict[str, Any]:
    """Two stages, two workers, many tasks; some requests fail, others are cut."""
    engine = {
        "capacity": 8,
        "seconds_per_word": seconds_per_word,
        "fail": {"server": 0.03},
        "record": None if record is None else str(record),
    }
    return {
        "name": "synth/x",
        "use": "synthesize",
        "seed": seed,
        "from": {"values": {"seed": [seed], "n": list(range(rows))}},
        "engines": {"main": {"fake": engine}},
        "workers": 2,
        "task_rows": 40,
        "do": [
            {"prompt": {"user": "Say {{ n }} {{ seed }}"}},
            {"sample": {"n": 2, "max_tokens": 36}},
            {"parse": "text"},
            {"prompt": {"user": "Again: {{ response }}"}},
            {"sample": {"max_tokens": 36, "into": "again"}},
            {"emit": {"text": "{{ again }}", "columns": ["n"]}},
        ],
    }


def start(store: Path, step: dict[str, Any]) -> subprocess.Popen[bytes]:
    code = f"from tests.synth.test_kills import build; build({str(store)!r}, {step!r})"
    return subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, start_new_session=True)


def build(store: str, step: dict[str, Any]) -> dict[str, str]:
    """What a killed process was doing."""
    return run_step(Synthesize(**step), Path(store), workers=step["workers"])


def flushed(store: Path) -> set[str]:
    """Keys in the request log."""
    found: set[str] = set()
    for shard in store.glob(".requests/*/[0-9]*.parquet"):
        try:
            found |= {key.as_py().hex() for key in pq.read_table(shard, columns=["key"])["key"]}
        except FileNotFoundError:
            continue  # merged meanwhile
    return found


def workers_of(process: subprocess.Popen[bytes]) -> list[int]:
    found = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(process.pid)],
        capture_output=True,
        text=True,
        check=False,
    )
    return [int(pid) for pid in found.stdout.split()]


def kill(process: subprocess.Popen[bytes], how: str, chance: random.Random) -> None:
    if how == "worker" and (pids := workers_of(process)):
        os.kill(chance.choice(pids), signal.SIGKILL)
    elif how == "driver":
        process.kill()
    else:
        os.killpg(process.pid, signal.SIGKILL)


def wait_for_a_moment(
    process: subprocess.Popen[bytes], record: Path, chance: random.Random
) -> None:
    """Mostly past the start, when something was asked, and long enough for a flush now and then."""
    asked = size(record)
    started = chance.random() < 0.2  # or not: start-ups are killed too
    while not started and process.poll() is None:
        started = size(record) > asked
        time.sleep(0.02)
    time.sleep(chance.uniform(0.0, 3.0))


def size(record: Path) -> int:
    return record.stat().st_size if record.exists() else 0


@dataclass(slots=True)
class Killed:
    """A build that was killed again and again; of each kill the keys in the log, and how many
    requests had been made."""

    folder: Path
    seed: int
    rows: int
    checks: list[tuple[set[str], int]] = field(default_factory=list)

    @property
    def record(self) -> Path:
        return self.folder / f"made-{self.seed}"

    @property
    def store(self) -> Path:
        return self.folder / f"killed-{self.seed}"

    def strike(self, kills: int, pace: float) -> None:
        """Build and kill, so many times or until the build is whole."""
        step = recipe(self.seed, self.record, self.rows, pace)
        chance = random.Random(self.seed)
        while len(self.checks) < kills:
            process = start(self.store, step)
            try:
                while len(self.checks) < kills and process.poll() is None:
                    wait_for_a_moment(process, self.record, chance)
                    if process.poll() is not None:
                        break
                    how = chance.choice(["worker", "driver", "group", "group"])
                    kill(process, how, chance)
                    # What is flushed now may never be asked again, by anyone.
                    known = flushed(self.store)
                    self.checks.append((known, len(requests_made(self.record))))
                    if how != "worker":
                        process.wait()
                if process.poll() == 0:
                    return
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
                time.sleep(0.3)  # workers of a killed driver see its end

    def survives(self) -> None:
        """It ends as one that was never killed, and what was flushed was not asked again."""
        # How long an answer takes is no part of a version: to the end without waiting.
        versions = build(str(self.store), recipe(self.seed, self.record, self.rows, 0.0))
        made = requests_made(self.record)
        for known, before in self.checks:
            again = known & set(made[before:])
            assert not again, f"{len(again)} flushed requests were made again"
        whole = self.folder / f"whole-{self.seed}"
        assert build(str(whole), recipe(self.seed, None, self.rows, 0.0)) == versions
        ledger = Store(self.store)["synth/x.ledger"]
        assert ledger.rows == self.rows
        assert {name: Store(self.store)[name].version for name in OUTPUTS} == versions


def struck(folder: Path, seeds: Iterator[int], kills: int) -> list[Killed]:
    """Builds with so many kills in all; one that got through begins anew, with other seeds."""
    found: list[Killed] = []
    while (done := sum(len(one.checks) for one in found)) < kills:
        found.append(Killed(folder, next(seeds), rows=2000))
        found[-1].strike(kills - done, pace=0.006)
    return found


def test_a_few_kills(tmp_path: Path) -> None:
    one = Killed(tmp_path, seed=1, rows=160)
    one.strike(3, pace=0.01)
    assert one.checks
    one.survives()


@pytest.mark.slow
def test_fifty_kills(tmp_path: Path) -> None:
    """In two stores at once: answers take their time, and most of it is waiting."""
    seeds = iter(range(10, 100))
    with ThreadPoolExecutor(2) as lanes:
        struck_twice = [lanes.submit(struck, tmp_path, seeds, 25) for _ in range(2)]
        builds = [one for lane in struck_twice for one in lane.result()]
    assert sum(len(one.checks) for one in builds) == 50
    assert any(known for one in builds for known, _ in one.checks)
    for one in builds:
        one.survives()
