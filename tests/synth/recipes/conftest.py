"""What the recipes are run on: real passages, problems and instructions, and a real engine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from synth.procedural.tasks import rows as drawn
from tests.extras import needs
from tests.synth.recipes.building import read, write
from tests.synth.tiny.functions import FUNCTIONS
from tests.synth.tiny.passages import read_passages
from tests.synth.tiny.programs import snippets as standard_library
from tests.synth.tiny.programs import unfenced

needs("torch", "transformers")
Source = Callable[..., dict[str, str]]


@pytest.fixture(scope="session")
def engine(tiny_writer: Path) -> dict[str, Any]:
    """The tiny model in transformers, in this process."""
    return {"transformers": {"model": str(tiny_writer), "batch_size": 32}}


@pytest.fixture(scope="session")
def held_out(shared_data: Path) -> list[list[str]]:
    """Sentences of real documents that the tiny model was not trained on."""
    return [list(sentences) for sentences in read_passages(shared_data)[1].documents]


@pytest.fixture
def passages(held_out: list[list[str]], tmp_path: Path) -> Source:
    """`passages(8)`: so many short documents, each of three sentences or more."""

    def source(count: int, sentences: int = 3) -> dict[str, str]:
        long = [found for found in held_out if len(found) >= sentences]
        texts = [" ".join(found[:sentences]) for found in long[:: max(1, len(long) // count)]]
        rows = [{"id": f"page-{n}", "text": text} for n, text in enumerate(texts[:count])]
        return write(tmp_path / "passages.jsonl", rows)

    return source


@pytest.fixture
def snippets(tmp_path: Path) -> Source:
    """`snippets(8)`: small functions, ours or of the standard library."""

    def source(count: int, ours: bool = True) -> dict[str, str]:
        codes = [unfenced(function.code()) for function in FUNCTIONS[:count]]
        if not ours:
            codes = [code for _, code in standard_library()][:count]
        return write(
            tmp_path / "code.jsonl",
            ({"id": f"code-{n}", "text": code} for n, code in enumerate(codes)),
        )

    return source


@pytest.fixture
def problems(tmp_path: Path) -> Source:
    """`problems(8)`: additions as instructions, with their answers."""

    def source(count: int) -> dict[str, str]:
        sums = drawn("sums", count, 1, operations="+", digits=1, stories=False)
        kept = ({"id": r["id"], "instruction": r["prompt"], "answer": r["answer"]} for r in sums)
        return write(tmp_path / "problems.jsonl", kept)

    return source


@pytest.fixture
def instructions(shared_data: Path, tmp_path: Path) -> Source:
    """`instructions(20)`: tasks that people wrote for Self-Instruct."""

    def source(count: int) -> dict[str, str]:
        seeds = read(shared_data / "instruct" / "self_instruct_seed_tasks.jsonl.gz", count)
        return write(
            tmp_path / "seeds.jsonl",
            ({"id": seed["id"], "instruction": seed["instruction"]} for seed in seeds),
        )

    return source
