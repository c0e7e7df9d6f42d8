"""Exports read back by small readers of our own: the same tokens, boundaries and masks."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from gristmill import mapped
from gristmill.errors import GristmillError, StoreError
from gristmill.store import Dataset, Store
from mixtures.export.folder import folder
from mixtures.export.run import AS_THEY_ARE, FORMATS, export
from mixtures.plan import Plan
from tests.gristmill.test_mapped import made
from tests.make_store import put, put_documents
from tests.mixtures.export import readers
from tests.mixtures.make_plan import make_plan
from tests.mixtures.tiny_tokenizers import put_tokenizer

READ: dict[str, Callable[[Path], list[readers.Read]]] = {
    "olmo": readers.read_olmo,
    "megatron": readers.read_megatron,
    "datatrove": readers.read_datatrove,
    "mds": readers.read_mds,
}


def documents(dataset: Dataset) -> list[readers.Read]:
    """What an export of documents holds: those that have tokens."""
    dtype = mapped.open_tokens(dataset).dtype
    rows = dataset.to_table().to_pylist()
    return [
        {
            "number": number,
            "tokens": np.frombuffer(row["tokens"], dtype),
            "mask": np.frombuffer(row["loss_mask"], bool)
            if "loss_mask" in row
            else np.ones(row["count"], bool),
        }
        for number, row in enumerate(rows)
        if row["count"]
    ]


def tokens_of(read: readers.Read) -> Any:
    return read.get("tokens", read.get("input_ids"))


@pytest.mark.parametrize("to", sorted(FORMATS))
@pytest.mark.parametrize("width", [2, 4])
@pytest.mark.parametrize("mask", [False, True])
def test_documents_come_back(tmp_path: Path, to: str, width: int, mask: bool) -> None:
    dataset = made(tmp_path / "s", width=width, mask=mask)
    said = export(dataset, to, tmp_path / "out", file_bytes=5000)
    assert said == readers.about(tmp_path / "out") and len(said["files"]) > 3
    read, expected = READ[to](tmp_path / "out"), documents(dataset)
    assert len(read) == len(expected) == said["sequences"] < dataset.rows == said["documents"]
    for got, wanted in zip(read, expected, strict=True):
        assert tokens_of(got).tolist() == wanted["tokens"].tolist()
        if to != "megatron":
            seen = got.get("mask", got.get("loss_mask", np.ones(len(wanted["mask"]))))
            assert seen.astype(bool).tolist() == wanted["mask"].tolist()
        assert got.get("number", wanted["number"]) == wanted["number"]
    assert said["tokens"] == sum(file["tokens"] for file in said["files"])
    assert said["masked"] == sum((~row["mask"]).sum() for row in expected)
    assert said["padding"] == 0 and said["seq"] == []
    wide = "int32" if to == "megatron" else "uint32"
    assert said["dtype"] == ("uint16" if width == 2 else wide)


def plan_rows(plan: Plan) -> list[readers.Read]:
    rows = [plan[n] for n in range(len(plan))]
    pieces, spans = plan.spans(np.arange(len(plan)))
    cuts = np.split(spans, np.cumsum(pieces)[:-1])
    return [
        {
            "tokens": row["input_ids"],
            "mask": row["labels"] != -100,
            "spans": cut.tolist(),
        }
        for row, cut in zip(rows, cuts, strict=True)
    ]


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """Rows of 32 tokens, then rows of 48; two of three sources have loss masks."""
    return make_plan(tmp_path_factory.mktemp("plan"), mask=True)


def dataset_of(plan: Plan) -> Dataset:
    return plan.outputs.packed


@pytest.mark.parametrize("to", sorted(FORMATS))
@pytest.mark.parametrize("file_bytes", [None, 500, 1])
def test_rows_come_back(plan: Plan, tmp_path: Path, to: str, file_bytes: int | None) -> None:
    said = export(dataset_of(plan), to, tmp_path / "out", file_bytes=file_bytes)
    expected = plan_rows(plan)
    pad = sum(len(row["tokens"]) - sum(row["spans"]) for row in expected)
    assert (said["what"], said["sequences"], said["padding"]) == ("rows", len(plan), pad)
    assert said["seq"] == [32, 48] and said["mixture"] == plan.mixture
    assert said["tokenizer"] == plan.spec.tokenizer
    assert {file["seq"] for file in said["files"]} == {32, 48}
    if file_bytes is None:
        assert len(said["files"]) == 2
    if file_bytes == 1:
        assert len(said["files"]) == len(plan)
    read = {**READ, "olmo": readers.olmo_rows}[to](tmp_path / "out")
    if to == "datatrove":
        read = _joined(read, [len(row["tokens"]) for row in expected])
    assert len(read) == len(expected)
    for got, wanted in zip(read, expected, strict=True):
        assert tokens_of(got).tolist() == wanted["tokens"].tolist()
        if to == "mds":
            assert got["lengths"].tolist() == wanted["spans"]
        if to != "megatron":
            mask = got.get("mask", got.get("loss_mask"))
            assert mask.astype(bool).tolist() == wanted["mask"].tolist()
    assert said["loss_mask"] == (to != "megatron")


def _joined(read: list[readers.Read], sizes: list[int]) -> list[readers.Read]:
    """Pieces and padding put together to rows; no boundary of a row is missing."""
    rows, left = [], iter(read)
    for size in sizes:
        parts = [next(left)]
        while sum(len(part["tokens"]) for part in parts) < size:
            parts.append(next(left))
        rows.append({k: np.concatenate([part[k] for part in parts]) for k in ("tokens", "mask")})
    assert next(left, None) is None
    return rows


@pytest.mark.parametrize("to", sorted(FORMATS))
def test_pieces_of_a_plan_come_back_without_padding(plan: Plan, tmp_path: Path, to: str) -> None:
    said = export(dataset_of(plan), to, tmp_path / "out", "documents", file_bytes=900)
    expected = [
        piece
        for row in plan_rows(plan)
        for piece in np.split(row["tokens"][: sum(row["spans"])], np.cumsum(row["spans"])[:-1])
    ]
    read = READ[to](tmp_path / "out")
    assert [tokens_of(got).tolist() for got in read] == [piece.tolist() for piece in expected]
    assert said["padding"] == 0 and said["sequences"] == len(expected)
    masked = 0
    for row in plan_rows(plan):
        starts = np.cumsum([0, *row["spans"]])
        masked += int((~row["mask"][: starts[-1]]).sum()) - len(row["spans"])
    assert said["masked"] == masked > 0
    assert all(f["bytes"] > 400 for f in said["files"][:-1])


def test_boundaries_of_rows_in_olmo(plan: Plan, tmp_path: Path) -> None:
    export(dataset_of(plan), "olmo", tmp_path / "out")
    read = readers.read_olmo(tmp_path / "out")
    expected = [
        (number, span) for number, row in enumerate(plan_rows(plan)) for span in row["spans"]
    ]
    assert [(got["number"], len(got["tokens"])) for got in read] == expected


@pytest.mark.parametrize("to", [*sorted(FORMATS), *AS_THEY_ARE])
def test_equal_exports_have_equal_bytes(tmp_path: Path, to: str) -> None:
    store = Store(tmp_path / "s")
    dataset = put_documents(store, "web", range(25)) if to in AS_THEY_ARE else made(tmp_path / "s")

    def digests(name: str) -> dict[str, str]:
        export(dataset, to, tmp_path / name, file_bytes=None if to in AS_THEY_ARE else 4000)
        files = sorted((tmp_path / name).rglob("*"))
        return {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in files if f.is_file()}

    first = digests("first")
    os.utime(tmp_path / "first")
    assert first == digests("second") and len(first) > 2


@pytest.mark.parametrize("to", sorted(FORMATS))
def test_bytes_do_not_depend_on_how_much_is_read_at_a_time(
    plan: Plan, tmp_path: Path, to: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = made(tmp_path / "s", mask=True)
    for round, (documents, row_tokens) in enumerate(((4096, 1 << 20), (7, 1), (1, 100))):
        monkeypatch.setattr("mixtures.export.sequences.DOCUMENTS", documents)
        monkeypatch.setattr("mixtures.export.sequences.ROW_TOKENS", row_tokens)
        for name, dataset, what in (
            ("t", tokens, None),
            ("r", dataset_of(plan), None),
            ("p", dataset_of(plan), "documents"),
        ):
            export(dataset, to, tmp_path / f"{name}{round}", what, file_bytes=1000)
            found, first = tmp_path / f"{name}{round}", tmp_path / f"{name}0"
            assert bytes_of(found) == bytes_of(first)


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.mark.parametrize("to", sorted(FORMATS))
def test_rows_of_a_large_vocabulary(tmp_path: Path, to: str) -> None:
    plan = make_plan(tmp_path / "s", vocab_size=70_000, segments=((20, 16, 4),))
    said = export(dataset_of(plan), to, tmp_path / "out")
    assert said["dtype"] == ("int32" if to == "megatron" else "uint32")
    read = {**READ, "olmo": readers.olmo_rows}[to](tmp_path / "out")
    tokens = np.concatenate([tokens_of(got) for got in read])
    wanted = np.concatenate([plan[n]["input_ids"] for n in range(20)])
    assert tokens.dtype.itemsize == 4 and tokens.tolist() == wanted.tolist()


def test_jsonl_holds_the_rows(tmp_path: Path) -> None:
    dataset = put_documents(Store(tmp_path / "it's" / "s"), "web", range(25))
    said = export(dataset, "jsonl", tmp_path / "it's" / "out")
    lines = [
        json.loads(line)
        for file in said["files"]
        for line in (tmp_path / "it's" / "out" / file["file"]).read_text().splitlines()
    ]
    assert lines == dataset.to_table().to_pylist() and len(said["files"]) == 3


def test_datasets_reads_the_hub_layout(tmp_path: Path) -> None:
    load_dataset = pytest.importorskip("datasets").load_dataset
    dataset = put_documents(Store(tmp_path / "s"), "web", range(25))
    export(dataset, "huggingface", tmp_path / "out")
    loaded = load_dataset(str(tmp_path / "out"), split="train", cache_dir=str(tmp_path / "cache"))
    assert loaded["text"] == dataset.to_table(["text"])["text"].to_pylist()
    assert "| `text` | `string` |" in (tmp_path / "out" / "README.md").read_text()


def test_jsonl_is_json_whatever_the_values(tmp_path: Path) -> None:
    table = pa.table({"x": [1.5, float("nan"), float("-inf"), None], 'a"b': ["\0", "\n", "é", '"']})
    dataset = put(Store(tmp_path / "s"), "t", {"": ("rows", [table])})
    export(dataset, "jsonl", tmp_path / "out")

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    lines = (tmp_path / "out" / "00000.jsonl").read_text().splitlines()
    rows = [json.loads(line, parse_constant=refuse) for line in lines]
    assert [row["x"] for row in rows] == [1.5, None, None, None]
    assert [row['a"b'] for row in rows] == table['a"b'].to_pylist()


def test_tokenizer_goes_along(tmp_path: Path) -> None:
    store = Store(tmp_path)
    tokenizer = put_tokenizer(store, "tok")
    files = tokenizer.to_table()
    table = pa.table(
        {
            "id": ["a", "b"],
            "start": pa.array([0, 3], pa.int64()),
            "count": pa.array([3, 1], pa.int32()),
            "tokens": pa.array([np.array([5, 6, 0], "<u2").tobytes(), b"\0\0"], pa.binary()),
        }
    )
    dataset = put(store, "t", {"": ("tokens", [table]), ".tokenizer": ("tokenizer", [files])})
    out = tmp_path.parent / f"{tmp_path.name}-out"
    said = export(dataset, "datatrove", out)
    assert said["tokenizer"].startswith("t.tokenizer@") and said["eos"] == 0
    assert (out / "tokenizer" / "tokenizer.json").is_file()
    assert (out / "part_00000.ds.metadata").read_text() == f"{said['tokenizer']}|2\n4\n4 T"
    wrong = table.set_column(3, "tokens", pa.array([b"\xff" * 6, b"\0\0"], pa.binary()))
    bad = put(store, "u", {"": ("tokens", [wrong]), ".tokenizer": ("tokenizer", [files])})
    with pytest.raises(StoreError, match="token 65,535 is outside its tokenizer's 3"):
        export(bad, "olmo", tmp_path.parent / "never")


def test_what_cannot_be_exported_is_said(tmp_path: Path) -> None:
    store = Store(tmp_path / "s")
    dataset, texts = made(tmp_path / "s"), put_documents(store, "web", range(3))
    out = tmp_path / "out"
    for args, said in (
        ((dataset, "olmoe", out), "'olmoe' is not a format; did you mean 'olmo'"),
        ((dataset, "olmo", out, "rows"), "has documents and no rows"),
        ((dataset, "olmo", out, "row"), "it is rows or documents"),
        ((dataset, "jsonl", out), "column 'tokens' is binary"),
        ((dataset, "mds", out, None, 1 << 31), "at most 1,073,741,824 bytes"),
        ((dataset, "mds", out, None, None, False, "number"), "name of another column"),
        ((texts, "olmo", out), "kind 'document'"),
        ((texts, "jsonl", out, "documents"), "leave --what and --file-size out"),
        ((dataset, "olmo", store.path / "out"), "inside the store"),
    ):
        with pytest.raises(GristmillError, match=said):
            export(*args)  # type: ignore[arg-type]
        assert [found.name for found in tmp_path.iterdir()] == ["s"]


def test_ids_too_large_for_megatron(tmp_path: Path) -> None:
    table = pa.table(
        {
            "id": ["a"],
            "start": pa.array([0], pa.int64()),
            "count": pa.array([1], pa.int32()),
            "tokens": pa.array([b"\xff" * 4], pa.binary()),
        }
    )
    dataset = put(Store(tmp_path / "s"), "t", {"": ("tokens", [table])})
    with pytest.raises(StoreError, match="4,294,967,295 does not fit Megatron's int32"):
        export(dataset, "megatron", tmp_path / "out")
    export(dataset, "olmo", tmp_path / "out")
    empty = put(Store(tmp_path / "s"), "e", {"": ("tokens", [table.slice(0, 0)])})
    with pytest.raises(GristmillError, match="nothing to export"):
        export(empty, "olmo", tmp_path / "none")


def test_a_folder_is_whole_or_not_there(tmp_path: Path) -> None:
    store = Store(tmp_path / "s")
    out = tmp_path / "deep" / "out"
    with pytest.raises(RuntimeError), folder(out, store, False) as place:
        (place / "half").write_text("x")
        raise RuntimeError
    with pytest.raises(GristmillError, match="disk is full"), folder(out, store, False):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert not list((tmp_path / "deep").iterdir())
    code = (
        "import os, sys; from pathlib import Path; from gristmill.store import Store\n"
        "from mixtures.export.folder import folder\n"
        "with folder(Path(sys.argv[1]), Store(sys.argv[2]), False) as place:\n"
        "    (place / 'half').write_text('x'); os.kill(os.getpid(), 9)"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(out), str(store.path)], check=False)
    assert killed.returncode == -9
    assert [found.name for found in (tmp_path / "deep").iterdir()] == ["out.partial"]
    assert (out.with_name("out.partial") / "half").exists()
    with folder(out, store, False) as place:
        assert not (place / "half").exists()
        (place / "gristmill.json").write_text("{}")
        with pytest.raises(GristmillError, match="by another export"):
            with folder(out, store, False):
                pass
    assert [file.name for file in out.iterdir()] == ["gristmill.json"]
    with pytest.raises(GristmillError, match="is not empty"):
        with folder(out, store, False):
            pass
    with folder(out, store, True) as place:
        (place / "new").write_text("x")
    assert [file.name for file in out.iterdir()] == ["new"]
    assert [file.name for file in out.parent.iterdir()] == ["out"]
    with pytest.raises(GristmillError, match="no export"):
        with folder(out, store, True):
            pass
    (tmp_path / "mine.partial").mkdir()
    with pytest.raises(GristmillError, match="not begun by an export"):
        with folder(tmp_path / "mine", store, False):
            pass
