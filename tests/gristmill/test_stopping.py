"""Requests to stop: noted once something can be saved, and only the first time."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from gristmill import stopping
from gristmill.stopping import ask, asked, ready, stoppable


@pytest.fixture(autouse=True)
def _plain() -> Iterator[None]:
    """SIGINT as a terminal's process has it, whatever started the tests."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_a_signal_is_noted_from_ready_to_the_end_of_the_block() -> None:
    before = [signal.getsignal(number) for number in stopping.SIGNALS]
    with stoppable():
        with pytest.raises(KeyboardInterrupt):
            interrupt()
        ready()
        for number in (signal.SIGTERM, signal.SIGINT):  # twice at once is once
            os.kill(os.getpid(), number)
            assert asked() == signal.SIGTERM
    assert asked() is None
    assert [signal.getsignal(number) for number in stopping.SIGNALS] == before


def test_a_second_signal_does_what_it_always_did(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "AGAIN", 0.0)
    with stoppable():
        ready()
        interrupt()
        with pytest.raises(KeyboardInterrupt):
            interrupt()
            signal.sigtimedwait((), 1)  # a place where Python handles it


def test_what_is_ignored_stays_ignored() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with stoppable():
        ready()
        interrupt()
        assert asked() is None


def test_another_process_may_have_heard_it() -> None:
    with stoppable():
        assert not ask() and asked() is None
        ready()
        assert ask() and asked() == signal.SIGTERM


def test_outside_a_block_and_in_other_threads_nothing_is_changed() -> None:
    before = signal.getsignal(signal.SIGTERM)

    def other() -> None:
        with stoppable():
            ready()

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    ready()
    assert not ask() and signal.getsignal(signal.SIGTERM) is before
