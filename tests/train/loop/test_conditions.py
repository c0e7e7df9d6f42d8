"""A stage that ends on conditions: where they hold, not before, and alike after a kill."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.extras import needs

needs("torch", "transformers", "accelerate")

import torch  # noqa: E402

from gristmill.errors import GristmillError, RecipeError  # noqa: E402
from gristmill.store import Store  # noqa: E402
from tests.train.loop.make_stage import (  # noqa: E402
    LLAMA,
    finish,
    finish_apart,
    make_job,
    make_mixture,
    weights,
)
from train.draws import draws_kept  # noqa: E402
from train.job import Job  # noqa: E402
from train.loop.logs import FILE, read_lines  # noqa: E402

LOSS: dict[str, Any] = {"task": {"loss": "mix/held"}, "metric": "loss"}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return make_mixture(tmp_path_factory.mktemp("store"))


def stage(store: Store, work: Path, *when: dict[str, Any], **changes: Any) -> Job:
    advance = {"when": list(when), "every": 0.125, **changes.pop("advance", {})}
    return make_job(store, work, advance=advance, **changes)


def looks(job: Job) -> dict[int, float]:
    """Step -> the held-out loss that was found there."""
    lines = read_lines(Path(job.work) / FILE)
    return {
        line["step"]: line["advance/loss.loss"] for line in lines if "advance/loss.loss" in line
    }


@pytest.fixture(scope="module")
def never(store: Store, tmp_path_factory: pytest.TempPathFactory) -> tuple[Job, Any]:
    """A stage whose condition never holds: every look of it."""
    job = stage(store, tmp_path_factory.mktemp("never"), {**LOSS, "reaches": 0.0})
    return job, finish(job)


def test_the_stage_ends_at_the_first_look_that_holds(
    store: Store, never: tuple[Job, Any], tmp_path: Path
) -> None:
    every = looks(never[0])
    step = sorted(every)[3]
    limit = (every[step] + every[sorted(every)[2]]) / 2  # between two looks
    job = stage(store, tmp_path, {**LOSS, "reaches": limit})
    made = finish(job)
    assert looks(job) == {at: value for at, value in every.items() if at <= step}
    assert made.facts["steps"] == step and made.log.num_rows == step
    assert made.facts["tokens"] < never[1].facts["tokens"]
    assert made.facts["advance"]["met_at"] == step
    assert not made.notes


def test_looking_changes_nothing_of_what_is_learnt(
    store: Store, never: tuple[Job, Any], tmp_path: Path
) -> None:
    job = make_job(store, tmp_path)
    finish(job)
    assert weights(job) == weights(never[0])


def test_conditions_that_never_hold_are_told_or_end_the_run(
    store: Store, never: tuple[Job, Any], tmp_path: Path
) -> None:
    _, made = never
    (note,) = made.notes
    last = made.facts["advance"]["after"]["loss.loss"]
    assert note == (f"the conditions of advance were not met: loss.loss {last:.4g} (at most 0)")
    assert made.facts["advance"]["met_at"] is None
    job = stage(store, tmp_path, {**LOSS, "reaches": 0.0}, advance={"otherwise": "stop"})
    with pytest.raises(GristmillError, match=r"the data ended.*at most 0.*otherwise: go_on"):
        finish(job)


def test_recovers_is_of_the_model_before_the_stage_changed_it(
    store: Store, never: tuple[Job, Any], tmp_path: Path
) -> None:
    """A change that costs the model something: the loss rises, and comes back."""
    folder = Path(never[0].work) / "model"
    trained = {"init": {"from": str(folder)}, "model": {"patch": {"rms_norm_eps": 1.0}}}
    job = stage(store, tmp_path, {**LOSS, "recovers": 0.002}, **trained)
    made = finish(job)
    found = made.facts["advance"]
    before = never[1].facts["advance"]["after"]["loss.loss"]
    assert found["before"]["loss.loss"] > before + 0.01
    assert found["met_at"] is not None
    assert found["after"]["loss.loss"] <= before * 1.002


@pytest.mark.slow
def test_a_killed_stage_ends_at_the_same_step(
    store: Store, never: tuple[Job, Any], tmp_path: Path
) -> None:
    every = looks(never[0])
    limit = every[sorted(every)[4]]
    whole = stage(store, tmp_path / "whole", {**LOSS, "reaches": limit})
    finish(whole)
    job = stage(store, tmp_path / "killed", {**LOSS, "reaches": limit})
    for steps in (7, 5):
        assert finish_apart(job, "step", steps) == -9
    assert finish_apart(job) == 0
    assert looks(job) == looks(whole)
    assert weights(job) == weights(whole)


def test_a_metric_that_is_not_there_ends_the_stage_before_its_first_step(
    store: Store, tmp_path: Path
) -> None:
    job = stage(store, tmp_path, {"task": {"loss": "mix/held"}, "metric": "los", "reaches": 1})
    with pytest.raises(RecipeError, match=r"no metric 'los'; it has loss, perplexity"):
        finish(job)
    assert not read_lines(Path(job.work) / FILE)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "neither": ({"advance": {"when": [LOSS]}}, "give one of `reaches"),
    "both": (
        {"advance": {"when": [{**LOSS, "reaches": 1, "recovers": 0.1}]}},
        "give one of `reaches",
    ),
    "new model": ({"advance": {"when": [{**LOSS, "recovers": 0.1}]}}, "begins with a new one"),
    "average": (
        {"advance": {"when": [{**LOSS, "reaches": 1}]}, "average": {"last": 3}},
        "uniform takes its points",
    ),
    "twins": (
        {
            "advance": {
                "when": [
                    {**LOSS, "reaches": 1},
                    {"task": {"loss": {"data": "mix"}}, "metric": "loss", "reaches": 1},
                ]
            }
        },
        "two tasks 'loss'",
    ),
    "distance": ({"advance": {"when": [{**LOSS, "reaches": 1}], "every": 0}}, "more than 0"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_is_refused_before_anything_is_loaded(
    name: str, store: Store, tmp_path: Path
) -> None:
    changes, told = REFUSED[name]
    with pytest.raises(RecipeError, match=told):
        make_job(store, tmp_path, init={"config": LLAMA}, **changes)


def test_draws_are_those_that_would_have_been() -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    with draws_kept():
        torch.manual_seed(5)
    assert torch.equal(torch.rand(3), expected)
