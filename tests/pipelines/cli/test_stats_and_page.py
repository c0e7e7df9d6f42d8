"""`stats` with its questions, and `page`, as a user calls them."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from gristmill.store import Store
from tests.pipelines.cli.conftest import Call
from tests.pipelines.pages import stores


def test_duplicates(gristmill: Call, store: Store) -> None:
    found = json.loads(gristmill("stats", "web/unique", "--duplicates", "--format", "json").out)
    assert (found["rows"], found["duplicates"], found["removed"]) == (7, 0, [])
    said = gristmill("stats", "web/clean", "--duplicates", "--by", "host", "--format", "csv").out
    (row,) = csv.DictReader(io.StringIO(said))
    assert (row["host"], row["rows"], row["repeated"]) == ("example.org", "8", "0")
    assert "duplicate_share" in gristmill("stats", "web/clean", "--duplicates").out


def test_what_deduplication_removed_stands_below(gristmill: Call, tmp_path: Path) -> None:
    stores.clean(Store(tmp_path / "store"))
    said = gristmill("stats", "web/unique", "--duplicates").out
    assert "removed by deduplication before" in said and "0.208333" in said


def test_budget_and_quantiles(gristmill: Call, tmp_path: Path) -> None:
    stores.tokens(Store(tmp_path / "store"))
    options = ["--by", "source", "--budget", "60k", "--format", "json"]
    rows = json.loads(gristmill("stats", "tokens/web", *options).out)
    assert [(row["source"], row["alone_epochs"]) for row in rows] == [("web", 9.6), ("novels", 10)]
    (row,) = json.loads(
        gristmill("stats", "tokens/web", "--quantiles", "count", "--format", "json").out
    )
    assert (row["min"], row["p50"], row["max"]) == (0, 240, 490)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--duplicates", "--budget", "2e9"], "one of them at a time"),
        (["--budget", "2e9"], "use: tokenize"),
        (["--duplicates", "--by", "hots"], "did you mean 'host'"),
        (["--by", "language,topic"], "no column 'topic'"),
    ],
)
def test_questions_without_an_answer(
    gristmill: Call, store: Store, options: list[str], message: str
) -> None:
    said = gristmill("stats", "web/clean", *options)
    assert said.code == 1 and message in said.err and not said.out


def test_page(
    gristmill: Call, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = gristmill("page", "web/unique")
    path = tmp_path / f"web-unique@{store['web/unique'].version}.html"
    assert said.code == 0 and path.name in said.out
    first = path.read_bytes()
    assert first.startswith(b"<!doctype html>")
    assert gristmill("page", "web/unique", "--out", str(tmp_path / "new" / "p.html")).code == 0
    assert (tmp_path / "new" / "p.html").read_bytes() == first
    said = gristmill("page", "web/unique", "--out", str(tmp_path / "new"))
    assert said.code == 1 and "is a directory; name a file" in said.err
    assert "did you mean 'web/unique'" in gristmill("page", "web/uniqe").err
