"""Needle and copy: a model that copies finds them, one of random weights is at chance."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.extras import needs

needs("torch", "transformers")

import torch  # noqa: E402

from gristmill.errors import RecipeError  # noqa: E402
from tests.train.evaluate.copying import copying  # noqa: E402
from tests.train.evaluate.make_bench import bench  # noqa: E402
from train.evaluate.results import Measured  # noqa: E402
from train.evaluate.spec import parse_task  # noqa: E402


def value(found: Measured, metric: str, length: int | None = None) -> float:
    (only,) = [
        s.value for s in found.scores if (s.metric, s.length, s.depth) == (metric, length, None)
    ]
    return only


def test_a_copier_finds_every_needle(tmp_path: Path) -> None:
    task = parse_task({"needle": {"lengths": [96, 160], "depths": [0, 0.5, 1], "samples": 3}})
    found = task.measure(copying(tmp_path))
    assert value(found, "chosen") == 1.0
    assert value(found, "written") > 0.8  # a digit that comes twice in a number misleads it
    cells = [s for s in found.scores if s.metric == "chosen" and s.depth is not None]
    assert {(s.length, s.depth) for s in cells} == {(n, d) for n in (96, 160) for d in (0, 0.5, 1)}
    assert all(s.n == 3 for s in cells)


def test_random_weights_find_needles_by_chance(tmp_path: Path) -> None:
    task = parse_task(
        {"needle": {"lengths": [160], "depths": [0.5], "samples": 60, "candidates": 4}}
    )
    found = task.measure(bench(tmp_path))
    chosen = next(s for s in found.scores if s.metric == "chosen")
    assert chosen.low is not None and chosen.high is not None
    assert chosen.low < 0.25 < chosen.high
    assert value(found, "written") == 0


def test_a_copier_copies_and_random_weights_do_not(tmp_path: Path) -> None:
    task = parse_task({"copy": {"lengths": [64, 128], "depths": [0, 1], "samples": 4}})
    assert value(task.measure(copying(tmp_path)), "tokens_right") > 0.9
    assert value(task.measure(bench(tmp_path)), "tokens_right") < 0.05


def test_contexts_have_the_length_asked_and_the_fact_at_its_depth(tmp_path: Path) -> None:
    measured = copying(tmp_path)
    task = parse_task({"needle": {"lengths": [120], "depths": [0, 1], "samples": 2}})
    backend = measured.rendering.tokenizer.backend_tokenizer
    for case in task.cases(measured):  # type: ignore[attr-defined]
        assert len(case.prompt) == 120
        text = backend.decode(case.prompt)
        place = text.index(case.needle.fact) / (len(text) - len(case.needle.question))
        assert place < 0.1 if case.depth == 0 else place > 0.7
        assert case.needle.answer.strip() not in text.replace(case.needle.fact, "")


def test_the_same_seed_gives_the_same_scores_in_batches_of_any_size(tmp_path: Path) -> None:
    task = parse_task({"copy": {"lengths": [64], "samples": 3}})
    whole, one_by_one = (task.measure(bench(tmp_path, batch_tokens=tokens)) for tokens in (4096, 1))
    assert [s.value for s in whole.scores] == [s.value for s in one_by_one.scores]


def test_a_length_beyond_the_model_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="reads 256 tokens"):
        parse_task({"needle": {"lengths": [512]}}).measure(bench(tmp_path))


def test_a_length_without_room_for_the_question_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no room for the fact"):
        parse_task({"needle": {"lengths": [20]}}).measure(bench(tmp_path))


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)
