"""Commands on generated rows: why, show, page, requests, plan, and what the fingerprint knows."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from gristmill.store import Store
from tests.pipelines.cli.conftest import Call

FAKE = {"fake": {"words": 8}}
FLOW = [
    {"prompt": {"user": "Write about {{ topic }}."}},
    {"sample": {"n": 2, "max_tokens": 40}},
    {"score": {"length": {}}},
    {"select": {"pass": {"length": {"min": 8}}}},
    {"emit": {"kind": "chat", "columns": ["length", "topic"]}},
]


def recipe(folder: Path, engine: dict[str, Any] = FAKE, flow: list[Any] = FLOW) -> str:
    step = {
        "name": "synth/talks",
        "use": "synthesize",
        "from": {"jsonl": "${topics}"},
        "engines": {"main": engine},
        "do": flow,
    }
    path = folder / "recipe.yaml"
    given = {"vars": {"topics": str(folder / "topics.jsonl")}, "steps": [step]}
    path.write_text(yaml.safe_dump(given))
    topics = [{"topic": f"subject {n}", "id": f"{n:032x}"} for n in range(12)]
    (folder / "topics.jsonl").write_text("\n".join(map(json.dumps, topics)))
    return str(path)


@pytest.fixture
def talks(gristmill: Call, tmp_path: Path) -> Store:
    said = gristmill("run", recipe(tmp_path), "--workers", "1", "--quiet")
    assert said.code == 0, said.err
    return Store(tmp_path / "store")


def test_why_leads_from_a_generated_row_to_its_source(gristmill: Call, talks: Store) -> None:
    row = talks["synth/talks"].to_table().slice(0, 1).to_pylist()[0]
    said = gristmill("why", "synth/talks", row["id"], "--text")
    assert said.code == 0, said.err
    (made,) = row["made"]
    assert f"from {row['parents'][0]}" in said.out
    assert f"response by fake@1 (temperature 1.0, top_p 1.0, seed {made['seed']})" in said.out
    assert f"{made['prompt_tokens']} tokens in, {made['completion_tokens']} out" in said.out
    assert "[assistant]\n" + row["messages"][-1]["content"] in said.out
    assert f"id {row['parents'][0]}" in said.out  # its source row is told too


def test_why_says_what_became_of_a_source_row(gristmill: Call, talks: Store) -> None:
    states = talks["synth/talks.ledger"].to_table().to_pylist()
    assert {row["state"] for row in states} == {"kept", "filtered"}
    for row in states:
        said = gristmill("why", "synth/talks", row["id"])
        assert said.code == 0, said.err
        if row["state"] == "kept":
            assert f"wrote {row['rows_out']} rows from it" in said.out
        else:
            assert "filtered by" in said.out and "length.min" in said.out


def test_the_funnel_adds_up(gristmill: Call, talks: Store) -> None:
    said = json.loads(gristmill("funnel", "synth/talks", "--format", "json").out)
    rows = {line["state"]: line["rows"] for line in said}
    assert rows["in"] == 12 == rows["kept"] + rows["filtered"]


def test_show_and_page_tell_the_goodput(gristmill: Call, talks: Store, tmp_path: Path) -> None:
    facts = talks["synth/talks"].build()["facts"]["goodput"]
    shown = gristmill("show", "synth/talks").out
    assert "what became of the tokens" in shown and f"{facts['kept_tokens']}" in shown
    lost = sum(facts["lost_tokens"].values())
    assert facts["kept_tokens"] + lost == facts["completion_tokens"]
    assert gristmill("page", "synth/talks", "--out", str(tmp_path / "p.html")).code == 0
    page = (tmp_path / "p.html").read_text()
    assert "Tokens written" in page and "length.min" in page and "subject" in page


def test_requests_are_listed_and_dropped(gristmill: Call, talks: Store) -> None:
    (line,) = json.loads(gristmill("requests", "--format", "json").out)
    assert (line["model"], line["answers"], line["damaged"]) == ("fake", 24, 0)
    assert gristmill("requests", "--drop", "nope", "--yes").code != 0
    assert "would go" in gristmill("requests", "--drop", line["folder"]).out
    assert (
        "removed 24 answers of fake" in gristmill("requests", "--drop", line["folder"], "--yes").out
    )
    assert "no model was asked yet" in gristmill("requests").out
    assert gristmill("verify").code == 0


def test_a_changed_prompt_file_is_another_fingerprint(gristmill: Call, tmp_path: Path) -> None:
    prompt = tmp_path / "mine.md"
    prompt.write_text("---\nabout: x\n---\n[user]\nWrite about {{ topic }}.\n")
    path = recipe(tmp_path, flow=[{"prompt": str(prompt)}, *FLOW[1:]])
    assert gristmill("run", path, "--workers", "1", "--quiet").code == 0

    def state() -> str:
        (line,) = json.loads(gristmill("plan", path, "--format", "json").out)
        return str(line["state"])

    assert state() == "built"
    prompt.write_text(prompt.read_text() + "Be brief.\n")
    assert state() == "to build"


def test_where_an_engine_runs_is_no_part_of_the_fingerprint(
    gristmill: Call, tmp_path: Path
) -> None:
    assert gristmill("run", recipe(tmp_path), "--workers", "1", "--quiet").code == 0
    moved = {"fake": {"words": 8, "capacity": 3, "seconds_per_word": 0.001}}
    said = gristmill("run", recipe(tmp_path, moved), "--workers", "1")
    assert said.code == 0 and "is there already" in said.err


def test_a_limit_cuts_every_source_that_is_no_dataset(gristmill: Call, tmp_path: Path) -> None:
    path = Path(recipe(tmp_path))
    given = yaml.safe_load(path.read_text())
    for source in ({"values": {"topic": list("abcdef")}}, {"jsonl": "${topics}"}):
        given["steps"][0]["from"] = source
        path.write_text(yaml.safe_dump(given))
        said = gristmill("run", str(path), "--limit", "3", "--workers", "1", "--quiet")
        assert said.code == 0, said.err
        assert Store(tmp_path / "store")["synth/talks.ledger"].rows == 3


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"budget": {"cost": 1.0}}, "budget.cost needs the `price`"),
        (
            {"do": [{"loop": {"max": 2, "until": "lenght", "do": FLOW[:3]}}, FLOW[-1]]},
            "until names",
        ),
        ({"do": [*FLOW[:3], {"select": {"pass": {"lenght": 3}}}, FLOW[-1]]}, "'lenght'.*length"),
        ({"do": [*FLOW[:3], {"select": {"best": {"by": "lenght"}}}, FLOW[-1]]}, "'lenght'"),
        ({"from": {"jsonl": "EMPTY"}}, "has no rows"),
    ],
)
def test_what_would_cost_tokens_in_vain_is_refused(
    gristmill: Call, tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    path = Path(recipe(tmp_path))
    (tmp_path / "empty.jsonl").write_text("")
    if "from" in change:
        change = {"from": {"jsonl": str(tmp_path / "empty.jsonl")}}
    given = yaml.safe_load(path.read_text())
    given["steps"][0] |= change
    path.write_text(yaml.safe_dump(given))
    told = gristmill("run", str(path), "--workers", "1", "--quiet")
    assert told.code == 1 and re.search(said, told.err, re.DOTALL), told.err
    if (tmp_path / "store").is_dir():
        assert "no model was asked yet" in gristmill("requests").out


def test_a_schema_travels_to_a_worker(gristmill: Call, tmp_path: Path) -> None:
    script = {"fake": {"script": {"": '{"title": "a"}'}}}
    schema = {"type": "object", "properties": {"title": {"type": "string"}}}
    parse = {"parse": {"json": {"schema": schema, "keys": ["title"]}}}
    flow = [*FLOW[:2], parse, {"emit": {"kind": "chat", "columns": ["title"]}}]
    said = gristmill("run", recipe(tmp_path, script, flow), "--workers", "1", "--quiet")
    assert said.code == 0, said.err
    titles = Store(tmp_path / "store")["synth/talks"].to_table()["title"].to_pylist()
    assert set(titles) == {"a"}
