"""The step `decontaminate` in real runs: rows, ledger and report of every action."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from curation.decontam.step import Decontaminate
from gristmill.errors import GristmillError, RecipeError
from gristmill.ids import text_digests
from gristmill.store import Dataset, Store
from tests.make_store import documents, put
from tests.run_step import run_step

QUESTION = (
    "A miller grinds three sacks of rye every morning and two sacks of wheat every afternoon; how "
    "many sacks does the miller grind in one whole week of work?"
)
SHORT = "Which wind turns the sails of the oldest mill in town?"
ITEMS = [
    {"id": "q-rye", "question": QUESTION},
    {"id": "q-wind", "question": f"Question: {SHORT}"},
    {"id": "q-tiny", "question": "Is rye a grain?"},
    {"id": "q-count", "question": "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15"},
    {"id": "q-empty", "question": ""},
]
FILLER = "Plain words about grain, wind and water, as any page may have them. " * 8
TEXTS = {
    0: FILLER,
    1: FILLER + "\n" + QUESTION.upper().replace(" ", "\n") + " " + FILLER,
    2: "Calendar\nS M T W T F S\n" + " ".join(map(str, range(1, 32))),
    3: f"Über Mühlen: {SHORT.replace('?', '!')}",
    4: "",
    25: "He grinds three sacks of rye every morning and two sacks of wheat every afternoon; fine.",
}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path / "store")
    table = documents(range(40), text="Grain number {n}, and nothing else of note on this page.")
    texts = [TEXTS.get(n, text) for n, text in enumerate(table["text"].to_pylist())]
    table = table.set_column(1, "text", pa.array(texts))
    table = table.set_column(5, "text_digest", pa.array(text_digests(texts)))
    shards = [table.slice(at, 10) for at in range(0, 40, 10)]
    put(made, "web/unique", {"": ("document", shards)})
    (tmp_path / "mills.jsonl").write_text("\n".join(map(json.dumps, ITEMS)))
    return made


def build(store: Store, workers: int = 1, **options: Any) -> Dataset:
    options = {"against": [str(store.path.parent / "mills.jsonl")], **options}
    values = {"name": "web/final", "use": "decontaminate", "from": "web/unique", **options}
    run_step(Decontaminate.model_validate(values), store, workers)
    return store["web/final"]


def rows(dataset: Dataset, output: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = dataset.store[dataset.name + output].to_table().to_pylist()
    return found


def test_matching_documents_are_dropped_and_the_ledger_says_where(store: Store) -> None:
    final = build(store)
    before = store["web/unique"].to_table()
    ledger = rows(final, ".ledger")
    assert [row["id"] for row in ledger] == before["id"].to_pylist()
    gone = [n for n, row in enumerate(ledger) if row["state"] == "dropped"]
    assert gone == [1, 3, 25]
    kept = pa.array([n not in gone for n in range(40)])
    assert final.to_table().equals(before.filter(kept).cast(final.schema))
    found = ledger[1]
    assert (found["benchmark"], found["item"], found["item_id"]) == ("mills", 0, "q-rye")
    assert (found["reason"], found["step_op"]) == ("gpt3_13gram", "decontaminate")
    assert found["rules"] == [{"rule": "gpt3_13gram", "value": 1.0, "threshold": 0.0}]
    assert (found["coverage"], found["items"], found["cuts"]) == (1.0, 1, None)
    assert TEXTS[1][found["start"] : found["end"]] == found["ngram"]
    assert found["ngram"].split()[:3] == ["A", "MILLER", "GRINDS"]
    whole = ledger[3]
    assert (whole["item_id"], whole["ngrams"]) == ("q-wind", 1)
    assert TEXTS[3][whole["start"] : whole["end"]] == whole["ngram"] == SHORT.rstrip("?")
    assert 0 < ledger[25]["coverage"] < 1
    assert all(row["rules"] == [] for n, row in enumerate(ledger) if n not in gone)


def test_the_report_has_a_row_an_item_and_says_what_is_not_covered(store: Store) -> None:
    final = build(store)
    report = {row["item_id"]: row for row in rows(final, ".report")}
    assert list(report) == [item["id"] for item in ITEMS]
    told = {name: (row["covered"], row["why_not"], row["words"]) for name, row in report.items()}
    assert told == {
        "q-rye": (True, None, 29),
        "q-wind": (True, None, 11),
        "q-tiny": (False, "too short", 4),
        "q-count": (False, "no evidence", 15),
        "q-empty": (False, "empty", 0),
    }
    rye = report["q-rye"]
    assert (rye["documents"], rye["documents_sharing"], rye["max_coverage"]) == (2, 2, 1.0)
    assert rye["ngrams"] == 17
    (note,) = final.build()["notes"]
    assert note.startswith("3 of 5 benchmark items are not covered (1 too short, 1 no evidence")


def test_coverage_decides_under_llama3(store: Store) -> None:
    ledger = rows(build(store, recipe="llama3_8gram", threshold=0.9), ".ledger")
    assert [n for n, row in enumerate(ledger) if row["state"] == "dropped"] == [1, 3]
    assert (ledger[25]["state"], ledger[25]["reason"], ledger[25]["item_id"]) == (
        "kept",
        None,
        "q-rye",
    )
    share = ledger[25]["coverage"]
    final = build(store, recipe="llama3_8gram", threshold={"mills": share})
    assert [row["state"] for row in rows(final, ".ledger")].count("dropped") == 3
    assert {row["item_id"]: row["documents"] for row in rows(final, ".report")}["q-rye"] == 2


def test_cut_removes_the_span_and_its_surroundings(store: Store) -> None:
    final = build(store, action="cut")
    ledger = rows(final, ".ledger")
    assert {n: row["state"] for n, row in enumerate(ledger) if row["state"] != "kept"} == {
        1: "edited",
        3: "dropped",
        25: "dropped",
    }
    assert (ledger[1]["cuts"], ledger[1]["reason"]) == (1, "gpt3_13gram")
    assert [rule["rule"] for rule in ledger[3]["rules"]] == ["gpt3_13gram", "gpt3_13gram.fragments"]
    edited = {row["id"]: row for row in rows(final, "")}[ledger[1]["id"]]
    start = TEXTS[1].index("A\nMILLER")
    end = TEXTS[1].index("WORK?") + 4
    assert edited["text"] == TEXTS[1][: start - 200] + "\n\n" + TEXTS[1][end + 200 :]
    assert edited["text_digest"] == text_digests([edited["text"]])[0]
    loose = build(store, action="cut", cut={"window": 0, "min_fragment": 1})
    assert [row["state"] for row in rows(loose, ".ledger")].count("edited") == 3


def test_flag_keeps_every_row_and_adds_columns(store: Store) -> None:
    table = build(store, action="flag").to_table()
    assert len(table) == 40
    flagged = table.filter(table["contaminated"])
    assert flagged["contaminated_item"].to_pylist() == ["q-rye", "q-wind", "q-rye"]
    assert flagged["contaminated_by"].unique().to_pylist() == ["mills"]
    rest = table.filter(pc.invert(table["contaminated"]))
    assert rest["contamination"].null_count == rest["contaminated_by"].null_count == 37
    states = [row["state"] for row in rows(store["web/final"], ".ledger")]
    assert (states.count("flagged"), states.count("kept")) == (3, 37)


def test_common_ngrams_can_be_exempt(store: Store) -> None:
    ledger = rows(build(store, common_use=1), ".ledger")
    # what documents 1 and 25 share is in two documents; the rest of the question is in one
    assert [n for n, row in enumerate(ledger) if row["state"] == "dropped"] == [1, 3]
    everywhere = build(store, common_use=2)
    assert [row["state"] for row in rows(everywhere, ".ledger")].count("dropped") == 3


def test_an_empty_against_passes_every_row_and_warns(store: Store) -> None:
    for against in ([], None):
        final = build(store, against=against)
        assert final.to_table().equals(store["web/unique"].to_table().cast(final.schema))
        assert [row["state"] for row in rows(final, ".ledger")] == ["kept"] * 40
        assert rows(final, ".report") == []
        assert "`against` is empty" in final.build()["notes"][0]


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"action": "cut", "common_use": 1}])
def test_any_number_of_workers_gives_the_same_versions(
    store: Store, tmp_path: Path, options: dict[str, Any]
) -> None:
    versions = set()
    for workers in (1, 2, 5):
        final = build(store, workers, **options)
        versions.add(
            (final.version, *(store[f"web/final{o}"].version for o in (".ledger", ".report")))
        )
        for build_file in (store.path / "web" / "final" / "builds").iterdir():
            build_file.unlink()
    assert len(versions) == 1


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"recipe": "gpt3"}, RecipeError, "unknown decontamination recipe 'gpt3'"),
        ({"threshold": {"mill": 0.5}}, GristmillError, "no benchmark 'mill'.*did you mean 'mills'"),
        ({"fields": ["query"]}, GristmillError, r"mills\.jsonl, record 0: no field 'query'"),
        ({"against": "nowhere/*.jsonl"}, GristmillError, "nowhere"),
        ({"ngram": 0}, ValueError, "ngram"),
        ({"threshold": 60}, ValueError, "threshold 60.* from 0 .* to 1"),
        ({"against": [{"path": "x", "feilds": ["a"]}]}, ValueError, "feilds"),
    ],
)
def test_mistakes_are_told(
    store: Store, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        build(store, **options)
