"""The process that a side is measured in: JSON lines in, JSON lines out, nothing but the standard
library, so that it runs in any environment.

In: `MODULE:FUNCTION` and a JSON object of options; then one line a request. Out: one JSON line a
request, with wall and processor seconds of the run and what it returned.
Shown by: `python -m bench.worker bench.sides.dolma:open_job '{"path": "docs.jsonl"}'`.
Limit: whatever a library prints goes to stderr; the true stdout belongs to the protocol.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any


def _nothing() -> None:
    return None


@dataclass(frozen=True)
class Job:
    """What a side measures: `before` is not timed, `run` is, and makes `passes` equal passes."""

    run: Callable[[], dict[str, Any]]
    before: Callable[[], None] = _nothing
    passes: int = 1
    packages: list[str] = field(default_factory=list)


def scratch(prefix: str) -> Path:
    """A new folder of `.bench/stores`, which `python -m bench` empties after each claim."""
    home = Path(".bench/stores").resolve()
    home.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=prefix, dir=home))


def _processor_seconds() -> float:
    """Of this process and of its children that have ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def measure(job: Job) -> dict[str, Any]:
    """One timed run, with the collector quiet before it starts and free to run inside it."""
    job.before()
    gc.collect()
    cpu, wall = _processor_seconds(), time.perf_counter()
    result = job.run()
    seconds = (time.perf_counter() - wall) / job.passes
    return {
        "seconds": result.pop("seconds", seconds),
        "cpu": (_processor_seconds() - cpu) / job.passes,
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "result": result,
    }


def main() -> None:
    """Open the side named by argv, say so, then answer each line until stdin closes."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # prints of libraries must not break the protocol
    target, options = sys.argv[1], json.loads(sys.argv[2])
    started = time.perf_counter()
    module, _, function = target.partition(":")
    open_job = getattr(importlib.import_module(module), function)
    imported = time.perf_counter()
    job: Job = open_job(**options)
    ready = {
        "import_s": imported - started,
        "load_s": time.perf_counter() - imported,
        "packages": {name: version(name) for name in job.packages},
        "python": sys.version.split()[0],
    }
    print(json.dumps(ready), file=out, flush=True)
    for _ in sys.stdin:
        print(json.dumps(measure(job)), file=out, flush=True)


if __name__ == "__main__":
    main()
