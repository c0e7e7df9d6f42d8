"""How much may be under way, and when: windows, rates, waits; all by a clock that is given."""

from __future__ import annotations

import pytest

from synth.engines.openai_limits import (
    BACKOFF_MOST,
    FIRST_WINDOW,
    SHRINK,
    WINDOW_BLIND,
    Queue,
    Rate,
    Window,
    backoff,
    read_queue,
    retry_after,
)


def test_waits_double_and_each_request_has_its_own() -> None:
    waits = [backoff(b"a" * 16, attempt) for attempt in range(1, 12)]
    assert waits == [backoff(b"a" * 16, attempt) for attempt in range(1, 12)]
    assert all(0.25 * 2**n <= wait <= 0.5 * 2**n for n, wait in enumerate(waits[:6]))
    assert max(waits) <= BACKOFF_MOST
    assert len({backoff(bytes([n]) * 16, 3) for n in range(50)}) == 50


@pytest.mark.parametrize(
    "told, wait",
    [
        ("7", 7.0),
        ("0.5", 0.5),
        ("-3", 0.0),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 90.0),
        ("Thu, 01 Jan 1970 00:00:01 GMT", 0.0),
        ("soon", None),
    ],
)
def test_retry_after_is_a_number_or_a_date(told: str, wait: float | None) -> None:
    assert retry_after({"retry-after": told}, now=10.0) == wait


def test_no_retry_after() -> None:
    assert retry_after({}, now=10.0) is None


def test_a_window_grows_fast_then_one_by_one_and_shrinks_once_a_moment() -> None:
    window = Window(None, sees_queue=False)
    for _ in range(4):
        window.success()
    assert window.size == FIRST_WINDOW + 4
    for _ in range(10):
        window.complaint(now=100.0)
    assert window.size == (FIRST_WINDOW + 4) * SHRINK
    before = window.size
    for _ in range(round(before)):
        window.success()
    assert before + 0.9 < window.size < before + 1.1
    for now in range(200, 300):
        window.complaint(float(now))
    assert window.size == 1.0
    for _ in range(10_000):
        window.success()
    assert window.size == WINDOW_BLIND


def test_the_ceiling_of_a_recipe_holds() -> None:
    window = Window(5, sees_queue=True)
    for _ in range(20):
        window.observe(waiting=0, running=5, under_way=5)
    assert window.size == 5


def test_a_window_follows_the_servers_queue() -> None:
    """A server of 64 slots: what is under way settles a little above them."""
    window, slots, seen = Window(None, sees_queue=True), 64, []
    for _ in range(60):
        under_way = int(window.size)
        running = min(slots, under_way)
        window.observe(under_way - running, running, under_way)
        seen.append(int(window.size))
    assert all(slots <= size <= slots * 1.5 for size in seen[10:])


@pytest.mark.parametrize(
    "running, under_way", [(2, 2), (FIRST_WINDOW // 2, FIRST_WINDOW)], ids=["idle", "on the way"]
)
def test_a_window_that_more_would_not_help_does_not_grow(running: int, under_way: int) -> None:
    window = Window(None, sees_queue=True)
    window.observe(waiting=0, running=running, under_way=under_way)
    assert window.size == FIRST_WINDOW


def test_a_rate_is_kept_over_time_and_estimates_are_put_right() -> None:
    rate, now, sent = Rate(120), 1000.0, 0
    while now < 1060:
        wait = rate.wait(now)
        if wait:
            now += wait
            continue
        rate.take(1)
        sent += 1
    assert 118 <= sent <= 123
    tokens = Rate(6000)
    assert tokens.wait(0.0) == 0
    tokens.take(600)
    assert 4 < tokens.wait(0.0) < 6
    tokens.take(-590)  # the answer was shorter
    assert tokens.wait(0.0) == 0
    assert Rate(None).wait(5.0) == 0


def test_a_queue_is_summed_over_engines() -> None:
    text = (
        "# TYPE vllm:num_requests_waiting gauge\n"
        'vllm:num_requests_waiting{engine="0",model_name="m"} 3.0\n'
        'vllm:num_requests_waiting{engine="1",model_name="m"} 4.0\n'
        'vllm:num_requests_waiting_by_reason{engine="0",reason="capacity"} 9.0\n'
        'vllm:num_requests_running{engine="0",model_name="m"} 8.0\n'
    )
    assert read_queue(text) == Queue(waiting=7.0, running=8.0)
    assert read_queue("process_cpu_seconds_total 3\n") is None
