"""A tiny reward model: one number for a conversation, higher for right sums, right code, answers.

In: the tiny writer, whose weights it starts from. Out: a LlamaForSequenceClassification folder.
Shown by: `python -m tests.synth.tiny.cache`. Limit: it judges sums and functions that the writer
knows; of other texts it only knows that "I am sorry" is no answer.

Trained on pairs that share a prompt, with the loss of Bradley and Terry (1952), as reward models
for language models are. A whole conversation is read, its last token is what the number comes from.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from synth.prompt import load_prompt
from tests.synth.tiny import sums
from tests.synth.tiny.batches import Line, Tokens, collate
from tests.synth.tiny.functions import FUNCTIONS
from tests.synth.tiny.lessons import Message
from tests.synth.tiny.passages import Passages
from tests.synth.tiny.requests import ASKED, UNKNOWN, a_topic, told
from tests.synth.tiny.train import LENGTH, THREADS, read

STEPS, ROWS = 150, 4
RATE, HEAD_RATE = 0.005, 2e-3


def pair(rng: Random, passages: Passages) -> tuple[tuple[Message, ...], str, str]:
    """A prompt, the better and the worse answer."""
    kind = rng.random()
    if kind < 0.7:
        a, b = sums.numbers(rng)
        question = sums.question(rng, a, b)
        wrong = 1 if a % 10 + b % 10 == 0 else rng.choice([-1, 1])
        good, bad = sums.worked(a, b), sums.worked(a, b, wrong)
    elif kind < 0.85:
        function = rng.choice(FUNCTIONS)
        question, good, bad = function.statement(), function.code(), function.code(right=False)
    else:
        topic = a_topic(rng, passages)
        question, good, bad = rng.choice(ASKED).format(topic), told(topic), UNKNOWN
    if kind < 0.35:
        return load_prompt("solve_maths").render({"question": question}), good, bad
    return ({"role": "user", "content": question},), good, bad


def train_reward(folder: Path, writer: Path, passages: Passages, seed: int = 0) -> None:
    """Train and save."""
    import torch
    from transformers import AutoTokenizer, LlamaForSequenceClassification

    torch.set_num_threads(THREADS)
    torch.manual_seed(seed)
    tokenizer = AutoTokenizer.from_pretrained(writer)
    model = LlamaForSequenceClassification.from_pretrained(writer, num_labels=1)
    with torch.no_grad():
        model.score.weight.zero_()
    named = [
        (p, p.ndim == 2 and "embed" not in name and "score" not in name)
        for name, p in model.named_parameters()
    ]
    optimisers = [
        torch.optim.Muon([p for p, hidden in named if hidden], lr=RATE, weight_decay=0.0),
        torch.optim.AdamW([p for p, hidden in named if not hidden], lr=HEAD_RATE, weight_decay=0.0),
    ]
    rows = _lines(tokenizer, passages, seed)
    for step in range(STEPS):
        share = min(1, (step + 1) / 10) * max(0.02, 1 - step / STEPS)
        for optimiser, top in zip(optimisers, (RATE, HEAD_RATE), strict=True):
            optimiser.param_groups[0]["lr"] = top * share
        taken = [next(rows) for _ in range(ROWS)]
        batch = collate(taken, tokenizer.pad_token_id)
        hidden = read(model, batch)
        ends = [(row, end) for row, line in enumerate(taken) for end in _ends(line)]
        scores = model.score(hidden[[row for row, _ in ends], [end for _, end in ends]])[:, 0]
        loss = torch.nn.functional.softplus(scores[1::2] - scores[0::2]).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimiser in optimisers:
            optimiser.step()
            optimiser.zero_grad()
        if step % 50 == 49:
            print(f"step {step + 1} of {STEPS}: loss {loss.item():.3f}", flush=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _lines(tokenizer: Any, passages: Passages, seed: int) -> Iterator[Line]:
    rng = Random(seed)
    line = Line()
    while True:
        messages, *answers = pair(rng, passages)
        both = []
        for answer in answers:
            chat = [*messages, {"role": "assistant", "content": answer}]
            text = tokenizer.apply_chat_template(chat, tokenize=False)
            both.append(Tokens(tokenizer.encode(text, add_special_tokens=False), []))
        longer = line.with_lessons(both)
        if len(longer.ids) > LENGTH:
            yield line
            longer = Line().with_lessons(both)
        line = longer


def _ends(line: Line) -> list[int]:
    """Where each branch ends: the better and the worse answer in turn."""
    keys = list(zip(line.group, line.branch, strict=True))
    after = [*keys[1:], (0, 0)]
    return [i for i, key in enumerate(keys) if key[1] and key != after[i]]
