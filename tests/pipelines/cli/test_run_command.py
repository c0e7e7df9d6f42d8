"""Commands that make datasets, end to end with real workers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gristmill.store import Store
from pipelines.init import shipped
from tests.pipelines.cli.conftest import Call


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({"n": n, "word": f"w{n}"}) + "\n" for n in range(20)))
    return path


def test_import_then_ask(gristmill: Call, rows: Path, tmp_path: Path) -> None:
    said = gristmill("import", "seeds", str(rows), "--format", "json", "--workers", "1")
    assert said.code == 0, said.err
    (made,) = json.loads(said.out)
    assert made["name"] == "seeds" and made["rows"] == 20
    assert Store(tmp_path / "store")["seeds"].version == made["version"]
    told = gristmill("sql", "select sum(n) as s from seeds", "--format", "json")
    assert json.loads(told.out) == [{"s": 190}]


def test_plan_run_and_run_again(gristmill: Call, rows: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "vars: {rows: nowhere.jsonl}\nsteps:\n  - {name: seeds, use: import, from: '${rows}'}\n"
    )
    choose = ["--set", f"rows={rows}"]
    planned = json.loads(gristmill("plan", str(recipe), *choose, "--format", "json").out)
    assert [(row["name"], row["state"]) for row in planned] == [("seeds", "to build")]
    assert planned[0]["reads"] == [str(rows)] and planned[0]["warning"] == ""
    told = gristmill("plan", str(recipe), *choose).out
    assert "seeds" in told and "core time" in told and "e-0" not in told
    assert not (tmp_path / "store").exists() or not Store(tmp_path / "store").names()
    first = gristmill("run", str(recipe), *choose, "--format", "json", "--workers", "1")
    assert first.code == 0, first.err
    again = gristmill("run", str(recipe), *choose, "--format", "json")
    assert json.loads(again.out) == json.loads(first.out)
    planned = json.loads(gristmill("plan", str(recipe), *choose, "--format", "json").out)
    assert planned[0]["state"] == "built"
    quiet = gristmill("run", str(recipe), *choose, "--quiet")
    assert quiet.err == "" and "seeds" in quiet.out
    said = gristmill("run", str(recipe))
    assert said.code == 1 and "nowhere.jsonl" in said.err


def test_init_writes_a_recipe_once(
    gristmill: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert gristmill("init", "mine.yaml").code == 0
    assert "steps:" in (tmp_path / "mine.yaml").read_text()
    said = gristmill("init", "mine.yaml")
    assert said.code == 1 and "exists" in said.err
    told = gristmill("init", "--help").out
    assert all(name in told for name in shipped())
    said = gristmill("init", "other.yaml", "--template", "finweb")
    assert said.code == 1 and "did you mean 'fineweb'" in said.err
    said = gristmill("init", "other.yaml", "--template", "train")
    assert said.code == 1 and "train/ablate" in said.err and "train/stages" in said.err
