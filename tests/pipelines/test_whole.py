"""The demo's recipe on its crawl: any workers, killed at any moment, twice at once: same versions.

The crawl is padded so that it takes several tasks: records of other types, which no step reads.
"""

from __future__ import annotations

import gzip
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from glob import glob
from pathlib import Path

import pytest

from bench.memory import Watch
from gristmill import Store
from pipelines.demo.generate import generate
from tests.curation.readers.warc_files import record
from tests.run_step import RECIPES, account, run_recipe

pytestmark = pytest.mark.slow
RECIPE = RECIPES / "demo.yaml"
STEPS = ("web/clean", "web/distinct", "web/unique", "web/final")
KILLS = 32
Settings = dict[str, object]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Four files of a task each, and one that is read in two ranges; 400 pages, some broken."""
    folder = tmp_path_factory.mktemp("crawl")
    truth = generate(folder, seed=3, pages=400)
    first, *others = sorted(Path(truth.crawl).parent.iterdir())
    padding = [_padding(number, 9) for number in range(8)]
    long = [first.read_bytes(), *padding[:5], others[0].read_bytes(), *padding[5:]]
    for file, pad in zip([*others], padding, strict=False):
        file.write_bytes(file.read_bytes() + pad)
    first.write_bytes(b"".join(long))
    return {"crawl": truth.crawl, "against": [str(truth.benchmark)]}


def _padding(number: int, megabytes: int) -> bytes:
    """A gzip member with a metadata record that does not shrink."""
    noise = random.Random(number).randbytes(megabytes << 20)
    return gzip.compress(record(noise, number, "metadata"), 0, mtime=0)


@pytest.fixture(scope="module")
def expected(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Versions of every output, uninterrupted and with one worker."""
    store = tmp_path_factory.mktemp("one")
    with Watch(os.getpid()) as memory:
        made = run_recipe(RECIPE, store, settings, workers=1)
    assert len(Store(store)["web/clean"].files) == 5
    print(f"\none worker: {max(memory.peaks.values()):.0f} MB")
    assert max(memory.peaks.values()) < 1500
    return made


@pytest.mark.parametrize("workers", [2, 5])
def test_any_number_of_workers_gives_the_same_versions(
    settings: Settings, expected: dict[str, str], tmp_path: Path, workers: int
) -> None:
    assert run_recipe(RECIPE, tmp_path, settings, workers) == expected
    store = Store(tmp_path)
    records = 500  # one file's pages are in the long file too
    for name in STEPS:
        account(store, name, records)
        records = store[name].rows


def command(store: Path, settings: Settings) -> list[str]:
    options = [f"--set={key}={value}" for key, value in settings.items()]
    run = [sys.executable, "-c", "from pipelines.cli import main; main()", "run", str(RECIPE)]
    return [*run, "--workers", "2", "--store", str(store), *options]


def start(store: Path, settings: Settings) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command(store, settings),
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def test_killed_at_random_moments_the_same_command_gives_the_same_versions(
    settings: Settings, expected: dict[str, str], tmp_path: Path
) -> None:
    dice = random.Random(os.environ.get("GRISTMILL_TEST_SEED", "kills"))
    kills: Counter[tuple[str, str]] = Counter()  # by victim and phase
    stores = 0
    while kills.total() < KILLS:
        store = tmp_path / str(stores)
        victims = ["group", "group", "group", "driver", "worker"]
        process = start(store, settings)
        while wait_for(process, store, dice):
            victim = dice.choice(victims)
            kills[victim, phase_now(store)] += strike(process, victim, dice)
            if victim == "worker":
                victims.remove(victim)  # twice at the same record would be laid to the record
            else:
                process.communicate()
                process = start(store, settings)
        _, told = process.communicate()
        assert process.returncode == 0, told.decode()
        assert run_recipe(RECIPE, store, settings) == expected
        for name in STEPS:
            assert len(list((store / name / "builds").iterdir())) == 1
        assert not list((store / ".staging").iterdir())
        stores += 1
    whom, where = Counter[str](), Counter[str]()
    for (victim, phase), times in kills.items():
        whom[victim] += times
        where[phase] += times
    print(f"\n{kills.total()} kills in {stores} stores, of {dict(whom)}, in {dict(where)}")


def strike(process: subprocess.Popen[bytes], victim: str, dice: random.Random) -> bool:
    """SIGKILL a run, its driver alone, or one worker; False when there was nothing to kill."""
    try:
        if victim == "group":
            os.killpg(process.pid, signal.SIGKILL)
        elif victim == "driver":
            os.kill(process.pid, signal.SIGKILL)
        else:
            os.kill(dice.choice(children(process.pid)), signal.SIGKILL)
    except (IndexError, OSError):
        return False
    return True


def wait_for(process: subprocess.Popen[bytes], store: Path, dice: random.Random) -> bool:
    """Until some more tasks are published, or for some time; False when the run ended before."""
    clock, many = time.monotonic(), finished(store) + dice.randint(1, 12)
    pause = dice.uniform(0.5, 3) if dice.random() < 0.2 else 60.0
    while finished(store) < many and time.monotonic() < clock + pause:
        if process.poll() is not None:
            return False
        time.sleep(0.002)
    time.sleep(dice.uniform(0, 0.05))
    return process.poll() is None


def finished(store: Path) -> int:
    """Grows with every task that is published and every step that is built."""
    built = glob(f"{store}/web/*/builds/*.json")
    return 100 * len(built) + len(glob(f"{store}/.staging/*/*/*/task.json"))


def phase_now(store: Path) -> str:
    """The phase whose directory changed last."""
    try:
        last = max(glob(f"{store}/.staging/*/*/"), key=os.path.getmtime, default="between steps")
    except OSError:
        return "commit"
    return Path(last).name.partition("-")[0]


def children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


def test_two_runs_at_once_make_the_same_versions_once(
    settings: Settings, expected: dict[str, str], tmp_path: Path
) -> None:
    runs = [start(tmp_path, settings) for _ in range(2)]
    for run in runs:
        _, told = run.communicate()
        assert run.returncode == 0, told.decode()
    store = Store(tmp_path)
    assert {name: store[name].version for name in expected} == expected
    for name in STEPS:
        assert len(list((tmp_path / name / "builds").iterdir())) == 1
