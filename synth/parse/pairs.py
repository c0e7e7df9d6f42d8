"""Parse pairs: questions with their answers, in the shapes that models write them.

In: a completion. Out: a list of {question, answer}, and the same as text.
Shown by: `gristmill run pipelines/recipes/synth/diverse_qa.yaml`.
Limit: labels are English: Question and Answer, Q and A.
"""

from __future__ import annotations

import json
import re
from itertools import pairwise
from typing import Any, ClassVar

import pyarrow as pa
from pydantic import Field

from synth.items import Item, Row
from synth.ops import register_op
from synth.parse.json import json_values
from synth.parse.parser import Parser, Unparsed

PAIR = pa.struct([("question", pa.string()), ("answer", pa.string())])
# `Question: …`, `Q1: …`, `**Question 2:** …`, `3. Q: …`, `### Answer`: at the start of a line.
_LABEL = re.compile(
    r"(?:[#>]{1,6}[ \t]{0,3})?(?:[-*•][ \t]{1,3}|\(?\d{1,3}[.):][ \t]{0,3})?[*_]{0,3}[ \t]{0,3}"
    r"(?:(?P<word>question|answer)|(?P<letter>[QA]))[ \t]?(?P<number>#?\d{1,3})?[*_]{0,3}"
    r"(?P<mark>[:.)\-–]?)[*_]{0,3}(?P<rest>[ \t].*|)$",
    re.IGNORECASE,
)
_INLINE = re.compile(r"\s[*_]{0,3}(?:Answer[*_]{0,3}:|(?<=\?\s)A:)[*_]{0,3}\s*")
# Without labels: a line that ends in a question mark, perhaps numbered or bold.
_ASKS = re.compile(
    r"[ \t]*(?:[#>]{1,6}[ \t]*)?(?:[-*•][ \t]+|\(?\d{1,3}[.):][ \t]+)?(\S.*\?)[*_]*$"
)


@register_op("parse.pairs")
class ParsePairs(Parser):
    """Pairs in order, or a random few of them."""

    SCALAR: ClassVar[str] = "into"

    into: str = "pairs"  # and `<into>_text`
    min: int = Field(1, ge=1)  # fewer pairs fail as `unparsable`
    max: int | None = Field(None, ge=1)  # the first ones are kept
    # A random 1…max(1, words of the source text / this) of the pairs, in random order.
    draw_per_words: float | None = Field(None, gt=0)
    draw_by: str = "text"  # the field that holds the source text

    def fields(self) -> dict[str, pa.DataType]:
        return {self.into: pa.list_(PAIR), f"{self.into}_text": pa.string()}

    def values(self, text: str, item: Item, row: Row) -> dict[str, Any]:
        pairs = read_pairs(text)
        if len(pairs) < self.min:
            raise Unparsed(f"there are {len(pairs)} pairs, {self.min} wanted")
        pairs = pairs[: self.max]
        if self.draw_per_words is not None:
            words = len(str(item.fields.get(self.draw_by) or "").split())
            most = max(1, int(words / self.draw_per_words))
            count = 1 + row.seed_for("pairs", *item.path) % most
            order = sorted(
                range(len(pairs)), key=lambda n: row.seed_for("pairs", "order", *item.path, n)
            )
            pairs = [pairs[n] for n in order[:count]]
        return {self.into: pairs, f"{self.into}_text": pairs_text(pairs)}


def pairs_text(pairs: list[dict[str, str]]) -> str:
    """Lines that begin with Question: and Answer:, pairs parted by a blank line."""
    return "\n\n".join(f"Question: {p['question']}\nAnswer: {p['answer']}" for p in pairs)


def read_pairs(text: str) -> list[dict[str, str]]:
    """Complete pairs of a text: labelled, as JSON, or questions followed by text."""
    return _labelled(text) or _from_json(text) or _asked(text)


def _labelled(text: str) -> list[dict[str, str]]:
    parts: list[tuple[str, list[str]]] = []  # ("q" or "a", lines)
    for line in text.splitlines():
        mark = _LABEL.match(line.strip())
        if mark and _is_label(mark):
            parts.append(((mark["word"] or mark["letter"])[0].lower(), [mark["rest"]]))
        elif parts:
            parts[-1][1].append(line)
    pieces: list[tuple[str, str]] = []
    for kind, lines in parts:
        joined = _tidy(lines)
        inline = _INLINE.search(joined) if kind == "q" else None
        if inline:
            pieces += [("q", joined[: inline.start()]), ("a", joined[inline.end() :])]
        else:
            pieces.append((kind, joined))
    return _join(pieces)


def _is_label(mark: re.Match[str]) -> bool:
    """A letter needs its colon, or a number; a word a mark, or to stand alone as a heading."""
    if mark["letter"]:
        return mark["mark"] == ":" or bool(mark["number"] and mark["mark"])
    return bool(mark["mark"]) or not mark["rest"].strip()


def _asked(text: str) -> list[dict[str, str]]:
    pieces: list[tuple[str, str]] = []
    held: list[str] = []
    for line in text.splitlines():
        mark = _ASKS.match(line.strip())
        if not mark:
            held.append(line)
            continue
        pieces += [("a", _tidy(held)), ("q", mark[1].strip("*_ \t"))]
        held = []
    return _join([*pieces, ("a", _tidy(held))])


def _from_json(text: str) -> list[dict[str, str]]:
    if '"question"' not in text:
        return []
    try:
        values = list(json_values(text))
    except Unparsed:
        return []
    entries = [
        entry for value in values for entry in (value if isinstance(value, list) else [value])
    ]
    if len(entries) == 1 and isinstance(entries[0], dict):
        entries += [e for v in entries[0].values() if isinstance(v, list) for e in v]
    found = []
    for entry in entries:
        if isinstance(entry, dict) and {"question", "answer"} <= entry.keys():
            question, answer = (_as_text(entry[key]) for key in ("question", "answer"))
            if question and answer:
                found.append({"question": question, "answer": answer})
    return found


def _as_text(value: Any) -> str:
    return (value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)).strip()


def _join(pieces: list[tuple[str, str]]) -> list[dict[str, str]]:
    """A question and the answer right after it; others, and empty ones, are left."""
    found = []
    for (kind, question), (other, answer) in pairwise(pieces):
        if (kind, other) == ("q", "a") and question and answer:
            found.append({"question": question, "answer": answer})
    return found


def _tidy(lines: list[str]) -> str:
    return "\n".join(line.rstrip() for line in lines).strip().strip("*").strip()
