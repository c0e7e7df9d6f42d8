"""Optimisers: what decays, what muon takes, their state beside the weights and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.extras import needs

needs("torch", "transformers", "safetensors")

import torch  # noqa: E402

from gristmill.errors import RecipeError  # noqa: E402
from tests.train.models.make_model import LLAMA, ids, make  # noqa: E402
from train.loop.optim import open_optimizer  # noqa: E402
from train.loop.optim_state import carry_state, named, save_state, state_of  # noqa: E402
from train.spec import Optim  # noqa: E402

NAMES = ("adamw", "sgd", "rmsprop", "muon")


def steps(model: Any, optimizer: Any, count: int) -> None:
    for seed in range(count):
        tokens = ids(seed=seed)
        model(input_ids=tokens, labels=tokens).loss.backward()
        optimizer.step()
        optimizer.zero_grad()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("tied", [True, False])
def test_matrices_decay_and_nothing_else_does(name: Any, tied: bool) -> None:
    model = make({**LLAMA, "attention_bias": True, "tie_word_embeddings": tied})
    optimizer = open_optimizer(model, Optim(name=name, weight_decay=0.2))
    decays = {n: g["weight_decay"] for g in optimizer.param_groups for n in g["param_names"]}
    assert set(decays) == {n for n, _ in model.named_parameters()}
    for parameter, decay in decays.items():
        matrix = "proj.weight" in parameter or parameter == "lm_head.weight"
        assert decay == (0.2 if matrix else 0.0), parameter


def test_muon_takes_the_matrices_of_the_layers() -> None:
    model = make({**LLAMA, "tie_word_embeddings": False})
    optimizer = open_optimizer(model, Optim(name="muon"))
    taken = {n for g in optimizer.parts[0].param_groups for n in g["param_names"]}
    expected = {n for n, _ in model.named_parameters() if "proj.weight" in n}
    assert taken == expected
    steps(model, optimizer, 1)
    with torch.no_grad():
        before = {n: p.clone() for n, p in model.named_parameters()}
    for group in optimizer.param_groups:
        group["lr"] = 0.0  # as a schedule does
    steps(model, optimizer, 1)
    assert all(torch.equal(before[n], p) for n, p in model.named_parameters())


@pytest.mark.parametrize("name", NAMES)
def test_a_frozen_weight_is_not_the_optimisers(name: Any) -> None:
    model = make(LLAMA)
    model.get_input_embeddings().weight.requires_grad_(False)
    optimizer = open_optimizer(model, Optim(name=name))
    assert "model.embed_tokens.weight" not in dict(named(optimizer))


@pytest.mark.parametrize("name", NAMES)
def test_a_state_that_is_carried_goes_on(name: Any, tmp_path: Path) -> None:
    """Two steps, and two in a fresh optimiser that carries the state, are four."""
    found = []
    for carried in (False, True):
        model = make(LLAMA)
        optimizer = open_optimizer(model, Optim(name=name, lr=0.01))
        steps(model, optimizer, 2)
        if carried:
            save_state(state_of(optimizer), name, tmp_path)
            optimizer = open_optimizer(model, Optim(name=name, lr=0.01))
            carry_state(optimizer, name, tmp_path, "models/base")
        steps(model, optimizer, 2)
        found.append(dict(model.named_parameters()))
    for parameter, tensor in found[0].items():
        assert torch.equal(tensor, found[1][parameter])


def test_a_state_that_does_not_fit_is_an_error(tmp_path: Path) -> None:
    model = make(LLAMA)
    optimizer = open_optimizer(model, Optim())
    with pytest.raises(RecipeError, match=r"models/base has no training/optimizer.safetensors"):
        carry_state(optimizer, "adamw", tmp_path, "models/base")
    steps(model, optimizer, 1)
    save_state(state_of(optimizer), "adamw", tmp_path)
    with pytest.raises(RecipeError, match=r"trained with adamw, the stage's optim.name is sgd"):
        carry_state(open_optimizer(model, Optim(name="sgd")), "sgd", tmp_path, "models/base")
    wider = open_optimizer(make({**LLAMA, "intermediate_size": 64}), Optim())
    with pytest.raises(RecipeError, match=r"proj.weight is \(.*64.*\), its exp_avg in models/base"):
        carry_state(wider, "adamw", tmp_path, "models/base")
    fewer = open_optimizer(make({**LLAMA, "num_hidden_layers": 1}), Optim())
    with pytest.raises(RecipeError, match=r"a state of model.layers.1.* the model does not train"):
        carry_state(fewer, "adamw", tmp_path, "models/base")
