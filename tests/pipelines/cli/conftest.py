"""The command line as a user calls it: arguments in; exit code, stdout and stderr out."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pytest

from gristmill.store import Store
from pipelines.cli import main
from tests.make_store import documents, ledger, put


class Said(NamedTuple):
    """What a command said."""

    code: int
    out: str
    err: str


Call = Callable[..., Said]


@pytest.fixture
def gristmill(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Call:
    """`gristmill("ls", "--format", "json")` on the store `tmp_path/store`."""
    monkeypatch.setenv("GRISTMILL_STORE", str(tmp_path / "store"))

    def call(*arguments: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["gristmill", *arguments])
        try:
            main()
            code = 0
        except SystemExit as stop:
            code = int(stop.code or 0)
        return Said(code, *capsys.readouterr())

    return call


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """`web/clean` in two versions with ledgers, and `web/unique` made from the newer one."""
    store = Store(tmp_path / "store")
    words = {"words": (pa.int64(), [n * 10 for n in range(12)])}
    for least in (5, 4):
        rules = [("gopher_quality.min_words", float(n), float(least)) for n in range(12)]
        rows = [
            (n, "dropped", "rules", rules[n][0], [rules[n]])
            if n < least
            else (n, "kept", None, None, [])
            for n in range(12)
        ]
        clean = put(
            store,
            "web/clean",
            {
                "": ("document", [documents(range(least, 12))]),
                ".ledger": ("ledger", [ledger(rows, words)]),
            },
            config={"ops": [{"rules": {"set": "gopher_quality", "min_words": least}}]},
            files=[{"pattern": "crawl/*.warc.gz", "count": 1, "bytes": 9, "digest": "ab" * 32}],
            use="curate",
        )
    same = [(4, "dropped", "minhash_dedup", "near_duplicate", [("near_duplicate", 0.9, 0.8)])]
    same += [(n, "kept", None, None, []) for n in range(5, 12)]
    put(
        store,
        "web/unique",
        {
            "": ("document", [documents(range(5, 12))]),
            ".ledger": ("ledger", [ledger(same)]),
        },
        parents=[clean.ref],
        use="minhash_dedup",
    )
    return store
