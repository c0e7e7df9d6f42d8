"""Opening a stage's model: which tokenizer, which sizes, and what is refused before training."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gristmill.errors import RecipeError
from tests.extras import needs

needs("torch", "transformers")

import torch  # noqa: E402

from tests.mixtures.make_tokens import tokenizer_files  # noqa: E402
from tests.train.models.make_model import LLAMA, ids, job, make, save  # noqa: E402
from train.models.open import open_model  # noqa: E402
from train.models.vocabulary import must_agree, tokenizer_digest  # noqa: E402


def write(folder: Path, size: int) -> Path:
    folder.mkdir()
    for name, content in tokenizer_files(size).items():
        (folder / name).write_bytes(content)
    return folder


def test_a_configuration_gives_random_weights_and_its_tokenizer(tmp_path: Path) -> None:
    words = write(tmp_path / "words", 300)
    opened = open_model(job(tmp_path, {"init": {"config": LLAMA, "tokenizer": str(words)}}))
    assert opened.model.config.vocab_size == 300 and opened.model.dtype == torch.float32
    assert opened.tokenizer == tokenizer_files(300)
    assert opened.facts["trained_parameters"] == opened.facts["parameters"]
    small = {"config": {**LLAMA, "vocab_size": 299}, "tokenizer": str(words)}
    with pytest.raises(RecipeError, match="vocab_size is 299, the tokenizer has 300"):
        open_model(job(tmp_path, {"init": small}))


def test_a_checkpoint_is_read_with_its_tokenizer_and_patched(tmp_path: Path) -> None:
    model = make(LLAMA)
    folder = save(model.to(torch.bfloat16), tmp_path / "base")
    patch = {"rope_parameters": {"rope_theta": 1e6}, "max_position_embeddings": 128}
    opened = open_model(job(tmp_path, {"init": str(folder), "model": {"patch": patch}}))
    assert opened.model.dtype == torch.float32  # sums of an optimiser need more digits
    assert opened.model.config.rope_parameters["rope_theta"] == 1e6
    assert opened.tokenizer == tokenizer_files(300)
    first = opened.model.get_input_embeddings().weight
    torch.testing.assert_close(first, model.get_input_embeddings().weight.float())


def test_another_tokenizer_than_the_checkpoints_is_refused(tmp_path: Path) -> None:
    folder, words = save(make(LLAMA), tmp_path / "base"), write(tmp_path / "words", 299)
    init = {"from": str(folder), "tokenizer": str(words)}
    with pytest.raises(RecipeError, match=r"init.tokenizer has .*299.* the checkpoint .*300"):
        open_model(job(tmp_path, {"init": init}))
    write(tmp_path / "same", 300)
    same = {"from": str(folder), "tokenizer": str(tmp_path / "same")}
    assert open_model(job(tmp_path, {"init": same})).model.config.vocab_size == 300


def test_tokenizers_are_compared_by_what_they_encode() -> None:
    files = tokenizer_files(300)
    found = json.loads(files["tokenizer.json"])
    found["truncation"] = {
        "max_length": 8,
        "stride": 0,
        "strategy": "LongestFirst",
        "direction": "Right",
    }
    indented = {**files, "tokenizer.json": json.dumps(found, indent=4).encode()}
    assert tokenizer_digest(indented) == tokenizer_digest(files)
    must_agree("one", files, "other", indented)
    with pytest.raises(
        RecipeError, match=r"one has .* \(300 tokens\), other has .* \(298 tokens\)"
    ):
        must_agree("one", files, "other", tokenizer_files(298))


def test_an_attention_that_is_not_there_or_a_checkpoint_that_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"config.json"):
        job(tmp_path, {"init": str(tmp_path)}).step.files()
    assert ids().shape == (2, 12)
