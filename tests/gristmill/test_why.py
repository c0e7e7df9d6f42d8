"""Lineage, funnel and the story of a record."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest

from gristmill.errors import GristmillError
from gristmill.lineage import funnel, lineage
from gristmill.store import Store
from gristmill.why import why
from tests.make_store import documents, ledger, put, row_id


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Ten records: 0 to 2 fail rules, 3 repeats 4, 5 holds a benchmark item, 6 to 9 stay."""
    store = Store(tmp_path / "store")
    words = {"words": (pa.int64(), [n * 10 for n in range(10)])}
    read = [(n, "dropped", "rules", "q.min_words", [("q.min_words", n, 5.0)]) for n in range(2)]
    read += [(2, "dropped", "language", "language.keep", [("language.keep", 0.2, 0.65)])]
    read += [(n, "kept", None, None, []) for n in range(3, 10)]
    clean = put(
        store,
        "web/clean",
        {
            "": ("document", [documents(range(3, 10))]),
            ".ledger": ("ledger", [ledger(read, words)]),
        },
        files=[{"pattern": "crawl/*.warc.gz", "count": 1, "bytes": 9000, "digest": "ab" * 32}],
        use="curate",
    )
    same = [(3, "dropped", "minhash", "near_duplicate", [("near_duplicate", 0.91, 0.8)])]
    same += [(n, "kept", None, None, []) for n in range(4, 10)]
    partners = {
        "partner_id": (pa.string(), [row_id(4), *[None] * 6]),
        "similarity": (pa.float64(), [0.91, *[None] * 6]),
    }
    unique = put(
        store,
        "web/unique",
        {
            "": ("document", [documents(range(4, 10))]),
            ".ledger": ("ledger", [ledger(same, partners)]),
        },
        parents=[clean.ref],
        use="minhash_dedup",
    )
    held = [(5, "dropped", "decontaminate", "gsm8k", [("gsm8k", 0.7, 0.5)])]
    held += [(4, "edited", "decontaminate", "gsm8k", [("gsm8k", 0.6, 0.5)])]
    held += [(n, "kept", None, None, []) for n in range(6, 10)]
    put(
        store,
        "web/final",
        {
            "": ("document", [documents([4, 6, 7, 8, 9])]),
            ".ledger": ("ledger", [ledger(held)]),
        },
        parents=[unique.ref],
        use="decontaminate",
    )
    return store


def test_lineage_runs_back_to_the_files(store: Store) -> None:
    steps = lineage(store["web/final"])
    assert [step.use for step in steps] == ["curate", "minhash_dedup", "decontaminate"]
    assert [step.rows for step in steps] == [7, 6, 5]
    assert steps[0].files[0]["pattern"] == "crawl/*.warc.gz"
    assert steps[2].parents == (steps[1].ref,)
    assert lineage(store["web/final.ledger"]) == steps


def test_lineage_of_a_diamond_names_each_step_once_and_parents_first(store: Store) -> None:
    clean, unique = store["web/clean"], store["web/unique"]
    both = put(
        store,
        "web/both",
        {"": ("document", [documents(range(3))])},
        parents=[unique.ref, clean.ref, "web/gone@0123456789ab"],
    )
    steps = lineage(both)
    assert [step.ref.partition("@")[0] for step in steps] == [
        *("web/clean", "web/unique", "web/gone", "web/both")
    ]
    assert (steps[2].use, steps[2].rows) == ("unknown", None)


def test_a_lineage_of_a_thousand_steps(tmp_path: Path) -> None:
    """No recursion: build records alone will do, as after a `gc` of what they made."""
    store = Store(tmp_path)
    last = put(store, "last", {"": ("document", [documents([1])])}, parents=["r1099@0123456789ab"])
    for number in range(1100):
        folder = store.path / f"r{number}" / "builds"
        folder.mkdir(parents=True)
        parents = [f"r{number - 1}@0123456789ab"] if number else []
        outputs = {f"r{number}": "0123456789ab"}
        record = {"name": f"r{number}", "fingerprint": "f" * 64, "outputs": outputs}
        record |= {"use": "train", "parents": parents, "created_at": "", "seconds": 1}
        (folder / "ffffffffffff.json").write_text(json.dumps(record))
    steps = lineage(last)
    assert [step.ref.partition("@")[0] for step in steps] == [
        *(f"r{number}" for number in range(1100)),
        "last",
    ]
    assert steps[0].rows is None and steps[-1].rows == 1


