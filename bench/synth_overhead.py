"""Claim: the event loop costs under 50 µs a request: everything around the model and its tokenizer.

In: rows of a prompt and a sample, a fake engine that answers at once. Out:
`.bench/results/synth_overhead.json`. Shown by: `python -m bench.synth_overhead --size full`.
Limit: processor time of the loop's own thread; the log's writer has a thread of its own, which lets
go of the GIL where it writes.
"""

from __future__ import annotations

import time
from statistics import median

from bench.harness import Claim, Measurement, Row, main
from bench.worker import scratch
from synth.driver import drive
from synth.driving.garbage import rare_collections
from synth.driving.goodput import Goodput
from synth.driving.log import Logs
from synth.driving.services import Services
from synth.engines.spec import parse_spec
from synth.items import Row as SourceRow
from synth.ops import parse_ops

OPS = [{"prompt": {"user": "Write about {{ topic }}."}}, {"sample": {"max_tokens": 64}}]
OUTSIDE = ("prepare", "main", "submit", "start")  # rendering, and the fake model itself


def measure(count: int) -> tuple[float, float]:
    """Microseconds a request: of the loop, and with rendering and the fake model."""
    services = Services(
        {"main": parse_spec("main", {"fake": {"words": 8, "capacity": 512}})}, shared=False
    )
    rows = (SourceRow(f"{n:032x}", n, {"topic": f"subject {n}"}, 0) for n in range(count))
    total = Goodput()
    logs = Logs(scratch("overhead-"))
    began = time.thread_time()
    with rare_collections():  # as the step does
        done = sum(1 for _ in drive(rows, parse_ops(OPS), services, logs, goodput=total))
    whole = time.thread_time() - began
    services.close()
    if done != count or total.requests != count:
        raise RuntimeError(f"{done} rows and {total.requests} requests of {count}")
    outside = sum(total.seconds.get(place, 0.0) for place in OUTSIDE)
    return 1e6 * max(0.0, whole - outside) / count, 1e6 * whole / count


def claim(size: str, rounds: int) -> Claim:
    """The loop over a fake engine, several times."""
    count = 50_000 if size == "full" else 2_000
    measure(1_000)
    found = [measure(count) for _ in range(rounds)]
    loop, whole = [a for a, _ in found], [b for _, b in found]
    seen = Measurement("gristmill", 0.0, 0.0, 0.0, {}, "", seconds=[b * count / 1e6 for b in whole])
    row = Row("event loop a request", median(loop), min(loop), max(loop), "µs", 50.0, True)
    row.detail = f"{median(whole):.0f} µs with rendering and the fake model"
    corpus = {"requests": count}
    return Claim("synth_overhead", "The event loop", size, corpus, {"gristmill": seen}, [row])


if __name__ == "__main__":
    main(claim, __doc__)
