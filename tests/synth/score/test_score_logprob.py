"""Log importance weights of latent thoughts equal a count by brute force over a real model."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from gristmill.errors import RecipeError
from synth.calls import Answer, Call, Engine, Failure, ScoreTokens
from synth.engines.spec import parse_spec
from synth.items import Item
from synth.ops import parse_op
from synth.prompt import Rendered
from tests.extras import needs
from tests.synth.by_hand import Answers, answers_of, drive, lost, row, samples

LETTERS = "abcd "
PREFIX, SUFFIX = "a cab ", " dab"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of random weights over five letters and an end: every text is few tokens."""
    needs("torch", "transformers")
    import torch
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    home = tmp_path_factory.mktemp("letters")
    vocabulary = {token: number for number, token in enumerate(["<s>", "<end>", *LETTERS])}
    core = Tokenizer(models.WordLevel(vocabulary, unk_token="a"))
    core.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    core.decoder = decoders.Fuse()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, bos_token="<s>", eos_token="<end>")
    tokenizer.save_pretrained(home)
    config = LlamaConfig(
        vocab_size=len(vocabulary), hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=2, max_position_embeddings=64, bos_token_id=0, eos_token_id=1,
        initializer_range=0.4,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(7)
        LlamaForCausalLM(config).save_pretrained(home)
    return home


@pytest.fixture(scope="module")
def engine(folder: Path) -> Iterator[Engine]:
    spec = {"transformers": {"model": str(folder), "device": "cpu", "dtype": "float32"}}
    made = parse_spec("main", spec).open()
    made.start()
    yield made
    made.close()


def thoughts(engine: Engine, count: int, **sampling: Any) -> list[Item]:
    """Thoughts sampled after prefix and suffix."""
    item = Item({"prefix": PREFIX, "suffix": SUFFIX})
    item.prompt = Rendered(text=PREFIX + SUFFIX)
    options = {"n": count, "max_tokens": 12, **sampling}
    return drive(parse_op({"sample": options}), [item], row(), answers_of(engine))


@lru_cache(maxsize=1)
def loaded(folder: Path) -> tuple[Any, Any]:
    """Tokenizer and model, apart from the engine."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64).eval()
    return AutoTokenizer.from_pretrained(folder), model


def brute_force(folder: Path, before: str, after: str, end: bool = False) -> float:
    """log P(after | before), a token and a forward pass at a time, in 64 bits."""
    import torch

    tokenizer, model = loaded(folder)
    told = [tokenizer.convert_tokens_to_ids(letter) for letter in before]
    coming = [tokenizer.convert_tokens_to_ids(letter) for letter in after] + [1] * end
    start = tokenizer("a")["input_ids"][:-1]  # what the tokenizer puts before a text
    total = 0.0
    with torch.inference_mode():
        for token in coming:
            logits = model(torch.tensor([start + told])).logits[0, -1]
            total += math.log(torch.softmax(logits, -1)[token].item())
            told.append(token)
    return total


@pytest.mark.slow
def test_weights_equal_a_count_by_brute_force(engine: Engine, folder: Path) -> None:
    op = parse_op({"score": {"logprob": {"open": "dd", "close": " "}}})
    items = [i for i in thoughts(engine, 40) if i.answer.token_ids.count(0) == 0]  # no <s> in it
    of = row()
    found = drive(op, items, of, answers_of(engine))
    assert len(found) == len(items) >= 5 and not of.lost
    assert set(op.fields()) == {"log_weight", "log_weight_p", "log_weight_q"}
    for item in found[:5]:
        latent = item.fields["response"]
        log_q = brute_force(folder, PREFIX + SUFFIX, latent, end=True)
        log_p = brute_force(folder, PREFIX, f"dd{latent} {SUFFIX}")
        assert item.fields["log_weight_q"] == pytest.approx(log_q, abs=1e-3)
        assert item.fields["log_weight_p"] == pytest.approx(log_p, abs=1e-3)
        assert item.fields["log_weight"] == pytest.approx(log_p - log_q, abs=2e-3)


def test_one_call_a_thought_scored_after_the_prefix() -> None:
    (item,) = samples({"prefix": "P ", "suffix": " S", "z": "Z"})
    item.logprob = -2.5
    seen: list[Call] = []

    def answer(calls: list[Call]) -> Answers:
        seen.extend(calls)
        return [Answer(logprob=-10.0)]

    op = parse_op({"score": {"logprob": {"of": "z", "open": "<", "close": ">", "engine": "p"}}})
    (found,) = drive(op, [item], row(), answer)
    assert seen == [ScoreTokens("p", text="<Z> S", prefix_text="P ")] and op.engines() == ["p"]
    assert found.fields["log_weight"] == -7.5


@pytest.mark.slow
def test_weights_turn_the_proposal_into_the_posterior(engine: Engine, folder: Path) -> None:
    """q(Z) exp(w(Z)) is in proportion to p(Z | prefix, suffix): for all Z of one letter."""
    close = "d"
    posterior = {z: math.exp(brute_force(folder, PREFIX, f"c{z}{close}{SUFFIX}")) for z in LETTERS}
    whole = sum(posterior.values())
    proposal = {z: brute_force(folder, PREFIX + SUFFIX, z) for z in LETTERS}
    op = parse_op({"score": {"logprob": {"open": "c", "close": close}}})
    items = samples(*({"prefix": PREFIX, "suffix": SUFFIX, "response": z} for z in LETTERS))
    for item in items:
        item.logprob = proposal[item.fields["response"]]
    weighted = drive(op, items, row(), answers_of(engine))
    mass = {
        i.fields["response"]: math.exp(i.fields["log_weight"] + proposal[i.fields["response"]])
        for i in weighted
    }
    for z in LETTERS:
        assert mass[z] / sum(mass.values()) == pytest.approx(posterior[z] / whole, abs=1e-3)


@pytest.mark.slow
def test_a_thought_drawn_otherwise_is_refused(engine: Engine) -> None:
    op = parse_op({"score": "logprob"})
    settings: list[tuple[dict[str, Any], str]] = [
        ({"temperature": 0.7}, "with temperature 0.7"),
        ({"top_p": 0.9}, "with top_p 0.9"),
        ({"top_k": 3}, "with top_k 3"),
    ]
    for sampling, words in settings:
        items = thoughts(engine, 8, truncated="keep", **sampling)
        with pytest.raises(RecipeError, match=f"{words}.*sample them with"):
            drive(op, items, row(), answers_of(engine))


def test_failures_are_typed() -> None:
    fields = {"prefix": "a", "suffix": "b", "response": "c"}
    items = samples(fields, fields, fields, {**fields, "suffix": None})
    for item, logprob in zip(items, [-1.0, -1.0, None, -1.0], strict=True):
        item.logprob = logprob
    of = row()
    answers: Answers = [Failure("too_long"), Answer(logprob=-math.inf)]
    assert drive(parse_op({"score": "logprob"}), items, of, lambda calls: answers) == []
    assert Counter(lost(of)) == {("score.logprob", "missing"): 3, ("score.logprob", "too_long"): 1}
