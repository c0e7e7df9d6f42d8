"""What would stop a later step stops the run before its first step."""

from __future__ import annotations

from pathlib import Path

import pytest

from gristmill import run
from gristmill.errors import RecipeError
from gristmill.progress import Progress
from gristmill.store import Store
from pipelines import ahead
from pipelines.local import LocalExecutor
from pipelines.plan import plan_recipe
from pipelines.recipe import Recipe
from pipelines.run import _run_steps
from tests.toy_steps import Doubled, Numbers

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


def test_a_folder_that_is_written_as_a_dataset_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "qwen").mkdir()
    (tmp_path / "qwen" / "config.json").write_text("{}")
    step = "{name: a, use: train, kind: sft, init: qwen, data: {rows: chats}}"
    (tmp_path / "r.yaml").write_text(f"steps: [{step}]")
    with pytest.raises(RecipeError, match=r"for the folder 'qwen', write '\./qwen'"):
        plan_recipe("r.yaml")


def test_a_run_that_leaves_nothing_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.jsonl").write_text("not json\n" * 3)
    (tmp_path / "r.yaml").write_text(RECIPE)
    run("r.yaml", workers=1)
    assert "no document is left of 3 records: 3 fail read.bad_json" in capsys.readouterr().err


class Needy(Doubled):
    """A step of a package that nobody has."""

    def packages(self) -> list[str]:
        return ["no_such_package", "counts_for_the_fingerprint_only"]


def test_a_package_that_is_missing_is_told_before_the_first_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ahead.EXTRAS, "no_such_package", "train")
    first = Numbers.model_validate({"name": "n", "use": "numbers"})
    needy = Needy.model_validate({"name": "d", "use": "needy", "from": "n"})
    assert ahead.absent(first) == ""
    recipe = Recipe("r", 0, Path("r.yaml"), (first, needy))
    says = r"step 'd' needs no_such_package, not installed: .*gristmill\[train\].*make extras"
    with (
        LocalExecutor(1) as executor,
        Progress(quiet=True) as progress,
        pytest.raises(RecipeError, match=says),
    ):
        _run_steps(recipe, Store(tmp_path), executor, progress, None, None)
    assert not (tmp_path / "n").exists()


STAGES = """
vars: {seq: 64, positions: 64, control: raw}
steps:
  - {name: web, use: curate, from: {jsonl: rows.jsonl}}
  - {name: bpe, use: train_tokenizer, from: web, vocab_size: 300}
  - {name: tokens, use: tokenize, from: web, tokenizer: bpe}
  - {name: mix, use: mixture, sources: {web: tokens}, budget: 4k, shape: {seq: "${seq}", batch: 4}}
  - name: base
    use: train
    kind: pretrain
    data: mix
    init: {config: {model_type: llama, max_position_embeddings: 32}, tokenizer: bpe}
  - name: long
    use: train
    kind: pretrain
    data: mix
    init: base
    model: {patch: {max_position_embeddings: "${positions}"}}
  - {name: more, use: train, kind: pretrain, data: mix, init: long}
  - {name: eval, use: evaluate, model: more, tasks: [{loss: web}], labels: {arm: raw, seed: 1}}
  - {name: report, use: compare, evals: eval, control: "${control}"}
"""


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ({"base.init.config.max_position_embeddings": 64}, None),
        ({}, "step 'base': init.config: max_position_embeddings is 32, the data has rows of 64"),
        ({"seq": 32, "positions": 16}, "step 'long': model.patch: max_position_embeddings is 16"),
        ({"seq": 32, "control": "rwa"}, "control is 'rwa', which no evaluation has as 'arm'"),
    ],
)
def test_steps_that_do_not_fit_each_other_are_told_before_the_first_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: dict[str, object], says: str | None
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.jsonl").write_text('{"text": "a"}\n')
    (tmp_path / "r.yaml").write_text(STAGES)
    if says is None:
        assert plan_recipe("r.yaml", set=setting)
        return
    with pytest.raises(RecipeError, match=says):
        plan_recipe("r.yaml", set=setting)
