"""Verifiers of the procedural tasks.

In: a completion, the drawn answer, the prompt. Out: 1.0 or 0.0.
Shown by: `python -m pytest tests/synth/verify/test_task_verifiers.py`.
Limit: the bare tasks take the first line as it is; only the worded ones read prose.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

from synth.procedural import brevo, capo, depo, lano, mano, worded
from synth.verify.answers import last_line, marked

_WORD = re.compile(r"\w+")
_LONGEST = 20_000  # characters from the end of a completion that are read


def _conclusion(completion: str) -> str:
    text = completion[-_LONGEST:]
    return marked(text) or last_line(text)


def worded_depo(completion: str, answer: str, prompt: str = "") -> float:
    """1.0 where the conclusion names the right person, and of those in the prompt nobody else.

    Without a prompt the conclusion must be the name.
    """
    told = _WORD.findall(_conclusion(completion))
    if not prompt:
        return float(bool(answer) and told == [answer])
    people = worded.named_people(prompt)
    return float(bool(answer) and {word for word in told if word in people} == {answer})


def worded_brevo(completion: str, answer: str, prompt: str = "") -> float:
    """1.0 where the conclusion lists what is needed in any valid order.

    Words that are no part's name are passed over; without a prompt only the drawn order is right.
    """
    told = [word.casefold() for word in _WORD.findall(_conclusion(completion))]
    problem = worded.parse_brevo(prompt)
    if problem is None:
        return float(bool(answer) and told == _WORD.findall(answer.casefold()))
    edges, asked = problem
    parts = {asked}.union(*edges)
    return float(brevo.right_order([word for word in told if word in parts], edges, asked))


TASK_VERIFIERS: dict[str, Callable[..., float]] = {
    "depo": depo.verify,
    "brevo": brevo.verify,
    "capo": capo.verify,
    "mano": mano.verify,
    **{f"lano.{name}": partial(lano.verify, grammar=name) for name in lano.PUBLISHED},
    "worded_depo": worded_depo,
    "worded_brevo": worded_brevo,
}
