"""Found against planted, on ledgers whose verdicts are known."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pyarrow as pa
import pytest
from rich.console import Console

from pipelines.demo.corpus import benchmark
from pipelines.demo.generate import Planted
from pipelines.demo.score import Kind, Score, score, table


def _planted(url: str, kind: str, partner: str = "", **detail: Any) -> Planted:
    return Planted(url, kind, "en", "h.example", partner, detail, "f.warc.gz", hash(url) % 9999, 1)


def _ledger(*rows: tuple[str | None, str, str | None], **places: Any) -> pa.Table:
    return pa.table(
        {
            "url": pa.array([r[0] for r in rows], pa.string()),
            "file": pa.array([places.get("file", "crawl/f.warc.gz")] * len(rows)),
            "offset": pa.array([places.get("offset", 0)] * len(rows)),
            "state": pa.array([r[1] for r in rows]),
            "reason": pa.array([r[2] for r in rows], pa.string()),
        }
    )


def _kind(result: Score, name: str) -> Kind:
    return next(kind for kind in result.kinds if kind.name == name)


def test_drops_are_credited_to_the_rule_of_the_last_ledger_that_saw_them() -> None:
    records = [_planted("a", "spam"), _planted("b", "spam"), _planted("c", "unplanted")]
    first = _ledger(("a", "dropped", "gopher.words"), ("b", "kept", None), ("c", "kept", None))
    second = _ledger(("b", "dropped", "minhash"), ("c", "kept", None))
    result = score(records, [first, second], {"c": "text"})
    assert _kind(result, "spam").by == {"gopher.words": 1, "minhash": 1}
    assert (result.unplanted, result.unplanted_kept, result.unaccounted) == (1, 1, [])


def test_a_copy_is_found_when_its_original_went_and_the_original_is_not_lost() -> None:
    records = [
        _planted("a", "unplanted"),
        _planted("a2", "exact_duplicate", "a"),
        _planted("b", "unplanted"),
        _planted("b2", "near_duplicate", "b"),
    ]
    dropped = ("a", "dropped", "exact_dedup")
    ledger = _ledger(dropped, ("a2", "kept", None), ("b", "kept", None), ("b2", "kept", None))
    result = score(records, [ledger], {"a2": "t", "b": "u", "b2": "v"})
    assert _kind(result, "exact_duplicate").by == {"exact_dedup": 1}
    assert _kind(result, "near_duplicate").missed == ["b2"]
    assert result.unplanted_kept == 2


def test_of_an_original_and_its_copies_only_one_may_be_left() -> None:
    records = [
        _planted("a", "unplanted"),
        _planted("a2", "exact_duplicate", "a"),
        _planted("a3", "near_duplicate", "a"),
    ]
    ledger = _ledger(("a", "dropped", "exact_dedup"), ("a2", "kept", None), ("a3", "kept", None))
    result = score(records, [ledger], {"a2": "t", "a3": "t!"})
    assert _kind(result, "exact_duplicate").found == 1
    assert _kind(result, "near_duplicate").missed == ["a3"]
    assert result.unplanted_kept == 1


def test_what_is_hidden_inside_a_page_must_be_gone_from_its_text() -> None:
    item = benchmark()[0]
    records = [
        _planted("q1", "contaminated", item=item.id),
        _planted("q2", "contaminated", item=item.id),
        _planted("p1", "personal", values={"email": "x@y.example"}),
        _planted("p2", "personal", values={"email": "x@y.example"}),
        _planted("d1", "damaged", fault="invalid_utf8", probe="Gärten"),
        _planted("d2", "damaged", fault="invalid_utf8", probe="Gärten"),
    ]
    texts = {
        "q1": f"So: {item.question.upper().replace(',', ' -')} Yes.",
        "q2": item.question[:40],
        "p1": "write to x@y.example",
        "p2": "write to <email>",
        "d1": "In Gärten",
        "d2": "In GÃ¤rten",
    }
    result = score(records, [_ledger(*[(r.url, "kept", None) for r in records])], texts)
    assert _kind(result, "contaminated").missed == ["q1"]
    assert _kind(result, "personal").missed == ["p1"]
    assert _kind(result, "damaged").missed == ["d2"]


@pytest.mark.parametrize("offset, unaccounted", [(77, []), (78, ["x"])])
def test_a_record_without_url_is_known_by_its_place(offset: int, unaccounted: list[str]) -> None:
    record = Planted("x", "broken", "de", "h.example", "", {}, "f.warc.gz", 77, 5)
    result = score([record], [_ledger((None, "dropped", "read.truncated"), offset=offset)], {})
    assert result.unaccounted == unaccounted
    assert _kind(result, "broken").found == (0 if unaccounted else 1)


def test_table_shows_every_kind_and_the_share_left() -> None:
    records = [_planted("a", "spam"), _planted("b", "unplanted"), _planted("c", "unplanted")]
    ledger = _ledger(("a", "dropped", "r.1"), ("b", "kept", None), ("c", "dropped", "r.2"))
    console = Console(width=160, record=True, file=StringIO())
    console.print(table(score(records, [ledger], {"b": "t"})))
    shown = console.export_text()
    assert "spam" in shown and "50% left on merit" in shown and "lost to r 1" in shown
