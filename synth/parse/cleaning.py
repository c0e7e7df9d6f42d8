"""Cleaning of completions, shared by all parsers: thoughts, refusals, lead-ins.

In: an item's completion. Out: its text, or None after a typed failure was noted.
Shown by: `python -m pytest tests/synth/parse`. Limit: phrases are English.
"""

from __future__ import annotations

import re

from synth.items import Item, Row

OPEN, CLOSE = "<think>", "</think>"
REFUSAL_WORDS = 60  # a longer text that begins like a refusal usually goes on to answer
_REFUSAL = re.compile(
    r"^\W*(?:i(?:'|’)?m (?:very |really )?sorry|sorry,|i apologi[sz]e|i (?:can(?:no|')t|cannot|can’t|"
    r"am unable to|am not able to|won(?:'|’)t|must decline|refuse to)|as an ai\b|unfortunately, i)",
    re.IGNORECASE,
)
_LEAD_IN = re.compile(
    r"^\W*(?:(?:sure|certainly|of course|okay|ok|absolutely)\b[^\n]{0,80}[:!.]\s*\n+"
    r"|(?:here(?:'s| is| are|’s)|below is|the following is)\b[^\n]{0,120}:\s*)",
    re.IGNORECASE,
)


def cleaned(
    item: Item, of: str, row: Row, lead_ins: bool = False, refusals: bool = True
) -> str | None:
    """The completion in field `of`, or None; thoughts go to the field `thoughts`."""
    text = item.fields.get(of)
    if not isinstance(text, str):
        row.fail("parse", "missing", f"there is no text {of!r}")
        return None
    if OPEN in text or CLOSE in text:
        before, opened, rest = text.partition(OPEN)
        thoughts, closed, after = (rest if opened else text).partition(CLOSE)
        if not closed:
            row.fail("parse", "no_closing_tag", f"{OPEN} without {CLOSE}")
            return None
        item.fields["thoughts"] = thoughts.strip()
        text = (before if opened else "") + after
    text = text.strip()
    if lead_ins:
        text = _LEAD_IN.sub("", text, count=1).strip()
    if not text:
        row.fail("parse", "empty")
        return None
    if refusals and is_refusal(text):
        row.fail("parse", "refused", text[:120])
        return None
    return text


def is_refusal(text: str) -> bool:
    """Whether a short text begins by declining."""
    return bool(_REFUSAL.match(text)) and len(text.split()) <= REFUSAL_WORDS
