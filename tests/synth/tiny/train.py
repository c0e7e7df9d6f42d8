"""Train the tiny writer: lessons in, a Hugging Face folder out.

In: real passages, the task table. Out: config.json, model.safetensors, tokenizer files.
Shown by: `python -m tests.synth.tiny.cache`. Limit: the same weights only on the same kind of CPU
and the same number of threads.

Hidden matrices are trained with Muon (Jordan et al. 2024; torch.optim.Muon), embeddings slowly with
AdamW, the copy circuit not at all. With the circuit trained too and embeddings at 3e-3, copying was
lost: 0.6 of the next tokens right after 330 steps, against 0.84 after 110 steps of this.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from tests.synth.tiny import circuit
from tests.synth.tiny.batches import IGNORED, Line, collate, encode
from tests.synth.tiny.lessons import spoilt
from tests.synth.tiny.passages import Passages
from tests.synth.tiny.tasks import TASKS, WEIGHTS
from tests.synth.tiny.tokenizer import train_tokenizer

STEPS, ROWS, LENGTH = 400, 5, 512
SHARING = 4  # lessons of one prompt that are laid out together, at most
RATE, EMBEDDING_RATE = 0.02, 5e-4
THREADS = 1  # with two, a neighbour on either core stops both at every matrix


def train_writer(folder: Path, passages: Passages, seed: int = 0, steps: int = STEPS) -> None:
    """Train and save; progress is printed."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.set_num_threads(THREADS)
    torch.manual_seed(seed)
    tokenizer = train_tokenizer(_texts(passages))
    sizes = {
        "hidden_size": circuit.WIDTH,
        "intermediate_size": circuit.INNER,
        "num_hidden_layers": circuit.LAYERS,
        "num_attention_heads": circuit.HEADS,
        "num_key_value_heads": circuit.HEADS,
        "head_dim": circuit.HEAD,
    }
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=2048,
        rope_parameters={"rope_type": "default", "rope_theta": circuit.THETA},
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **sizes,
    )
    model = LlamaForCausalLM(config)
    circuit.set_weights(model)
    circuit.hold(model)
    optimise(model, lines(tokenizer, passages, seed), steps, tokenizer.pad_token_id)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def optimise(model: Any, rows: Iterator[Line], steps: int, pad: int, rate: float = RATE) -> None:
    """Next-token loss on answers; a short warm-up, from half of the steps a linear way down."""
    import torch

    embedding = model.get_input_embeddings().weight
    named = [(p, p.ndim == 2 and p is not embedding) for p in model.parameters() if p.requires_grad]
    optimisers = [
        torch.optim.Muon([p for p, hidden in named if hidden], lr=rate, weight_decay=0.0),
        torch.optim.AdamW(
            [p for p, hidden in named if not hidden],
            lr=EMBEDDING_RATE * rate / RATE,
            betas=(0.9, 0.98),
            weight_decay=0.0,
        ),
    ]
    seen: list[float] = []
    tops = [optimiser.param_groups[0]["lr"] for optimiser in optimisers]
    for step in range(steps):
        share = min(1, (step + 1) / 20) * min(1, max(0.02, (1 - step / steps) / 0.5))
        for optimiser, top in zip(optimisers, tops, strict=True):
            optimiser.param_groups[0]["lr"] = top * share
        batch = collate([next(rows) for _ in range(ROWS)], pad)
        learnt = batch["targets"] != IGNORED
        logits = read(model, batch)[learnt] @ embedding.T
        loss = torch.nn.functional.cross_entropy(logits, batch["targets"][learnt])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimiser in optimisers:
            optimiser.step()
            optimiser.zero_grad()
        seen.append(loss.item())
        if step % 25 == 24:
            print(f"step {step + 1} of {steps}: loss {sum(seen) / len(seen):.3f}", flush=True)
            seen.clear()


def read(model: Any, batch: dict[str, Any]) -> Any:
    """Last hidden states [rows, length, width]; bfloat16 inside is 1.4 times as fast here."""
    import torch

    with torch.autocast("cpu", torch.bfloat16):
        hidden = model.model(
            input_ids=batch["ids"],
            attention_mask=batch["visible"],
            position_ids=batch["positions"],
            use_cache=False,
        ).last_hidden_state
    return hidden.float()


def lines(tokenizer: Any, passages: Passages, seed: int) -> Iterator[Line]:
    """Rows without an end: a few lessons of one task at a time, until a row is full."""
    rng = Random(seed)
    names = list(TASKS)
    weights = [WEIGHTS.get(name, 1.0) for name in names]
    line = Line()
    while True:
        task = TASKS[rng.choices(names, weights)[0]]
        lessons = [encode(tokenizer, spoilt(task(rng, passages))) for _ in range(SHARING)]
        lessons = [lesson for lesson in lessons if len(lesson.prompt) + len(lesson.answer) < LENGTH]
        for count in range(len(lessons), 0, -1):
            trial = line.with_lessons(lessons[:count])
            if len(trial.ids) <= LENGTH:
                line = trial
                break
        else:
            if line.ids:
                yield line
            line = Line()


def _texts(passages: Passages) -> Iterator[str]:
    rng = Random(1)
    for task in TASKS.values():
        for _ in range(30):
            lesson = task(rng, passages)
            yield from (message["content"] for message in lesson.messages)
            yield lesson.answer
    yield from (" ".join(document) for document in passages.documents)
