"""Ctrl-C: what was answered is in the log, and the same command goes on."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

from synth.compose import run_flow
from synth.engines.fake import FakeSpec, requests_made
from tests.synth.test_kills import ROOT, flushed

CAPACITY = 4
DO = [{"prompt": {"user": "Say {{ n }}"}}, {"sample": {"max_tokens": 60}}, "emit"]
ROWS = [{"id": str(n), "n": n} for n in range(2000)]


def ask(folder: Path, seconds_per_word: float = 0.0) -> list[str]:
    spec = FakeSpec(
        capacity=CAPACITY, seconds_per_word=seconds_per_word, record=str(folder / "made")
    )
    result = run_flow(ROWS, DO, {"main": spec}, requests=folder / ".requests")
    return [row["text"] for row in result.rows]


def test_an_interrupt_loses_no_answer(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from tests.synth.test_interrupt import ask; "
        "ask(Path(sys.argv[1]), 0.0005)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, stderr=subprocess.DEVNULL
    )
    while len(requests_made(tmp_path / "made")) < 60 and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert process.wait() != 0
    made = requests_made(tmp_path / "made")
    known = flushed(tmp_path)
    assert len(made) - CAPACITY <= len(known) <= len(made)
    ask(tmp_path)
    assert not known & set(requests_made(tmp_path / "made")[len(made) :])
    assert len(set(requests_made(tmp_path / "made"))) == len(ROWS)


def test_a_worker_flushes_when_its_driver_goes(tmp_path: Path) -> None:
    """Ctrl-C at the command line: the driver ends, and its worker has the last word."""
    topics = tmp_path / "topics.jsonl"
    topics.write_text("\n".join(json.dumps(row) for row in ROWS))
    engine = {"capacity": CAPACITY, "seconds_per_word": 0.0005, "record": str(tmp_path / "made")}
    step = {"name": "a", "use": "synthesize", "from": {"jsonl": str(topics)}, "do": DO}
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(json.dumps({"steps": [{**step, "engines": {"main": {"fake": engine}}}]}))
    call = "from pipelines.cli import main; main()"
    command = [sys.executable, "-c", call, "run", str(recipe), "--store", str(tmp_path)]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    while len(requests_made(tmp_path / "made")) < 60 and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert process.wait() == 130
    until = time.monotonic() + 30
    while len(flushed(tmp_path)) < len(requests_made(tmp_path / "made")) - CAPACITY:
        assert time.monotonic() < until, "answers were lost"
        time.sleep(0.05)
