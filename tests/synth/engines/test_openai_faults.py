"""A server that goes wrong: what is asked again, what is a typed failure, what ends the run."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import pytest

from gristmill.errors import RecipeError, TaskError
from synth.calls import (
    Answer,
    EngineDied,
    Failure,
    Generate,
    Reward,
    Sampling,
    ScoreTokens,
    Structure,
)
from synth.engines import openai_limits, openai_loop, openai_outbox, openai_probe
from synth.engines.spec import parse_spec
from tests.extras import needs
from tests.synth.engines.faulty_server import FaultyServer, answers

needs("httpx")

GREEDY = Sampling(16, temperature=0.0)
RECOVERS = ["500", "503", "busy", "reset", "cut", "half", "html", "gateway", "nothing", "aborted"]


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_limits, "BACKOFF_FIRST", 0.01)
    monkeypatch.setattr(openai_probe, "PAUSE", 0.01)
    monkeypatch.setattr(openai_loop, "LOOK_S", 0.05)


def ask(prompt: str) -> Generate:
    return Generate("main", GREEDY, 1, messages=({"role": "user", "content": prompt},))


def opened(server: FaultyServer, **options: Any) -> Any:
    given = {"url": server.url, "model": "tiny", "timeout_s": 5, **options}
    return parse_spec("main", {"openai": given}).open()


def test_all_that_may_pass_is_asked_again_and_answered_once() -> None:
    prompts = [f"{kind}*{times} {kind}-{times}" for kind in RECOVERS for times in (1, 2)]
    prompts += [f"ok {n}" for n in range(50)]
    with FaultyServer() as server:
        engine = opened(server)
        found = answers(engine, [ask(prompt) for prompt in prompts])
        engine.close()
    assert [one.text for one in found] == [prompt.partition(" ")[2] for prompt in prompts]
    assert server.answered == Counter(prompts)  # nothing twice, nothing lost
    tries = Counter(prompt for _, prompt, _ in server.attempts)
    assert all(tries[p] == 1 + int(p[p.index("*") + 1]) for p in prompts if "*" in p)


def test_what_stays_wrong_is_a_typed_failure() -> None:
    kinds = {"500": "server", "half": "server", "hang": "timeout", "long": "too_long"}
    kinds |= {"400": "rejected", "501": "rejected", "422": "rejected", "nothing": "server"}
    prompts = [*(f"{kind}*99 x" for kind in kinds), "ok fine"]
    with FaultyServer() as server:
        engine = opened(server, retries=2, timeout_s=0.3)
        found = answers(engine, [ask(prompt) for prompt in prompts])
        engine.close()
    *failed, fine = found
    assert isinstance(fine, Answer) and fine.text == "fine"
    assert [one.reason for one in failed] == list(kinds.values())
    tries = Counter(prompt for _, prompt, _ in server.attempts)
    once = {"long", "400", "501", "422"}  # what the request itself is blamed for
    assert tries == {p: 1 if p.partition("*")[0] in once or p[:2] == "ok" else 3 for p in prompts}
    assert all("(3 attempts)" in one.detail for one in failed if one.reason == "server")


def test_what_a_server_says_is_quoted_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "sk-live-0123456789"
    monkeypatch.setenv("MY_KEY", secret)
    with FaultyServer(key=secret) as server:
        monkeypatch.setenv("MY_TEAM", "mill")
        engine = opened(server, api_key_env="MY_KEY", headers_env={"X-Team": "MY_TEAM"})
        (failure,) = answers(engine, [ask("400*9 x")])
        assert "pw" not in failure.detail and "abcdef" not in failure.detail
        assert server.headers[-1]["authorization"] == f"bearer {secret}"
        assert server.headers[-1]["x-team"] == "mill"
        shown = repr([engine, vars(engine), engine.model, failure])
        engine.close()
        monkeypatch.setenv("MY_KEY", "sk-stale-987654321")
        with pytest.raises(RecipeError, match=r"MY_KEY.*401") as refused:
            answers(opened(server, api_key_env="MY_KEY"), [ask("ok x")])
    assert secret not in shown
    assert "sk-stale" not in str(refused.value) and "***" in str(refused.value)


def test_content_type_is_not_believed() -> None:
    with FaultyServer() as server:
        engine = opened(server)
        (found,) = answers(engine, [ask("plain*1 x")])
        engine.close()
    assert found.text == "plain"


def test_a_wait_that_the_server_asks_for_holds_for_everybody() -> None:
    with FaultyServer() as server:
        engine = opened(server, in_flight=1)
        answers(engine, [ask("busy*1 x"), *(ask(f"ok {n}") for n in range(5))])
        engine.close()
    (asked,) = [when for when, _, what in server.attempts if what == "busy"]
    later = [when - asked for when, _, _ in server.attempts if when > asked]
    assert len(later) == 6 and min(later) > 0.3  # 0.4 s were asked for


def test_a_request_that_waits_holds_no_place() -> None:
    with FaultyServer() as server:
        engine = opened(server, in_flight=1, retries=3)
        openai_limits.BACKOFF_FIRST = 0.2  # set back by the fixture
        calls = [ask("500*2 late"), *(ask(f"ok {n}") for n in range(20))]
        assert answers(engine, calls)[0].text == "late"
        engine.close()
    order = [prompt for _, prompt, _ in server.attempts]
    assert order[0] == order[-1] == "500*2 late"  # the others went while it waited


def test_a_server_that_comes_back_costs_nothing() -> None:
    with FaultyServer(slow=0.02) as server:
        engine = opened(server, in_flight=4, retries=1)
        engine.start()
        readies = engine.prepare([ask(f"ok {n}") for n in range(60)])
        for ticket, ready in enumerate(readies):
            engine.submit(ticket, ready)
        found = dict(engine.poll(1.0))
        server.down()
        time.sleep(0.3)
        server.up()
        end = time.monotonic() + 30
        while len(found) < 60 and time.monotonic() < end:
            found |= dict(engine.poll(0.1))
        engine.close()
    assert [found[n].text for n in range(60)] == [str(n) for n in range(60)]


def test_a_server_that_stays_away_ends_the_engine_and_then_the_run() -> None:
    with FaultyServer() as server:
        engine = opened(server, patience_s=0.2)
        assert answers(engine, [ask("ok before")])[0].text == "before"
        server.down()
        for ticket, ready in enumerate(engine.prepare([ask(f"ok {n}") for n in range(9)])):
            engine.submit(ticket, ready)
        with pytest.raises(EngineDied, match="nobody listens at http"):
            for _ in range(200):
                assert engine.poll(0.1) == []  # no row is failed for it
        with pytest.raises(TaskError, match=r"no server answers at .*tried GET .*vllm serve"):
            engine.start()
        server.up()
        assert answers(engine, [ask("ok again")])[0].text == "again"
        engine.close()


def test_another_model_at_the_same_address_is_refused() -> None:
    with FaultyServer() as server:
        engine = opened(server)
        assert answers(engine, [ask("ok before")])[0].text == "before"
        server.down()
        server.root = "weights-2"
        engine.submit(0, engine.prepare([ask("ok x")])[0])
        time.sleep(0.2)
        server.up()
        with pytest.raises(TaskError, match="came back with another model"):
            for _ in range(200):
                assert engine.poll(0.1) == []
        with pytest.raises(TaskError, match="serves another model"):
            engine.start()
        engine.close()


@pytest.mark.parametrize("how", ["500", "400", "half"])
def test_a_broken_server_ends_the_run_before_it_costs_rows(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openai_outbox, "HOPELESS_ROW", 12)
    with FaultyServer() as server:
        engine = opened(server, retries=1)
        assert len(answers(engine, [ask(f"ok {n}") for n in range(5)])) == 5
        server.broken = how
        readies = engine.prepare([ask(f"ok {n}") for n in range(100)])
        with pytest.raises(TaskError, match=r"last 12 requests .*failed.*finished work is kept"):
            for ticket, ready in enumerate(readies):
                engine.submit(ticket, ready)
            for _ in range(200):
                assert engine.poll(0.1) == []
        assert len(server.attempts) < 100
        server.broken = ""  # mended: the next run in this process opens another client
        again = engine.prepare([ask("ok again")])[0]
        with pytest.raises(EngineDied, match="has ended"):
            engine.submit(0, again)
        assert answers(engine, [again.call])[0].text == "again"
        engine.close()


def test_a_few_failures_are_told_when_nothing_else_is_under_way() -> None:
    with FaultyServer(broken="500") as server:
        engine = opened(server, retries=0)
        found = answers(engine, [ask(f"ok {n}") for n in range(3)])
        engine.close()
    assert [one.reason for one in found] == ["server"] * 3


@pytest.mark.parametrize("how, said", [("401", "refuses every request"), ("402", "refuses every")])
def test_what_no_request_can_pass_ends_the_run_at_once(how: str, said: str) -> None:
    with FaultyServer() as server:
        engine = opened(server)
        with pytest.raises(TaskError, match=said):
            answers(engine, [ask(f"{how}*9 x")])
        engine.close()


def test_a_wait_until_tomorrow_ends_the_run() -> None:
    with FaultyServer() as server:
        engine = opened(server)
        with pytest.raises(TaskError, match=r"asks to wait 86400 s.*patience_s"):
            answers(engine, [ask("tomorrow*9 x")])
        engine.close()


def test_an_aborted_call_is_never_answered_and_its_connection_closes() -> None:
    with FaultyServer() as server:
        engine = opened(server, timeout_s=60)
        engine.start()
        hang, fine = engine.prepare([ask("hang*9 x"), ask("ok fine")])
        engine.submit(1, hang)
        while not server.attempts:
            time.sleep(0.01)
        engine.abort([1])
        engine.submit(2, fine)
        found = engine.poll(5.0)
        assert [(ticket, answer.text) for ticket, answer in found] == [(2, "fine")]
        assert engine.poll(0.1) == []
        engine.close()
        engine.close()  # twice is once


def test_start_names_what_is_missing() -> None:
    with FaultyServer() as server:
        engine = opened(server)
        with pytest.raises(RecipeError, match=r"neither /classify nor /pooling.*--runner pooling"):
            engine.prepare([Reward("main", text="x")])
        with pytest.raises(RecipeError, match="no /v1/completions"):
            engine.prepare([ScoreTokens("main", text="x")])
        with pytest.raises(RecipeError, match=r"prefix: user.*tokenizer"):
            engine.prepare([Generate("main", GREEDY, 1, messages=(), prefix="user")])
        with pytest.raises(RecipeError, match="does not serve; did you mean 'tiny'"):
            _ = opened(server, model="tinny").model
        with pytest.raises(RecipeError, match=r"url.*address under which"):
            _ = opened(server, url=f"{server.url}/wrong").model
        away = server.url
    with pytest.raises(TaskError, match=f"no server answers at {away}.*3 times"):
        _ = parse_spec("m", {"openai": {"url": away, "model": "tiny"}}).open().model


def test_in_flight_is_kept_and_sockets_are_reused() -> None:
    with FaultyServer(slow=0.005) as server:
        engine = opened(server, in_flight=8)
        found = answers(engine, [ask(f"ok {n}") for n in range(200)])
        engine.close()
    assert all(isinstance(one, Answer) for one in found)
    assert server.most <= 8
    assert server.connections <= 8 + 2  # and those that asked what the server is


def test_a_server_without_description_is_tried_out() -> None:
    with FaultyServer(describes=False) as server:
        engine = opened(server)
        tried = len(server.attempts)
        (found,) = answers(engine, [ask("ok x")])
        assert found.text == "x" and tried == 0
        top = Generate("main", Sampling(4, top_k=5), 1, messages=ask("ok y").messages)
        choice = Sampling(4, structure=Structure("choice", ("a", "b")))
        chosen = Generate("main", choice, 1, messages=ask("ok y").messages)
        took, refused = engine.prepare([top, chosen])
        assert not isinstance(took, Failure)  # it answered a request with top_k
        assert isinstance(refused, Failure) and refused.reason == "rejected"  # did not choose
        engine.close()


def test_a_long_queue_at_the_server_shrinks_what_is_under_way() -> None:
    with FaultyServer(gauges=(0, 1000), slow=0.02) as server:
        engine = opened(server)
        answers(engine, [ask(f"ok {n}") for n in range(300)])
        grown = engine.capacity
        assert grown > openai_limits.FIRST_WINDOW * 1.25  # and a quarter to refill from
        server.gauges = (200, 16)
        end = time.monotonic() + 30
        while engine.capacity >= grown / 2 and time.monotonic() < end:
            engine.poll(0.05)
        assert engine.capacity < grown / 2
        engine.close()
