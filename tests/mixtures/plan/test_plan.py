"""Plans: every row as its Parquet files say, by any way of asking, for any ranks; exact resume."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gristmill.errors import StoreError
from gristmill.store import Store
from mixtures.plan import Plan, open_plan
from mixtures.plan.spec import Spec
from tests.mixtures.make_plan import expected, make_plan


def plain(item: dict[str, Any]) -> dict[str, Any]:
    return {name: np.asarray(value).tolist() for name, value in item.items()}


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return make_plan(tmp_path_factory.mktemp("store"))


@pytest.mark.parametrize("attention", ["document", "row"])
@pytest.mark.parametrize("mask", [False, True])
@pytest.mark.parametrize("injected", [[], [0, 3, 4, 49, 50, 79]])
def test_rows_are_what_the_files_say(
    tmp_path: Path,
    attention: str,
    mask: bool,
    injected: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gristmill.shards.ROW_GROUP_BYTES", 1500)  # many row groups and shards
    monkeypatch.setattr("gristmill.shards.SHARD_BYTES", 4000)
    made = make_plan(tmp_path, mask=mask, attention=attention, injected=injected)
    rows = expected(made)
    assert len(made) == len(rows) == 80
    assert [plain(made[i]) for i in range(80)] == rows
    shuffled = np.random.default_rng(0).permutation(80).tolist()
    assert [plain(item) for item in made.__getitems__(shuffled)] == [rows[i] for i in shuffled]
    assert [plain(made[i]) for i in shuffled] == [rows[i] for i in shuffled]
    batch = plain(made.rows(range(10, 20)))
    assert batch["labels"] == [row["labels"] for row in rows[10:20]]
    assert [row["source"] for row in rows] == [
        made.spec.sources.index(
            next(s for s in made.spec.sources if s.name == made.where(i).source)
        )
        for i in range(80)
    ]


def test_no_item_holds_a_mask_and_items_are_the_callers_own(plan: Plan) -> None:
    before = plain(plan[5])
    item = plan[5]
    assert set(item) == {"input_ids", "labels", "position_ids", "source", "row"}
    assert all(item[name].dtype == np.int64 for name in ("input_ids", "labels", "position_ids"))
    item["input_ids"][:] = 0
    assert plain(plan[5]) == before
    assert len(list(plan)) == len(plan)
    for _ in range(2):  # also where rows come from blocks that were read ahead
        items = [plan[i] for i in range(20)]
        assert plain(items[5]) == before
        for item in items:
            item["labels"][:] = 0
    micro = plan.micro_batches(1)
    for _ in range(2):
        batches = [micro[j] for j in range(3)]
        assert batches[1]["labels"][1].tolist() == before["labels"]
        batches[1]["labels"][:] = 0


def test_where_names_documents_and_their_tokens(plan: Plan) -> None:
    for position in (0, 17, 55, 79):
        place, item = plan.where(position), plan[position]
        texts = Store(plan._store.path)[place.source].to_table().to_pylist()
        tokens = {text["id"]: text for text in texts}
        at = 0
        for document, offset, length in place.pieces:
            text = tokens[document]
            dtype = np.uint16 if len(text["tokens"]) == 2 * text["count"] else np.uint32
            found = np.frombuffer(text["tokens"], dtype)[offset : offset + length]
            assert found.tolist() == item["input_ids"][at : at + length].tolist()
            at += length
        assert place.epoch == plan.segment_of(position).number % 2
    sources = [plan.where(i).source for i in range(50)]
    rows = [plan.where(i).row for i in range(50)]
    for name in set(sources):
        assert [r for s, r in zip(sources, rows, strict=True) if s == name] == list(
            range(sources.count(name))
        )


@pytest.mark.parametrize("world", [1, 2, 3, 7, 90])
def test_ranks_share_out_the_rows(plan: Plan, world: int) -> None:
    ranks = [plan.rank(r, world) for r in range(world)]
    seen = [(item["row"], plain(item)) for rank in ranks for item in rank]
    assert sorted(row for row, _ in seen) == list(range(80))
    assert all(item == plain(plan[row]) for row, item in seen)
    some = ranks[0].__getitems__([0, len(ranks[0]) - 1])
    assert [item["row"] for item in some] == [0, (len(ranks[0]) - 1) * world]
    later = [plan.rank(r, world, start=33) for r in range(world)]
    assert sorted(item["row"] for rank in later for item in rank) == list(range(33, 80))
    assert all([item["row"] for item in rank][:1] in ([], [33 + r]) for r, rank in enumerate(later))
    with pytest.raises(StoreError, match="ranks are numbered from 0"):
        plan.rank(world, world)
    with pytest.raises(StoreError, match="start 81: the plan has rows 0 to 80"):
        plan.rank(0, world, 81)


@pytest.mark.parametrize("per_step", [1, 2])
def test_micro_batches_cut_steps_and_nothing_else(plan: Plan, per_step: int) -> None:
    micro = plan.micro_batches(per_step)
    rows = np.concatenate([micro[j]["row"] for j in range(len(micro))])
    assert rows.tolist() == [*range(48), *range(50, 80)]  # 50 rows are 12 steps of 4, and 2 more
    assert (micro.steps, micro.left_out) == (17, 2)
    shapes = [micro[j]["input_ids"].shape for j in (0, len(micro) - 1)]
    assert shapes == [(4 // per_step, 32), (6 // per_step, 48)]
    for number in range(len(micro)):
        assert micro.number(micro.position(number)) == number
    assert plain(micro[3])["labels"][0] == plain(plan[micro.position(3)])["labels"]
    with pytest.raises(IndexError):
        micro[len(micro)]


def test_micro_batches_that_do_not_divide_a_step_are_errors(plan: Plan) -> None:
    with pytest.raises(StoreError, match="segment 0 has 4 rows a step; choose a divisor"):
        plan.micro_batches(3)
    with pytest.raises(StoreError, match="inside a micro-batch of 4 rows"):
        plan.micro_batches(1).number(3)


def test_a_state_is_one_position_of_one_mixture(plan: Plan, tmp_path: Path) -> None:
    state = json.loads(json.dumps(plan.state(33)))
    assert plan.resume(state) == 33 and state["mixture"] == plan.mixture
    assert open_plan(plan._store, state["mixture"]).resume(state) == 33
    other = make_plan(tmp_path, seed=1)
    with pytest.raises(StoreError, match=rf"{plan.mixture}.*{other.mixture}"):
        other.resume(state)
    retokenised = make_plan(tmp_path / "b", tokenizer="tokens/a.tokenizer@fedcba987654")
    with pytest.raises(StoreError, match=r"@0123456789ab.*@fedcba987654"):
        retokenised.resume(state)
    for row in (-1, 81, "3", None):
        with pytest.raises(StoreError, match="rows 0 to 80"):
            plan.resume({**state, "row": row})
    assert plan.resume(plan.state(80)) == 80


def test_a_plan_travels_by_name(plan: Plan) -> None:
    for thing in (plan, plan.rank(1, 3), plan.micro_batches(2)):
        sent = pickle.dumps(thing)
        assert len(sent) < 1000
        assert plain(pickle.loads(sent)[4]) == plain(thing[4])  # type: ignore[index]


def test_each_mixture_is_a_version(tmp_path: Path) -> None:
    """Also where the shapes of the rows are equal, and pieces, order or attention differ."""
    different: list[dict[str, Any]] = [{}, {"seed": 1}, {"attention": "row"}, {"injected": (3,)}]
    plans = [make_plan(tmp_path, **options) for options in different]
    assert len({plan.mixture for plan in plans}) == len(plans)
    for made in plans:
        opened = open_plan(tmp_path.as_posix(), made.mixture)
        assert opened.spec.attention == made.spec.attention
        assert [plain(row) for row in opened] == [plain(row) for row in made]
    again = make_plan(tmp_path)  # built before: the plan is that one again
    assert again.mixture == plans[0].mixture and again.spec.attention == "document"
    assert open_plan(Store(tmp_path), "mix@latest").mixture == again.mixture


def test_what_is_no_mixture_or_no_position_is_an_error(plan: Plan) -> None:
    store = plan._store
    with pytest.raises(StoreError, match="not a mixture"):
        open_plan(store, "tokens/a")
    with pytest.raises(StoreError, match=r"no dataset 'nix'.*did you mean 'mix'"):
        open_plan(store, "nix")
    with pytest.raises(StoreError, match="'mix@ffffffffffff': version or tag"):
        open_plan(store, "mix@ffffffffffff")
    for position in (-1, 80):
        with pytest.raises(IndexError, match="of a plan of 80 rows"):
            plan[position]
    with pytest.raises(IndexError, match=r"rows of \[32, 48\] tokens"):
        plan.rows([49, 50])


def test_tokens_beyond_the_vocabulary_are_an_error(tmp_path: Path) -> None:
    made = make_plan(tmp_path, vocab_size=100)
    with pytest.raises(StoreError, match="outside the vocabulary of 100"):
        made.rows(range(10))


@pytest.mark.parametrize(
    "piece, message",
    [
        ((10**6, 0, 1), "document 1000000, which has fewer, or is not there"),
        ((-1, 0, 1), "document -1"),
        ((0, 0, 51), "tokens 0 to 51 of document 0"),
        ((0, -1, 1), "tokens -1 to 0 of document 0"),
        ((0, 2**31 - 1, 2**31 - 1), "of document 0"),
    ],
)
def test_pieces_outside_their_documents_are_an_error_not_a_crash(
    tmp_path: Path, piece: tuple[int, int, int], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.mixtures.make_plan._row", lambda *_: [piece])
    made = make_plan(tmp_path, sources=1)
    with pytest.raises(StoreError, match=message):
        made[0]


def test_rows_longer_than_their_segment_are_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = []

    def longest(draw: Any, given: Any, seq: int) -> list[tuple[int, int, int]]:
        counts.append(int(given.max()))
        return [(int(given.argmax()), 0, counts[-1])]

    monkeypatch.setattr("tests.mixtures.make_plan._row", longest)
    made = make_plan(tmp_path, sources=1, segments=((4, 8, 2),))
    assert counts[0] > 8
    with pytest.raises(StoreError, match="longer than 8 tokens"):
        made[0]


def spec(**changes: Any) -> dict[str, Any]:
    segment = {"rows": 4, "seq": 8, "batch": 2, "block": [3, 1], "counts": [3, 1]}
    source = {"ref": "t@0123456789ab", "documents": 9, "tokens": 99, "pieces": 9}
    return {
        "format": 1,
        "name": "mix",
        "seed": 0,
        "tokenizer": "t.tokenizer@0123456789ab",
        "vocab_size": 10,
        "pad": 0,
        "attention": "document",
        "sources": [{"name": "a", "rows": 3, **source}, {"name": "b", "rows": 1, **source}],
        "segments": [segment],
        "injected": {"source": None, "positions": []},
        **changes,
    }


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"format": 2}, "plan format 2"),
        ({"segments": []}, "no segment"),
        ({"attention": "banded"}, "not document or row"),
        ({"injected": {"source": 1, "positions": [3, 1]}}, "must rise"),
        ({"injected": {"source": 1, "positions": [9]}}, "inside the plan's rows"),
    ],
)
def test_a_damaged_plan_is_an_error(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(StoreError, match=message):
        Spec(spec(**changes), "mix.plan@0123456789ab")


def test_a_block_that_does_not_give_its_counts_is_an_error() -> None:
    raw = spec()
    raw["segments"][0]["block"] = [2, 2]
    with pytest.raises(StoreError, match="build the mixture again"):
        Spec(raw, "mix.plan").locate(np.arange(4))
    raw["segments"][0]["counts"] = [2, 2]
    with pytest.raises(StoreError, match="source 'a' has 3 rows"):
        Spec(raw, "mix.plan")


def test_long_plans_need_no_long_table() -> None:
    """A thousand million rows: any position is located at once."""
    rows, block = 10**9, [45_000, 20_000, 536]
    raw = spec()
    from mixtures.plan.block import arrange, rows_of

    counts = rows_of(arrange(block), rows).tolist()
    raw["segments"] = [{"rows": rows, "seq": 8, "batch": 2, "block": block, "counts": counts}]
    raw["sources"] = [
        {**raw["sources"][0], "name": name, "rows": count}
        for name, count in zip("abc", counts, strict=True)
    ]
    made = Spec(raw, "mix.plan")
    source, row = made.locate(np.array([0, 65_536, rows - 1]))
    assert source[0] == source[1] == 0 and row[1] == 45_000
    last = int(source[-1])
    assert row[-1] == made.sources[last].first_row + counts[last] - 1
