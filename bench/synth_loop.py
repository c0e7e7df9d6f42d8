"""The driver's own work for a request: CPU time of its thread, less what the engine takes.

In: a number of requests. Out: µs a request with a store's log: made, then answered by the log.
Shown by: `python -m bench.synth_loop 100000`.
Limit: a flow of one bare call; prompts, parsers and scorers come on top, as anywhere.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from synth.calls import Answer, Failure, Generate, ModelCall, Ready, Sampling
from synth.driver import drive
from synth.driving.log import Logs
from synth.driving.process import rare_collections
from synth.driving.services import Services
from synth.engines.fake import FakeEngine, FakeSpec
from synth.items import Item, Row
from synth.ops import Running, SynthOp, register_op

ANSWER = Answer("word " * 150, list(range(200)), "stop", 50, 200, -3.5)
SAMPLING = Sampling(600)


@register_op("bench.call")
class Call(SynthOp):
    """One call a row, as bare as can be."""

    def run(self, items: list[Item], row: Row) -> Running:
        yield [Generate("main", SAMPLING, row.number, text=str(row.number))]
        return items


class Timed(FakeEngine):
    """Knows how long it worked."""

    spent = 0.0

    def prepare(self, calls: Sequence[ModelCall]) -> list[Ready | Failure]:
        began = time.thread_time()
        found = super().prepare(calls)
        Timed.spent += time.thread_time() - began
        return found

    def poll(self, wait: float) -> list[tuple[int, Answer | Failure]]:
        began = time.thread_time()
        found = super().poll(wait)
        Timed.spent += time.thread_time() - began
        return found

    def _answer(self, ready: Ready) -> Answer | Failure:
        made = ANSWER
        return Answer(made.text, made.token_ids, made.finish_reason, 50, 200, made.logprob)


class TimedSpec(FakeSpec):
    """Opens it."""

    def open(self) -> Timed:
        return Timed(self)


def rows(count: int) -> Iterator[Row]:
    """Rows without content."""
    for number in range(count):
        yield Row(f"{number:032x}", number, {}, 0)


def main() -> None:
    """Measure."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    ops: list[Any] = [Call()]
    with tempfile.TemporaryDirectory() as folder, rare_collections():
        for title in ("made", "answered by the log"):
            services = Services({"main": TimedSpec(capacity=512)}, shared=False)
            Timed.spent = 0.0
            began = time.thread_time()
            for _ in drive(rows(count), ops, services, Logs(Path(folder))):
                pass
            own = time.thread_time() - began - Timed.spent
            print(f"{count:,} requests {title}: {own / count * 1e6:.1f} µs each in the loop")


if __name__ == "__main__":
    main()
