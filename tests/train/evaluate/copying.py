"""A real Llama whose weights are set so that it copies, and words as its tokens.

In: nothing. Out: a Bench. Shown by: tests/train/evaluate/test_long_context.py.
Limit: it goes by the last two tokens (tests.synth.tiny.circuit), so chance likenesses mislead it.
"""

from __future__ import annotations

from pathlib import Path
from random import Random

from tests.synth.tiny import circuit
from tests.synth.tiny.tokenizer import train_tokenizer
from tests.train.evaluate.make_bench import bench, llama
from train.evaluate import haystack
from train.evaluate.bench import Bench


def copying(tmp: Path) -> Bench:
    """An untrained copier."""
    random = Random(0)
    texts = [haystack.sentence(random) for _ in range(300)]
    for _ in range(100):
        drawn = haystack.needle(random, 2)
        texts.append(drawn.fact + drawn.question)
    tokenizer = train_tokenizer(texts).backend_tokenizer
    model = llama(
        tokenizer.get_vocab_size(),
        hidden_size=circuit.WIDTH,
        intermediate_size=circuit.INNER,
        num_hidden_layers=circuit.LAYERS,
        num_attention_heads=circuit.HEADS,
        num_key_value_heads=circuit.HEADS,
        head_dim=circuit.HEAD,
        rope_parameters={"rope_type": "default", "rope_theta": circuit.THETA},
        tie_word_embeddings=True,
        initializer_range=0.0,
    )
    circuit.set_weights(model)
    return bench(tmp, model, tokenizer=tokenizer)
