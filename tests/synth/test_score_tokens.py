"""The op score_tokens on a real model: sums, counts, what comes before, rows of a teacher."""

from __future__ import annotations

from typing import Any

import pytest

from synth.engines.spec import parse_spec
from synth.items import Item, Row
from synth.ops import SynthOp, parse_op
from tests.extras import needs
from tests.synth.engines.tiny import build_llama, one_thread, run

needs("torch", "transformers")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = build_llama(tmp_path_factory.mktemp("llama"))
    made = parse_spec("main", {"transformers": {"model": str(folder)}}).open()
    made.start()
    one_thread()
    return made


def row() -> Row:
    return Row("r", 0, {}, 1)


def scored(op: SynthOp, items: list[Item], engine: Any, of: Row) -> list[Item]:
    flow = op.run(items, of)
    try:
        calls = next(flow)
        flow.send(run(engine, calls))
    except StopIteration as end:
        found: list[Item] = end.value
        return found
    raise AssertionError("it asked twice")


def test_sums_and_counts(engine: Any) -> None:
    items = [Item({"text": "abc", "ask": "xy"}), Item({"text": "abcdef", "ask": "x"})]
    alone = scored(parse_op("score_tokens"), items, engine, row())
    assert [item.fields["score_tokens"] for item in alone] == [3, 6]
    assert alone[0].fields["score_logprob"] == pytest.approx(sum(alone[0].answer.token_logprobs))
    op = parse_op({"score_tokens": {"after": "ask", "into": "told"}})
    told = scored(op, items, engine, row())
    assert set(op.fields()) <= set(told[0].fields) and told[0].fields["told_tokens"] == 3
    assert told[0].fields["told_logprob"] != pytest.approx(alone[0].fields["score_logprob"])
    both = scored(parse_op("score_tokens"), [Item({"text": "xyabc"})], engine, row())
    part = both[0].answer.token_logprobs[2:]
    assert told[0].fields["told_logprob"] == pytest.approx(sum(part), abs=1e-3)


def test_rows_of_a_teacher(engine: Any) -> None:
    op = parse_op({"score_tokens": {"top": 4}})
    (item,) = scored(op, [Item({"text": "abc"})], engine, row())
    assert len(item.answer.token_ids) == len(item.answer.top_ids) == 3
    assert all(len(ids) == 4 for ids in item.answer.top_ids)
    assert all(best == sorted(best, reverse=True) for best in item.answer.top_logprobs)
    assert item.made[-1].stage == "score_tokens" and item.made[-1].key


def test_what_cannot_be_scored_fails_alone(engine: Any) -> None:
    of = row()
    items = [Item({"text": "ok"}), Item({"text": None}), Item({"text": "x" * 400})]
    assert len(scored(parse_op("score_tokens"), items, engine, of)) == 1
    assert [lost.reason for lost in of.lost] == ["missing", "too_long"]
    assert all(lost.failed for lost in of.lost)
