"""lm-eval over local files: the same numbers as its own `hf` model, and nothing is fetched."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.extras import needs

needs("torch", "transformers", "lm_eval")

from gristmill.errors import RecipeError  # noqa: E402
from tests.train.evaluate.make_bench import bench  # noqa: E402
from train.evaluate.spec import parse_task  # noqa: E402

QUESTIONS = [
    {"query": "What is ground?", "choices": ["grain", "water", "a song"], "gold": 0},
    {"query": "What is baked? ", "choices": ["bread", "rain"], "gold": 0},
    {"query": "", "choices": ["left", "right"], "gold": 1},
]
CHOICE = """
task: local_choice
dataset_path: json
dataset_kwargs: {data_files: {test: FILE}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{query}}"
doc_to_target: "{{gold}}"
doc_to_choice: "{{choices}}"
metric_list:
  - {metric: acc, aggregation: mean, higher_is_better: true}
"""
WRITE = """
task: local_write
dataset_path: json
dataset_kwargs: {data_files: {test: FILE}}
test_split: test
output_type: generate_until
doc_to_text: "{{query}} Answer:"
doc_to_target: "{{choices[gold]}}"
generation_kwargs: {until: ["e"], max_gen_toks: 6}
metric_list:
  - {metric: exact_match, aggregation: mean, higher_is_better: true}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    data = tmp_path / "data.jsonl"
    data.write_text("\n".join(map(json.dumps, QUESTIONS)))
    home = tmp_path / "tasks"
    home.mkdir()
    for name, text in (("choice", CHOICE), ("write", WRITE)):
        (home / f"{name}.yaml").write_text(text.replace("FILE", str(data)))
    return home


@pytest.mark.slow
def test_likelihoods_and_texts_are_those_of_the_harness_own_model(
    tmp_path: Path, folder: Path
) -> None:
    import lm_eval
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    from train.evaluate.harness import BenchModel

    measured = bench(tmp_path)
    theirs = HFLM(pretrained=measured.model, tokenizer=measured.rendering.tokenizer, max_length=256)

    def samples(model: Any, name: str) -> list[Any]:
        manager = TaskManager(include_path=str(folder), include_defaults=False)
        found = lm_eval.simple_evaluate(model=model, tasks=[name], task_manager=manager)
        return [row["filtered_resps"] for row in found["samples"][name]]

    ours = BenchModel(measured, "test")
    for mine, other in zip(
        samples(ours, "local_choice"), samples(theirs, "local_choice"), strict=True
    ):
        assert [a for a, _ in mine] == pytest.approx([a for a, _ in other], abs=1e-4)
        assert [b for _, b in mine] == [b for _, b in other]
    for mine, other in zip(
        samples(ours, "local_write"), samples(theirs, "local_write"), strict=True
    ):  # ours leaves out the half of a character that max_gen_toks cut
        assert mine == [text.rstrip("\ufffd") for text in other]


def test_scores_of_a_folder_of_tasks(tmp_path: Path, folder: Path) -> None:
    task = parse_task(
        {"lm_eval": {"folder": str(folder), "tasks": ["local_choice", "local_write"]}}
    )
    assert str(tmp_path / "data.jsonl") in task.files()  # its content decides too
    found = task.measure(bench(tmp_path))
    assert [(s.metric, s.source, s.n, s.better) for s in found.scores] == [
        ("acc", "local_choice", 3, "higher"),
        ("exact_match", "local_write", 3, "higher"),
    ]
    assert len(found.items) == 6
    choice = [item.score for item in found.items if item.source == "local_choice"]
    assert found.scores[0].value == pytest.approx(sum(choice) / 3)


def test_a_task_that_would_be_fetched_is_refused(folder: Path) -> None:
    text = (folder / "choice.yaml").read_text().replace("dataset_path: json", "dataset_path: a/b")
    (folder / "choice.yaml").write_text(text)
    with pytest.raises(RecipeError, match="which the harness would fetch"):
        parse_task({"lm_eval": {"folder": str(folder), "tasks": "local_choice"}}).files()


def test_an_unknown_task_is_named_with_those_there(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(RecipeError, match="local_choice, local_write"):
        parse_task({"lm_eval": {"folder": str(folder), "tasks": "choice"}}).measure(bench(tmp_path))
