"""Mathematical answers: equal as numbers, or as `math-verify` finds them equal.

In: a completion and the right answer. Out: 1.0 or 0.0.
Shown by: `python -m pytest tests/synth/verify/test_maths_verifier.py`.
Limit: what math-verify accepts is accepted: 50% equals 0.5 and equals 50; see docs.

Plain numbers on both sides are compared here, exactly; sympy is not even imported then. Decimals
are compared to 6 places, as math-verify does. All else goes to math-verify, in another process.
"""

from __future__ import annotations

import re
from fractions import Fraction

from synth.verify.answers import boxed, last_line, marked, plain_number, tidy, unified
from synth.verify.apart import apart
from synth.verify.installed import SYMBOLIC, require

LONGEST = (
    400  # characters of an answer; longer ones are wrong unless they are equal letter by letter
)
SECONDS = 10.0
PLACES = 6
_IDLE = re.compile(r"(?<!\d)\s+|\s+(?!\d)")  # spaces that are not between two digits: 1 1/2


def same_number(a: tuple[Fraction, bool], b: tuple[Fraction, bool]) -> bool:
    """Whether two plain numbers are equal: exactly, or to 6 places where one is a decimal."""
    if a[0] == b[0]:
        return True
    return (a[1] or b[1]) and round(a[0], PLACES) == round(b[0], PLACES)


def said(completion: str) -> str:
    """The answer that a completion gives: what it marks, else the end of its last line."""
    found = marked(completion)
    if found is not None:
        return tidy(found)
    line = last_line(completion)
    side = tidy(line.rpartition("=")[2])
    return side if plain_number(side) is not None else line


def quick(completion: str, answer: str) -> bool | None:
    """The verdict where plain numbers or equal letters decide; None where they do not."""
    right = tidy(boxed(answer) or answer)
    given = said(completion)
    if _letters(given) == _letters(right):
        return bool(right)
    if not right or not given:
        return False
    expected, found = plain_number(right), plain_number(given)
    if expected is not None and found is not None:
        return same_number(expected, found)
    return False if max(len(given), len(right)) > LONGEST else None


def _letters(text: str) -> str:
    return _IDLE.sub("", text)


def symbolic(answer: str, given: str) -> bool:
    """What math-verify says of two answers. It may hang: call it in another process."""
    from math_verify import parse, verify

    expected = parse(f"${answer}$", parsing_timeout=None) or parse(answer, parsing_timeout=None)
    texts = (given,) if "$" in given else (f"${given}$", given)
    return any(
        verify(
            expected,
            parse(text, parsing_timeout=None),
            allow_set_relation_comp=True,
            timeout_seconds=None,
        )
        for text in texts
    )


def symbolic_arguments(completion: str, answer: str) -> tuple[str, str]:
    """What `symbolic` takes for a completion and an answer."""
    right = unified(tidy(boxed(answer) or answer))
    return right, unified(said(completion))


def verify_maths(completion: str, answer: str, prompt: str = "") -> float:
    """1.0 where the completion's final answer is mathematically the right one."""
    verdict = quick(completion, answer)
    if verdict is None:
        require(*SYMBOLIC)
        arguments = symbolic_arguments(completion, answer)
        verdict = bool(apart("synth.verify.maths:symbolic", arguments, SECONDS))
    return float(verdict)


def verify_number(completion: str, answer: str, prompt: str = "") -> float:
    """1.0 where the completion's final number is the answer: `42`, or `3.14 ± 0.01`.

    The marked answer, or else the last number of the completion.
    """
    middle, sign, margin = answer.replace("+-", "±").partition("±")
    expected, width = plain_number(middle), plain_number(margin)
    found = plain_number(said(completion)) or _last_number(completion)
    if expected is None or found is None or (sign and width is None):
        return 0.0
    if width is not None:
        return float(abs(expected[0] - found[0]) <= width[0])
    return float(same_number(expected, found))


def _last_number(text: str) -> tuple[Fraction, bool] | None:
    pieces = unified((marked(text) or text)[-2000:]).split()
    for piece in reversed(pieces):
        if any(c.isdigit() for c in piece):
            return plain_number(piece.strip(".,;:!?()[]*_$\"'"))
    return None
