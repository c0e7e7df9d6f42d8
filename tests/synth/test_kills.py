"""kill -9 at random moments: the same versions in the end, and no flushed request made again."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
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


def survive(tmp_path: Path, seed: int, kills: int, rows: int, pace: float) -> int:
    """Build under kills until the build is whole; how many kills it took."""
    record, store = tmp_path / f"made-{seed}", tmp_path / f"killed-{seed}"
    step = recipe(seed, record, rows, pace)
    chance = random.Random(seed)
    done = 0
    checks: list[tuple[set[str], int]] = []
    while done < kills:
        process = start(store, step)
        try:
            while done < kills and process.poll() is None:
                # Mostly past the start, and long enough for a flush now and then.
                time.sleep(chance.uniform(0.5, 6.0))
                if process.poll() is not None:
                    break
                how = chance.choice(["worker", "driver", "group", "group"])
                kill(process, how, chance)
                done += 1
                # What is flushed now may never be asked again, by anyone.
                known = flushed(store)
                checks.append((known, len(requests_made(record))))
                if how != "worker":
                    process.wait()
            if process.poll() == 0:
                break
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            time.sleep(0.3)  # workers of a killed driver see its end
    versions = build(str(store), step)
    made = requests_made(record)
    for known, before in checks:
        again = known & set(made[before:])
        assert not again, f"{len(again)} flushed requests were made again"
    whole = tmp_path / f"whole-{seed}"
    assert build(str(whole), recipe(seed, None, rows, 0.0)) == versions
    ledger = Store(store)["synth/x.ledger"]
    assert ledger.rows == rows
    assert {name: Store(store)[name].version for name in OUTPUTS} == versions
    return done


def test_a_few_kills(tmp_path: Path) -> None:
    assert survive(tmp_path, seed=1, kills=3, rows=160, pace=0.01) >= 1


@pytest.mark.slow
def test_fifty_kills(tmp_path: Path) -> None:
    done, seed = 0, 10
    while done < 50:  # a build that got through begins anew, with other seeds
        done += survive(tmp_path, seed, 50 - done, rows=2000, pace=0.006)
        seed += 1
