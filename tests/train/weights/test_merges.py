"""Merges against their formulas, written anew in float64."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from tests.extras import needs

needs("torch", "transformers", "safetensors")

import torch  # noqa: E402

from gristmill.errors import RecipeError  # noqa: E402
from gristmill.rng import derive_seed, keyed_uniform  # noqa: E402
from tests.train.weights.tiny import (  # noqa: E402
    generates,
    load,
    logits,
    make,
    report,
    saved,
    several,
    tensors,
)
from train.weights.ops.slerp import slerp  # noqa: E402
from train.weights.vectors import nth_largest  # noqa: E402


def f64(folder: str | Path) -> dict[str, np.ndarray]:
    return {name: tensor.double().numpy() for name, tensor in tensors(folder).items()}


def agree(made: Path, expected: dict[str, np.ndarray], most: float = 1e-7) -> None:
    found = f64(made)
    assert set(found) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=most, atol=most, err_msg=name)


@pytest.mark.parametrize("weights", [None, [1, 1, 1], [0.3, 0.2, 0.9]])
def test_the_average_of_equal_models_is_that_model(
    tmp_path: Path, weights: list[float] | None
) -> None:
    one = saved(tmp_path / "a")
    made = make(tmp_path, average={"of": [one, one, one], "weights": weights})
    assert (made / "model.safetensors").read_bytes() == (
        tmp_path / "a/model.safetensors"
    ).read_bytes()
    generates(load(made))


def test_ema_of_equal_models_is_that_model(tmp_path: Path) -> None:
    one = saved(tmp_path / "a")
    made = make(tmp_path, ema={"of": [one] * 4, "decay": 0.7})
    first, second = tensors(one), tensors(made)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_average_linear_and_ema(tmp_path: Path) -> None:
    folders = several(tmp_path, 3)
    a, b, c = map(f64, folders)
    made = make(tmp_path, "m/1", average={"of": folders, "weights": [1, 2, 1]})
    agree(made, {n: (a[n] + 2 * b[n] + c[n]) / 4 for n in a})
    made = make(tmp_path, "m/2", linear={"of": folders[:2], "weights": [1.5, -0.5]})
    agree(made, {n: 1.5 * a[n] - 0.5 * b[n] for n in a})
    made = make(tmp_path, "m/3", ema={"of": folders, "decay": 0.9})
    agree(made, {n: 0.9 * (0.9 * a[n] + 0.1 * b[n]) + 0.1 * c[n] for n in a})
    generates(load(made))


def test_liti_and_task_arithmetic(tmp_path: Path) -> None:
    folders = several(tmp_path, 3)
    a, b, c = map(f64, folders)
    made = make(tmp_path, "m/1", liti={"of": folders[0], "init": folders[1], "eta": 0.3})
    agree(made, {n: 0.3 * a[n] + 0.7 * b[n] for n in a})
    whole = make(tmp_path, "m/2", liti={"of": folders[0], "init": folders[1], "eta": 1})
    assert torch.equal(logits(load(whole)), logits(load(folders[0])))
    op = {"base": folders[0], "of": folders[1:], "weights": [1, -0.5]}
    made = make(tmp_path, "m/3", task_arithmetic=op)
    agree(made, {n: a[n] + (b[n] - a[n]) - 0.5 * (c[n] - a[n]) for n in a})


def arc(one: np.ndarray, two: np.ndarray, t: float) -> np.ndarray:
    cosine = (one * two).sum() / np.linalg.norm(one) / np.linalg.norm(two)
    omega = np.arccos(cosine)
    return (np.sin((1 - t) * omega) * one + np.sin(t * omega) * two) / np.sin(omega)


def test_slerp_of_two_and_three(tmp_path: Path) -> None:
    init, *folders = several(tmp_path, 4)
    zero = f64(init)
    a, b, c = ({n: f64(f)[n] - zero[n] for n in zero} for f in folders)
    made = make(tmp_path, "m/1", slerp={"of": folders[:2], "init": init, "weights": [0.3, 0.7]})
    agree(made, {n: zero[n] + arc(a[n], b[n], 0.7) for n in zero}, 1e-6)
    made = make(tmp_path, "m/2", slerp={"of": folders, "init": init})
    mixed = {n: arc(arc(a[n], b[n], 0.5), c[n], 1 / 3) for n in zero}
    agree(made, {n: zero[n] + mixed[n] for n in zero}, 1e-6)
    row = report(tmp_path, "m/2")["model.layers.0.self_attn.q_proj.weight"]
    assert 40 < row["angle"] < 80 and row["part"] == "self_attn.q_proj.weight"


def test_slerp_at_its_ends_and_on_a_line() -> None:
    torch.manual_seed(0)
    one, two = torch.randn(2, 5, 7, dtype=torch.float64)
    torch.testing.assert_close(slerp(one, two, 0.0), one, rtol=0, atol=1e-15)
    torch.testing.assert_close(slerp(one, two, 1.0), two, rtol=0, atol=1e-15)
    for factor in (3.0, -0.5, 0.0):
        found = slerp(one, factor * one, 0.25)
        torch.testing.assert_close(found, 0.75 * one + 0.25 * factor * one, rtol=1e-12, atol=0)


def test_slerp_keeps_lengths_that_the_mean_loses() -> None:
    one, two = torch.eye(2, dtype=torch.float64)
    assert float(slerp(one, two, 0.5).norm()) == pytest.approx(1)


@pytest.mark.parametrize("scope", ["model", "tensor"])
def test_ties(scope: str, tmp_path: Path) -> None:
    base, *folders = several(tmp_path, 4)
    zero = f64(base)
    expected = {}
    for name, start in zero.items():
        deltas = []
        for folder in folders:
            delta = f64(folder)[name] - start
            every = [delta] if scope == "tensor" else [f64(folder)[n] - zero[n] for n in zero]
            flat = np.concatenate([np.abs(one).ravel() for one in every])
            least = np.sort(flat)[-max(1, round(0.3 * flat.size))]
            deltas.append(np.where(np.abs(delta) >= least, delta, 0))
        stacked = np.stack(deltas)
        sign = np.sign(stacked.sum(0))
        agrees = (np.sign(stacked) == sign) & (stacked != 0)
        mean = (stacked * agrees).sum(0) / np.maximum(agrees.sum(0), 1)
        expected[name] = start + 0.8 * mean
    op = {"base": base, "of": folders, "density": 0.3, "weight": 0.8, "scope": scope}
    made = make(tmp_path, ties=op)
    agree(made, expected)
    rows = report(tmp_path)
    shares = [row["kept"] for row in rows.values()]
    sizes = [row["parameters"] for row in rows.values()]
    assert np.average(shares, weights=sizes) == pytest.approx(0.3, abs=0.003)
    if scope == "tensor":
        assert all(abs(share - 0.3) < 0.03 for share in shares)
    else:
        assert max(shares) - min(shares) > 0.1
    generates(load(made))


@given(
    some.lists(
        some.lists(some.floats(0, allow_infinity=False), min_size=1, max_size=5),
        min_size=1,
        max_size=4,
    ),
    some.data(),
)
def test_the_nth_largest_over_tensors_is_exact(parts: list[list[float]], data: Any) -> None:
    flat = sorted((abs(x) for part in parts for x in part), reverse=True)
    place = data.draw(some.integers(1, len(flat)))
    tensors = [torch.tensor(part, dtype=torch.float64).abs() for part in parts]
    assert nth_largest(lambda: iter(tensors), place) == flat[place - 1]


def test_dare(tmp_path: Path) -> None:
    base, *folders = several(tmp_path, 3)
    zero = f64(base)
    expected = {}
    for name, start in zero.items():
        total = np.zeros_like(start)
        for place, folder in enumerate(folders):
            drawn = derive_seed(11, "dare", place, name)
            stays = keyed_uniform(drawn, np.arange(start.size, dtype=np.uint64)) >= 0.75
            delta = f64(folder)[name] - start
            total += 0.5 * np.where(stays.reshape(start.shape), delta, 0) / 0.25
        expected[name] = start + total
    made = make(tmp_path, seed=11, dare={"base": base, "of": folders, "drop": 0.75})
    agree(made, expected, 1e-6)
    assert 0.2 < report(tmp_path)["lm_head.weight"]["kept"] < 0.3


def test_dare_without_dropping_is_the_mean_of_differences(tmp_path: Path) -> None:
    base, *folders = several(tmp_path, 3)
    one = make(tmp_path, "m/1", dare={"base": base, "of": folders, "drop": 0})
    agree(one, f64(make(tmp_path, "m/2", average={"of": folders})))


def test_tied_embeddings_shards_and_dtypes(tmp_path: Path) -> None:
    first = saved(tmp_path / "a", 0, shard="10KB", tie_word_embeddings=True)
    second = saved(tmp_path / "b", 1, tie_word_embeddings=True)
    assert (Path(first) / "model.safetensors.index.json").is_file()
    made = make(tmp_path, average={"of": [first, second]})
    one, two = f64(first), f64(second)
    agree(made, {n: (one[n] + two[n]) / 2 for n in one})
    model = load(made)
    assert model.lm_head.weight.data_ptr() == model.model.embed_tokens.weight.data_ptr()


def test_bfloat16_stays(tmp_path: Path) -> None:
    from tests.train.weights.tiny import llama

    for seed in (0, 1):
        llama(seed).to(torch.bfloat16).save_pretrained(tmp_path / str(seed))
    folders = [str(tmp_path / "0"), str(tmp_path / "1")]
    made = make(tmp_path, average={"of": folders})
    one, two = map(tensors, folders)
    for name, tensor in tensors(made).items():
        expected = ((one[name].double() + two[name].double()) / 2).to(torch.bfloat16)
        assert tensor.dtype == torch.bfloat16 and torch.equal(tensor, expected)


def test_config_and_tokenizer_come_from_the_first_model(tmp_path: Path) -> None:
    folders = several(tmp_path, 2)
    (Path(folders[0]) / "chat_template.jinja").write_text("hello")
    (Path(folders[1]) / "vocab.json").write_text("{}")
    made = make(tmp_path, average={"of": folders})
    names = {file.name for file in made.iterdir()}
    assert {"tokenizer.json", "chat_template.jinja", "generation_config.json"} <= names
    assert "vocab.json" not in names
    assert json.loads((made / "config.json").read_text()) == json.loads(
        (Path(folders[0]) / "config.json").read_text()
    )


def test_what_does_not_fit_is_refused_by_name(tmp_path: Path) -> None:
    one = saved(tmp_path / "a")
    wide = saved(tmp_path / "wide", intermediate_size=64)
    with pytest.raises(RecipeError, match=r"down_proj.weight is \[16, 48\] in .*\[16, 64\]"):
        make(tmp_path, average={"of": [one, wide]})
    deep = saved(tmp_path / "deep", num_hidden_layers=3)
    with pytest.raises(RecipeError, match=r"model.layers.2.* \[16\] is in .*deep and not in"):
        make(tmp_path, average={"of": [one, deep]})
    theta = {"rope_type": "default", "rope_theta": 1e6}
    far = saved(tmp_path / "far", rope_parameters=theta)
    with pytest.raises(RecipeError, match=r"config rope_parameters is .*10000.*1000000"):
        make(tmp_path, average={"of": [one, far]})


@pytest.mark.parametrize(
    ("op", "said"),
    [
        ({"averge": {}}, "did you mean 'average'"),
        ({"average": {"of": ["a"]}, "ema": {"of": ["a"]}}, "one operation"),
        ({}, "one operation"),
        ({"average": {"of": ["a", "b"], "weights": [1]}}, "1 numbers for 2 models"),
        ({"average": {"of": ["a"], "weights": [-1]}}, "0 or more"),
        ({"average": {"of": ["a"], "weight": 1}}, "did you mean 'weights'"),
        ({"slerp": {"of": ["a"], "init": "b"}}, "name 2 or more"),
        ({"liti": {"of": ["a", "b"], "init": "b", "eta": 1}}, "one model in `of`"),
        ({"prune": {"of": "a", "share": 0.5, "pattern": "2:4"}}, "one of `share`"),
        ({"prune": {"of": "a", "pattern": "4:4"}}, "0 < N < M"),
        ({"grow": {"of": "a"}}, "one of `times`"),
        ({"upcycle": {"of": "a", "experts": 2, "per_token": 3}}, "there are 2 experts"),
    ],
)
def test_mistakes_of_a_recipe(tmp_path: Path, op: dict[str, object], said: str) -> None:
    with pytest.raises(Exception, match=said):
        make(tmp_path, **op)
