"""Rows in parts, by several workers: the same bytes, and ids that do not depend on the parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gristmill.errors import GristmillError
from gristmill.store import Store
from tests.extras import needs

needs("torch", "transformers")

from tests.train.data.make_rows import (  # noqa: E402
    prepared,
    put_chats,
    stage,
    turns,
)
from train.data import prepare  # noqa: E402
from train.data.prepared import Prepared  # noqa: E402

WHERE = "score % 3 != 1 and score < 20"


@pytest.mark.parametrize(("where", "kept"), [(None, 23), (WHERE, 13), ("score > 50", 0)])
def test_parts_change_nothing(
    where: str | None, kept: int, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """KTO's rows look at the row after them, over the border of a part and of what `where` kept."""
    step = some_judged(store, where)
    if not kept:
        with pytest.raises(GristmillError, match=r"of 23: 23 where\. data\.where is"):
            prepared(store, step, tmp_path / "whole")
        return
    whole, said = prepared(store, step, tmp_path / "whole")
    assert len(whole) == said["rows"]["used"] == kept
    monkeypatch.setattr(prepare, "PART_ROWS", 4)
    same(prepared(store, step, tmp_path / "parts"), (whole, said))
    assert len(list((tmp_path / "parts" / "rows").iterdir())) == 6


@pytest.mark.slow
def test_workers_change_nothing(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare, "PART_ROWS", 8)
    step = some_judged(store, WHERE)
    made = [prepared(store, step, tmp_path / str(workers), workers) for workers in (None, 2)]
    same(*made)


def some_judged(store: Store, where: str | None) -> Any:
    """A stage of kto over 23 chats."""
    chats = [turns(f"mill {n}", f"sour {n}" * (1 + n % 3)) for n in range(23)]
    put_chats(store, chats, label=[n % 2 == 0 for n in range(23)], score=list(range(23)))
    return stage("preference", "rows/chat", "kto", where=where, max_length=40)


def same(made: tuple[Prepared, Any], other: tuple[Prepared, Any]) -> None:
    """The same rows, byte for byte, and the same account."""
    assert made[1] == other[1]
    assert made[0].meta == other[0].meta and made[0].table.equals(other[0].table)
    for file in sorted(other[0].folder.glob("*.bin")):
        assert (made[0].folder / file.name).read_bytes() == file.read_bytes(), file.name


def test_rows_without_an_id_are_named_by_their_place(store: Store, tmp_path: Path) -> None:
    import pyarrow as pa

    from tests.make_store import put

    rows = [{"prompt": "rye", "response": f"flour {n}", "score": float(n)} for n in range(5)]
    put(store, "rows/bare", {"": ("rows", [pa.Table.from_pylist(rows)])})
    loss = {"attributes": {"columns": ["score"]}}
    made, _ = prepared(store, stage("reward", "rows/bare", loss, where="score > 2"), tmp_path / "s")
    assert made.table["id"].to_pylist() == ["rows/bare/3", "rows/bare/4"]
