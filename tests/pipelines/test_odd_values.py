"""Odd values in every field of every op and step: refused with the key, or taken; no traceback.

The fields come from the JSON schema, so a new op or step is tried without a change here.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from curation.ops import op_names
from curation.readers import source
from gristmill.errors import RecipeError
from pipelines.json_schema import recipe_schema
from pipelines.recipe import load_recipe
from pipelines.steps import STEPS
from synth import ops as synth_ops
from synth.engines.spec import ENGINES

NEVER = [
    *(math.nan, math.inf, -math.inf, 10**30),
    *([math.nan], {"a": math.nan}, [None], [[]], {1: 2}, datetime.date(2020, 1, 1)),
]  # fits no field at all
ODD = [*NEVER, -1, -0.5, 0, True, None, "", "no such word", [], {}, [""]]
NEEDED = {
    "curate": {"from": {"jsonl": "x.jsonl"}},
    "exact_dedup": {"from": "a"},
    "minhash_dedup": {"from": "a"},
    "decontaminate": {"from": "a"},
    "synthesize": {"from": {"values": {"text": ["a"]}}, "do": [{"emit": {}}]},
    "import": {"from": "x.jsonl"},
}
NEEDED_BY_SYNTH_OP: dict[str, dict[str, Any]] = {
    "prompt": {"user": "x"},
    "draw": {"lists": {"style": ["easy"]}},
    "loop": {"max": 2, "do": []},
    "explode": {"of": "text"},
    "parse.regex": {"pattern": "(?P<a>x)"},
    "score.regex": {"pattern": "x"},
    "score.contaminated": {"against": ["x.jsonl"]},
    "score.fasttext": {"model": "x.bin", "label": "__label__a"},
    "score.judge": {"prompt": "judge_text"},
    "score.schema": {"schema": {"type": "object"}},
    "set": {"texts": {"a": "b"}, "values": {"c": "1"}},
    "select.best": {"by": "length"},
    "select.pair": {"by": "correct"},
    "select.pass": {"correct": True},
    "select.resample": {"by": "log_weight"},
    "select.top": {"by": "length", "count": 1},
}
NEEDED_BY_OP = {"rules": {"set": "gopher_quality"}, "datatrove": {"block": "LambdaFilter"}}
FREE = {"rules": ["min_words"], "clean_lines": ["min_sentences"]}  # fields that no model declares
PARTS = recipe_schema()["$defs"]


def _op(name: str, options: Any) -> dict[str, Any]:
    return {"name": "x", "use": "curate", **NEEDED["curate"], "ops": [{name: options}]}


def _synth_op(place: list[str], options: Any) -> dict[str, Any]:
    for name in reversed(place):
        options = {name: options}
    return {"name": "x", "use": "synthesize", **NEEDED["synthesize"], "do": [options, "emit"]}


def _fields() -> Iterator[tuple[str, dict[str, Any], list[str]]]:
    """(label, a step without the field, where the field goes)."""
    for op in op_names():
        own = [*PARTS[f"op.{op}"]["then"]["properties"], *FREE.get(op, [])]
        for key in own:
            yield f"{op}.{key}", _op(op, {**NEEDED_BY_OP.get(op, {})}), ["ops", "0", op, key]
        yield op, _op(op, None), ["ops", "0", op]
    for op in synth_ops.op_names():
        needed = NEEDED_BY_SYNTH_OP.get(op, {})
        family, _, kind = op.partition(".")
        inner = [family, kind] if kind else [op]
        for key in PARTS[f"synth_op.{op}"]["then"]["properties"]:
            yield f"do.{op}.{key}", _synth_op(inner, needed), ["do", "0", *inner, key]
        yield f"do.{op}", _synth_op(inner, needed), ["do", "0", *inner]
    for backend in ENGINES:
        step = {"name": "x", "use": "synthesize", **NEEDED["synthesize"]}
        step["engines"] = {"main": {backend: {"model": "m", "url": "http://localhost:1/v1"}}}
        known = PARTS["engine"]["anyOf"][0]["properties"][backend]["properties"]
        options = step["engines"]["main"][backend]
        for key in [key for key in options if key not in known]:
            del options[key]
        for key in known:
            yield f"engines.{backend}.{key}", step, ["engines", "main", backend, key]
    for use, needed in NEEDED.items():
        step = {"name": "x", "use": use, **needed}
        for key in PARTS[f"step.{use}"]["properties"]:
            yield f"{use}.{key}", step, [key]
    step = {"name": "x", "use": "decontaminate", "from": "a", "cut": {}}
    for key in PARTS["Decontaminate.CutOptions"]["properties"]:
        yield f"cut.{key}", step, ["cut", key]
    for kind in source.SUFFIXES:
        step = {"name": "x", "use": "curate", "from": {kind: "x"}}
        for key in (kind, "declare", *sorted(source._OPTIONS[kind])):
            yield f"from.{kind}.{key}", step, ["from", key]


FIELDS = {label: (step, place) for label, step, place in _fields()}


@pytest.mark.parametrize("label", FIELDS)
def test_an_odd_value_is_refused_with_its_key_or_taken(
    label: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m").mkdir()  # the model folder of engines
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        (tmp_path / "m" / name).write_text("{}")
    step, place = FIELDS[label]
    for value in ODD:
        try:
            _load(tmp_path, step, place, value)
        except RecipeError as error:
            said = str(error).partition("recipe.yaml: step ")[2] or str(error)
            assert place[-1] in said, f"{label}: {value!r} is refused without the key: {error}"
        else:
            assert value not in NEVER, f"{label}: {value!r} is taken"


def _load(folder: Path, step: dict[str, Any], place: list[str], value: Any) -> None:
    """Everything that `plan` asks of a step before it looks for its input."""
    changed = yaml.safe_load(yaml.safe_dump(step))
    target = changed
    for key in place[:-1]:
        target = target[int(key) if key.isdigit() else key]
    target[place[-1]] = value
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump({"steps": [changed]}))
    (loaded,) = load_recipe(path).steps
    loaded.config()
    for ask in (loaded.inputs, loaded.files, loaded.packages, loaded.outputs):
        ask()


def test_every_step_of_curation_is_tried() -> None:
    ours = {name for name, home in STEPS.items() if home.startswith("curation.")}
    assert ours <= set(NEEDED)


def test_yes_is_no_number(tmp_path: Path) -> None:
    for label in ("minhash_dedup.bands", "language.min_score", "cut.window", "url.soft_threshold"):
        step, place = FIELDS[label]
        with pytest.raises(RecipeError, match=rf"{place[-1]} is True; it takes a number"):
            _load(tmp_path, step, place, True)
