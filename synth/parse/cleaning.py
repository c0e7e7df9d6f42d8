"""Cleaning of completions, shared by all parsers: thoughts, refusals, lead-ins, farewells.

In: an item's completion. Out: its text, or None after a typed failure was noted.
Shown by: `python -m pytest tests/synth/parse`. Limit: phrases are English.
"""

from __future__ import annotations

import re

from synth.items import Item, Row

OPEN, CLOSE = "<think>", "</think>"
_THINK = re.compile(f"{OPEN}|{CLOSE}")
REFUSAL_WORDS = 60  # a longer text that begins like a refusal usually goes on to answer
_CANNOT = (
    r"i(?:'m| am) (?:not able|unable) to|i (?:must|have to|will) (?:decline|refuse)|i refuse to"
    r"|i (?:can't|cannot|can not|won't|will not|am not going to) (?:help|assist|provide|answer|do "
    r"|write|create|generate|complete|comply|fulfil|produce|rewrite|continue|share|give|offer|engage"
    r"|support|discuss|summari[sz]e)"
)
_REFUSAL = re.compile(
    r"\W*(?:(?:i'm|i am) (?:very |really |so |truly )?sorry\b[,.;:]? *(?:but|i |i'|as |this|$)"
    rf"|sorry[,.]? *(?:but|i |i'|this)|i apologi[sz]e[,.]? *(?:but|i |for (?:any|the)|$)"
    rf"|as an ai\b|(?:unfortunately|regrettably),? i(?:'m| )|{_CANNOT})",
    re.IGNORECASE,
)
# "Sure! Here is the rewritten text:" and then the text. A lead-in ends its line or names what it
# announces: "Here is the thing: …" is how a text may begin.
_LEAD_IN = re.compile(
    r"\W*(?:(?:sure|certainly|of course|okay|ok|absolutely|gladly)\b[^\n]{0,80}[:!.][ \t]*\n+\s*)?"
    r"(?:(?:here(?:'s| is| are)|below (?:is|are)|the following is)\b[^\n:]{0,120}"
    r"(?::[ \t]*(?:\n+|$)|\b(?:version|paraphrase|rewrit\w+|rephras\w+|summary)\b[^\n:]{0,60}:))?",
    re.IGNORECASE,
)
_FAREWELL = re.compile(
    r"\n\s*(?:i hope (?:this|that|it)|let me know if|feel free to|please let me know"
    r"|if you (?:have|need|would like) any)[^\n]{0,200}\s*\Z",
    re.IGNORECASE,
)
# Marks around the whole of a text: a fence, or those around what the model was given.
_FENCED = re.compile(r"```(?:markdown|md|text|txt)?[ \t]*\n(.*)\n```", re.DOTALL | re.IGNORECASE)
_WRAPPED = re.compile(
    r"<(passage|text|document|draft|extract|request|instruction|person|part)>(.*)</\1>", re.DOTALL
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
        parted = without_thoughts(text)
        if parted is None:
            row.fail("parse", "no_closing_tag", f"{OPEN} without {CLOSE}")
            return None
        text, item.fields["thoughts"] = parted
    text = text.strip("\n").rstrip()  # the first line keeps its indent: lists and code need it
    if lead_ins:
        text = without_lead_in(text.strip())
    if not text:
        row.fail("parse", "empty")
        return None
    if refusals and is_refusal(text):
        row.fail("parse", "refused", text[:120])
        return None
    return text


def without_thoughts(text: str) -> tuple[str, str] | None:
    """The text and its thoughts, which the prompt may have opened; None where they do not end."""
    said: list[str] = []
    thought: list[str] = []
    at, thinking = 0, text.find(CLOSE) < text.find(OPEN) or OPEN not in text
    for mark in _THINK.finditer(text):
        if thinking == (mark[0] == OPEN):
            continue  # a mark inside of what it would open or close
        (thought if thinking else said).append(text[at : mark.start()])
        at, thinking = mark.end(), not thinking
    if thinking:
        return None
    said.append(text[at:])
    return "".join(said), "\n\n".join(piece.strip() for piece in thought)


def without_lead_in(text: str) -> str:
    """Without "Here is the text:" before it, "Let me know if …" after it, and marks around it."""
    lead = _LEAD_IN.match(text[:400].replace("’", "'"))
    if lead and any(character.isalnum() for character in lead[0]):
        text = text[lead.end() :].strip()
    if (last := text.rfind("\n")) >= 0 and _FAREWELL.match(text, last):
        text = text[:last].strip()
    if (fenced := _FENCED.fullmatch(text)) and "\n```" not in fenced[1]:
        text = fenced[1].strip()
    wrapped = _WRAPPED.fullmatch(text)
    return wrapped[2].strip() if wrapped else text


def is_refusal(text: str) -> bool:
    """Whether a short text begins by declining."""
    head = text[:200].replace("’", "'")
    return bool(_REFUSAL.match(head)) and len(text.split()) <= REFUSAL_WORDS
