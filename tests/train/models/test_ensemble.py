"""Several models as one: what is summed, token by token, with and without the cache."""

from __future__ import annotations

from typing import Literal

import pytest

from gristmill.errors import RecipeError
from tests.extras import needs

needs("torch", "transformers")

import torch  # noqa: E402

from tests.train.models.make_model import LAYERWISE, LLAMA, ids, make  # noqa: E402
from train.models.ensemble import Ensemble, emulated  # noqa: E402

A = make(LLAMA, 0)
WIDER = make({**LLAMA, "hidden_size": 64, "num_hidden_layers": 3}, 1)
OTHER = make(LAYERWISE, 2)


@torch.no_grad()
def log_p(model: torch.nn.Module, tokens: torch.Tensor) -> torch.Tensor:
    found: torch.Tensor = model(input_ids=tokens, use_cache=False).logits.log_softmax(-1)
    return found


@pytest.mark.parametrize("over", ["probabilities", "logits"])
def test_generation_takes_the_best_of_the_mean(over: Literal["probabilities", "logits"]) -> None:
    both = Ensemble([A, WIDER, OTHER], over).eval()
    made = both.generate(ids(), max_new_tokens=8, do_sample=False, eos_token_id=None)
    tokens = ids()
    for _ in range(8):
        told = torch.stack([log_p(model, tokens)[:, -1] for model in (A, WIDER, OTHER)])
        mean = told.exp().mean(0) if over == "probabilities" else told.mean(0)
        tokens = torch.cat([tokens, mean.argmax(-1, keepdim=True)], 1)
    assert torch.equal(made, tokens)


def test_beams_with_the_shared_cache_are_beams_without_one() -> None:
    both = Ensemble([A, OTHER]).eval()
    options = {"max_new_tokens": 6, "do_sample": False, "num_beams": 3, "eos_token_id": None}
    cached = both.generate(ids(), **options)
    assert torch.equal(cached, both.generate(ids(), use_cache=False, **options))


def test_probabilities_sum_to_one_and_equal_members_change_nothing() -> None:
    both = Ensemble([A, WIDER]).eval()
    torch.testing.assert_close(
        both(input_ids=ids()).logits.exp().sum(-1), torch.ones(ids().shape), atol=1e-5, rtol=0
    )
    for over in ("probabilities", "logits"):
        same = Ensemble([A, A, A], over)  # type: ignore[arg-type]
        torch.testing.assert_close(log_p(same, ids()), log_p(A, ids()), atol=1e-5, rtol=1e-5)


def test_emulated_fine_tuning_adds_what_tuning_changed() -> None:
    tuned = make(LLAMA, 5)
    made = log_p(emulated(WIDER, tuned, A, 0.7), ids())
    wanted = log_p(WIDER, ids()) + 0.7 * (log_p(tuned, ids()) - log_p(A, ids()))
    torch.testing.assert_close(made, wanted.log_softmax(-1), atol=1e-4, rtol=1e-4)
    untouched = log_p(emulated(WIDER, A, A), ids())
    torch.testing.assert_close(untouched, log_p(WIDER, ids()), atol=1e-4, rtol=1e-4)


def test_models_of_other_vocabularies_are_refused() -> None:
    with pytest.raises(RecipeError, match="one tokenizer"):
        Ensemble([A, make(LLAMA, vocab_size=301)])
