"""Adapters: what learns, what is merged, what is kept apart."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from gristmill.errors import RecipeError
from tests.extras import needs

needs("torch", "transformers", "peft")

import torch  # noqa: E402
from transformers import AutoModelForCausalLM  # noqa: E402

from tests.train.models.make_model import LLAMA, ids, job, make, save  # noqa: E402
from train.losses.cross_entropy import CrossEntropy  # noqa: E402
from train.models.adapters import adapt, check_packages, targets  # noqa: E402
from train.models.experts import balanced  # noqa: E402
from train.models.open import load_folder, open_model  # noqa: E402
from train.spec import Lora, ModelSpec  # noqa: E402


def trained(model: torch.nn.Module) -> torch.nn.Module:
    """As after some steps: the adapter is not zero any more."""
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight.add_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(3)))
    return model


@pytest.mark.parametrize("merge", [True, False])
def test_an_adapter_learns_and_ends_in_the_weights_or_apart(tmp_path: Path, merge: bool) -> None:
    base = save(make(LLAMA), tmp_path / "base")
    lora = {"r": 2, "alpha": 4, "targets": ["q_proj", "v_proj"], "merge": merge}
    opened = open_model(job(tmp_path, {"init": str(base), "model": {"lora": lora}}))
    learns = {name for name, weight in opened.model.named_parameters() if weight.requires_grad}
    assert learns and all("lora_" in name for name in learns)
    assert opened.facts["trained_parameters"] == 2 * 2 * 2 * 32 + 2 * 2 * (32 + 16)
    before = load_folder(base).eval()(input_ids=ids()).logits
    torch.testing.assert_close(opened.model.eval()(input_ids=ids()).logits, before)

    after = trained(opened.model)(input_ids=ids()).logits
    assert float((after - before).abs().max()) > 0.01
    folder = tmp_path / "made"
    folder.mkdir()
    opened.finish(opened.model, folder).save_pretrained(folder)
    plain = AutoModelForCausalLM.from_pretrained(folder, dtype="float32").eval()
    kept = plain(input_ids=ids()).logits
    torch.testing.assert_close(kept, after if merge else before, atol=1e-4, rtol=1e-4)
    assert (folder / "adapter" / "adapter_model.safetensors").is_file() is not merge
    # The next stage begins from what was trained, either way.
    again = load_folder(folder).eval()(input_ids=ids()).logits
    torch.testing.assert_close(again, after, atol=1e-4, rtol=1e-4)


def test_modules_that_are_not_there_are_refused() -> None:
    with pytest.raises(RecipeError, match="did you mean 'q_proj'"):
        targets(make(LLAMA), Lora(targets=("q_porj",)))
    assert targets(make(LLAMA), Lora()) == "all-linear"


def test_quantised_weights_say_early_what_they_need() -> None:
    if find_spec("bitsandbytes") is not None and torch.cuda.is_available():
        pytest.skip("this machine has what it takes")
    words = "GPU" if find_spec("bitsandbytes") is not None else "pip install bitsandbytes"
    with pytest.raises(RecipeError, match=words):
        check_packages(ModelSpec(quantize="nf4", lora=Lora()))


def test_routers_are_read_through_an_adapter() -> None:
    """The adapter makes a subclass of the router's class."""
    experts = {"model_type": "mixtral", "num_local_experts": 3, "num_experts_per_tok": 2}
    model, _ = adapt(make({**LLAMA, **experts}), ModelSpec(lora=Lora(r=2)), None)
    places = torch.arange(ids().shape[1]).expand_as(ids())
    batch = {"input_ids": ids(), "labels": ids(), "position_ids": places}
    found = balanced(model, CrossEntropy())(model, batch, None)
    assert 0 <= float(found.metrics["experts/least_share"]) <= 1 / 3


def test_random_weights_are_not_quantised(tmp_path: Path) -> None:
    made = {"init": {"config": LLAMA}, "model": {"lora": {}, "quantize": "nf4"}}
    with pytest.raises(RecipeError, match=r"model.quantize is of a checkpoint's weights"):
        job(tmp_path, made).step.check()
