"""Tiny models of random weights that tests build, and what tests ask engines of them.

In: a folder and a seed. Out: a model folder with a byte tokenizer and a chat template.
Shown by: `python -m pytest tests/synth/engines/test_rendering.py`.
Limit: it says nothing sensible; tests/synth/tiny trains one that does.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from synth.calls import Failure, ModelCall

SPECIAL = ["<pad>", "<s>", "</s>", "<|user|>", "<|assistant|>", "<|system|>", "<|end|>"]
TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<|{{ m.role }}|>{{ m.content }}"
    "{% if not loop.last or m.role != 'assistant' %}<|end|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
CONTEXT = 256


def build_tokenizer(folder: Path, template: str | None = TEMPLATE) -> int:
    """One token a byte; puts <s> before a text. Its number of tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: index for index, token in enumerate([*SPECIAL, *alphabet])}
    core = Tokenizer(models.BPE(vocabulary, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens(SPECIAL)
    core.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", vocabulary["<s>"])]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, bos_token="<s>", eos_token="<|end|>", pad_token="<pad>"
    )
    if template is not None:
        tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    return len(vocabulary)


def build_llama(
    folder: Path, seed: int = 0, *, reward: bool = False, template: str | None = TEMPLATE
) -> Path:
    """Two layers, 64 wide; weights large enough that what is most probable is no toss-up."""
    import torch
    from transformers import (
        GenerationConfig,
        LlamaConfig,
        LlamaForCausalLM,
        LlamaForSequenceClassification,
    )

    tokens = build_tokenizer(folder, template)
    config = LlamaConfig(
        vocab_size=tokens,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=CONTEXT,
        bos_token_id=1,
        eos_token_id=6,
        pad_token_id=0,
        initializer_range=0.3,
        num_labels=1,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        kind = LlamaForSequenceClassification if reward else LlamaForCausalLM
        model = kind(config)
    model.save_pretrained(folder)
    # What must not change sampling, and further ends that must: see generation_config="vllm".
    GenerationConfig(
        do_sample=True, temperature=0.1, top_k=1, repetition_penalty=1.9, eos_token_id=[6, 5]
    ).save_pretrained(folder)
    return folder


def run(engine: Any, calls: Sequence[ModelCall], polls: int = 10_000) -> list[Any]:
    """Answers of an engine that is started, in call order."""
    found: dict[int, Any] = {}
    for ticket, ready in enumerate(engine.prepare(calls)):
        if isinstance(ready, Failure):
            found[ticket] = ready
        else:
            engine.submit(ticket, ready)
    for _ in range(polls):
        if len(found) == len(calls):
            break
        found.update(engine.poll(1.0))
    return [found[ticket] for ticket in range(len(calls))]


def one_thread() -> None:
    """Threads gain a tiny model nothing, and cost it much where others are busy."""
    import torch

    torch.set_num_threads(1)
