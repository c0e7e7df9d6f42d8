"""Claim: peak memory of a worker stays under 1.5 GB and does not grow with the input.

In: 1x, 4x and 16x of the shared crawl (as WARC) and of its text. Out: `.bench/results/memory.json`.
Shown by: `python -m bench.memory --size full`. Limit: the high-water mark of each process is read
twenty times a second, so what a process takes in its last moment is not seen. Pages of
mapped files that a process has touched count as its memory, as the kernel counts them.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

from bench import corpora, crawls
from bench.dedup import ours
from bench.fineweb import recipe_side
from bench.harness import Claim, Measurement, Row, Side, SideProcess, main

LIMIT_MB = 1500
SCALES = (1, 4, 16)


def _descendants(pid: int) -> Iterator[int]:
    tasks = Path(f"/proc/{pid}/task")
    try:
        children = [
            int(child)
            for task in tasks.iterdir()
            for child in (task / "children").read_text().split()
        ]
    except OSError:  # it has just ended
        return
    for child in children:
        yield child
        yield from _descendants(child)


def _memory_mb(pid: int) -> tuple[float, float]:
    """(high-water mark of all memory, anonymous memory now) of a process."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0, 0.0
    fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    both = (fields.get(name, "0 kB").split()[0] for name in ("VmHWM", "RssAnon"))
    highest, anonymous = (int(value) / 1024 for value in both)
    return highest, anonymous


class Watch:
    """The highest memory of each process below `pid`, while the block runs."""

    def __init__(self, pid: int) -> None:
        self._pid, self._stop = pid, threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.peaks: dict[int, float] = {}
        self.anonymous: dict[int, float] = {}

    def _look(self) -> None:
        while not self._stop.wait(0.05):
            for pid in _descendants(self._pid):
                highest, anonymous = _memory_mb(pid)
                self.peaks[pid] = max(self.peaks.get(pid, 0.0), highest)
                self.anonymous[pid] = max(self.anonymous.get(pid, 0.0), anonymous)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def peak(side: Side) -> Measurement:
    """One run of a side; `peak_rss_mb` is that of its largest worker process."""
    process = SideProcess(side, 0)
    try:
        with Watch(process.pid) as watch:
            answer = process.run()
    finally:
        process.close()
    seen = Measurement(side.name, 0.0, 0.0, answer["seconds"], {}, "")
    seen.seconds, seen.cpu = [answer["seconds"]], [answer["cpu"]]
    seen.peak_rss_mb = max(watch.peaks.values(), default=0.0)
    seen.result = {
        **answer["result"],
        "anonymous_mb": max(watch.anonymous.values(), default=0.0),
        "driver_mb": answer["peak_rss_mb"],
    }
    return seen


def crawl_sides(full: bool) -> list[Side]:
    """A quarter of the crawl, the crawl, four times the crawl."""
    quarter = [crawls.part(5847 // 4 if full else 100)]
    one = crawls.times(1) if full else [crawls.part(400)]
    four = crawls.times(4) if full else [crawls.part(1600)]
    return [
        recipe_side(f"FineWeb recipe, {scale}x", paths)
        for scale, paths in zip(SCALES, (quarter, one, four), strict=True)
    ]


def text_sides(full: bool) -> list[Side]:
    """The text of the crawl 1, 4 and 16 times, each copy with other words."""
    base = corpora.web() if full else corpora.sample(corpora.web(), 1)
    return [
        ours(f"MinHash dedup, {scale}x", corpora.parquet(corpora.more(base, scale)))
        for scale in SCALES
    ]


def _listed(values: list[float]) -> str:
    return f"{', '.join(f'{value:.0f}' for value in values)} MB at 1x, 4x, 16x"


def _peak_row(work: str, peaks: list[float]) -> Row:
    name = f"peak memory of a worker, {work}"
    return Row(name, max(peaks), min(peaks), max(peaks), "MB", LIMIT_MB, True, _listed(peaks))


def _growth_row(name: str, peaks: list[float], target: float | None) -> Row:
    grown = peaks[-1] / peaks[0]
    return Row(name, grown, grown, grown, "x", target, True, _listed(peaks))


def claim(size: str, rounds: int) -> Claim:
    """One run a scale: memory, unlike time, does not swing with the neighbours."""
    full = size == "full"
    # Compiling kernels takes memory too, once: not in a measured run.
    peak(recipe_side("warm-up", [crawls.part(60)]))
    peak(ours("warm-up", corpora.parquet(corpora.sample(corpora.web(), 0.05))))
    seen: dict[str, Measurement] = {}
    rows: list[Row] = []
    for work, sides in (
        ("FineWeb recipe", crawl_sides(full)),
        ("MinHash dedup of text", text_sides(full)),
    ):
        runs = [peak(side) for side in sides]
        seen |= {run.side: run for run in runs}
        peaks = [run.peak_rss_mb for run in runs]
        own = [run.result["anonymous_mb"] for run in runs]
        rows.append(_peak_row(work, peaks))
        rows.append(_growth_row(f"peak memory, 16x over 1x, {work}", peaks, 1.1))
        rows.append(_growth_row(f"the same without mapped files, {work}", own, None))
    described = {"name": "crawl and its text at 1x, 4x, 16x", "documents": 0}
    return Claim("memory", "Peak memory, one worker", size, described, seen, rows)


if __name__ == "__main__":
    main(claim, __doc__)
