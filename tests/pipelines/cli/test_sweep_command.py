"""`gristmill sweep` on a dataset that a recipe made."""

from __future__ import annotations

import json
from pathlib import Path

from tests.pipelines.cli.conftest import Call


def test_sweep_after_a_run(gristmill: Call, tmp_path: Path) -> None:
    texts = tmp_path / "texts.jsonl"
    with open(texts, "w") as file:
        for count in range(10, 60):
            text = " ".join(f"grain{i}" for i in range(count))
            file.write(json.dumps({"url": f"https://a.org/{count}", "text": text}) + "\n")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "steps:\n"
        "  - name: web/clean\n"
        "    use: curate\n"
        f"    from: {{jsonl: '{texts}'}}\n"
        "    ops:\n"
        "      - rules: {set: gopher_quality, min_alpha_words: null, min_stop_words: null,\n"
        "                min_mean_word_length: null}\n"
    )
    assert gristmill("run", str(recipe), "--workers", "1").code == 0
    higher = ["--set", "gopher_quality.min_words=55"]
    found = json.loads(gristmill("sweep", "web/clean", *higher, "--format", "json").out)
    assert (found["rows"], found["undecided"]) == (50, 0)
    assert found["kept_after"] == found["kept_before"] - found["newly_dropped"]
    assert found["newly_dropped"] > 0
    lower = ["--set", "gopher_quality.min_words=30"]
    table = gristmill("sweep", "web/clean", *lower).out
    assert "gopher_quality.min_words" in table and "newly_kept" in table
    rules = gristmill("sweep", "web/clean", *lower, "--format", "csv")
    assert "would_fail" in rules.out.splitlines()[0]
    assert gristmill("sweep", "web/clean").code == 1
    said = gristmill("sweep", "web/clean", "--set", "gopher_quality.min_wrods=3")
    assert said.code == 1 and "did you mean 'min_words'" in said.err
