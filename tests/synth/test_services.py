"""Services: engines open once a process, weights load once, and others are freed first."""

from __future__ import annotations

from pathlib import Path

import pytest

from gristmill.errors import RecipeError
from synth.driver import drive
from synth.driving import services as module
from synth.driving.goodput import Goodput, Pace, facts
from synth.driving.log import Logs
from synth.driving.services import Services
from synth.engines.fake import FakeEngine, FakeSpec
from synth.ops import parse_ops
from tests.synth.fake_flows import ASK, rows


@pytest.fixture(autouse=True)
def _closed() -> None:
    for settings in list(module._OPEN):
        module._OPEN.pop(settings).engine.close()


def test_steps_of_one_process_share_an_engine_of_equal_settings(tmp_path: Path) -> None:
    engines = []
    for step in range(2):  # two steps, one after another, in one worker
        services = Services({"main": FakeSpec(words=9)})
        for _ in drive(rows(5, 5 * step), parse_ops(ASK), services, Logs(tmp_path)):
            pass
        engines.append(services.engine("main").engine)
    assert engines[0] is engines[1]
    assert isinstance(engines[0], FakeEngine) and engines[0].starts == 1


def test_engines_that_a_step_does_not_ask_for_are_freed_first() -> None:
    first = Services({"main": FakeSpec(words=9)}).engine("main")
    first.start()
    second = Services({"main": FakeSpec(words=8)})
    assert not module._OPEN and isinstance(first.engine, FakeEngine) and not first.engine._alive
    assert second.engine("main") is not first


def test_two_names_of_one_model_are_one_engine() -> None:
    services = Services({"main": FakeSpec(), "judge": FakeSpec(), "other": FakeSpec(words=3)})
    assert services.engine("main") is services.engine("judge")
    assert services.engine("main") is not services.engine("other")
    with pytest.raises(RecipeError, match="did you mean 'judge'"):
        services.engine("jugde")


def test_progress_tells_rates_and_failures_about_once_a_second() -> None:
    now, said, units = [0.0], list[str](), list[int]()
    total = Goodput()
    pace = Pace(total, said.append, units.append, lambda: now[0])
    for second in range(4):
        total.completion_tokens += 500
        total.failed["truncated"] += 1
        pace.rows, pace.kept = pace.rows + 20, pace.kept + 15
        for _ in range(10):
            now[0] = second + 1
            pace.tick()
    pace.rows += 5
    pace.finish()
    assert said[0] == "500 tok/s, 15.0 kept/s, failed: truncated 1"
    assert said[3] == "500 tok/s, 15.0 kept/s, failed: truncated 4"
    assert units == [20, 20, 20, 20, 5]


def test_goodput_adds_up_over_tasks() -> None:
    one, two = Goodput(requests=2, kept_tokens=5), Goodput(requests=3)
    one.lost_tokens["truncated"] += 4
    one.seconds["main"] = 0.5
    two.lost_tokens.update({"truncated": 1, "server": 2})
    whole = Goodput()
    for part in (one, two):
        whole.add(Goodput.of(part.record()))
    assert (whole.requests, whole.kept_tokens) == (5, 5)
    assert whole.lost_tokens == {"truncated": 5, "server": 2}
    assert facts(whole)["kept_tokens_per_second"] == 10.0
