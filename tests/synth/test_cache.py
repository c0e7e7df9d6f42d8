"""What is made anew and what is not: models, parameters, prompts, more samples, other limits."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

from synth.driving.goodput import Goodput
from synth.engines.fake import FakeSpec
from tests.synth.fake_flows import rows, run, texts


def ask(
    requests: Path, count: int = 20, engine: dict[str, Any] | None = None, **sample: Any
) -> tuple[list[list[str]], Goodput]:
    """Run a flow over one store's log: its responses, and what had to be made."""
    total = Goodput()
    system, then = sample.pop("system", None), sample.pop("then", [])
    prompt = {"user": "Say {{ n }}", **({"system": system} if system else {})}
    do = [{"prompt": prompt}, {"sample": {"max_tokens": 60, **sample}}, *then]
    done = run(rows(count), do, {"main": FakeSpec(**(engine or {}))}, requests, goodput=total)
    return texts(done), total


def test_two_models_two_temperatures_two_system_prompts_in_one_store(tmp_path: Path) -> None:
    ways = list(product(("a", "b"), (0.0, 0.7), ("Be brief.", "Be kind.")))

    def all_ways() -> list[tuple[list[list[str]], Goodput]]:
        return [
            ask(tmp_path, engine={"model": m, "revision": m}, temperature=t, system=s)
            for m, t, s in ways
        ]

    first, second = all_ways(), all_ways()
    assert [total.requests for _, total in first] == [20] * 8
    assert [(total.requests, total.cached) for _, total in second] == [(0, 20)] * 8
    assert [said for said, _ in first] == [said for said, _ in second]
    assert len({str(said) for said, _ in first}) == 8
    alone = [
        ask(tmp_path / str(n), engine={"model": m, "revision": m}, temperature=t, system=s)[0]
        for n, (m, t, s) in enumerate(ways)
    ]
    assert alone == [said for said, _ in first]


def test_one_name_with_other_weights_is_another_model(tmp_path: Path) -> None:
    first, _ = ask(tmp_path, engine={"revision": "1"})
    second, total = ask(tmp_path, engine={"revision": "2"})
    assert total.cached == 0
    assert first != second


def test_every_parameter_counts(tmp_path: Path) -> None:
    changed: list[dict[str, Any]] = [
        {},
        {"temperature": 0.5},
        {"top_p": 0.9},
        {"top_k": 5},
        {"min_p": 0.1},
        {"stop": ["."]},
        {"repetition_penalty": 1.1},
        {"presence_penalty": 0.5},
        {"frequency_penalty": 0.5},
        {"regex": "[a-z]+"},
        {"choice": ["yes", "no"]},
        {"json": {"type": "object"}},
        {"logprobs": 2},
    ]
    for parameters in changed:
        assert ask(tmp_path, **parameters)[1].cached == 0, parameters
    for parameters in changed:
        assert ask(tmp_path, **parameters)[1].requests == 0, parameters


def test_more_samples_reuse_those_that_are_there(tmp_path: Path) -> None:
    four, made = ask(tmp_path, n=4)
    assert made.requests == 80
    eight, made = ask(tmp_path, n=8)
    assert (made.requests, made.cached) == (80, 80)
    assert [said[:4] for said in eight] == four
    two, made = ask(tmp_path, n=2)
    assert made.requests == 0 and [said[:2] for said in four] == two


def test_another_limit_makes_only_what_was_cut(tmp_path: Path) -> None:
    short, made = ask(tmp_path, count=100, max_tokens=12, truncated="keep")
    cut = [n for n, (said,) in enumerate(short) if len(said.split()) == 12]
    long, made = ask(tmp_path, count=100, max_tokens=400)
    ended_at_the_limit = 100 - made.requests - (100 - len(cut))
    assert made.requests + ended_at_the_limit == len(cut) and 0 < made.requests < 100
    assert long == ask(tmp_path / "fresh", count=100, max_tokens=400)[0]
    again, made = ask(tmp_path, count=100, max_tokens=12, truncated="keep")
    assert again == short and made.requests == 0
    lower, made = ask(tmp_path, count=100, max_tokens=8, truncated="keep")
    assert lower == ask(tmp_path / "low", count=100, max_tokens=8, truncated="keep")[0]
    assert made.cached == sum(len(said.split()) <= 8 for (said,) in long)


def test_another_parser_scorer_or_selector_asks_nothing(tmp_path: Path) -> None:
    ask(tmp_path)
    for then in (
        [{"parse": "text"}],
        [{"parse": "text"}, {"score": {"length": {"of": "response"}}}],
        [{"score": {"length": {"of": "response"}}}, {"select": {"pass": {"length": {"min": 5}}}}],
    ):
        assert ask(tmp_path, then=then)[1].requests == 0


def test_failures_of_a_server_are_tried_again(tmp_path: Path) -> None:
    _, made = ask(tmp_path, count=200, engine={"fail": {"server": 0.3}})
    failed = made.failed  # counted by the step only
    assert not failed and made.requests < 200
    said, later = ask(tmp_path, count=200)
    assert later.requests == 200 - made.requests and all(said)


def test_a_fully_answered_run_does_not_start_its_engine(tmp_path: Path) -> None:
    ask(tmp_path)
    said, made = ask(tmp_path, engine={"dies_at": tuple(range(100))})
    assert made.requests == 0 and made.deaths == 0 and all(said)


def test_more_rows_reuse_those_that_are_there(tmp_path: Path) -> None:
    ask(tmp_path, count=30)
    assert ask(tmp_path, count=50)[1].requests == 20