def test_the_funnel_accounts_for_every_row(store: Store) -> None:
    rows = funnel(store["web/final"])
    told = [
        (r["step"].partition("@")[0], r["state"], r["op"], r["reason"], r["rows"]) for r in rows
    ]
    assert told == [
        ("web/clean", "in", None, None, 10),
        ("web/clean", "dropped", "rules", "q.min_words", 2),
        ("web/clean", "dropped", "language", "language.keep", 1),
        ("web/clean", "kept", None, None, 7),
        ("web/unique", "in", None, None, 7),
        ("web/unique", "dropped", "minhash", "near_duplicate", 1),
        ("web/unique", "kept", None, None, 6),
        ("web/final", "in", None, None, 6),
        ("web/final", "dropped", "decontaminate", "gsm8k", 1),
        ("web/final", "edited", "decontaminate", "gsm8k", 1),
        ("web/final", "kept", None, None, 5),
    ]
    assert rows[1]["share"] == 0.2


def test_a_dropped_record_and_the_rule_that_dropped_it(store: Store) -> None:
    (story,) = why(store, "web/final", "https://example.org/1")
    assert (story.id, story.file, story.offset, story.rows) == (
        row_id(1),
        "crawl-0.warc.gz",
        1000,
        0,
    )
    (event,) = story.events
    assert (event.state, event.op, event.reason) == ("dropped", "rules", "q.min_words")
    assert event.rules == [{"rule": "q.min_words", "value": 1.0, "threshold": 5.0}]
    assert event.signals == {"words": 10} and event.details == {}
    assert story.outcome == f"dropped by {store['web/clean'].ref}: q.min_words"


def test_a_duplicate_names_its_partner(store: Store) -> None:
    (story,) = why(store, "web/final", row_id(3))
    assert [event.state for event in story.events] == ["kept", "dropped"]
    assert story.events[1].details == {
        "partner_id": row_id(4),
        "partner_url": "https://example.org/4",
        "similarity": 0.91,
    }


def test_a_kept_record_tells_all_its_steps(store: Store) -> None:
    (story,) = why(store, "web/final", row_id(4)[:9])
    assert [(e.use, e.state) for e in story.events] == [
        ("curate", "kept"),
        ("minhash_dedup", "kept"),
        ("decontaminate", "edited"),
    ]
    assert story.outcome == f"in {store['web/final'].ref}"


def test_by_locator_and_by_a_part_of_the_url(store: Store) -> None:
    (story,) = why(store, "web/final", "crawl-0.warc.gz:2000")
    assert story.id == row_id(2)
    assert len(why(store, "web/final", "EXAMPLE.org")) == 10
    assert len(why(store, "web/final", "example.org", limit=3)) == 3
    with pytest.raises(GristmillError, match="no record of web/final@"):
        why(store, "web/final", "https://example.org/77")
    with pytest.raises(GristmillError, match="no record"):
        why(store, "web/final", "' or true --")


def test_records_that_share_an_id_are_told_one_by_one(tmp_path: Path) -> None:
    store = Store(tmp_path)
    twice = [(1, "dropped", "rules", "short", []), (1, "kept", None, None, [])]
    rows = ledger(twice).set_column(3, "offset", pa.array([10, 20]))
    put(store, "web", {"": ("document", [documents([1])]), ".ledger": ("ledger", [rows])})
    (story,) = why(store, "web", row_id(1))
    assert [(e.place, e.state) for e in story.events] == [
        ("crawl-0.warc.gz:10", "dropped"),
        ("crawl-0.warc.gz:20", "kept"),
    ]


def test_a_dataset_without_ledgers_still_answers(tmp_path: Path) -> None:
    store = Store(tmp_path)
    put(store, "web", {"": ("document", [documents([1])])})
    (story,) = why(store, "web", "https://example.org/1")
    assert (story.events, story.rows) == ([], 1)
