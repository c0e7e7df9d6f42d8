"""The driver over a server that goes wrong: every row accounted for, no answer asked twice."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from gristmill.errors import GristmillError
from synth.compose import Result, run_flow
from synth.engines import openai_limits, openai_loop, openai_outbox, openai_probe
from tests.extras import needs
from tests.synth.engines.faulty_server import FaultyServer

needs("httpx", "jinja2")

FLOW = [
    {"prompt": {"user": "{{ ask }}"}},
    {"sample": {"max_tokens": 8, "temperature": 0}},
    {"emit": {"columns": ["ask", "response"]}},
]


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_limits, "BACKOFF_FIRST", 0.01)
    monkeypatch.setattr(openai_probe, "PAUSE", 0.01)
    monkeypatch.setattr(openai_loop, "LOOK_S", 0.05)


def run(server: FaultyServer, asks: list[str], log: Path, **options: Any) -> Result:
    spec = {"url": server.url, "model": "tiny", "timeout_s": 5, "patience_s": 1.0, **options}
    rows = [{"id": str(number), "ask": ask} for number, ask in enumerate(asks)]
    return run_flow(rows, FLOW, {"main": {"openai": spec}}, requests=log)


def test_faults_that_pass_leave_no_trace(tmp_path: Path) -> None:
    kinds = ["500", "503", "reset", "cut", "half", "html", "nothing"]
    asks = [f"{kinds[n % len(kinds)]}*{n % 3} row {n}" for n in range(200)]
    asks[5] = "busy*1 row 5"
    asks += ["400*9 never", "long*9 never"]
    with FaultyServer() as server:
        result = run(server, asks, tmp_path / "log")
        assert server.answered == Counter(asks[:200])
        assert [row["response"] for row in result.rows] == [f"row {n}" for n in range(200)]
        assert Counter(row["state"] for row in result.ledger) == {"kept": 200, "failed": 2}
        again = run(server, asks[:200], tmp_path / "log")
        assert server.answered == Counter(asks[:200])  # the log knows them
        assert [row["id"] for row in again.rows] == [row["id"] for row in result.rows]


def test_a_server_that_dies_for_good_stops_the_run_and_the_same_command_goes_on(
    tmp_path: Path,
) -> None:
    asks = [f"ok {n}" for n in range(300)]
    with FaultyServer(slow=0.01) as server:

        def kill() -> None:
            while sum(server.answered.values()) < 60:
                threading.Event().wait(0.005)
            server.down()

        killer = threading.Thread(target=kill)
        killer.start()
        with pytest.raises(GristmillError, match="no server answers at"):
            run(server, asks, tmp_path / "log")
        killer.join()
        assert sum(server.answered.values()) < 300
        server.up()
        result = run(server, asks, tmp_path / "log")
        assert [row["response"] for row in result.rows] == [str(n) for n in range(300)]
        assert {row["state"] for row in result.ledger} == {"kept"}
        # Only what was under way when the server was killed may have been made in vain.
        assert sum(server.answered.values()) <= 300 + openai_limits.WINDOW_BLIND


def test_a_server_that_fails_all_stops_the_run_without_failed_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openai_outbox, "HOPELESS_ROW", 20)
    asks = [f"ok {n}" for n in range(300)]
    with FaultyServer() as server:
        run(server, asks[:50], tmp_path / "log")
        server.broken = "500"
        with pytest.raises(GristmillError, match=r"last 20 requests .* failed"):
            run(server, asks, tmp_path / "log", retries=1)
        server.broken = ""
        result = run(server, asks, tmp_path / "log")
        assert {row["state"] for row in result.ledger} == {"kept"}
        assert server.answered == Counter(asks)
