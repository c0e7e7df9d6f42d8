"""use: mixture, from token datasets to a plan: shares, orders, ledgers, and what is refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from gristmill.errors import GristmillError, RecipeError, TaskError
from gristmill.store import Store
from mixtures.blend.step import Mixture
from mixtures.packing import METHODS
from mixtures.plan import Plan, open_plan
from pipelines.plan import plan_recipe
from tests.mixtures.make_tokens import put_tokens
from tests.run_step import InProcess, run_step

N = 240
TOPICS = ["science", "art", None]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    place = Store(tmp_path_factory.mktemp("store"))
    topic = [TOPICS[n % 3] for n in range(N)]
    columns = {"topic": topic, "score": [float(n * 37 % 101) for n in range(N)]}
    put_tokens(place, "tokens/web", documents=N, prefix="w", columns=columns, rows_a_shard=100)
    put_tokens(place, "tokens/code", documents=60, prefix="c", lengths=(20, 300), seed=1, mask=True)
    put_tokens(place, "tokens/facts", texts=((900, 901), (902,), (903, 904, 905)), prefix="f")
    put_tokens(place, "tokens/none", texts=((), ()), prefix="n")
    return place


def step(**options: Any) -> Mixture:
    plain: dict[str, Any] = {
        "name": "mix/p",
        "use": "mixture",
        "sources": {"web": "tokens/web", "code": "tokens/code"},
        "budget": 8000,
        "shape": {"seq": 32, "batch": 5},
    }
    return Mixture.model_validate({**plain, **options})


def build(store: Store, **options: Any) -> Plan:
    made = step(**options)
    made.check()
    run_step(made, store, executor=InProcess())  # type: ignore[arg-type]
    return open_plan(store, "mix/p")


def rows(store: Store, suffix: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = store["mix/p"].output(suffix).to_table().to_pylist()
    return found


def report(store: Store, stage: int = -1) -> dict[str, dict[str, Any]]:
    return {row["source"]: row for row in rows(store, ".report") if row["stage"] == stage}


def notes(store: Store) -> list[str]:
    found: list[str] = store["mix/p"].build()["notes"]
    return found


def texts(store: Store, ref: str) -> list[list[int]]:
    table = store[ref].to_table(["tokens"])
    return [np.frombuffer(value, np.uint16).tolist() for value in table["tokens"].to_pylist()]


def seen(store: Store, plan: Plan, source: str) -> dict[int, dict[tuple[int, int], int]]:
    """Epoch -> (document, token's place) -> how often the plan's pieces hold it."""
    packed = store["mix/p"].to_table().to_pylist()
    pieces = store["mix/p"].output(".pieces").to_table().to_pylist()
    number = [s.name for s in plan.spec.sources].index(source)
    base = plan.spec.sources[number].first_piece
    found: dict[int, dict[tuple[int, int], int]] = {}
    for row in packed:
        if row["source"] == number:
            first = base + row["first_piece"]
            for piece in pieces[first : first + row["pieces"]]:
                for place in range(piece["offset"], piece["offset"] + piece["length"]):
                    epoch = found.setdefault(row["epoch"], {})
                    key = piece["document"], place
                    epoch[key] = epoch.get(key, 0) + 1
    return found


def test_shares_are_those_asked_for_at_every_prefix(store: Store) -> None:
    plan = build(store, weights={"given": {"web": 0.3, "code": 0.7}}, budget=16000)
    source = np.array([plan[i]["source"] for i in range(len(plan))])
    code = [s.name for s in plan.spec.sources].index("code")
    drift = np.cumsum(source == code) - 0.7 * np.arange(1, len(plan) + 1)
    assert len(plan) == 500 and np.abs(drift).max() <= 1
    found = report(store)
    assert found["code"]["requested"] == pytest.approx(0.7)
    assert found["code"]["observed_rows"] == pytest.approx(0.7)
    assert found["code"]["observed_tokens"] == pytest.approx(0.7, abs=0.01)


@pytest.mark.parametrize("method", METHODS)
def test_every_packing_reads_each_token_of_an_epoch_at_most_once(store: Store, method: str) -> None:
    plan = build(store, pack=method, budget=24000, max_epochs=200)
    for source, ref in (("web", "tokens/web"), ("code", "tokens/code")):
        every = {(d, i) for d, text in enumerate(texts(store, ref)) for i in range(len(text))}
        epochs = seen(store, plan, source)
        assert all(max(epoch.values()) == 1 for epoch in epochs.values())
        assert all(epoch.keys() <= every for epoch in epochs.values())
        if method not in ("whole", "one_per_row"):  # which drop what a row cannot hold
            assert all(epochs[n].keys() == every for n in range(max(epochs)))
    for row in rows(store, ".token_ledger"):
        assert row["kept"] + row["split"] + row["padding"] == row["rows"] * row["seq"]
    assert {row["source"] for row in rows(store, ".token_ledger")} == {"web", "code"}


def test_the_plan_gives_the_tokens_that_the_datasets_hold(store: Store) -> None:
    plan = build(store)
    of = {name: texts(store, f"tokens/{name}") for name in ("web", "code")}
    ids = {name: store[f"tokens/{name}"].to_table(["id"])["id"].to_pylist() for name in of}
    for i in range(0, len(plan), 7):
        place = plan.where(i)
        expected: list[int] = []
        for document, offset, length in place.pieces:
            text = of[place.source][ids[place.source].index(document)]
            expected += text[offset : offset + length]
        assert plan[i]["input_ids"].tolist()[: len(expected)] == expected


def test_masked_tokens_are_those_without_loss(store: Store) -> None:
    plan = build(store, weights={"given": {"web": 0, "code": 1}}, budget=3200)
    without = sum(int((plan[i]["labels"] == -100).sum()) for i in range(len(plan)))
    ledger = [row for row in rows(store, ".token_ledger") if row["source"] == "code"]
    assert sum(row["masked"] + row["padding"] for row in ledger) == without
    assert any("'web' gets no row: weight 0" in note for note in notes(store))


def test_rows_without_loss_are_told_and_sources_of_them_refused(store: Store) -> None:
    """Tokens that three divides are masked: rows of them alone are read for nothing."""
    masked, learnt = (3, 6, 9, 12, 15, 18, 21, 24), (3, 4, 6, 7, 9, 10, 12, 13)
    put_tokens(store, "tokens/some", texts=(masked, learnt, masked, learnt), prefix="s", mask=True)
    put_tokens(store, "tokens/bare", texts=(masked, masked), prefix="b", mask=True)
    options = {"shape": {"seq": 8, "batch": 4}, "budget": 128}
    plan = build(store, sources={"some": "tokens/some"}, **options)
    bare = sum((plan[i]["labels"] == -100).all() for i in range(len(plan)))
    assert 0 < bare < len(plan)
    assert any(f"in {bare} of {len(plan)} rows no token bears loss" in n for n in notes(store))
    with pytest.raises(RecipeError, match=r"no token of its \d+ rows bears loss"):
        build(store, sources={"web": "tokens/web", "bare": "tokens/bare"}, **options)


def test_stages_ramps_and_shapes(store: Store) -> None:
    plan = build(
        store,
        budget=20000,
        weights={"given": {"web": 1, "code": 0}},
        stages=[{"at": 0.5, "weights": {"given": {"web": 0, "code": 1}}, "ramp": 0.2}],
        shape=[{"seq": 16, "batch": 4}, {"at": 0.75, "seq": 48, "batch": 4}],
    )
    code = [s.name for s in plan.spec.sources].index("code")
    assert all(segment.rows % segment.batch == 0 for segment in plan.segments)
    first, last = plan.segments[0], plan.segments[-1]
    assert first.counts[code] == 0 and last.counts[code] == last.rows
    assert [first.seq, last.seq] == [16, 48]
    shares = [segment.counts[code] / segment.rows for segment in plan.segments]
    assert 0.3 < np.mean(shares[1:-1]) < 0.7
    assert report(store, 0)["code"]["observed_tokens"] == 0
    assert report(store, 1)["code"]["first_token"] == first.rows * 16
    # what one row length left over goes on in the next: nothing is repeated within an epoch
    assert all(max(e.values()) == 1 for e in seen(store, plan, "web").values())


def test_predicates_groups_and_replay(store: Store) -> None:
    plan = build(
        store,
        sources={
            "t": {"from": "tokens/web", "by": "topic", "where": "score < 90"},
            "code": {"from": "tokens/code", "replay": 0.2},
        },
        weights="uniform",
    )
    found = report(store)
    assert sorted(found) == ["code", "t/art", "t/none", "t/science"]
    assert found["code"]["requested"] == pytest.approx(0.2) and found["code"]["natural"] is None
    assert found["t/art"]["requested"] == found["t/art"]["uniform"] == pytest.approx(0.8 / 3)
    pieces = seen(store, plan, "t/art")
    assert {n % 3 for epoch in pieces.values() for n, _ in epoch} == {1}
    assert {n * 37 % 101 < 90 for epoch in pieces.values() for n, _ in epoch} == {True}


def test_an_order_by_a_column_and_its_warning(store: Store) -> None:
    plan = build(
        store,
        sources={"web": {"from": "tokens/web", "order": {"by": "score", "descending": True}}},
        budget=3200,
        pack="one_per_row",
    )
    scores = store["tokens/web"].to_table(["score"])["score"].to_pylist()
    ids = store["tokens/web"].to_table(["id"])["id"].to_pylist()
    read = [scores[ids.index(plan.where(i).pieces[0][0])] for i in range(len(plan))]
    assert read == sorted(scores, reverse=True)[: len(plan)]
    (note,) = notes(store)
    assert "decaying learning rate" in note and "2511.18903" in note
    build(store, order={"by": "score", "trainer": "constant"}, sources={"web": "tokens/web"})
    (note,) = notes(store)
    assert "pack best_fit brings the documents of a window of 8,192" in note


def test_in_context_order_keeps_every_document(store: Store) -> None:
    plan = build(
        store, sources={"web": "tokens/web"}, order="in_context", pack="concat", budget=5000
    )
    every = {(d, i) for d, t in enumerate(texts(store, "tokens/web")) for i in range(len(t))}
    assert set(seen(store, plan, "web")[0]) <= every
    with pytest.raises(RecipeError, match="pack best_fit would part the neighbours; use concat"):
        step(order="in_context").check()


def test_injected_documents_stand_where_they_were_asked_for(store: Store) -> None:
    entries = [
        {"from": "tokens/facts", "where": "id = 'f1'", "at": [0, 0.5]},
        {"from": "tokens/facts", "where": "id <> 'f1'", "every": 2000, "times": 3},
    ]
    plan = build(store, inject=entries)
    found = {p: plan.where(p).pieces for p in plan.spec.positions.tolist()}
    assert [[name for name, _, _ in pieces] for pieces in found.values()] == [
        ["f1"], ["f0", "f2"], ["f1"], ["f0", "f2"], ["f0", "f2"],
    ]  # fmt: skip
    assert sorted(found) == [0, 62, 125, 126, 187]  # tokens 0, 2000, 4000 (twice), 6000
    assert plan[62]["input_ids"][:5].tolist() == [900, 901, 903, 904, 905]
    assert len(plan) == 250 and all(s.rows % s.batch == 0 for s in plan.segments)
    injected = report(store)["injected"]
    assert (injected["rows"], injected["tokens"], injected["requested"]) == (5, 17, 0)


def test_another_source_leaves_the_order_within_a_source_as_it_is(store: Store) -> None:
    def pieces(**options: Any) -> list[Any]:
        plan = build(store, budget=1600, **options)
        places = [plan.where(i) for i in range(len(plan))]
        return [place.pieces for place in places if place.source == "web"]

    two = pieces()
    alone = pieces(sources={"web": "tokens/web"})
    assert two == alone[: len(two)]
    assert pieces(seed=1) != two


def test_the_same_recipe_gives_the_same_versions_in_any_order_of_keys(
    store: Store, tmp_path: Path
) -> None:
    one = step(sources={"web": "tokens/web", "code": "tokens/code"}).config()
    other = step(sources={"code": "tokens/code", "web": "tokens/web"}).config()
    assert one == other


def test_sources_in_tasks_of_their_own_give_the_same_rows(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = {"t": {"from": "tokens/web", "by": "topic"}, "code": "tokens/code"}
    together = build(store, sources=sources)
    assert len(store["mix/p"].files) == 1
    expected = [together[i]["input_ids"].tolist() for i in range(len(together))]
    monkeypatch.setattr("mixtures.blend.build.TASK_TOKENS", 1)
    build(store, sources=sources, name="mix/apart")
    apart = open_plan(store, "mix/apart")
    assert len(store["mix/apart"].files) == 4
    assert [apart[i]["input_ids"].tolist() for i in range(len(apart))] == expected


def test_shared_documents_are_told(store: Store) -> None:
    build(store, sources={"a": "tokens/web", "b": {"from": "tokens/web", "where": "score > 50"}})
    assert any(note.startswith("sources 'a' and 'b' share") for note in notes(store))


def test_repetition_is_told_or_refused(store: Store) -> None:
    build(store, weights={"given": {"web": 0.9, "code": 0.1}}, budget=48000)
    assert any("'web' is seen 7." in note for note in notes(store))
    assert report(store)["web"]["effective_tokens"] < report(store)["web"]["tokens"]
    with pytest.raises(RecipeError, match=r"'web' would be seen .* more than 16, .*R|arXiv"):
        build(store, weights={"given": {"web": 0.9, "code": 0.1}}, budget=200_000)
    with pytest.raises(RecipeError, match=r"more than 2, your max_epochs"):
        build(store, weights={"given": {"web": 0.9, "code": 0.1}}, budget=48000, max_epochs=2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sources": {"web": "tokens/web", "no": "tokens/none"}}, "'no' is empty: tokens/none@"),
        (
            {"sources": {"web": {"from": "tokens/web", "where": "topic = 'x'"}}},
            "'web' is empty: tokens/web@.* where topic = 'x' has no token",
        ),
        ({"sources": {"web": {"from": "tokens/web", "by": "host"}}}, "has no column 'host'"),
        ({"weights": {"given": {"web": 0, "code": 0}}}, "all weights are 0"),
        ({"weights": {"given": {"web": 0.5, "cod": 0.5}}}, "no source 'cod'; did you mean 'code'"),
        ({"pack": "bestfit"}, "pack is 'bestfit'; did you mean 'best_fit'"),
        ({"shape": {"seq": 0, "batch": 4}}, "shape.0.seq is 0"),
        ({"shape": {"sequence": 8, "batch": 4}}, "unknown key 'sequence'"),
        ({"budget": 100}, "less than one optimiser step"),
        ({"budget": "many"}, "budget is 'many'"),
        ({"stages": [{"at": 0, "weights": "natural"}], "weights": "uniform"}, "leave `weights`"),
        ({"stages": [{"at": 0.5, "weigths": "natural"}]}, r"stages.0: unknown key 'weigths'; did"),
        ({"stages": [{"at": 0.5}]}, r"stages.0: key 'weights' is missing"),
        ({"stages": [{"at": 0.5, "weights": "uniform", "ramp": 0.6}]}, r"stages.0.ramp is 0.6"),
        ({"stages": [{"at": 0.999, "weights": "uniform"}]}, r"stages.0 at 0.999 is shorter"),
        ({"sources": {"": "tokens/web"}}, "a source has no name"),
        ({"sources": {"web": "tokens/web.tokenizer"}}, "holds no tokens; make some with"),
        ({"sources": {"injected": "tokens/web"}, "inject": {"from": "tokens/facts", "at": 0}},
         "a source is named 'injected'"),
        ({"inject": {"from": "tokens/facts", "where": "id = 'x'", "at": 0}}, "chooses no token"),
        ({"inject": [{"from": "tokens/facts", "at": 0}, {"from": "tokens/web", "at": 1}]},
         "reads several datasets"),
        ({"pack": "whole", "sources": {"code": "tokens/code"}, "shape": {"seq": 4, "batch": 2}},
         "source 'code': an epoch of 60 documents gave no row"),
    ],
)  # fmt: skip
def test_what_cannot_be_mixed(store: Store, options: dict[str, Any], message: str) -> None:
    with pytest.raises((GristmillError, TaskError), match=message):
        build(store, **options)


def test_what_a_row_cannot_hold_is_in_the_ledger(store: Store) -> None:
    sizes = [len(text) for text in texts(store, "tokens/code")]
    found = {}
    for method in METHODS:
        plan = build(store, pack=method, sources={"code": "tokens/code"}, max_epochs=500,
                     shape={"seq": 100, "batch": 1}, budget=100 * len(sizes))  # fmt: skip
        (found[method],) = rows(store, ".token_ledger")
        assert len(plan) == len(sizes)
    assert found["one_per_row"]["dropped"] == sum(max(0, size - 100) for size in sizes)
    assert found["whole"]["dropped"] > 0 and found["whole"]["split"] == 0
    for method in ("best_fit", "concat", "greedy"):
        assert found[method]["dropped"] == 0 and found[method]["split"] > 0
    assert found["concat"]["padding"] < found["greedy"]["padding"]


def test_notes_of_many_sources_are_few(store: Store) -> None:
    by_id = {"web": {"from": "tokens/web", "by": "id", "where": "score < 30"}}
    build(store, sources=by_id, budget=96000, shape={"seq": 64, "batch": 5}, max_epochs=1000)
    told = [note for note in notes(store) if "epoch" in note or "is seen" in note]
    assert len(told) == 5
    assert any(note.endswith("more of these: see mix/p.report") for note in notes(store))


def test_injected_rows_are_no_drift(store: Store) -> None:
    build(store, sources={"web": "tokens/web"}, inject={"from": "tokens/facts", "every": 200})
    assert not notes(store)


def test_a_missing_version_is_told_before_anything_runs(store: Store, tmp_path: Path) -> None:
    entry = {"name": "m", "use": "mixture", "sources": {"web": "tokens/web@ffff"}, "budget": 9999}
    (tmp_path / "r.yaml").write_text(yaml.safe_dump({"steps": [entry]}))
    with pytest.raises(RecipeError, match=r"reads 'tokens/web@ffff': .*'ffff' is not there"):
        plan_recipe(tmp_path / "r.yaml", store=store)


def test_two_tokenizers_are_named(store: Store) -> None:
    put_tokens(store, "tokens/other", documents=5, vocabulary=999, prefix="o")
    with pytest.raises(GristmillError, match=r"tokens/other.tokenizer@"):
        build(store, sources={"web": "tokens/web", "other": "tokens/other"})


def test_tokens_beyond_the_vocabulary_are_named(store: Store) -> None:
    put_tokens(store, "tokens/odd", texts=((1, 2), (3, 60000)), prefix="odd")
    with pytest.raises(GristmillError, match=r"tokens/odd@\w+: document 'odd1' holds token 60,000"):
        build(store, sources={"odd": "tokens/odd"}, budget=160)


def test_the_plan_says_what_it_is_of(store: Store) -> None:
    build(store)
    spec = json.loads(rows(store, ".plan")[0]["spec"])
    assert spec["tokenizer"] == store["tokens/code.tokenizer"].ref
    assert spec["vocab_size"] == 1000 and spec["pad"] == 0 and spec["format"] == 1
    assert [source["ref"] for source in spec["sources"]] == [
        store[f"tokens/{name}"].ref for name in ("code", "web")
    ]


CLI = [sys.executable, "-c", "from pipelines.cli import main; main()"]
RECIPE = {
    "steps": [
        {
            "name": "mix/p",
            "use": "mixture",
            "sources": {
                "topics": {"from": "tokens/web", "by": "topic"},
                "code": {"from": "tokens/code", "order": "in_context"},
            },
            "budget": "40k",
            "pack": "concat",
            "stages": [{"at": 0.5, "weights": "uniform", "ramp": 0.2}],
            "shape": [{"seq": 32, "batch": 5}, {"at": 0.3, "seq": 64, "batch": 5}],
            "inject": {"from": "tokens/facts", "every": 0.3},
        }
    ]
}


def copies(store: Store, path: Path) -> Path:
    import shutil

    for name in ("web", "code", "facts"):
        for suffix in ("", ".tokenizer"):
            shutil.copytree(store.path / f"tokens/{name}{suffix}", path / f"tokens/{name}{suffix}")
    return path


@pytest.mark.slow
def test_any_number_of_workers_and_a_killed_run_give_the_same_versions(
    store: Store, tmp_path: Path
) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_text(yaml.safe_dump(RECIPE))
    made = {}
    for workers in (1, 3):
        place = copies(store, tmp_path / f"s{workers}")
        command = [*CLI, "run", str(recipe), "--store", str(place)]
        subprocess.run([*command, "--workers", str(workers)], check=True, capture_output=True)
        made[workers] = versions(place)
    assert made[1] == made[3]
    place = copies(store, tmp_path / "killed")
    command = [*CLI, "run", str(recipe), "--store", str(place)]
    kills = 0
    for delay in (0.3, 0.6, 1.0):
        running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                   start_new_session=True)  # fmt: skip
        waited = time.monotonic()
        while running.poll() is None and time.monotonic() - waited < 60:
            done = list(place.glob(".staging/*/*/*/task.json"))
            if len(done) > kills * 3:
                time.sleep(delay / 10)
                os.killpg(running.pid, signal.SIGKILL)
                kills += 1
                break
            time.sleep(0.01)
        running.wait()
    assert kills >= 2
    subprocess.run(command, check=True, capture_output=True)
    assert versions(place) == made[1]


def versions(place: Path) -> dict[str, str]:
    suffixes = ["", ".pieces", ".plan", ".report", ".token_ledger"]
    return {suffix: Store(place)["mix/p" + suffix].version for suffix in suffixes}
