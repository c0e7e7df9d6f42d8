"""Import, from files to a version: what is read, what is filled, what is told, what is refused."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gristmill.errors import GristmillError, TaskError
from gristmill.store import Dataset, Store
from pipelines import import_files
from pipelines.import_step import Import
from tests.conftest import ROOT
from tests.run_step import InProcess, run_step

TURNS = [{"role": "user", "content": "2+2?"}, {"role": "assistant", "content": "4"}]
SHARED = [{"from": "human", "value": "2+2?"}, {"from": "gpt", "value": "4"}]


def lines(*rows: Any) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def brought(folder: Path, kind: str, **files: str | bytes) -> Dataset:
    """A version of these files; `a_json` is a.json."""
    paths = []
    for name, content in files.items():
        paths.append(folder / name.replace("_", "."))
        paths[-1].write_bytes(content.encode() if isinstance(content, str) else content)
    given = {"name": "mine", "use": "import", "from": [str(p) for p in paths], "kind": kind}
    run_step(Import.model_validate(given), folder / "store", executor=InProcess())
    return Store(folder / "store")["mine"]


def notes(made: Dataset) -> list[str]:
    found: list[str] = made.build()["notes"]
    return found


def test_a_chat_of_each_form_has_one_id_and_the_note_says_what_was_read(tmp_path: Path) -> None:
    made = brought(
        tmp_path,
        "chat",
        a_jsonl=lines({"messages": TURNS}),
        b_jsonl=lines({"conversations": SHARED}, {"conversations": [{**SHARED[0], "weight": 1}]}),
        c_json=json.dumps([{"instruction": "2+2?", "output": "4"}], indent=2),
    )
    rows = made.to_table().to_pylist()
    assert [row["messages"] for row in rows] == [TURNS, TURNS, TURNS[:1], TURNS]
    assert len({row["id"] for row in rows}) == 2
    told = notes(made)
    assert told[0] == "2 of 4 rows became a chat from `conversations` (from, value)"
    assert told[1] == "1 of 4 rows became a chat from `instruction`, `output`"
    assert "these keys of theirs are lost: 'weight' in 1 of 4 rows" in told[2]


@pytest.mark.parametrize("kind", ["chat", "preference", "prompt"])
def test_each_line_that_the_docs_show_is_a_row_of_its_kind(kind: str, tmp_path: Path) -> None:
    text = (ROOT / "docs" / "train" / "data.md").read_text()
    shown = re.search(rf"`--kind {kind}`, for .*?```json\n(.*?)```", text, re.DOTALL)
    assert shown
    for number, line in enumerate(shown[1].splitlines()):
        (tmp_path / str(number)).mkdir()
        made = brought(tmp_path / str(number), kind, a_jsonl=line)
        (row,) = made.to_table().to_pylist()
        assert {name: row[name] for name in json.loads(line)} == json.loads(line)
        assert not notes(made)


def test_parquet_of_messages_is_checked_too(tmp_path: Path) -> None:
    pq.write_table(
        pa.table({"messages": [TURNS, [{"role": "user", "content": None}]]}), tmp_path / "x"
    )
    with pytest.raises(TaskError, match=r"a\.parquet, row 2: message 1 has 'role'; it needs"):
        brought(tmp_path, "chat", a_parquet=(tmp_path / "x").read_bytes())


def test_a_prompt_needs_neither_answer_nor_verifier(tmp_path: Path) -> None:
    made = brought(tmp_path, "prompt", a_jsonl=lines({"prompt": "2+2?", "answer": 4}))
    (row,) = made.to_table(["prompt", "answer", "verifier"]).to_pylist()
    assert row == {"prompt": "2+2?", "answer": "4", "verifier": None}
    assert notes(made) == ["no column 'verifier': null in every row"]


@pytest.mark.parametrize("packed", [False, True])
def test_a_json_array_is_read_as_its_lines_are(tmp_path: Path, packed: bool) -> None:
    rows = [{"day": "2024-01-01", "n": n, "in": {"day": "2024-01-02"}} for n in range(3)]
    text = ("\ufeff" + json.dumps(rows)).encode()
    (tmp_path / "array").mkdir()
    array = {"a_json_gz": gzip.compress(text)} if packed else {"a_json": text}
    made = brought(tmp_path / "array", "rows", **array)
    assert made.to_table().to_pylist() == rows  # what looks like a date stays text
    assert made.version == brought(tmp_path, "rows", a_jsonl=lines(*rows)).version


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "a.json is empty"),
        ("[]", "the JSON array is empty"),
        ('[{"n": 1}, 2]', "the JSON array has 2 at 1; rows are objects"),
        ('[{"n": 1}', "begins as a JSON array and is none"),
        ("n,m\n1,2\n", "an import reads Parquet"),
        ('{"n": 1}\n{"n": [1]}\n', r"a\.json: JSON parse error: Column\(/n\)"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: str, words: str) -> None:
    with pytest.raises(GristmillError, match=words):
        brought(tmp_path, "rows", a_json=content)


def test_an_array_that_is_too_large_is_refused_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_files, "MAX_ARRAY", 4)
    with pytest.raises(GristmillError, match=r"`jq -c '\.\[\]' a\.json > rows\.jsonl`"):
        brought(tmp_path, "rows", a_json='[{"n": 1}]')


def test_a_row_of_several_megabytes_is_read(tmp_path: Path) -> None:
    long = "x" * (3 << 20)
    made = brought(
        tmp_path,
        "document",
        a_jsonl=lines({"id": "1", "text": long, "url": "", "date": "", "source": ""}),
    )
    assert made.to_table(["text"]).to_pylist() == [{"text": long}]


@pytest.mark.parametrize(
    ("kind", "second", "words"),
    [
        ("rows", {"n": 1, "m": 2}, "this file has a column 'm', the first has not"),
        ("rows", {"k": 1}, "this file has a column 'k'|the first file has a column 'n'"),
        ("rows", {"n": {"a": 1}}, "rows 1 to 1: column 'n' is struct"),
    ],
)
def test_files_that_differ_from_the_first_are_refused(
    tmp_path: Path, kind: str, second: dict[str, Any], words: str
) -> None:
    with pytest.raises(TaskError, match=words):
        brought(tmp_path, kind, a_jsonl=lines({"n": 1}), b_jsonl=lines(second))


def test_keys_of_nested_values_are_not_lost_in_a_later_file(tmp_path: Path) -> None:
    first, second = lines({"n": [{"a": 1}]}), lines({"n": [{"a": 1, "b": 2}]})
    with pytest.raises(TaskError, match=r"b\.jsonl, rows 1 to 1: .*keys would be lost"):
        brought(tmp_path, "rows", a_jsonl=first, b_jsonl=second)


def test_a_column_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(GristmillError, match="a chat needs column 'messages'; the file has a, b"):
        brought(tmp_path, "chat", a_jsonl=lines({"a": 1, "b": 2}))
