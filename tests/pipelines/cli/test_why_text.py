"""`gristmill why --text`: the text wherever the record went."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gristmill.store import Store
from tests.make_store import documents, ledger, put, row_id
from tests.pipelines.cli.conftest import Call


def _text(gristmill: Call, name: str, key: str) -> str:
    (story,) = json.loads(gristmill("why", name, key, "--text", "--format", "json").out)
    return str(story["text"])


def test_text_that_is_in_a_dataset(gristmill: Call, store: Store) -> None:
    assert _text(gristmill, "web/unique", row_id(7)) == "Grain number 7."
    assert _text(gristmill, "web/unique", row_id(4)) == "Grain number 4."  # dropped as a duplicate
    assert "Grain number 4." in gristmill("why", "web/unique", row_id(4), "--text").out


def test_text_that_was_kept_apart(gristmill: Call, tmp_path: Path) -> None:
    rows = ledger([(1, "dropped", "rules", "short", []), (2, "kept", None, None, [])])
    outputs = {
        "": ("document", [documents([2])]),
        ".rejected": ("document", [documents([1])]),
        ".ledger": ("ledger", [rows]),
    }
    put(Store(tmp_path / "store"), "web", outputs)
    assert _text(gristmill, "web", row_id(1)) == "Grain number 1."


@pytest.mark.slow
def test_text_that_is_read_again(gristmill: Call, tmp_path: Path) -> None:
    texts = tmp_path / "texts.jsonl"
    with open(texts, "w") as file:
        for number in range(5):
            text = " ".join([f"short{number}"] * (number + 1))
            file.write(json.dumps({"url": f"https://a.org/{number}", "text": text}) + "\n")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"steps: [{{name: web, use: curate, from: {{jsonl: '{texts}'}}, ops: "
        "[{rules: gopher_quality}]}]\n"
    )
    assert gristmill("run", str(recipe), "--workers", "1").code == 0
    assert _text(gristmill, "web", "https://a.org/2") == "short2 short2 short2"
    texts.unlink()
    said = gristmill("why", "web", "https://a.org/2", "--text")
    assert said.code == 0 and "(no text: " in said.out
