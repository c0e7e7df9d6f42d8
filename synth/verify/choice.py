"""Exact answers: equal text, and the letter of a multiple choice.

In: a completion and the right answer. Out: 1.0 or 0.0.
Shown by: `python -m pytest tests/synth/verify/test_choice.py`.
Limit: a bare letter in running text counts only where it stands alone at the start or the end.
"""

from __future__ import annotations

import re
import unicodedata

from synth.verify.answers import last_line, marked, tidy

_LETTER = re.compile(r"[(\[]?([A-Z])[)\]]?(?=[\s.:,)]|$)(?!\s*[a-z]{2,}\s)")
_LONE = re.compile(r"(?:^|[\s(\[*])([A-Z])[)\].:*]*\s*$")
_TEXT = re.compile(r"\\text(?:bf|rm|it)?\s*\{\s*\(?([A-Za-z])\)?\s*\}")
_ONLY = re.compile(r"[*\s]*[(\[]?([A-Za-z])[)\]]?[*\s.:,]*")  # a marked answer that is one letter
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")


def normalised(text: str) -> str:
    """Lower case, no punctuation around, single spaces, no articles (as SQuAD's exact match)."""
    text = unicodedata.normalize("NFKC", text).casefold()
    kept = "".join(" " if unicodedata.category(c)[0] in "PZC" else c for c in text)
    return " ".join(_ARTICLES.sub(" ", kept).split())


def verify_exact(completion: str, answer: str, prompt: str = "") -> float:
    """1.0 where the marked answer, or the whole completion, equals the answer."""
    wanted = normalised(answer)
    said = (marked(completion), completion)
    return float(bool(wanted) and any(normalised(t) == wanted for t in said if t is not None))


def letter(completion: str) -> str | None:
    """The letter chosen: marked, or alone at the start, or alone at the very end."""
    found = marked(completion)
    only = _ONLY.fullmatch(found[:20]) if found is not None else None
    if only is not None:
        return only[1].upper()
    for text in (found, tidy(completion.strip().partition("\n")[0])):
        if text is None:
            continue
        inside = _TEXT.search(text[:200])
        if inside is not None:
            return inside[1].upper()
        match = _LETTER.match(text.strip().lstrip("*").strip())
        if match is not None:
            return match[1]
    if found is not None:
        return None
    alone = _LONE.search(last_line(completion)[-200:])
    return alone[1] if alone is not None else None


def verify_choice(completion: str, answer: str, prompt: str = "") -> float:
    """1.0 where the letter chosen is the answer's: "B", "(B)", "B. Paris"."""
    wanted = letter(answer.strip().upper()[:3])
    return float(wanted is not None and letter(completion) == wanted)
