"""The shipped recipes of mixtures, from documents to a plan, by the command line and the demo."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gristmill.store import Store
from mixtures.plan import open_plan
from pipelines.demo import four_sources
from tests.run_step import RECIPES, run_recipe

pytestmark = pytest.mark.slow
CLI = [sys.executable, "-c", "from pipelines.cli import main; main()"]


def documents(folder: Path, names: tuple[str, ...] = ("mill", "sea")) -> str:
    draw = random.Random(0)
    for name in names:
        words = [f"{name}{n}" for n in range(300)]
        rows = [{"text": " ".join(draw.choices(words, k=80))} for _ in range(60)]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(text)
    return str(folder / "*.jsonl")


def test_documents_become_a_plan_from_the_command_line(tmp_path: Path) -> None:
    found = documents(tmp_path)
    settings = {"documents": found, "budget": "30k", "seq": 64, "batch": 4, "vocab_size": 600}
    command = [*CLI, "run", str(RECIPES / "mixture.yaml"), "--store", str(tmp_path / "store")]
    for key, value in settings.items():
        command += ["--set", f"{key}={value}"]
    planned = [*CLI, "plan", *command[len(CLI) + 1 :]]
    before = subprocess.run(planned, check=True, capture_output=True, text=True).stdout
    assert "mix/pretrain" in before
    subprocess.run(command, check=True, capture_output=True)
    after = subprocess.run([*planned, "--format", "json"], check=True, capture_output=True)
    assert {step["state"] for step in json.loads(after.stdout)} == {"built"}
    plan = open_plan(Store(tmp_path / "store"), "mix/pretrain")
    assert len(plan) == 117 * 4
    assert [source.name for source in plan.spec.sources] == ["all/mill.jsonl", "all/sea.jsonl"]
    printed = [*CLI, "mixture", "mix/pretrain", "--store", str(tmp_path / "store")]
    shown = subprocess.run(printed, check=True, capture_output=True, text=True).stdout
    assert "all/mill.jsonl" in shown and "stage 1" in shown
    other = [*printed[:-3], "docs/all", *printed[-2:]]
    refused = subprocess.run(other, capture_output=True, text=True)
    assert refused.returncode == 1 and "is no mixture" in refused.stderr


def test_four_sources_by_each_heuristic_and_by_a_law(
    shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["--data", str(shared_data), "--dir", str(tmp_path), "--megabytes", "0.6"]
    asked += ["--budget", "800000"]
    assert four_sources.main([*asked, "--workers", "2"]) == 0
    assert "fitted" in capsys.readouterr().out
    store = Store(tmp_path / "store")
    for law in store["mix/best.laws"].to_table().to_pylist():
        assert law["spearman"] > 0.8, law["target"]
    *heuristics, fitted = four_sources.means(store, [*four_sources.HEURISTICS, "fitted"])
    assert fitted < min(heuristics) + 0.01
    versions = {name: store[f"mix/{name}"].version for name in four_sources.HEURISTICS}
    assert len(set(versions.values())) >= 3  # UniMax is uniform where no source is short
    again: dict[str, Any] = {s: str(tmp_path / f"{s}.jsonl") for s in four_sources.SOURCES}
    again |= {"budget": 800_000, "proxy_budget": 80_000}
    made = run_recipe(RECIPES / "four_sources.yaml", tmp_path / "store", again, workers=1)
    assert made["mix/unimax"] == store["mix/unimax"].version
