"""`gristmill export`: files, an account of them, and errors before anything is written."""

from __future__ import annotations

import json
from pathlib import Path

from gristmill.store import Store
from tests.gristmill.test_mapped import made
from tests.mixtures.export.readers import read_mds
from tests.pipelines.cli.conftest import Call


def test_tokens_are_exported_and_accounted_for(gristmill: Call, tmp_path: Path) -> None:
    dataset, out = made(tmp_path / "store"), tmp_path / "out"
    said = gristmill("export", "t", "--to", "olmo", "--out", str(out), "--format", "json")
    assert said.code == 0, said.err
    about = json.loads(said.out)
    assert about == json.loads((out / "gristmill.json").read_text())
    assert about["dataset"] == dataset.ref and about["files"][0]["bytes"] == 2 * about["tokens"]
    again = ("export", "t", "--to", "mds", "--out", str(out))
    assert "add --overwrite" in gristmill(*again).err
    sized = ("--file-size", "5KB", "--column", "tokens", "--overwrite")
    table = gristmill(*again, *sized)
    assert table.code == 0 and "shard.00003.mds" in table.out
    assert not list(out.glob("*.npy")) and set(read_mds(out)[0]) == {"tokens", "number"}
    rows = gristmill(*again, *sized, "--format", "csv").out.splitlines()
    assert rows[0].startswith("file,sequences,tokens,seq,bytes") and len(rows) > 4


def test_errors_come_before_anything_is_written(
    gristmill: Call, store: Store, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    for words, said in (
        (("web/clean", "--to", "olmo"), "--to jsonl writes its rows"),
        (("web/clean", "--to", "json"), "did you mean 'jsonl'"),
        (("web/clean", "--to", "olmo", "--file-size", "big"), "'big' is not a size"),
        (("web/none", "--to", "olmo"), "no dataset 'web/none'"),
    ):
        found = gristmill("export", *words, "--out", str(out))
        assert found.code == 1 and said in found.err, found.err
        assert [child.name for child in tmp_path.iterdir()] == ["store"]
    assert gristmill("export", "web/clean", "--to", "jsonl", "--out", str(out)).code == 0
    lines = (out / "00000.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == store["web/clean"].to_table().to_pylist()
