"""docs/train: losses, ops, tasks, fields, defaults, columns and recipes are told; examples run."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import TypeAdapter
from pydantic.fields import FieldInfo

from gristmill import Store, run
from gristmill.progress import Progress
from tests.conftest import ROOT
from tests.extras import needs
from tests.test_docs import DOCS, blocks, section
from train.compare.report import SCHEMA
from train.evaluate.results import ITEMS, SCORES
from train.evaluate.spec import parse_task, task_class, task_names
from train.spec import (
    Advance,
    Average,
    Condition,
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

PAGES = sorted((DOCS / "train").glob("*.md"))
FIRST = DOCS / "train" / "README.md"
# A table whose first column is `field of NAME` -> what it lists.
TABLES: dict[str, type[Spec]] = {
    "`init`": Init,
    "`model`": ModelSpec,
    "`lora`": Lora,
    "`soft_top_k`": SoftTopK,
    "`data`": Rows,
    "`schedule`": Schedule,
    "`optim`": Optim,
    "`merge`": OnlineMerge,
    "`average`": Average,
    "`rollout`": Rollout,
    "a reward": Reward,
    "`guard`": Guard,
    "`held_out`": HeldOut,
    "`advance`": Advance,
    "a condition": Condition,
    "`run`": Run,
}


def told(table: str) -> dict[str, str | None]:
    """Field -> its default as a table's rows write it; None where the cell is empty."""
    found: dict[str, str | None] = {}
    for first, second in re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| (.*?) ?\|", table, re.M):
        names, values = re.findall(r"`(\w+)`", first), re.findall(r"`([^`]+)`", second)
        shared = values * len(names) if len(values) == 1 else values
        assert not values or len(shared) == len(names), f"{first}: {second}"
        found |= dict(zip(names, shared or [None] * len(names), strict=True))
    return found


def check_defaults(
    table: str, fields: Mapping[str, FieldInfo], where: str, blank: tuple[str, ...] = ()
) -> None:
    """Every default that is told is the field's; blank: fields whose default stands elsewhere."""
    known = {field.alias or name: field for name, field in fields.items()}
    for name, text in told(table).items():
        assert name in known, f"{where} has no field {name}"
        field = known[name]
        assert (text is None) == field.is_required() or name in blank, f"{where}: {name}"
        if text is not None and not field.is_required():
            read = TypeAdapter(field.annotation).validate_python(yaml.safe_load(text))
            default = field.get_default(call_default_factory=True)
            assert read == default, f"{where}: {name} is {default}, told is {text}"


@pytest.mark.parametrize("name", TABLES)
def test_options_within_a_stage_are_told_with_their_defaults(name: str) -> None:
    fields = TABLES[name].model_fields
    row = rf"\| field of {re.escape(name)} \| default \|.*?(?=\n\n|\Z)"
    found = [t for page in PAGES for t in re.findall(row, page.read_text(), re.S)]
    assert len(found) == 1, f"docs/train has {len(found)} tables of the fields of {name}"
    assert set(told(found[0])) == {field.alias or key for key, field in fields.items()}
    check_defaults(found[0], fields, name)


@pytest.mark.parametrize("name", loss_names())
def test_every_loss_and_field_is_named(name: str) -> None:
    text = section(DOCS / "train" / "losses.md", name)
    for field in loss_class(name).model_fields:
        assert f"`{field}`" in text, f"docs/train/losses.md, {name}: {field}"
    check_defaults(text, loss_class(name).model_fields, name)
    (example,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert parse_loss(yaml.safe_load(example)["loss"]).NAME == name


@pytest.mark.parametrize("name", op_names())
def test_every_checkpoint_op_and_field_is_named(name: str) -> None:
    text = section(DOCS / "train" / "checkpoints.md", name)
    for field in op_class(name).model_fields:
        assert f"`{field}`" in text, f"docs/train/checkpoints.md, {name}: {field}"
    check_defaults(text, op_class(name).model_fields, name)
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
    elsewhere = set(
        re.findall(r"`(\w+)`", " ".join(re.findall(r"^\|(.*)\| +\|.*\]\(#", text, re.M)))
    )
    check_defaults(text, task_class(name).model_fields, name, tuple(elsewhere))
    (example,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert parse_task(yaml.safe_load(example)).NAME == name
    assert f"`{name}`" in section(DOCS / "steps.md", "evaluate")


def test_every_recipe_of_training_is_named() -> None:
    text = (DOCS / "train" / "recipes.md").read_text()
    found = sorted((ROOT / "pipelines" / "recipes" / "train").glob("*.yaml"))
    assert found and not [file.name for file in found if f"[{file.name}](" not in text]


def test_every_page_is_on_the_map() -> None:
    text = section(FIRST, "Pages")
    assert not [page.name for page in PAGES if page != FIRST and f"]({page.name})" not in text]


def test_columns_of_evaluations_and_comparisons_are_named() -> None:
    page = DOCS / "steps.md"
    text = section(page, "evaluate")
    assert not {n for n in (*SCORES.names, *ITEMS.names) if f"`{n}`" not in text}
    assert not {name for name in SCHEMA.names if f"`{name}`" not in section(page, "compare")}


def put_files(folder: Path) -> None:
    """What the first page begins with: `model/`, `sft.jsonl`, `dpo.jsonl`, of its own lines."""
    from transformers import AutoConfig, AutoModelForCausalLM

    from tests.mixtures.tiny_tokenizers import tiny_bpe, write_tokenizer
    from tests.train.data.make_rows import CONFIG

    special = ("<|end|>", "<|pad|>")
    ends = {"eos_token": special[0], "pad_token": special[1]}
    write_tokenizer(folder / "model", tiny_bpe(special=special), **ends)
    config = AutoConfig.for_model(**CONFIG, vocab_size=300)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder / "model")
    for name, line in zip(("sft.jsonl", "dpo.jsonl"), blocks(FIRST, "json"), strict=True):
        sums = (line.replace("2+2", f"2+{n}").replace('"4"', f'"{2 + n}"') for n in (1, 2, 4, 5))
        (folder / name).write_text("".join(sums))


@pytest.mark.slow
def test_the_first_page_leads_from_files_to_a_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs("torch", "transformers", "accelerate", "matplotlib")
    put_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    recipe = blocks(FIRST, "yaml")[0]
    Path("posttrain.yaml").write_text(recipe)
    lines = [line for text in blocks(FIRST, "sh") for line in text.splitlines()]
    assert any(
        line.startswith("gristmill run  posttrain.yaml --set model=./model") for line in lines
    )
    threads = {f"models/{name}.run.threads": 1 for name in ("sft", "dpo")}
    with Progress(quiet=True) as progress:
        made = run(
            "posttrain.yaml", set={"model": "./model", **threads}, workers=1, progress=progress
        )
    assert {"models/sft", "models/dpo", "eval/answers"} <= set(made)
    asked = [shlex.split(line)[2] for line in lines if line.startswith("gristmill sql")]
    assert len(asked) == 2 and all(Store("store").sql(query).fetchall() for query in asked)
    seen: dict[str, Any] = {}
    (example,) = blocks(FIRST, "python")
    exec(example, seen)
    assert json.loads((seen["folder"] / "config.json").read_text())["model_type"] == "llama"
    assert seen["tokenizer"].chat_template and seen["model"].num_parameters()
