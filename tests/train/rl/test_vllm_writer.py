"""vLLM writes for a policy: with its weights of now, adapters too, and the same text each time."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.extras import needs

needs("torch", "transformers", "peft", "vllm")

import torch  # noqa: E402

from gristmill.errors import RecipeError  # noqa: E402
from tests.train.rl.tiny_policy import FEW_HEADS, new_model, prompts  # noqa: E402
from train.losses.policy import token_logps  # noqa: E402
from train.models.adapters import adapt  # noqa: E402
from train.rl.critic import attach  # noqa: E402
from train.rl.forward import in_columns, laid_out, passed, targets  # noqa: E402
from train.rl.sample import Drawing, Written  # noqa: E402
from train.rl.vllm_writer import VllmWriter  # noqa: E402
from train.rl.weights import plain_weights  # noqa: E402
from train.spec import Lora, ModelSpec  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
GIVEN = [prompt.ids[: 4 + n % 5] for n, prompt in enumerate(prompts(16, seed=1))]
SEEDS = list(range(2**62, 2**62 + 16))
HOW = Drawing(max_tokens=12, temperature=1.3, top_p=1.0, stop=(0, 4))


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VllmWriter]:
    made = VllmWriter(tmp_path_factory.mktemp("engine"), 64, 16, "float32", False)
    yield made
    made.close()


def sharp(seed: int, **sizes: Any) -> Any:
    """A policy whose distributions are far from flat."""
    model = new_model(seed, **FEW_HEADS, **sizes).eval()
    with torch.no_grad():
        model.model.embed_tokens.weight.mul_(3)
    return model


def gap(policy: Any, written: list[Written], how: Drawing = HOW) -> float:
    """The largest difference between the engine's log-probabilities and the policy's."""
    ids = [one.ids for one in written]
    batch = laid_out(GIVEN, ids, [True] * len(ids), policy.device)
    with torch.no_grad():
        own = token_logps(passed(policy, batch, how.temperature).logits, targets(batch))
    theirs = in_columns([one.logps or [] for one in written], batch["written"])
    return float(((own - theirs) * batch["written"]).abs().max())


def test_each_batch_is_written_with_the_weights_of_now(writer: VllmWriter) -> None:
    found = []
    for seed in range(3):
        policy = sharp(seed)
        attach(policy, "head")  # a critic is no part of what writes
        found.append(writer(policy, GIVEN, SEEDS, HOW))
        assert gap(policy, found[-1]) < 1e-4
        for one in found[-1]:
            assert one.ended == (one.ids[-1] in HOW.stop)
            assert not set(one.ids[:-1]) & set(HOW.stop) and len(one.ids) <= HOW.max_tokens
    assert found[0] != found[1] != found[2]
    assert {one.ended for one in found[0]} == {True, False}, "both ends are to be tried"


def test_a_seed_gives_the_same_text_again_and_in_other_company(writer: VllmWriter) -> None:
    policy = sharp(0)
    found = writer(policy, GIVEN, SEEDS, HOW)
    assert writer(policy, GIVEN, SEEDS, HOW) == found
    alone = [writer(policy, GIVEN[n : n + 1], SEEDS[n : n + 1], HOW)[0] for n in range(4)]
    assert [one.ids for one in alone] == [one.ids for one in found[:4]]
    other = writer(policy, GIVEN, [seed + 100 for seed in SEEDS], HOW)
    assert [one.ids for one in other] != [one.ids for one in found]


def test_draws_follow_the_policy_and_top_p_cuts_its_tail(writer: VllmWriter) -> None:
    policy = new_model(0, **FEW_HEADS).eval()
    with torch.no_grad():
        policy.model.embed_tokens.weight.mul_(4)
        weights = policy(torch.tensor([GIVEN[0]])).logits[0, -1].softmax(-1)
    count = 2000
    for top_p in (1.0, 0.8):
        how = Drawing(1, 1.0, top_p, ())
        made = writer(policy, [GIVEN[0]] * count, range(count), how)
        shares = (
            torch.bincount(torch.tensor([one.ids[0] for one in made]), minlength=len(weights))
            / count
        )
        order = weights.argsort(descending=True)
        kept = weights[order].cumsum(0) - weights[order] < top_p
        wanted = torch.zeros_like(weights)
        wanted[order[kept]] = weights[order[kept]] / weights[order[kept]].sum()
        assert float((shares - wanted).abs().max()) < 0.04  # three and a half standard errors
        assert bool((shares[wanted == 0] == 0).all())


def test_writing_leaves_random_numbers_and_threads_as_they_were(writer: VllmWriter) -> None:
    before = torch.get_rng_state(), random.getstate(), torch.get_num_threads()
    writer(sharp(0), GIVEN, SEEDS, HOW)
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1:] == (random.getstate(), torch.get_num_threads())


def test_an_adapter_is_written_with_and_stays_apart(tmp_path: Path) -> None:
    policy, _ = adapt(sharp(0), ModelSpec(lora=Lora(r=4)), None)
    with torch.no_grad():
        for name, weight in policy.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.1)
    before = {name: weight.clone() for name, weight in policy.state_dict().items()}
    plain = plain_weights(policy.get_base_model(), True)
    assert plain.keys() == sharp(0).state_dict().keys()
    writer = VllmWriter(tmp_path, 64, 16, "float32", True)
    try:
        written = writer(policy.eval(), GIVEN, SEEDS, HOW)
    finally:
        writer.close()
    assert gap(policy, written) < 1e-4
    with policy.disable_adapter():
        assert gap(policy, written) > 0.01
    assert all(torch.equal(weight, before[n]) for n, weight in policy.state_dict().items())


def test_a_model_that_vllm_does_not_know_is_told(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    from train.models.layerwise import LayerwiseLlamaConfig

    config = LayerwiseLlamaConfig(
        vocab_size=17, hidden_size=64, head_dim=32, num_hidden_layers=2, ffn_divisor=32
    )
    writer = VllmWriter(tmp_path, 64, 16, "float32", False)
    with pytest.raises(RecipeError, match="cannot open LayerwiseLlamaForCausalLM"):
        writer(AutoModelForCausalLM.from_config(config), GIVEN, SEEDS, HOW)
    writer.close()
