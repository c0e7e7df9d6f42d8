"""What would stop a later step stops the run before its first step."""

from __future__ import annotations

from pathlib import Path

import pytest

from gristmill import run
from gristmill.errors import RecipeError
from pipelines.plan import plan_recipe

RECIPE = """
vars: {against: [], survivor: longest, parent: web/clean}
steps:
  - {name: web/clean, use: curate, from: {jsonl: rows.jsonl}}
  - {name: web/unique, use: minhash_dedup, from: "${parent}", survivor: "${survivor}"}
  - {name: web/final, use: decontaminate, from: web/unique, against: "${against}"}
"""


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ({"against": ["nowhere.jsonl"]}, "step 'web/final': 'nowhere.jsonl' matches no file"),
        ({"survivor": "longst"}, "did you mean 'longest'"),
        ({"parent": "web/claen"}, "step 'web/unique' reads 'web/claen'"),
    ],
)
def test_a_mistake_of_a_later_step_is_told_before_the_first_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: dict[str, object], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.jsonl").write_text('{"text": "a"}\n')
    (tmp_path / "r.yaml").write_text(RECIPE)
    with pytest.raises(RecipeError, match=says):
        run("r.yaml", set=setting, workers=1)
    assert not (tmp_path / "store" / "web").exists()
    with pytest.raises(RecipeError, match=says):
        plan_recipe("r.yaml", set=setting)


def test_a_run_that_leaves_nothing_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.jsonl").write_text("not json\n" * 3)
    (tmp_path / "r.yaml").write_text(RECIPE)
    run("r.yaml", workers=1)
    assert "no document is left of 3 records: 3 fail read.bad_json" in capsys.readouterr().err
