"""One seed: the report says what the items of the test allow, and calls it that."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.extras import needs

needs("matplotlib")

from gristmill.store import Store  # noqa: E402
from tests.make_store import put  # noqa: E402
from tests.run_step import InProcess, run_step  # noqa: E402
from train.compare.items import Kept  # noqa: E402
from train.compare.statistics import Metric  # noqa: E402
from train.compare.step import Compare  # noqa: E402
from train.evaluate.answers import pass_at_k  # noqa: E402
from train.evaluate.intervals import mean, ratio  # noqa: E402
from train.evaluate.results import (  # noqa: E402
    Item,
    Score,
    item_table,
    score_table,
)

ARMS = {"raw": 0.0, "clean": -0.2, "shuffled": 0.0}  # what each changes of a page's nats a token


def put_evals(
    store: Store, seeds: int = 1, pages: int = 120, folder: str = "eval", lone: bool = False
) -> list[str]:
    """Evaluations over pages of 40 hosts, each of its own difficulty; `lone`: one page changes."""
    random, names = np.random.default_rng(4), []
    hard, sizes = random.normal(3, 0.5, pages), random.integers(50, 500, pages)
    for arm, change in ARMS.items():
        for seed in range(seeds):
            changed = np.where(np.arange(pages) == 0, 50 * change, 0) if lone else change
            nats = (hard + changed + random.normal(0, 0.005 if lone else 0.05, pages)) * sizes
            items = [
                Item(f"d{n}", float(one), "nats", tokens=int(sizes[n]), bytes=int(4 * sizes[n]),
                     host=f"{n % 40}.org")
                for n, one in enumerate(nats)
            ]  # fmt: skip
            loss = float(nats.sum() / sizes.sum())
            scores = [
                Score("loss", loss, pages, "lower"),
                Score("perplexity", math.exp(loss), pages, "lower"),
                Score("bits_per_byte", loss / math.log(2) / 4, pages, "lower"),
                Score("distinct_1", 0.5, pages, "higher"),
            ]
            who = {"model": f"models/{arm}-{seed}", "version": "0" * 12, "task": "held_out"}
            rows = score_table(scores, who, {"arm": arm, "seed": seed})
            names.append(f"{folder}/{arm}-{seed}")
            outputs = {"": ("rows", [rows]), ".samples": ("rows", [item_table(items, who)])}
            put(store, names[-1], outputs)
    return names


def built(store: Store, **keys: Any) -> dict[tuple[str, str], dict[str, Any]]:
    step = Compare.model_validate({"name": "report", "use": "compare", "control": "raw", **keys})
    run_step(step, store, executor=InProcess())
    rows = store["report"].to_table().to_pylist()
    return {(row["arm"], row["metric"]): row for row in rows}


def test_one_seed_has_verdicts_over_items_that_say_so(tmp_path: Path) -> None:
    store = Store(tmp_path)
    rows = built(store, evals=put_evals(store))
    for metric in ("loss", "perplexity", "bits_per_byte"):
        clean, shuffled = rows["clean", metric], rows["shuffled", metric]
        assert clean["verdict"] == clean["verdict_holm"] == "better: one seed"
        assert clean["items_low"] < clean["difference"] < clean["items_high"] < 0
        assert (clean["noise"], clean["items"], clean["hosts"]) == ("items", 120, 40)
        assert (clean["low"], clean["high"], clean["p"]) == (None, None, None)
        assert (shuffled["verdict"], shuffled["noise"]) == ("within noise", "items")
    assert rows["clean", "distinct_1"]["verdict"] == "not known: one seed"
    assert rows["clean", "distinct_1"]["noise"] is None
    build = store["report"].build()
    assert build["facts"]["comparisons"] == 6
    notes = "\n".join(build["notes"])
    assert "6 of them over items of one seed" in notes and "another seed" in notes
    assert (
        "clean on held_out.distinct_1, shuffled on held_out.distinct_1: evaluations keep" in notes
    )
    assert "(120 items, 40 hosts)" in build["facts"]["table"]


def test_with_several_seeds_the_verdict_is_that_of_seeds(tmp_path: Path) -> None:
    store = Store(tmp_path)
    rows = built(store, evals=put_evals(store, seeds=3), metrics="loss")
    clean = rows["clean", "loss"]
    assert (clean["verdict"], clean["noise"]) == ("better", "seeds")
    assert clean["low"] < clean["difference"] < clean["high"]
    assert clean["items_low"] < clean["difference"] < clean["items_high"]
    assert not any("one seed" in note for note in store["report"].build()["notes"])


def test_a_verdict_that_hangs_on_one_host_is_told(tmp_path: Path) -> None:
    store = Store(tmp_path)
    rows = built(store, evals=put_evals(store, seeds=3, lone=True), metrics="loss")
    clean = rows["clean", "loss"]
    assert clean["verdict"] == "better" and clean["items_low"] < 0 < clean["items_high"]
    assert any("clean on held_out.loss of all" in n for n in store["report"].build()["notes"])


def test_arms_that_were_measured_on_other_items_are_not_compared(tmp_path: Path) -> None:
    store = Store(tmp_path)
    put_evals(store)
    put_evals(store, pages=121, folder="more")
    runs = {"raw": ["eval/raw-0"], "clean": ["more/clean-0"]}
    rows = built(store, runs=runs, metrics="loss")
    assert rows["clean", "loss"]["verdict"] == "not known: one seed"
    assert any("different items" in note for note in store["report"].build()["notes"])


@pytest.mark.parametrize("metric", ["score", "pass@2"])
def test_samples_of_a_prompt_are_one_item(tmp_path: Path, metric: str) -> None:
    store, random = Store(tmp_path), np.random.default_rng(8)
    right = random.integers(0, 2, (30, 4)).astype(float)
    items = [
        Item(f"p{n}", float(one), "score", sample=sample, prompt="?")
        for n, row in enumerate(right)
        for sample, one in enumerate(row)
    ]
    value = {
        "score": mean(right.mean(1)).value,
        "pass@2": mean([pass_at_k(4, int(row.sum()), 2) for row in right]).value,
    }[metric]
    who = {"model": "m", "version": "0" * 12, "task": "maths"}
    table = score_table([Score(metric, value, 30, "higher")], who, {})
    outputs = {"": ("rows", [table]), ".samples": ("rows", [item_table(items, who)])}
    dataset = put(store, "eval/m", outputs)
    what = Metric("maths", metric, "all", None, "higher")
    found = Kept().parts(dataset, "m", what, value)
    assert found is not None and len(found) == 30
    total = ratio([p.over for p in found.values()], [p.under for p in found.values()])
    assert total.value == pytest.approx(value)
    assert Kept().parts(dataset, "m", what, value + 0.01) is None  # not what the items say


def test_items_are_those_of_the_source_and_length(tmp_path: Path) -> None:
    cells = [(source, length) for source in ("a", "b") for length in (64, 128)]
    items = [
        Item(f"{source}-{length}-{n}", float(n % 3 == 0), "chosen", source, length=length)
        for source, length in cells
        for n in range(length // 8)
    ]
    who = {"model": "m", "version": "0" * 12, "task": "needle"}
    table = score_table([Score("chosen", 0.5, 1, "higher")], who, {})
    outputs = {"": ("rows", [table]), ".samples": ("rows", [item_table(items, who)])}
    dataset = put(Store(tmp_path), "eval/m", outputs)

    def found(source: str, length: int | None, value: float) -> int | None:
        parts = Kept().parts(
            dataset, "m", Metric("needle", "chosen", source, length, "higher"), value
        )
        return None if parts is None else len(parts)

    assert (found("a", 64, 3 / 8), found("all", 64, 6 / 16), found("b", None, 9 / 24)) == (
        8,
        16,
        24,
    )
    assert found("c", 64, 3 / 8) is None
