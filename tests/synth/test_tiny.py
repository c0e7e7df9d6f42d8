"""The tiny models can do what other tests rely on. Without a build at hand this trains them."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random

import pytest

from tests.extras import needs

needs("torch", "transformers")

from synth.prompt import HOME  # noqa: E402
from tests.synth.tiny.functions import FUNCTIONS  # noqa: E402
from tests.synth.tiny.lessons import Lesson  # noqa: E402
from tests.synth.tiny.measure import (  # noqa: E402
    Writer,
    copied,
    in_form,
    lessons_of,
    load,
    load_reward,
)
from tests.synth.tiny.passages import Passages, read_passages  # noqa: E402
from tests.synth.tiny.requests import UNKNOWN  # noqa: E402
from tests.synth.tiny.reward import pair  # noqa: E402
from tests.synth.tiny.tasks import RECIPES, TASKS  # noqa: E402
from tests.synth.tiny.train import lines  # noqa: E402

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def writer(tiny_writer: Path) -> Writer:
    return load(tiny_writer)


@pytest.fixture(scope="module")
def held(shared_data: Path) -> Passages:
    """Documents that it was not trained on."""
    return read_passages(shared_data)[1]


def test_every_prompt_file_has_a_task() -> None:
    assert {path.stem for path in HOME.glob("*.md")} <= set(RECIPES)


def test_it_is_small(writer: Writer) -> None:
    assert sum(p.numel() for p in writer.model.parameters()) <= 3_000_000


def test_shared_beginnings_change_nothing(writer: Writer, held: Passages) -> None:
    """A branch of a row sees what it would see alone."""
    import torch

    from tests.synth.tiny.batches import IGNORED, Line, collate, encode

    lessons = [encode(writer.tokenizer, one) for one in lessons_of("diverse_qa", 3, held)]
    packed = collate([Line().with_lessons(lessons)], 0)
    alone = torch.tensor([[*lessons[2].prompt, *lessons[2].answer]])
    with torch.no_grad():
        row = writer.model(
            input_ids=packed["ids"],
            attention_mask=packed["visible"],
            position_ids=packed["positions"],
        ).logits[0]
        own = writer.model(input_ids=alone).logits[0]
    count = len(lessons[2].answer)
    assert (packed["targets"][0] != IGNORED).sum() == sum(len(one.answer) for one in lessons)
    torch.testing.assert_close(row[-count - 1 : -1], own[-count - 1 : -1], atol=1e-3, rtol=1e-3)


def test_lessons_are_drawn_by_seed(writer: Writer, held: Passages) -> None:
    one, same = (next(lines(writer.tokenizer, held, 5)) for _ in range(2))
    assert one == same


def test_answers_are_in_form(writer: Writer, held: Passages) -> None:
    """Most of most: recipes need rows, and failures too."""
    shares = {}
    for name in TASKS:
        texts = writer.write(lessons_of(name, 8, held), most=160)
        shares[name] = sum(in_form(name, text) for text in texts) / len(texts)
    assert sum(share >= 0.75 for share in shares.values()) >= 0.8 * len(shares), shares


def test_text_is_taken_from_the_passage(writer: Writer, held: Passages) -> None:
    lessons = lessons_of("distil", 24, held)
    shares = [copied(*both) for both in zip(lessons, writer.write(lessons), strict=True)]
    assert sum(shares) / len(shares) >= 0.5


def boxes(texts: list[str]) -> list[int | None]:
    found = [re.findall(r"\\boxed\{(\d+)\}", text) for text in texts]
    return [int(one[-1]) if one else None for one in found]


def test_sums_are_right_and_at_temperature_1_sometimes_wrong(writer: Writer) -> None:
    rng = Random(4)
    numbers = [(rng.randrange(10), rng.randrange(10)) for _ in range(64)]
    asked = [{"role": "user", "content": f"What is {a} + {b}?"} for a, b in numbers]
    lessons = [Lesson((one,), "") for one in asked]
    right = [a + b for a, b in numbers]

    def share(temperature: float) -> float:
        found = boxes(writer.write(lessons, temperature, most=60))
        return sum(a == b for a, b in zip(found, right, strict=True)) / len(right)

    assert share(0) >= 0.3
    assert 0.1 <= share(1) <= 0.95


def test_code_is_wrong_where_it_is_hard_and_right_after_a_failure(writer: Writer) -> None:
    first = writer.write(
        [Lesson(({"role": "user", "content": one.statement()},), "") for one in FUNCTIONS]
    )
    right = [text == one.code() for text, one in zip(first, FUNCTIONS, strict=True)]
    easy = [r for r, one in zip(right, FUNCTIONS, strict=True) if not one.hard]
    hard = [r for r, one in zip(right, FUNCTIONS, strict=True) if one.hard]
    assert sum(easy) / len(easy) > sum(hard) / len(hard)
    lessons = lessons_of("code_repair", 24, Passages(()))
    repaired = writer.write(lessons)
    assert sum(t == one.answer for t, one in zip(repaired, lessons, strict=True)) >= 12


def test_the_reward_model_prefers_answers_to_none(tiny_reward: Path, held: Passages) -> None:
    rng = Random(6)
    score = load_reward(tiny_reward)
    pairs = [pair(rng, held) for _ in range(150)]
    found = [
        score([*messages, *_said(good)]) > score([*messages, *_said(bad)])
        for messages, good, bad in pairs
        if bad == UNKNOWN
    ]
    assert sum(found) >= 0.9 * len(found) > 10


def _said(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]
