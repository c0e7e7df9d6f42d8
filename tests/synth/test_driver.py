"""The driver: order, full services, one bad row, equal requests, deaths of an engine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from gristmill.errors import GristmillError, RecipeError
from synth.calls import Answer, Failure, Generate, ModelCall, Ready, Sampling
from synth.driver import drive
from synth.driving.engine_lane import by_group
from synth.driving.goodput import Goodput
from synth.driving.log import Logs
from synth.driving.services import Services
from synth.engines.fake import FakeEngine, FakeSpec, requests_made
from synth.items import Row
from synth.ops import parse_ops
from tests.synth.fake_flows import ASK, rows, run, texts


def test_rows_come_back_in_the_order_of_the_source_whatever_takes_longest() -> None:
    slow = {"main": FakeSpec(seconds_per_word=0.0005, capacity=16)}
    done = run(rows(200), ASK, slow)
    assert [one.row.number for one in done] == list(range(200))
    assert texts(done) == texts(run(rows(200), ASK))


@pytest.mark.parametrize(("window", "capacity"), [(1, 1), (7, 3), (64, 500), (None, 2)])
def test_window_and_capacity_change_nothing(window: int | None, capacity: int) -> None:
    do = [*ASK, {"parse": "text"}, {"prompt": {"user": "Again: {{ response }}"}}, {"sample": 2}]
    expected = texts(run(rows(60), do))
    spec = FakeSpec(capacity=capacity, seconds_per_word=0.0001)
    assert texts(run(rows(60), do, {"main": spec}, window=window)) == expected


def test_several_engines_answer_in_one_loop() -> None:
    do = [
        {"prompt": {"user": "Say {{ n }}"}},
        {"sample": {"engine": ["a", "b"], "n": 2, "max_tokens": 60}},
    ]
    specs = {
        "a": FakeSpec(model="a", seconds_per_word=0.0002),
        "b": FakeSpec(model="b", capacity=3),
    }
    done = run(rows(40), do, specs)
    for one in done:
        assert [item.fields["engine"] for item in one.items] == ["a", "a", "b", "b"]
        assert {made.model for made, _ in one.row.made} == {"a", "b"}


def test_two_names_of_one_engine_each_get_their_answers() -> None:
    do = [*ASK, {"prompt": {"user": "Judge {{ response }}"}}, {"sample": {"engine": "judge"}}]
    spec = FakeSpec(capacity=3, seconds_per_word=0.0001)
    done = run(rows(40), do, {"main": spec, "judge": spec})
    assert all(len(one.items) == 1 and one.completions == 2 for one in done)


def test_a_flow_that_raises_fails_its_row_and_no_other() -> None:
    done = run(rows(20), [{"test.raise": {"at": 7}}, *ASK])
    assert [one.row.number for one in done if not one.items] == [7]
    (lost,) = done[7].row.lost
    assert (lost.reason, lost.detail) == ("crashed", "ZeroDivisionError: a bug")


def test_failures_of_the_model_are_typed_and_the_rows_go_on() -> None:
    spec = FakeSpec(fail={"server": 0.2, "timeout": 0.1}, context=3)
    done = run(rows(300), ASK, {"main": spec})
    reasons = [lost.reason for one in done for lost in one.row.lost]
    assert set(reasons) == {"server", "timeout"}
    assert len(reasons) + sum(len(one.items) for one in done) == 300
    long = run(iter([Row("a", 0, {"n": "1 2 3 4"}, 0)]), ASK, {"main": spec})
    assert long[0].row.lost[0].reason == "too_long"


def test_equal_requests_are_made_once(tmp_path: Any) -> None:
    spec = FakeSpec(record=str(tmp_path / "made"), seconds_per_word=0.001)
    do = [{"prompt": {"user": "Say hello"}}, {"sample": {"temperature": 0, "max_tokens": 60}}]
    total = Goodput()
    done = run(rows(50), do, {"main": spec}, goodput=total)
    assert len(set(map(tuple, texts(done)))) == 1
    assert len(requests_made(tmp_path / "made")) == 1
    assert (total.requests, total.cached) == (1, 49)


def test_two_source_rows_of_one_id_are_two_rows() -> None:
    twice = [Row("same", 0, {"n": 1}, 0), Row("same", 1, {"n": 1}, 0), Row("same", 2, {"n": 2}, 0)]
    first, second, third = texts(run(iter(twice), ASK))
    assert first == second != third


def test_an_engine_that_dies_is_started_again_and_nothing_is_lost(tmp_path: Any) -> None:
    spec = FakeSpec(dies_at=(5, 60, 90), capacity=20, seconds_per_word=0.0005)
    total = Goodput()
    assert texts(run(rows(100), ASK, {"main": spec}, goodput=total)) == texts(run(rows(100), ASK))
    assert total.deaths == 3


def test_a_request_that_kills_its_engine_fails_alone() -> None:
    spec = FakeSpec(dies_on="Say 37", capacity=32)
    done = run(rows(100), ASK, {"main": spec})
    assert [one.row.number for one in done if not one.items] == [37]
    assert done[37].row.lost[0].reason == "engine"


def test_an_engine_that_always_dies_ends_the_run_with_an_error() -> None:
    with pytest.raises(GristmillError, match="engine 'main' died"):
        run(rows(100), ASK, {"main": FakeSpec(dies_on="Say", capacity=32)})


def test_an_engine_that_is_not_there_is_named() -> None:
    with pytest.raises(RecipeError, match=r"no engine 'mian'.*main"):
        run(rows(1), [ASK[0], {"sample": {"engine": "mian"}}])


def test_a_row_whose_flow_yields_no_calls_does_not_wait() -> None:
    done = run(iter([Row("a", 0, {}, 0)]), [{"prompt": {"user": "{{ gone }}"}}, "sample"])
    assert [lost.reason for lost in done[0].row.lost] == ["missing"]


class Breaking(FakeEngine):
    """Its tokenizer breaks at a word, and its answers hold half a surrogate pair."""

    def prepare(self, calls: Sequence[ModelCall]) -> list[Ready | Failure]:
        if any("Say 7" in str(call) for call in calls):
            raise UnicodeEncodeError("utf-8", "Say 7", 0, 1, "surrogates not allowed")
        return super().prepare(calls)

    def _answer(self, ready: Ready) -> Answer | Failure:
        answer = super()._answer(ready)
        assert isinstance(answer, Answer)
        answer.text += "\ud800"
        return answer


class BreakingSpec(FakeSpec):
    def open(self) -> Breaking:
        return Breaking(self)


def test_a_prompt_that_breaks_the_tokenizer_fails_alone(tmp_path: Path) -> None:
    done = run(rows(10), ASK, {"main": BreakingSpec()}, tmp_path)
    assert [one.row.number for one in done if not one.items] == [7]
    assert done[7].row.lost[0].reason == "crashed"
    assert all(said[0].endswith("?") for said in texts(done) if said)
    again = run(rows(10), ASK, {"main": BreakingSpec()}, tmp_path)
    assert texts(again) == texts(done)


def test_calls_of_one_group_are_sent_one_after_another() -> None:
    calls = [
        (n, Generate("main", Sampling(5), 0, text="x", group=group))
        for n, group in enumerate(["a", "b", "", "a", "b", "", "a"])
    ]
    assert [n for n, _ in by_group(calls)] == [0, 3, 6, 1, 4, 2, 5]


class Watched(FakeEngine):
    """Tells how many requests were under way, and which, in what order."""

    def __init__(self, spec: FakeSpec) -> None:
        super().__init__(spec)
        self.under_way: set[int] = set()
        self.most = 0
        self.idle = 0
        self.sizes: list[int] = []
        self.groups: list[str] = []

    def submit(self, ticket: int, call: Any) -> None:
        self.under_way.add(ticket)
        self.most = max(self.most, len(self.under_way))
        self.sizes.append(call.size)
        self.groups.append(call.call.group)
        super().submit(ticket, call)

    def poll(self, wait: float) -> list[tuple[int, Answer | Failure]]:
        self.idle += len(self.under_way) < self.capacity
        found = super().poll(wait)
        self.under_way -= {ticket for ticket, _ in found}
        return found

    def prepare(self, calls: Sequence[ModelCall]) -> list[Ready | Failure]:
        return super().prepare(calls)


class WatchedSpec(FakeSpec):
    def open(self) -> Watched:
        return Watched(self)


def watched(spec: WatchedSpec, count: int, do: list[Any], **options: Any) -> Watched:
    services = Services({"main": spec}, shared=False)
    for _ in drive(rows(count), parse_ops(do), services, Logs(None), **options):
        pass
    engine = services.engine("main").engine
    assert isinstance(engine, Watched)
    return engine


def test_the_engine_is_kept_full_until_the_source_ends() -> None:
    engine = watched(WatchedSpec(capacity=32, seconds_per_word=0.0003), 600, ASK)
    assert engine.most == 32
    assert engine.idle <= 64  # the last 32 requests, and the first


def test_the_longest_requests_go_first_once_the_source_has_ended() -> None:
    do = [
        {"prompt": {"user": "{{ 'x ' * ((n * 7) % 50) }}{{ n }}"}},
        {"sample": {"max_tokens": 60}},
    ]
    sizes = watched(WatchedSpec(capacity=1), 64, do).sizes
    assert sizes[8:] == sorted(sizes[8:], reverse=True)


def test_the_window_bounds_rows_under_way() -> None:
    begun: list[int] = []

    def counted() -> Any:
        for row in rows(500):
            begun.append(row.number)
            yield row

    services = Services({"main": FakeSpec(seconds_per_word=0.0001)}, shared=False)
    for one in drive(counted(), parse_ops(ASK), services, Logs(None), window=20):
        assert begun[-1] - one.row.number <= 20
