"""docs/train: losses, ops, tasks, options, columns and recipes are named; examples load."""

from __future__ import annotations

import re

import pytest
import yaml

from tests.conftest import ROOT
from tests.test_docs import DOCS, section
from train.compare.report import SCHEMA
from train.evaluate.results import ITEMS, SCORES
from train.evaluate.spec import parse_task, task_class, task_names
from train.spec import (
    Average,
    Guard,
    HeldOut,
    Init,
    Lora,
    ModelSpec,
    Optim,
    Rollout,
    Rows,
    Run,
    Schedule,
    parse_loss,
)
from train.spec.base import Spec
from train.spec.loss import loss_class, loss_names
from train.spec.masks import SoftTopK
from train.spec.optim import OnlineMerge
from train.spec.rollout import Reward
from train.weights.op import op_class, op_names, parse_op


@pytest.mark.parametrize("name", loss_names())
def test_every_loss_and_field_is_named(name: str) -> None:
    text = section(DOCS / "train" / "losses.md", name)
    for field in loss_class(name).model_fields:
        assert f"`{field}`" in text, f"docs/train/losses.md, {name}: {field}"
    (example,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert parse_loss(yaml.safe_load(example)["loss"]).NAME == name


@pytest.mark.parametrize("name", op_names())
def test_every_checkpoint_op_and_field_is_named(name: str) -> None:
    text = section(DOCS / "train" / "checkpoints.md", name)
    for field in op_class(name).model_fields:
        assert f"`{field}`" in text, f"docs/train/checkpoints.md, {name}: {field}"
    (example,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    made = parse_op(yaml.safe_load(example))
    made.check()
    assert made.NAME == name
    assert f"`{name}`" in section(DOCS / "steps.md", "checkpoint")


@pytest.mark.parametrize("name", task_names())
def test_every_evaluation_task_and_field_is_named(name: str) -> None:
    text = section(DOCS / "train" / "evaluate.md", name)
    for field in task_class(name).model_fields:
        assert f"`{field}`" in text, f"docs/train/evaluate.md, {name}: {field}"
    (example,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert parse_task(yaml.safe_load(example)).NAME == name
    assert f"`{name}`" in section(DOCS / "steps.md", "evaluate")


WITHIN_TRAIN: dict[str, list[type[Spec]]] = {
    "Where a model begins": [Init],
    "The model of a stage": [ModelSpec, Lora, SoftTopK],
    "Data": [Rows],
    "Schedule and optimiser": [Schedule, Optim, OnlineMerge],
    "Averages": [Average],
    "Rollouts": [Rollout, Reward],
    "What is watched": [Guard, HeldOut],
    "How it is run": [Run],
}


@pytest.mark.parametrize("title", WITHIN_TRAIN)
def test_options_within_a_stage_are_named(title: str) -> None:
    text = section(DOCS / "train" / "README.md", title)
    for spec in WITHIN_TRAIN[title]:
        for key, field in spec.model_fields.items():
            named = re.search(rf"`(\w+\.)?{field.alias or key}`", text)
            assert named, f"docs/train/README.md, {title}: {spec.__name__}.{key}"


def test_every_recipe_of_training_is_named() -> None:
    text = section(DOCS / "train" / "README.md", "Rounds")
    found = sorted((ROOT / "pipelines" / "recipes" / "train").glob("*.yaml"))
    assert found and not [file.name for file in found if f"[{file.name}](" not in text]


def test_columns_of_evaluations_and_comparisons_are_named() -> None:
    page = DOCS / "steps.md"
    text = section(page, "evaluate")
    assert not {n for n in (*SCORES.names, *ITEMS.names) if f"`{n}`" not in text}
    assert not {name for name in SCHEMA.names if f"`{name}`" not in section(page, "compare")}
