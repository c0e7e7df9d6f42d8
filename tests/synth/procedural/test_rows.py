"""Rows of every task: the same for any split, ids, spans, the source of a recipe and its errors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pyarrow as pa
import pytest

from gristmill.errors import RecipeError
from synth.procedural.tasks import SCHEMA, TASKS, ProceduralSource, generate, parse_source, rows
from synth.verify import VERIFIERS

VARIANTS: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in TASKS),
    ("depo", {"variant": 2, "tokens": True}),
    ("brevo", {"variant": 2, "tokens": True}),
    ("capo", {"form": "question"}),
    ("lano", {"prefix": 50}),
    ("mano", {"length": 16, "tokens": True}),
    ("sums", {"terms": 4, "operations": "+-*/"}),
]


@pytest.mark.parametrize("name, parameters", VARIANTS)
def test_any_split_gives_the_same_rows(name: str, parameters: dict[str, Any]) -> None:
    whole = list(rows(name, 40, 7, **parameters))
    parts = [row for a in (0, 13, 14, 39) for row in rows(name, 40, 7, a, _next(a), **parameters)]
    assert parts == whole
    assert list(rows(name, 400, 7, 0, 40, **parameters)) == whole  # count changes no row
    assert len({row["id"] for row in whole}) == 40
    assert all(len(row["id"]) == 32 and int(row["id"], 16) >= 0 for row in whole)
    assert len({row["text"] for row in whole}) > 30
    others = [row["text"] for row in rows(name, 40, 8, **parameters)]
    assert others != [row["text"] for row in whole]


def _next(start: int) -> int:
    return {0: 13, 13: 14, 14: 39, 39: 40}[start]


@pytest.mark.parametrize("name, parameters", VARIANTS)
def test_rows_fit_the_schema_and_their_own_verifier(name: str, parameters: dict[str, Any]) -> None:
    drawn = list(rows(name, 30, 1, **parameters))
    table = pa.Table.from_pylist(drawn, SCHEMA)
    assert table.schema == SCHEMA and table.num_rows == 30
    for row in drawn:
        assert row["text"] == f"{row['prompt']} {row['answer']}".strip()
        ends = 0
        for span in row["spans"]:
            assert ends <= span["start"] < span["end"] <= len(row["text"])
            ends = span["end"]
        assert ends == len(row["text"])  # the last answer ends the text
        assert isinstance(json.loads(row["meta"]), dict)
        assert VERIFIERS[row["verifier"]](row["answer"], row["answer"], row["prompt"]) == 1.0
        assert VERIFIERS[row["verifier"]]("certainly not", row["answer"], row["prompt"]) == 0.0


def test_ids_tell_tasks_parameters_and_seeds_apart() -> None:
    first = [
        next(rows("mano", 1, 0))["id"],
        next(rows("mano", 1, 1))["id"],
        next(rows("mano", 1, 0, length=13))["id"],
        next(rows("worded_mano", 1, 0))["id"],
    ]
    assert len(set(first)) == 4
    assert first[0] == next(rows("mano", 5, 0, length=10))["id"]  # a default, said


def test_another_process_draws_the_same() -> None:
    """Hash randomisation changes the order of sets from process to process."""
    code = (
        "from synth.procedural.tasks import TASKS, rows;"
        "print([row['text'] for name in TASKS for row in rows(name, 2, 3)])"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            check=True,
            text=True,
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
        ).stdout
        for seed in ("1", "2")
    }
    assert said == {str([row["text"] for name in TASKS for row in rows(name, 2, 3)]) + "\n"}


@pytest.mark.parametrize(
    "given, told",
    [
        ({"task": "manno", "count": 1}, "task is 'manno'; did you mean 'mano'"),
        ({"task": "mano", "count": 1, "parameters": {"lenght": 9}}, "did you mean 'length'"),
        ({"task": "mano", "count": 1, "parameters": {"length": 0}}, "length is 0"),
        ({"task": "mano", "count": 1, "parameters": {"length": True}}, "takes a number"),
        ({"task": "lano", "count": 1, "parameters": {"grammar": "cfg"}}, "did you mean 'cfg3"),
        ({"task": "capo", "count": 9, "parameters": {"people": 2, "exposures": 4}}, "8 rows"),
        ({"task": "depo", "count": 1, "parameters": {"nodes": float("nan")}}, "finite"),
    ],
)
def test_errors_name_the_value_and_the_fix(given: dict[str, Any], told: str) -> None:
    with pytest.raises(RecipeError, match=told):
        parse_source(given)


@pytest.mark.parametrize(
    "given, told",
    [
        ({"task": "mano"}, "key 'count' is missing"),
        ({"task": "mano", "count": 1, "sed": 3}, "did you mean 'seed'"),
        ({"task": "mano", "count": 0}, "count is 0"),
        ("mano", "write `{task: mano, count: 1000}`"),
    ],
)
def test_errors_of_the_source_itself(given: Any, told: str) -> None:
    with pytest.raises(RecipeError, match=told):
        parse_source(given)


def test_the_source_of_a_recipe() -> None:
    source = ProceduralSource(task="mano", count=5, parameters={"length": 3})
    assert list(source.rows(seed=9)) == list(rows("mano", 5, 9, length=3))
    assert list(source.rows(2, 2, 9)) == list(rows("mano", 5, 9, length=3))[2:4]
    assert list(source.rows(4, 99, 9)) == list(rows("mano", 5, 9, length=3))[4:]
    own = ProceduralSource(task="mano", count=5, seed=1, parameters={"length": 3})
    assert list(own.rows(seed=9)) == list(rows("mano", 5, 1, length=3))
    assert source.schema == SCHEMA
    assert source.config()["parameters"]["modulus"] == 23
    assert generate("mano", 9, 2, length=3).text == list(source.rows(seed=9))[2]["text"]
