"""Interleaved runs of several sides, their medians and ratios, and one JSON a claim.

In: `Side`s (a job of `bench/sides/`, its options, the interpreter it runs in). Out: `Measurement`s;
`Claim.write()` puts `.bench/results/NAME.json` beside a printed table.
Shown by: `python -m bench.signals --size small`. Limit: sides take turns (A B A B ...), which evens
out slow drifts of a shared machine, not a neighbour that wakes up for one side's turn only.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
BENCH = ROOT / ".bench"
RESULTS = BENCH / "results"
ROUNDS = 5
OURS = Path(sys.executable)
ONE_CORE = {
    name: "1"
    for name in (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "NUMBA_NUM_THREADS",
        "RAYON_NUM_THREADS",
        "ARROW_NUM_THREADS",
        "POLARS_MAX_THREADS",
    )
}


class BenchError(RuntimeError):
    """A side did not start or did not answer; the message ends with what it wrote to stderr."""


def peer_python(environment: str) -> Path:
    """The interpreter of `.bench/env-NAME`, made by `python -m bench.environments`."""
    python = BENCH / f"env-{environment}" / "bin" / "python"
    if not python.exists():
        raise BenchError(
            f"the environment {environment!r} is not there ({python}): "
            "run `python -m bench.environments` first"
        )
    return python


@dataclass(frozen=True)
class Side:
    """One contestant: `job` is `module:function` of `bench/sides/`, called with `options`."""

    name: str
    job: str
    options: dict[str, Any]
    python: Path = OURS
    pinned: bool = True  # to one core; jobs that start several workers are not
    bytes: int = 0  # of its input, for a rate; 0: those of the claim's corpus


@dataclass
class Measurement:
    """What was seen of one side: start-up apart, then one entry a round."""

    side: str
    import_s: float
    load_s: float
    first_run_s: float  # compiles, fills caches; never part of a ratio
    packages: dict[str, str]
    python: str
    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    peak_rss_mb: float = 0.0
    result: dict[str, Any] = field(default_factory=dict)
    bytes: int = 0

    @property
    def median(self) -> float:
        return median(self.seconds)


class SideProcess:
    """A side's worker process: starts it, runs it once a call, closes it."""

    def __init__(self, side: Side, core: int) -> None:
        logs = BENCH / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        self.side = side
        self._log = (logs / f"{side.name.replace('/', '_').replace(' ', '_')}.log").open("w+")
        pin = ["taskset", "-c", str(core)] if side.pinned and shutil.which("taskset") else []
        environment = {**os.environ, **ONE_CORE, "PYTHONHASHSEED": "0", "PYTHONPATH": str(ROOT)}
        arguments = [str(side.python), "-m", "bench.worker", side.job, json.dumps(side.options)]
        self._process = subprocess.Popen(
            pin + arguments,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        self.ready = self.answer()

    def answer(self) -> dict[str, Any]:
        """Wait for the worker's next line."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._log.seek(0)
            tail = self._log.read()[-2000:]
            raise BenchError(f"side {self.side.name!r} died; the end of what it wrote:\n{tail}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def ask(self) -> None:
        """Start one timed run inside the worker."""
        assert self._process.stdin is not None
        self._process.stdin.write("run\n")
        self._process.stdin.flush()

    def run(self) -> dict[str, Any]:
        """One timed run inside the worker, to its end."""
        self.ask()
        return self.answer()

    @property
    def pid(self) -> int:
        return self._process.pid

    def close(self) -> None:
        """End the worker by closing its stdin."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)
        self._log.close()


def interleave(sides: Sequence[Side], rounds: int = ROUNDS) -> dict[str, Measurement]:
    """Start and warm each side once, then let them take turns for `rounds` rounds."""
    core = max(os.sched_getaffinity(0))
    processes: list[SideProcess] = []
    measured: dict[str, Measurement] = {}
    try:
        for side in sides:
            process = SideProcess(side, core)
            processes.append(process)
            first = process.run()
            ready = process.ready
            measured[side.name] = Measurement(
                side=side.name,
                import_s=ready["import_s"],
                load_s=ready["load_s"],
                first_run_s=first["seconds"],
                packages=ready["packages"],
                python=ready["python"],
                bytes=side.bytes,
            )
        for _ in range(rounds):
            for process in processes:
                answer = process.run()
                seen = measured[process.side.name]
                seen.seconds.append(answer["seconds"])
                seen.cpu.append(answer["cpu"])
                seen.peak_rss_mb = answer["peak_rss_mb"]
                seen.result = answer["result"]
    finally:
        for process in processes:
            process.close()
    return measured


@dataclass
class Row:
    """One line of the table of claims; `low` and `high` are the extremes over the rounds."""

    work: str
    measured: float
    low: float
    high: float
    unit: str = "x"
    target: float | None = None
    at_most: bool = False  # the target is an upper bound
    detail: str = ""
    by_processor: float | None = None  # the same ratio of processor seconds

    @property
    def met(self) -> bool | None:
        if self.target is None:
            return None
        return self.measured <= self.target if self.at_most else self.measured >= self.target


def _ratios(over: Sequence[float], under: Sequence[float], scale: float) -> list[float]:
    """Ratios round by round; all nan where a time net of start-up is lost in the noise."""
    if min(under) <= 0 or min(over) <= 0:
        return [math.nan] * len(over)
    return [scale * a / b for a, b in zip(over, under, strict=True)]


def ratio_row(
    work: str,
    peer: Measurement,
    ours: Measurement,
    target: float | None = None,
    detail: str = "",
    scale: float = 1.0,
) -> Row:
    """How many times faster we are, round by round; `scale` corrects for unequal inputs."""
    ratios = _ratios(peer.seconds, ours.seconds, scale)
    row = Row(work, median(ratios), min(ratios), max(ratios), "x", target, False, detail)
    if len(peer.cpu) == len(ours.cpu) == len(ratios):
        row.by_processor = median(_ratios(peer.cpu, ours.cpu, scale))
    return row


def net(seen: Measurement, startup: Measurement) -> Measurement:
    """A measurement without what the same run costs on next to no input, round by round."""
    seconds = [a - b for a, b in zip(seen.seconds, startup.seconds, strict=True)]
    cpu = [a - b for a, b in zip(seen.cpu, startup.cpu, strict=True)]
    return replace(seen, seconds=seconds, cpu=cpu)


def growth_row(work: str, large: Measurement, small: Measurement, growth: float) -> Row:
    """Time against input: inputs differ by `growth`; the ratio of times is brought to 4."""
    ratios = _ratios(large.seconds, small.seconds, 4 / growth)
    detail = f"measured at {growth:.2f}x, start-up apart"
    return Row(work, median(ratios), min(ratios), max(ratios), "x", 4.2, True, detail)


@dataclass
class Claim:
    """Everything that one script found."""

    name: str
    title: str
    size: str
    corpus: dict[str, Any]
    sides: dict[str, Measurement]
    rows: list[Row]
    notes: list[str] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)

    def write(self) -> Path:
        """Print the table and keep the JSON that `bench.report` reads."""
        RESULTS.mkdir(parents=True, exist_ok=True)
        record = {
            **asdict(self),
            "rows": [{**asdict(row), "met": row.met} for row in self.rows],
            "command": f"python -m bench.{self.name} --size {self.size}",
            "machine": machine(),
            "taken": time.strftime("%Y-%m-%d %H:%M", time.gmtime()),
        }
        path = RESULTS / f"{self.name}.json"
        path.write_text(json.dumps(record, indent=1, ensure_ascii=False))
        self.print()
        return path

    def print(self) -> None:
        """The rows, then each side's start-up, median and rate."""
        warning = "" if self.size == "full" else ", figures mean nothing"
        print(f"\n{self.title} ({self.size}{warning}): {self.corpus}")
        for row in self.rows:
            mark = {None: " ", True: "met", False: "MISSED"}[row.met]
            bound = "" if row.target is None else f"target {'<=' if row.at_most else '>='} "
            bound += "" if row.target is None else f"{row.target:g} "
            processor = f"; {row.by_processor:.4g} by CPU time" if row.by_processor else ""
            print(
                f"  {row.work}: {row.measured:.4g} {row.unit} "
                f"({row.low:.4g}-{row.high:.4g}{processor}) {bound}{mark} {row.detail}"
            )
        for name, seen in self.sides.items():
            size = seen.bytes or self.corpus.get("bytes", 0)
            rate = f", {size / seen.median / 1e6:.2f} MB/s" if size and seen.seconds else ""
            print(
                f"  - {name}: median {seen.median:.4g} s{rate}; start-up {seen.import_s:.2f} s "
                f"import, {seen.load_s:.2f} s load, first run {seen.first_run_s:.2f} s; "
                f"{seen.peak_rss_mb:.0f} MB; {seen.packages}"
            )
        for note in self.notes:
            print(f"  note: {note}")


def machine() -> dict[str, Any]:
    """What the figures depend on, without a name or a path of the machine."""
    model = ""
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = (line for line in info.read_text().splitlines() if line.startswith("model name"))
        model = next(lines, ":").partition(":")[2].strip()
    return {
        "processor": model or platform.processor(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def main(claim: Callable[[str, int], Claim], doc: str | None) -> None:
    """The command line that every claim's script shares."""
    parser = argparse.ArgumentParser(description=(doc or "").split("\n\n")[0])
    parser.add_argument("--size", choices=["small", "full"], default="small")
    parser.add_argument("--rounds", type=int, default=0, help="default: 5, with small 2")
    arguments = parser.parse_args()
    rounds = arguments.rounds or (ROUNDS if arguments.size == "full" else 2)
    claim(arguments.size, rounds).write()
