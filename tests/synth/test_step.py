"""The step: sources, ledgers that add up, checks before anything runs, any workers, selection."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gristmill.errors import RecipeError
from gristmill.store import Store
from synth.engines.fake import requests_made
from synth.step import Synthesize
from tests.run_step import InProcess, run_step

SEEDS = {"values": {"n": list(range(40)), "topic": ["rivers", "trains"]}}
DO: list[Any] = [
    {"prompt": {"user": "Say {{ n }} on {{ topic }}"}},
    {"sample": {"n": 2, "max_tokens": 36}},
    {"parse": "text"},
    {"score": {"length": {"of": "response"}}},
    {"select": {"pass": {"length": {"min": 20}}}},
    {"emit": {"columns": ["topic", "n", "length"]}},
]


def step(**changed: Any) -> Synthesize:
    engine = changed.pop("engine", {})
    fields: dict[str, Any] = {
        "name": "synth/x",
        "use": "synthesize",
        "from": SEEDS,
        "engines": {"main": {"fake": engine}},
        "do": DO,
    }
    return Synthesize(**{**fields, **changed})


def build(store: Path, **changed: Any) -> dict[str, str]:
    return run_step(step(**changed), store, executor=InProcess())


def facts(store: Path) -> dict[str, Any]:
    found: dict[str, Any] = Store(store)["synth/x"].build()["facts"]
    return found


def test_rows_in_are_kept_filtered_or_failed_and_everything_adds_up(tmp_path: Path) -> None:
    build(tmp_path, engine={"fail": {"server": 0.2}})
    store = Store(tmp_path)
    kept, ledger = store["synth/x"], store["synth/x.ledger"].to_table().to_pylist()
    states = Counter(row["state"] for row in ledger)
    assert len(ledger) == 80 and set(states) == {"kept", "filtered", "failed"}
    assert facts(tmp_path)["rows"] == {"in": 80, "pending": 0, **states}
    assert sum(row["rows_out"] for row in ledger) == kept.rows
    for row in ledger:
        assert (row["state"] == "kept") == (row["rows_out"] > 0) == (row["reason"] is None)
    reasons = {row["reason"] for row in ledger if row["state"] == "failed"}
    assert reasons == {"server", "truncated"}
    assert {row["reason"] for row in ledger if row["state"] == "filtered"} == {"length.min"}
    goodput = facts(tmp_path)["goodput"]
    lost = sum(goodput["lost_tokens"].values())
    assert goodput["kept_tokens"] + lost == goodput["completion_tokens"]
    made = store["synth/x.completions"].to_table()
    assert sum(made["completion_tokens"].to_pylist()) == goodput["completion_tokens"]
    assert len(made) == goodput["requests"] == sum(row["completions"] for row in ledger)


def test_every_row_tells_its_parents_and_its_completions(tmp_path: Path) -> None:
    build(tmp_path)
    store = Store(tmp_path)
    parents = set(store["synth/x.ledger"].to_table()["id"].to_pylist())
    made = {row["key"]: row for row in store["synth/x.completions"].to_table().to_pylist()}
    for row in store["synth/x"].to_table().to_pylist():
        assert set(row["parents"]) <= parents
        (one,) = row["made"]
        known = made[one["key"]]
        assert (known["text"], known["id"]) == (row["text"], row["parents"][0])
        assert (one["model"], one["finish_reason"]) == ("fake", "stop")
        assert json.loads(one["params"])["max_tokens"] == 36
        assert row["length"] == len(row["text"].split())


@pytest.mark.parametrize(
    "changed",
    [
        {"workers": 2, "task_rows": 7},
        {"window": 1, "task_rows": 7},
        {"engine": {"capacity": 1}, "task_rows": 7},
    ],
)
def test_any_window_or_workers_give_the_same_rows(tmp_path: Path, changed: dict[str, Any]) -> None:
    one = run_step(step(task_rows=7), tmp_path / "one", executor=InProcess())
    assert run_step(step(**changed), tmp_path / "other", workers=2) == one


def test_places_stay_out_of_the_fingerprint_and_settings_enter_it(tmp_path: Path) -> None:
    first = step().config()
    assert step(engine={"capacity": 3}, workers=2, window=9).config() == first
    assert step(engine={"words": 3}).config() != first
    assert step(seed=1).config() != first
    assert step(budget={"tokens": 10}).config() != first


def write_lines(path: Path, count: int, ending: str = "\n") -> None:
    lines = [json.dumps({"id": f"r{n}", "n": n, "topic": "café"}) for n in range(count)]
    text = "\n".join(lines) + ending
    packed = gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode()
    path.write_bytes(packed)


@pytest.mark.parametrize("task_rows", [3, 10, 1000])
@pytest.mark.parametrize("ending", ["\n", ""])
def test_jsonl_and_parquet_are_read_alike_by_any_tasks(
    tmp_path: Path, task_rows: int, ending: str
) -> None:
    write_lines(tmp_path / "a.jsonl", 20, ending)
    write_lines(tmp_path / "b.jsonl.gz", 11, ending)
    rows = [{"id": f"r{n}", "n": n, "topic": "café"} for n in range(31)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "all.parquet", row_group_size=9)
    ids = []
    for name, glob in (("jsonl", "[ab].jsonl*"), ("parquet", "*.parquet")):
        store = tmp_path / name
        build(store, **{"from": {name: str(tmp_path / glob)}}, task_rows=task_rows)
        ids.append(Store(store)["synth/x.ledger"].to_table()["id"].to_pylist())
    assert ids[0] == [f"r{n}" for n in [*range(20), *range(11)]]
    assert ids[1] == [f"r{n}" for n in range(31)]


def test_a_line_that_is_no_json_fails_and_the_others_go_on(tmp_path: Path) -> None:
    write_lines(tmp_path / "a.jsonl", 3)
    with open(tmp_path / "a.jsonl", "a") as file:
        file.write('{"id": "r3", "n":\n\n[1]\n{"id": "r5", "n": 5, "topic": "x"}\n')
    build(tmp_path / "s", **{"from": {"jsonl": str(tmp_path / "a.jsonl")}})
    ledger = Store(tmp_path / "s")["synth/x.ledger"].to_table().to_pylist()
    assert len(ledger) == 6
    broken = [row for row in ledger if row["step_op"] == "source"]
    assert [row["reason"] for row in broken] == ["unparsable"] * 2
    assert "no JSON" in broken[0]["detail"] and "no object" in broken[1]["detail"]


def test_halves_of_surrogate_pairs_harm_nothing(tmp_path: Path) -> None:
    line = '{"id": "a\\udc80", "n": "\\ud800", "topic": "\\ud83d\\ude00"}\n'
    (tmp_path / "a.jsonl").write_text(line)
    build(
        tmp_path / "s",
        **{"from": {"jsonl": str(tmp_path / "a.jsonl")}},
        do=[*DO[:2], {"emit": {"columns": ["topic", "n"]}}],
    )
    assert Store(tmp_path / "s")["synth/x.ledger"].to_table()["id"].to_pylist() == ["a?"]


def test_a_dataset_of_the_store_is_a_source(tmp_path: Path) -> None:
    build(tmp_path)
    do = [{"prompt": {"user": "Shorten: {{ text }}"}}, "sample", {"emit": {"columns": ["topic"]}}]
    second = step(**{"name": "synth/y", "from": "synth/x", "do": do, "task_rows": 9})
    run_step(second, tmp_path, executor=InProcess())
    store = Store(tmp_path)
    source = store["synth/x"].to_table()
    assert store["synth/y.ledger"].to_table()["id"].to_pylist() == source["id"].to_pylist()
    topics = dict(zip(source["id"].to_pylist(), source["topic"].to_pylist(), strict=True))
    for row in store["synth/y"].to_table().to_pylist():
        assert row["topic"] == topics[row["parents"][0]]


def test_empty_rows_and_a_limit_of_rows(tmp_path: Path) -> None:
    do = [{"prompt": {"prefix": "user"}}, "sample", {"emit": {"kind": "chat"}}]
    build(tmp_path, **{"from": {"empty": 30}}, do=do, rows=12, task_rows=5)
    assert Store(tmp_path)["synth/x.ledger"].rows == 12
    assert len(set(Store(tmp_path)["synth/x.ledger"].to_table()["id"].to_pylist())) == 12


def test_a_budget_leaves_rows_pending_and_a_larger_one_goes_on(tmp_path: Path) -> None:
    record = tmp_path / "made"
    engine = {"record": str(record), "capacity": 4}
    build(tmp_path, engine=engine, budget={"tokens": 1000}, task_rows=20)
    first = facts(tmp_path)["rows"]
    assert first["pending"] and first["kept"]
    assert any("pending" in note for note in Store(tmp_path)["synth/x"].build()["notes"])
    before = requests_made(record)
    build(tmp_path, engine=engine, budget={"tokens": 100_000}, task_rows=20)
    assert facts(tmp_path)["rows"]["pending"] == 0
    assert not set(before) & set(requests_made(record)[len(before) :])
    build(tmp_path / "whole", task_rows=20)
    assert Store(tmp_path)["synth/x"].version == Store(tmp_path / "whole")["synth/x"].version


def test_zero_rows_kept_is_said_with_the_reasons(tmp_path: Path) -> None:
    build(tmp_path, engine={"fail": {"refused": 0.9, "server": 0.1}})
    (note,) = Store(tmp_path)["synth/x"].build()["notes"]
    assert note.startswith("no row was kept of 80: refused 1")
    assert Store(tmp_path)["synth/x"].rows == 0


def test_the_best_of_all_rows_are_an_exact_number(tmp_path: Path) -> None:
    scored = [*DO[:4], {"select": {"top": {"by": "length", "count": 15}}}, DO[-1]]
    build(tmp_path / "all", do=[*DO[:4], DO[-1]])
    every = Store(tmp_path / "all")["synth/x"].to_table().to_pylist()
    versions = set()
    for task_rows in (7, 1000):
        build(tmp_path / "top", do=scored, task_rows=task_rows)
        rows = Store(tmp_path / "top")["synth/x"].to_table().to_pylist()
        assert len(rows) == 15
        ids = {row["id"] for row in rows}
        best = sorted((row["length"] for row in every), reverse=True)[:15]
        assert sorted((row["length"] for row in rows), reverse=True) == best
        assert [row["id"] for row in every if row["id"] in ids] == [row["id"] for row in rows]
        versions.add(frozenset(ids))
        ledger = Store(tmp_path / "top")["synth/x.ledger"].to_table().to_pylist()
        assert len(ledger) == 80 and sum(row["rows_out"] for row in ledger) == 15
        cut = [row for row in ledger if row["reason"] == "select.top"]
        assert cut and all(row["state"] == "filtered" for row in cut)
        counts = facts(tmp_path / "top")
        assert counts["rows"]["kept"] == sum(row["state"] == "kept" for row in ledger)
        goodput = counts["goodput"]
        assert goodput["kept_tokens"] == sum(best)
        lost = sum(goodput["lost_tokens"].values())
        assert goodput["kept_tokens"] + lost == goodput["completion_tokens"]
    assert len(versions) == 1


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"do": DO[:-1]}, "does not end with `emit`"),
    ({"do": [DO[-1], *DO]}, "an `emit` before its end"),
    ({"do": [{"prompt": {"user": "{{ topc }}"}}, *DO[1:]]}, "'topc'.*did you mean 'topic'"),
    ({"do": [*DO[:-1], {"emit": {"columns": ["lenght"]}}]}, "'lenght'.*did you mean 'length'"),
    ({"do": [DO[0], {"sample": {"engine": "mian"}}, DO[-1]]}, "'mian'.*did you mean 'main'"),
    ({"do": [{"select": {"top": {"by": "n", "count": 3}}}, *DO]}, "stands last"),
    ({"do": [{"prompt": "no_such_prompt"}, *DO[1:]]}, "no prompt 'no_such_prompt'"),
    ({"from": {"values": {"n": []}}}, "takes a list"),
    ({"from": {"jsonlines": "x"}}, "no form 'jsonlines'.*did you mean 'jsonl'"),
    ({"engines": {"main": {"vlm": {}}}}, "unknown backend 'vlm'.*vllm"),
    ({"from": {"empty": 0}}, "above 0"),
]


@pytest.mark.parametrize(("changed", "message"), WRONG)
def test_what_cannot_run_is_refused_with_the_nearest_name(
    changed: dict[str, Any], message: str
) -> None:
    with pytest.raises((RecipeError, ValueError), match=message):
        step(**changed).check()


def test_names_that_a_template_asks_for_first_may_be_absent() -> None:
    prompt = {"user": "{% if hint is defined %}{{ hint }}{% endif %}{{ style | default('') }}"}
    step(do=[{"prompt": prompt}, *DO[1:]]).check()


def test_a_column_of_the_wrong_type_fails_its_row(tmp_path: Path) -> None:
    lines = [{"id": "a", "n": 1, "topic": "x"}] * 1200 + [{"id": "b", "n": "one", "topic": "y"}]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    do = [*DO[:3], {"emit": {"columns": ["topic", "n"]}}]
    build(tmp_path / "s", **{"from": {"jsonl": str(tmp_path / "a.jsonl")}}, do=do)
    last = Store(tmp_path / "s")["synth/x.ledger"].to_table().to_pylist()[-1]
    assert (last["state"], last["step_op"], last["reason"]) == ("failed", "emit", "unparsable")
