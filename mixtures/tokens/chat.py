"""Chats as text: the template, and which parts of what it prints are answers.

In: a tokenizer's files and turns. Out: transformers' tokenizer with its template; a chat in parts,
each learnt or not. Shown by: `python -m pytest tests/mixtures/tokens/test_chat.py`.
Limit: a special token that stands in a message as text is taken for one, as engines do.

The template is the file that a recipe names, else the tokenizer's own, else OURS. It is kept with
the tokenizer, so an engine prompts a model with what it was trained on. A template with
`{% generation %}` marks says itself what is learnt; of others, prompt and answer are rendered apart
and each must begin what follows.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from datetime import date
from itertools import zip_longest
from pathlib import Path
from typing import Any

from gristmill.errors import RecipeError

TEMPLATE = "chat_template.jinja"
# A turn: `<|role|>`, a line break, the text, the end-of-text token, a line break. The role's mark
# is plain text where the tokenizer has no such token, so any tokenizer with an EOS will do.
OURS = (
    "{{ bos_token or '' }}{% for message in messages %}<|{{ message['role'] }}|>\n"
    "{{ message['content'] }}{{ eos_token }}\n"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
# Templates that print the date must print the same one every day, and here the one that
# synth.engines.rendering prompts with.
_TODAY = date(2024, 7, 26)
_MARKS = re.compile(r"\{%-?\s*generation\s*-?%\}")

Turn = Mapping[str, str]
Parts = list[tuple[str, bool]]  # text, and whether it is learnt


class BadChat(Exception):
    """A chat that the template refuses; its row is dropped and counted."""


def open_chat_tokenizer(files: Mapping[str, bytes], template: str | None = None) -> Any:
    """transformers' tokenizer; its chat_template is the text `template`, its own, or OURS."""
    from transformers import AutoTokenizer

    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            (Path(folder) / name).write_bytes(content)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    if template is not None:
        tokenizer.chat_template = template
    if isinstance(tokenizer.chat_template, dict):
        raise RecipeError(
            f"the tokenizer has several chat templates, {sorted(tokenizer.chat_template)}; write "
            "the one that is meant to a file and name it: `template: chat.jinja`"
        )
    if not tokenizer.chat_template:
        if tokenizer.eos_token is None:
            raise RecipeError(
                "the tokenizer has neither a chat template nor an end-of-text token, which would "
                "end an answer; give it one (`train_tokenizer: {eos: …}`) or `template: chat.jinja`"
            )
        tokenizer.chat_template = OURS
    return tokenizer


def render(tokenizer: Any, turns: Sequence[Turn], answer: bool) -> str:
    """The text of turns; answer: with what makes a model answer behind them."""
    try:
        text: str = tokenizer.apply_chat_template(
            list(turns), tokenize=False, add_generation_prompt=answer, strftime_now=_TODAY.strftime
        )
    except Exception as error:  # a template is a program: it may raise what it likes
        raise BadChat(str(error)) from error
    return text


def chat_parts(tokenizer: Any, turns: Sequence[Turn], last: bool = False) -> Parts:
    """A chat; what is learnt is every assistant's turn with its end, or the last one only."""
    if _MARKS.search(tokenizer.chat_template):
        return _marked(tokenizer, turns, last)
    answers = [n for n, turn in enumerate(turns) if turn["role"] == "assistant"]
    parts: Parts = []
    done = ""
    for number in answers[-1:] if last else answers:
        before = render(tokenizer, turns[:number], True)
        after = render(tokenizer, turns[: number + 1], False)
        parts += [(_rest(before, done), False), (_rest(after, before), True)]
        done = after
    if not answers or answers[-1] + 1 < len(turns):
        parts.append((_rest(render(tokenizer, turns, False), done), False))
    return [(text, learnt) for text, learnt in parts if text]


def _marked(tokenizer: Any, turns: Sequence[Turn], last: bool) -> Parts:
    """What the template's own marks say."""
    from transformers.utils.chat_template_utils import render_jinja_template

    try:
        (text,), (spans,) = render_jinja_template(
            conversations=[list(turns)],
            chat_template=tokenizer.chat_template,
            return_assistant_tokens_mask=True,
            strftime_now=_TODAY.strftime,
            **tokenizer.special_tokens_map,
        )
    except Exception as error:
        raise BadChat(str(error)) from error
    parts: Parts = []
    done = 0
    for start, end in spans[-1:] if last else spans:
        parts += [(text[done:start], False), (text[start:end], True)]
        done = end
    return [(part, learnt) for part, learnt in [*parts, (text[done:], False)] if part]


def _rest(text: str, before: str) -> str:
    """What follows `before`; RecipeError where the template prints it otherwise later on."""
    if text.startswith(before):
        return text[len(before) :]
    pairs = enumerate(zip_longest(text, before))
    place = next(n for n, (now, then) in pairs if now != then)
    raise RecipeError(
        "the chat template prints turns otherwise when more follow: "
        f"{before[place : place + 60]!r} becomes {text[place : place + 60]!r}, so what is an "
        "answer cannot be told; put `{% generation %}` marks around the answers in a copy of it, "
        "and name that file: `template: chat.jinja`"
    )
