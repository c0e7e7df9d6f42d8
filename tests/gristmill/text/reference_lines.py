"""C4's and RefinedWeb's line rules in plain Python, as their public sources have them."""

from __future__ import annotations

import re

from gristmill.text.line_clean import COUNTS, C4Rules
from gristmill.text.line_refined import COUNTS as REFINED_COUNTS
from gristmill.text.phrases import POLICY_PHRASES
from tests.gristmill.text.reference_english import spacy_sentences
from tests.gristmill.text.reference_signals import base

_CITATION = re.compile(r"\[\d*]|\[edit]|\[citation needed]")
_COUNTED = (
    "likes|shares|comments|retweets|reposts|quotes|bookmarks|upvotes|downvotes|downloads|views"
    "|followers"
)
_COUNTER = re.compile(rf"^\W*\d(?:,|\.|\d)*(?:k|m|b)?\s+(?:{_COUNTED})\W*$")


def sentences(line: str, by: str) -> int:
    if by == "none":
        return 0
    return spacy_sentences(line) if by == "spacy" else base(line)["sentences"]


def c4(text: str, rules: C4Rules) -> tuple[str, dict[str, int]]:
    """The cleaned text and the counts of COUNTS."""
    counts = dict.fromkeys(COUNTS, 0)
    kept = []
    pieces = text.splitlines() if rules.strip else text.split("\n")
    if not rules.strip and text.endswith("\n"):
        pieces.pop()
    for number, piece in enumerate(pieces):
        line = piece.strip()
        visible = bool(line)
        counts["lines"] += visible
        words = line.split()
        if rules.max_word_length >= 0 and any(len(w) > rules.max_word_length for w in words):
            counts["long_word_lines"] += 1
            continue
        if rules.citations:
            line, found = _CITATION.subn("", line)
            counts["citations"] += found
        if rules.end_marks:
            ends = line.endswith(tuple(rules.end_marks))
            if not ends or (line.endswith("...") and not rules.ellipsis_ends):
                counts["unterminated_lines"] += visible
                continue
        if not rules.words_with_citations:
            words = line.split()
        if len(words) < rules.min_words:
            counts["few_word_lines"] += visible
            continue
        lower = line.lower()
        counts["lorem_ipsum_lines"] += "lorem ipsum" in lower
        if rules.javascript and "javascript" in lower:
            counts["javascript_lines"] += 1
            continue
        counts["curly_lines"] += "{" in line
        if rules.policy and any(phrase in lower for phrase in POLICY_PHRASES):
            counts["policy_lines"] += 1
            continue
        counts["kept_lines"] += 1
        counts["sentences"] += sentences(line, rules.sentences)
        last = number == len(pieces) - 1 and not text.endswith("\n")
        kept.append(line if rules.strip else piece + "\n" * (not last))
    return ("\n".join(kept).strip() if rules.strip else "".join(kept)), counts


def _alnum_words(line: str) -> int:
    return sum(word[0].isalnum() for word in line.split())


def refined(text: str) -> tuple[str, dict[str, int]]:
    """The cleaned text and the counts of line_refined.COUNTS."""
    counts = dict.fromkeys(REFINED_COUNTS, 0)
    kept = []
    lines = text.split("\n")
    if text.endswith("\n") or not text:
        lines.pop()
    for line in lines:
        if not line:
            kept.append("")
            continue
        counts["lines"] += 1
        counts["words"] += _alnum_words(line)
        if sum(c.isupper() for c in line) / len(line) > 0.5:
            counts["uppercase_lines"] += 1
        elif all(c.isdigit() for c in line):
            counts["numeric_lines"] += 1
        elif _COUNTER.search(line.lower()):
            counts["counter_lines"] += 1
        elif len(line.split()) < 2:
            counts["one_word_lines"] += 1
        else:
            cut = line
            if len(line.split()) <= 10:
                cut = re.sub(r"\s?items in cart", "", cut, flags=re.I)
                cut = re.sub(r"\s?read more\.\.\.$", "", cut, flags=re.I)
                cut = re.sub(r"^sign-in\s?", "", cut, flags=re.I)
            if cut != line and not cut.strip():
                counts["emptied_lines"] += 1
                continue
            counts["cut_lines"] += cut != line
            kept.append(cut)
    counts["removed_words"] = counts["words"] - sum(map(_alnum_words, kept))
    return "\n".join(kept).strip(), counts
