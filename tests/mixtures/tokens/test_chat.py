"""Chats as parts and token ids: what is learnt, and that engines would prompt with the same."""

from __future__ import annotations

from typing import Any

import pytest

from gristmill.errors import RecipeError
from mixtures.tokens.chat import OURS, BadChat, chat_parts, open_chat_tokenizer, render
from mixtures.tokens.encode_chat import open_chat_encoder
from mixtures.tokens.tokenizers import settle
from tests.extras import needs
from tests.mixtures.tiny_tokenizers import tiny_bpe, tiny_files

needs("transformers")

SPECIAL = ("<|end|>", "<|pad|>", "<|user|>", "<|assistant|>", "<s>")
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
MARKED = (
    "{% for m in messages %}{% if m['role'] == 'assistant' %}A: {% generation %}{{ m['content'] }}"
    "<|end|>{% endgeneration %}{% else %}U: {{ m['content'] }} {% endif %}{% endfor %}"
    "{% if add_generation_prompt %}A: {% endif %}"
)
FORGETFUL = (  # earlier answers are printed otherwise, as templates that drop thoughts do
    "{% for m in messages %}{{ m['role'] }}: {% if loop.last %}{{ m['content'] }}{% else %}"
    "{{ m['content'] | upper }}{% endif %}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)
TALK = [
    {"role": "user", "content": "rye or oats"},
    {"role": "assistant", "content": "rye is sour"},
    {"role": "user", "content": "and wheat"},
    {"role": "assistant", "content": "sweet"},
]


def tokenizer(template: str | None = None, **config: Any) -> Any:
    special = (*SPECIAL, "<|im_start|>", "<|im_end|>")
    roles = {"eos_token": "<|end|>", "pad_token": "<|pad|>", **config}
    files = settle(tiny_files(tiny_bpe(special=special), **roles), {}, "test")
    return open_chat_tokenizer(files, template)


def learnt(made: Any, opened: Any) -> list[str]:
    """Stretches of learnt tokens, as text."""
    found, run = [], []
    for token, counts in zip([*made.ids, None], [*made.learnt, False], strict=True):
        if counts:
            run.append(token)
        elif run:
            found.append(opened.decode(run))
            run = []
    return found


@pytest.mark.parametrize("template", [None, CHATML, MARKED])
def test_what_is_learnt_is_each_answer_with_its_end(template: str | None) -> None:
    opened = tokenizer(template)
    end = "<|im_end|>" if template == CHATML else "<|end|>"
    (made,) = open_chat_encoder(opened).encode([chat_parts(opened, TALK)])
    assert learnt(made, opened) == ["rye is sour" + end, "sweet" + end]
    (last,) = open_chat_encoder(opened).encode([chat_parts(opened, TALK, last=True)])
    assert learnt(last, opened) == ["sweet" + end]
    history = render(opened, TALK[:3], True)  # before the last answer: one text, as engines encode
    asked = opened.backend_tokenizer.encode(history, add_special_tokens=False).ids
    assert last.ids[: last.learnt.index(True)] == asked


@pytest.mark.parametrize("template", [None, CHATML, MARKED])
def test_the_parts_are_the_rendered_chat(template: str | None) -> None:
    opened = tokenizer(template)
    parts = chat_parts(opened, TALK)
    assert "".join(text for text, _ in parts) == render(opened, TALK, False)


@pytest.mark.parametrize("answer", ["rye", " rye", "\nrye", "\n\n rye", "  ", "…", "12"])
@pytest.mark.parametrize("template", [None, CHATML])
def test_before_an_answer_stands_what_an_engine_prompts_with(
    answer: str, template: str | None
) -> None:
    opened = tokenizer(template)
    talk = [TALK[0], {"role": "assistant", "content": answer}]
    (made,) = open_chat_encoder(opened).encode([chat_parts(opened, talk)])
    prompt = render(opened, talk[:1], True)
    asked = opened.backend_tokenizer.encode(prompt, add_special_tokens=False).ids
    first = made.learnt.index(True)
    assert made.ids[:first] == asked
    assert opened.decode(made.ids) == render(opened, talk, False)


def test_our_template_ends_turns_with_eos_and_begins_once_with_bos() -> None:
    opened = tokenizer(None, bos_token="<s>")
    assert opened.chat_template == OURS
    (made,) = open_chat_encoder(opened).encode([chat_parts(opened, TALK)])
    assert made.ids.count(opened.bos_token_id) == 1 and made.ids[0] == opened.bos_token_id
    assert made.ids.count(opened.eos_token_id) == len(TALK)


def test_a_template_that_prints_earlier_turns_otherwise_is_an_error() -> None:
    with pytest.raises(RecipeError, match="otherwise when more follow"):
        chat_parts(tokenizer(FORGETFUL), TALK)


def test_a_template_may_refuse_a_chat() -> None:
    refusing = "{{ raise_exception('roles must alternate') }}"
    with pytest.raises(BadChat, match="roles must alternate"):
        chat_parts(tokenizer(refusing), TALK)


def test_a_chat_needs_an_end_of_text_token() -> None:
    files = settle(tiny_files(tiny_bpe(special=("<|pad|>",))), {}, "test")
    with pytest.raises(RecipeError, match="end-of-text"):
        open_chat_tokenizer(files)


def test_system_messages_are_not_learnt() -> None:
    opened = tokenizer()
    talk = [{"role": "system", "content": "be brief"}, *TALK[:2]]
    (made,) = open_chat_encoder(opened).encode([chat_parts(opened, talk)])
    assert learnt(made, opened) == ["rye is sour<|end|>"]


def test_a_tokenizer_that_puts_a_space_before_texts_puts_none_before_answers() -> None:
    """As SentencePiece's do: the first word of an answer is no other token than in the whole."""
    from tokenizers.pre_tokenizers import Metaspace

    tokenizer_ = tiny_bpe(special=SPECIAL)
    tokenizer_.pre_tokenizer = Metaspace(prepend_scheme="always")
    files = settle(tiny_files(tokenizer_, eos_token="<|end|>"), {}, "test")
    opened = open_chat_tokenizer(files, "{% for m in messages %}{{ m['content'] }}\n{% endfor %}")
    encoder = open_chat_encoder(opened)
    assert encoder.encode([[("rye", False), ("oats", True)]])[0].ids == [
        *opened.encode("rye", add_special_tokens=False),
        *opened.encode("\noats", add_special_tokens=False)[len(encoder.guard or []) :],
    ]


def test_synth_prompts_with_the_same_ids() -> None:
    """What a model is trained on is what an engine prompts it with."""
    from synth.calls import Generate, Model, Ready, Sampling
    from synth.engines.rendering import Rendering

    opened = tokenizer()
    rendering = Rendering("m", opened, 4096)
    call = Generate("main", Sampling(8), 0, messages=tuple(TALK[:3]))
    (ready,) = rendering.prepare(Model("m", "0" * 12), [call])
    assert isinstance(ready, Ready)
    (made,) = open_chat_encoder(opened).encode([chat_parts(opened, TALK, last=True)])
    assert made.ids[: made.learnt.index(True)] == list(ready.tokens or ())
