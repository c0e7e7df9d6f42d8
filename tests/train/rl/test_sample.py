"""Completions: drawn as the distribution says, whatever their company."""

from __future__ import annotations

from tests.extras import needs

needs("torch", "transformers")

import numpy as np  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402

from gristmill.rng import keyed_uniform  # noqa: E402
from tests.train.rl.tiny_policy import new_model, prompts  # noqa: E402
from train.rl.sample import Drawing, Written, choose, write  # noqa: E402

STOP = (0, 4)
HOW = Drawing(max_tokens=12, temperature=1.3, top_p=1.0, stop=STOP)


@pytest.fixture(scope="module")
def model() -> torch.nn.Module:
    return new_model().eval().double()


def plain(model: torch.nn.Module, prompt: list[int], seed: int, how: Drawing) -> Written:
    """One completion without cache, padding or company."""
    ids, uniforms = list(prompt), keyed_uniform(seed, np.arange(how.max_tokens, dtype=np.uint64))
    for place in range(how.max_tokens):
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([ids])).logits[0, -1].float()
        weights = (logits / how.temperature).softmax(-1, dtype=torch.float64)
        ids.append(int((weights.cumsum(0) <= uniforms[place] * weights.sum()).sum()))
        if ids[-1] in how.stop:
            return Written(ids[len(prompt) :], True)
    return Written(ids[len(prompt) :], False)


def test_a_batch_writes_what_each_prompt_alone_would(model: torch.nn.Module) -> None:
    given = [prompt.ids[: 4 + n % 5] for n, prompt in enumerate(prompts(12, seed=1))]
    seeds = list(range(100, 112))
    found = write(model, given, seeds, HOW)
    wanted = [plain(model, ids, seed, HOW) for ids, seed in zip(given, seeds, strict=True)]
    assert found == wanted
    assert {one.ended for one in found} == {True, False}, "both ends are to be tried"
    assert write(model, given[3:5], seeds[3:5], HOW) == wanted[3:5]


def test_all_ranks_make_as_many_passes_as_the_slowest(model: torch.nn.Module) -> None:
    given = [prompt.ids for prompt in prompts(3, seed=1)]
    asked: list[bool] = []

    def another_goes_on(flag: bool) -> bool:
        asked.append(flag)
        return True

    alone = write(model, given, [1, 2, 3], HOW)
    assert write(model, given, [1, 2, 3], HOW, another_goes_on) == alone
    assert len(asked) == HOW.max_tokens


def test_a_cold_temperature_writes_the_most_probable_tokens(model: torch.nn.Module) -> None:
    ids = prompts(1, seed=2)[0].ids
    found = write(model, [ids], [0], Drawing(6, 1e-4, 1.0, ()))[0]
    wanted = model.generate(
        torch.tensor([ids]), max_new_tokens=6, do_sample=False, eos_token_id=None, pad_token_id=1
    )
    assert found.ids == wanted[0, len(ids) :].tolist()


def test_draws_follow_the_distribution_and_top_p_cuts_its_tail() -> None:
    weights = torch.tensor([0.1, 0.5, 0.15, 0.25], dtype=torch.float64)
    uniforms = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000
    logits = weights.log().expand(1000, 4)
    shares = torch.bincount(choose(logits, 1.0, uniforms), minlength=4) / 1000
    assert shares.tolist() == pytest.approx(weights.tolist(), abs=2e-3)
    kept = torch.bincount(choose(logits, 0.7, uniforms), minlength=4) / 1000
    assert kept.tolist() == pytest.approx([0, 2 / 3, 0, 1 / 3], abs=2e-3)
    assert choose(logits[:1], 1.0, torch.tensor([1 - 1e-17])).item() == 3
