"""The report's account: sources joined, and lumped together where there are too many."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from mixtures.tokens import report as token_report
from mixtures.tokens.encode import Encoded
from mixtures.tokens.report import Account, report_rows


def made(counts: list[int]) -> Encoded:
    array = np.array(counts, np.int32)
    return Encoded(np.arange(array.sum(), dtype=np.uint16), array, np.zeros(len(counts), bool))


def account(sources: list[str | None], counts: list[int], unknown: int | None = None) -> Account:
    found = Account()
    found.add(pa.array(sources), pa.array(["xy"] * len(counts)), made(counts), unknown)
    return found


def test_accounts_join() -> None:
    whole = Account()
    whole.join(account(["a", None, "a"], [3, 0, 4], unknown=2).value())
    whole.join(account(["b", "a"], [1, 9]).value())
    assert report_rows(whole.value()).to_pylist() == [
        dict(zip(token_report.REPORT.names, row, strict=True))
        for row in (
            (None, 1, 1, 0, 2, 0, 0, 0),
            ("a", 3, 0, 16, 6, 1, 0, 9),
            ("b", 1, 0, 1, 2, 0, 0, 1),
        )
    ]
    assert whole.total("tokens") == 17


def test_too_many_sources_are_one_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_report, "MAX_SOURCES", 3)
    many = account(["a", "b", "c", "d"], [1, 2, 3, 4])
    whole = account(["a"], [5])
    whole.join(many.value())
    whole.join(account(["z"], [1]).value())
    assert whole.value() == {"lumped": True, "rows": [[None, [6, 0, 16, 12, 0, 0, 5]]]}


def test_no_source_column_is_one_row() -> None:
    found = Account()
    found.add(None, pa.array(["x", "y"]), made([1, 2]), None)
    assert [name for name, _ in found.value()["rows"]] == [None]
    assert report_rows(Account().value()).num_rows == 0
