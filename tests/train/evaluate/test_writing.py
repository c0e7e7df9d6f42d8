"""What models write: greedy and sampled, in any company; verifiers, pass@k, diversity, win rate."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.extras import needs

needs("torch", "transformers")

import torch  # noqa: E402

from gristmill.errors import RecipeError  # noqa: E402
from gristmill.store import Store  # noqa: E402
from synth.calls import Sampling  # noqa: E402
from tests.make_store import put  # noqa: E402
from tests.train.evaluate.make_bench import END, bench, byte_tokenizer, llama, save_model  # noqa: E402
from train.evaluate.answers import pass_at_k, verified  # noqa: E402
from train.evaluate.bench import Bench, open_bench  # noqa: E402
from train.evaluate.generate import Completion, generate  # noqa: E402
from train.evaluate.results import Measured  # noqa: E402
from train.evaluate.spec import parse_task  # noqa: E402
from train.evaluate.tasks.diversity import distinct, repeated  # noqa: E402

PROMPTS = ["one", "a longer prompt than that", "?", "two"]


def ids(texts: list[str]) -> list[list[int]]:
    return [byte_tokenizer().encode(text).ids for text in texts]


def test_greedy_writing_is_that_of_transformers(tmp_path: Path) -> None:
    measured = bench(tmp_path)
    found = generate(
        measured.model, measured.rendering, ids(PROMPTS), Sampling(12, temperature=0.0), 0,
        batch_tokens=64,
    )  # fmt: skip
    for prompt, (one,) in zip(ids(PROMPTS), found, strict=True):
        out = measured.model.generate(
            torch.tensor([prompt]), max_new_tokens=12, do_sample=False, pad_token_id=0
        )
        assert list(one.tokens) == out[0, len(prompt) :].tolist()
        assert one.finished == (one.tokens[-1] == byte_tokenizer().token_to_id(END))


def test_samples_are_their_own_whatever_the_batch_is(tmp_path: Path) -> None:
    measured = bench(tmp_path)
    sampling = Sampling(10, temperature=1.0)

    def written(tokens: int, seed: int = 0) -> list[list[Completion]]:
        return generate(measured.model, measured.rendering, ids(PROMPTS), sampling, seed, 3, tokens)

    alone, together = written(1), written(4096)
    assert [[c.tokens for c in row] for row in alone] == [[c.tokens for c in r] for r in together]
    assert len({one.tokens for one in together[0]}) == 3
    assert written(4096, seed=1) != together


def test_pass_at_k_is_the_share_of_subsets_that_pass() -> None:
    for samples, passed, k in ((5, 0, 2), (5, 2, 1), (6, 2, 3), (4, 4, 4), (5, 1, 5)):
        marks = [True] * passed + [False] * (samples - passed)
        subsets = list(combinations(marks, k))
        share = sum(any(one) for one in subsets) / len(subsets)
        assert pass_at_k(samples, passed, k) == pytest.approx(share)


def test_answers_are_judged_by_their_verifier_and_kept() -> None:
    rows = [
        {"id": "a", "prompt": "2+2?", "answer": "4", "verifier": "number", "topic": "sums"},
        {"id": "b", "prompt": "3+3?", "answer": "6", "verifier": "number", "topic": "sums"},
        {"id": "c", "prompt": "say x", "answer": "x", "verifier": "exact", "topic": "words"},
    ]
    written = [[_said("4"), _said("5")], [_said("6"), _said("It is 6.", False)], None]
    found = verified(rows, written, None, (1, 2), "topic")
    values = {(s.metric, s.source): s.value for s in found.scores}
    assert values["score", "sums"] == pytest.approx(0.75)
    assert values["pass@1", "sums"] == pytest.approx(0.75)
    assert values["pass@2", "sums"] == 1.0
    assert values["score", "words"] == 0 and values["pass@2", "all"] == pytest.approx(2 / 3)
    assert len(found.items) == 5
    assert any("1 of 3 prompts do not fit" in note for note in found.notes)
    assert any("1 of 4 completions were cut" in note for note in found.notes)


def _said(text: str, finished: bool = True) -> Completion:
    return Completion(text, (1, 2), finished, -1.0)


def test_an_unnamed_verifier_is_an_error() -> None:
    with pytest.raises(RecipeError, match="names no verifier"):
        verified([{"id": "a", "prompt": "p"}], [[_said("x")]], None, (), None)


def test_a_prompt_that_does_not_fit_scores_nothing() -> None:
    row = {"id": "a", "prompt": "p", "answer": "4", "verifier": "number"}
    (score,) = verified([row], [None], None, (), None).scores
    assert (score.metric, score.value) == ("score", 0.0)


def test_completions_that_cannot_fit_the_model_are_refused(tmp_path: Path) -> None:
    measured = bench(tmp_path)
    task = parse_task({"procedural": {"task": "sums", "max_tokens": measured.longest}})
    with pytest.raises(RecipeError, match="prompt and completion together; give fewer"):
        task.measure(measured)


def test_diversity_by_hand() -> None:
    assert distinct(["a b a b", "a b"], 1) == pytest.approx(2 / 6)
    assert distinct(["a b a b", "a b"], 2) == pytest.approx(2 / 4)
    assert distinct([""], 2) == 0
    assert repeated("a b c d a b c d", 4) == pytest.approx(1 - 4 / 5)
    assert repeated("a b c d", 4) == 0


def put_prompts(store: Store, count: int = 6) -> None:
    rows: dict[str, Any] = {
        "id": [f"p{n}" for n in range(count)],
        "prompt": [f"Question {n}: how many? " for n in range(count)],
        "answer": [str(n) for n in range(count)],
        "verifier": ["number"] * count,
    }
    put(store, "prompts/few", {"": ("prompt", [pa.table(rows)])})


def opened(tmp: Path, more: dict[str, str] | None = None) -> Bench:
    store = Store(tmp / "store")
    folder = save_model(tmp / "model")
    inputs = {"prompts/few": store["prompts/few"].ref, **(more or {})}
    about = bench(tmp, model=llama(257), inputs=inputs)
    return open_bench(folder, about)


def values(found: Measured) -> dict[str, float]:
    return {s.metric: s.value for s in found.scores}


def test_rows_of_the_store_are_asked(tmp_path: Path) -> None:
    put_prompts(Store(tmp_path / "store"))
    task = parse_task({"rows": {"data": "prompts/few", "where": "id < 'p4'", "max_tokens": 5}})
    found = task.measure(opened(tmp_path))
    assert [item.item for item in found.items] == ["p0", "p1", "p2", "p3"]
    assert all(item.tokens and item.tokens <= 5 for item in found.items)
    assert values(found)["score"] == sum(item.score for item in found.items) / 4


def test_a_procedural_task_has_its_own_seed(tmp_path: Path) -> None:
    put_prompts(Store(tmp_path / "store"))
    asked = []
    for seed in (1, 1, 2):
        task = {"procedural": {"task": "sums", "count": 5, "max_tokens": 4, "seed": seed}}
        found = parse_task(task).measure(opened(tmp_path))
        asked.append([item.prompt for item in found.items])
    assert asked[0] == asked[1] != asked[2]


def test_a_model_wins_half_against_itself(tmp_path: Path) -> None:
    put_prompts(Store(tmp_path / "store"))
    measured = opened(tmp_path)
    task = {"data": "prompts/few", "against": str(tmp_path / "model"), "verifier": "row"}
    found = parse_task({"win_rate": {**task, "max_tokens": 5}}).measure(measured)
    assert values(found) == {"win_rate": 0.5, "ties": 1.0}
    assert all(item.completion == item.answer for item in found.items)


def test_judgements_of_others_are_counted_with_ties_half(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    put_prompts(store)
    wins = [1.0] * 30 + [0.5] * 10 + [0.0] * 10
    table = pa.table({"id": [str(n) for n in range(50)], "wins": wins})
    judged = put(store, "synth/judged", {"": ("rows", [table])})
    measured = opened(tmp_path, {"synth/judged": judged.ref})
    found = parse_task({"win_rate": {"judged": "synth/judged"}}).measure(measured)
    (rate,) = [s for s in found.scores if s.metric == "win_rate"]
    assert rate.value == pytest.approx(0.7)
    assert rate.low is not None and rate.high is not None
    assert 0.55 < rate.low < 0.65 and 0.75 < rate.high < 0.85  # 0.7 ± 0.11
    assert values(found)["ties"] == pytest.approx(0.2)


def test_diversity_of_a_model(tmp_path: Path) -> None:
    put_prompts(Store(tmp_path / "store"))
    task = parse_task({"diversity": {"data": "prompts/few", "samples": 2, "max_tokens": 6}})
    found = values(task.measure(opened(tmp_path)))
    assert 0 < found["distinct_1"] <= 1 and 0 < found["tokens"] <= 6
    assert found["truncated"] > 0.5  # random weights rarely end


def test_a_chat_template_is_used_where_there_is_one(tmp_path: Path) -> None:
    from train.evaluate.prompts import encode

    template = "{% for m in messages %}<{{ m['content'] }}>{% endfor %}"
    measured = bench(tmp_path, template=template)
    decode = byte_tokenizer().decode
    sampling = Sampling(4)
    chat, raw = (encode(measured, ["hi"], sampling, chat)[0] or [] for chat in (None, False))
    assert (decode(chat), decode(raw)) == ("<hi>", "hi")
    assert encode(measured, ["hi", "x" * 300], sampling, None)[1] is None


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ({"rows": {"data": "p", "samples": 4, "temperature": 0}}, "all alike"),
        ({"rows": {"data": "p", "pass_at": [4]}}, "needs as many samples"),
        ({"copy": {"span": 4, "cue": 4}}, "shorter than its span"),
        ({"loss": {"data": "d", "length": 8, "stride": 8}}, "without context"),
    ],
)
def test_mistakes_are_told_before_a_model_is_loaded(task: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        parse_task(task).check()


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ("nedle", "did you mean 'needle'"),
        ({"needle": {"length": [5]}}, "did you mean 'lengths'"),
        ({"procedural": "summs"}, "did you mean 'sums'"),
        ({"rows": {"data": "p", "verifier": "numbr"}}, "did you mean 'number'"),
        ({"win_rate": {"data": "p", "against": "m"}}, "needs one of"),
        ({"win_rate": {"verifier": "row"}}, "needs `data`"),
        ({"needle": {"depths": [2]}}, "from 0 to 1"),
    ],
)
def test_unknown_names_are_told_with_the_nearest(task: Any, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        parse_task(task)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)
