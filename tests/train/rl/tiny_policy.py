"""A tiny policy for a procedural task: characters as tokens, trained a little on right answers.

In: a task's parameters and a seed. Out: a model folder, prompts, and scores of models on them.
Shown by: `python -m pytest tests/train/rl`. Limit: one task, sums of two digits: 100 prompts.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Regex, Tokenizer
from tokenizers.decoders import Fuse
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Split
from transformers import LlamaConfig, LlamaForCausalLM

from synth.procedural import tasks
from synth.verify import verifier
from train.rl.prompts import Prompt
from train.rl.sample import Drawing, write

TASK = "sums"
PARAMETERS = {"digits": 1, "operations": "+", "stories": False}
WORDING = " = ?"  # the shortest one: `3 + 4 = ?`
END, PAD = "<|end|>", "<|pad|>"
LETTERS = "0123456789+=? "
FEW_HEADS = {"num_attention_heads": 2, "num_key_value_heads": 1}  # of 32, as vLLM's CPU build has
TEMPLATE = (
    "{% for message in messages %}{{ message['content'] }}"
    "{% if message['role'] == 'assistant' %}<|end|>{% else %} {% endif %}{% endfor %}"
)
SIZES = {
    "hidden_size": 64,
    "intermediate_size": 192,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "max_position_embeddings": 64,
    "tie_word_embeddings": True,
}


def tokenizer_files() -> dict[str, bytes]:
    """A tokenizer whose tokens are characters."""
    names = [END, PAD, *LETTERS]
    made = Tokenizer(WordLevel({name: n for n, name in enumerate(names)}, unk_token=PAD))
    made.pre_tokenizer = Split(Regex("."), "isolated")
    made.decoder = Fuse()
    made.add_special_tokens([AddedToken(name, special=True) for name in (END, PAD)])
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": END,
        "pad_token": PAD,
        "chat_template": TEMPLATE,
        "clean_up_tokenization_spaces": False,
    }
    return {
        "tokenizer.json": made.to_str().encode(),
        "tokenizer_config.json": json.dumps(config).encode(),
    }


def tokenizer() -> Tokenizer:
    """The same, loaded."""
    return Tokenizer.from_buffer(tokenizer_files()["tokenizer.json"])


def rows(count: int, seed: int) -> list[dict[str, Any]]:
    """Rows of kind `prompt`."""
    drawn = tasks.rows(TASK, 20 * count, seed, **PARAMETERS)
    return list(islice((row for row in drawn if row["prompt"].endswith(WORDING)), count))


def prompts(count: int, seed: int) -> list[Prompt]:
    """The same, tokenised."""
    encode = tokenizer().encode
    return [
        Prompt(encode(f"{r['prompt']} ").ids, r["prompt"], r["answer"], r["verifier"], r["id"])
        for r in rows(count, seed)
    ]


def new_model(seed: int = 0, **sizes: Any) -> LlamaForCausalLM:
    """Random weights, 0.1M of them."""
    torch.manual_seed(seed)
    sizes = {"vocab_size": 2 + len(LETTERS), **SIZES, **sizes}
    return LlamaForCausalLM(LlamaConfig(eos_token_id=0, pad_token_id=1, bos_token_id=None, **sizes))


def taught(
    seed: int, steps: int, batch: int = 64, rate: float = 3e-3, **sizes: Any
) -> LlamaForCausalLM:
    """Trained on right answers for a while."""
    model, encode = new_model(seed, **sizes), tokenizer().encode
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.0)
    lessons = rows(steps * batch, seed=1000 + seed)
    for step in range(steps):
        part = lessons[step * batch : (step + 1) * batch]
        optimiser.param_groups[0]["lr"] = rate * min(1, (step + 1) / 20)
        ids, labels = [], []
        for row in part:
            prompt, answer = encode(f"{row['prompt']} ").ids, [*encode(row["answer"]).ids, 0]
            ids.append(torch.tensor(prompt + answer))
            labels.append(torch.tensor([-100] * len(prompt) + answer))
        padded = [
            torch.nn.utils.rnn.pad_sequence(x, True, v) for x, v in ((ids, 1), (labels, -100))
        ]
        loss = model(input_ids=padded[0], labels=padded[1]).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
    return model.eval()


def save(model: LlamaForCausalLM, folder: Path) -> Path:
    """As `from_pretrained` reads it."""
    model.save_pretrained(folder)
    for name, content in tokenizer_files().items():
        (folder / name).write_bytes(content)
    return folder


def score(model: Any, held_out: Sequence[Prompt], temperature: float = 1.0) -> float:
    """The share of right answers; temperature near 0: the most probable ones."""
    how = Drawing(4, temperature, 1.0, (0,))
    written = write(model, [p.ids for p in held_out], range(len(held_out)), how)
    decode = tokenizer().decode
    right = [
        verifier(prompt.verifier)(decode(one.ids), prompt.answer, prompt.text)
        for prompt, one in zip(held_out, written, strict=True)
    ]
    return sum(right) / len(right)
