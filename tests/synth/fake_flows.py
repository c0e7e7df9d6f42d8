"""Flows, rows and functions for tests of the driver."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from synth.calls import Answer, Failure, Work
from synth.driver import Finished, drive
from synth.driving.budget import Purse
from synth.driving.goodput import Goodput
from synth.driving.log import Logs
from synth.driving.services import Services
from synth.engines.fake import FakeSpec
from synth.items import Item, Row
from synth.ops import Running, SynthOp, parse_ops, register_op


def rows(count: int, first: int = 0, **values: Any) -> Iterator[Row]:
    """Rows with a number each."""
    for number in range(first, first + count):
        yield Row(f"{number:032x}", number, {"n": number, **values}, 0)


def run(
    source: Iterator[Row],
    do: list[Any],
    engines: dict[str, FakeSpec] | None = None,
    requests: Path | None = None,
    **options: Any,
) -> list[Finished]:
    """Drive rows to their end, over engines of their own."""
    services = Services(engines or {"main": FakeSpec()}, shared=False, processes=2)
    try:
        return list(drive(source, parse_ops(do), services, Logs(requests), **options))
    finally:
        services.close()


def texts(done: list[Finished]) -> list[list[str]]:
    """The response of every item of every row."""
    return [[item.fields["response"] for item in one.items] for one in done]


ASK = [{"prompt": {"user": "Say {{ n }}"}}, {"sample": {"max_tokens": 60}}]


@register_op("test.work")
class WorkOp(SynthOp):
    """Call a function of this module in another process."""

    function: str
    seconds: float = 10.0

    def run(self, items: list[Item], row: Row) -> Running:
        calls = [
            Work(f"tests.synth.fake_flows:{self.function}", (i.fields["n"],), self.seconds)
            for i in items
        ]
        kept = []
        for item, answer in zip(items, (yield list(calls)), strict=True):
            if isinstance(answer, Failure):
                row.fail("work", answer.reason, answer.detail)
            else:
                assert isinstance(answer, Answer)
                kept.append(item.child(value=answer.value))
        return kept


@register_op("test.raise")
class RaiseOp(SynthOp):
    """A bug in one row."""

    at: int

    def plain(self, items: list[Item], row: Row) -> list[Item]:
        if row.source["n"] == self.at:
            raise ZeroDivisionError("a bug")
        return items


def double(n: int) -> int:
    """Twice a number."""
    return 2 * n


def stubborn(n: int) -> int:
    """Never ends for every third number, dies for every fifth, raises for every seventh."""
    if n % 7 == 3:
        raise ValueError(f"no {n}")
    if n % 5 == 2:
        os._exit(3)
    while n % 3 == 1:
        time.sleep(1)
    return n


__all__ = ["ASK", "Goodput", "Purse", "RaiseOp", "WorkOp", "rows", "run", "texts"]
