"""The plan's side: batches out of a mapped store; opening a plan of 10^9 rows.

In: a store with the mixture `mix`. Out: seconds a million tokens; seconds and memory of opening.
Shown by: `python -m bench.plan`. Limit: files that were read before come from memory.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench.worker import Job

MILLION = 1_000_000


def taking(batches: Callable[[], Iterator[Any]], millions: int, packages: list[str]) -> Job:
    """A job that takes so many tokens off an endless stream of batches, for every side."""
    state: dict[str, Any] = {"stream": batches()}

    def run() -> dict[str, Any]:
        tokens = rows = 0
        while tokens < millions * MILLION:
            batch = next(state["stream"], None)
            if batch is None:
                state["stream"] = batches()
                continue
            ids = batch["input_ids"] if "input_ids" in batch else batch["tokens"]
            tokens, rows = tokens + ids.numel(), rows + len(ids)
        return {"rows": rows, "columns": sorted(batch), "shape": list(ids.shape)}

    return Job(run=run, passes=millions, packages=packages)


def open_plan_batches(path: str, batch: int, way: str, millions: int) -> Job:
    """`way`: DataLoader over micro-batches, or over rows, joined by `collate`."""
    import torch
    from torch.utils.data import DataLoader

    from mixtures.plan import open_plan
    from mixtures.plan.adapters import collate

    torch.set_num_threads(1)
    plan = open_plan(path, "mix")
    whole = way == "micro-batches"
    rows: Any = plan.micro_batches(1) if whole else plan
    size = 1 if whole else batch
    return taking(
        lambda: iter(DataLoader(rows, batch_size=size, collate_fn=collate)),
        millions,
        ["numba", "numpy", "torch"],
    )


def open_huge(path: str, positions: list[int]) -> Job:
    """Open a plan, resume at a state's position and read its row; then at others, row by row."""
    import mixtures.plan as plans
    from gristmill.store import Store

    before = _memory_mb("VmHWM")

    def run() -> dict[str, Any]:
        own = first = 0.0
        times, begin = [], time.perf_counter()
        plan = plans.open_plan(Store(path), "mix")
        opened = time.perf_counter() - begin
        for position in positions:
            begin = time.perf_counter()
            row = plan[plan.resume({**plan.state(0), "row": position})]
            times.append(time.perf_counter() - begin)
            assert row["row"] == position
            own = max(own, _memory_mb("RssAnon"))
            first = first or _memory_mb("VmHWM")
        return {
            "seconds": opened + times[0],
            "rows": len(plan),
            "opened_s": opened,
            "first_row_s": times[0],
            "slowest_other_s": max(times[1:]),
            "imports_mb": before,
            "own_mb": own,
            "first_mb": first,
            "all_mb": _memory_mb("VmHWM"),
        }

    return Job(run=run, packages=["numba", "numpy", "pyarrow"])


def _memory_mb(field: str) -> float:
    """A field of this process's status: VmHWM is the peak of all memory, RssAnon its own now."""
    lines = Path("/proc/self/status").read_text().splitlines()
    line = next(line for line in lines if line.startswith(field + ":"))
    return int(line.split()[1]) / 1024
