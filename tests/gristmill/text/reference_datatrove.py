"""datatrove's Gopher and FineWeb counts in plain Python, as its filters' sources say them."""

from __future__ import annotations

import re
from collections import Counter

from datatrove.utils.text import PUNCTUATION_SET, TERMINAL_PUNCTUATION

from tests.gristmill.text.reference_english import STOP_WORDS, spacy_tokens


def duplicates(pieces: list[str]) -> tuple[int, int]:
    """How many equal an earlier one, and their characters."""
    seen: set[str] = set()
    count = chars = 0
    for piece in pieces:
        if piece in seen:
            count += 1
            chars += len(piece)
        seen.add(piece)
    return count, chars


def top_ngram(words: list[str], n: int) -> int:
    grams = Counter(" ".join(words[i : i + n]) for i in range(len(words) - n + 1))
    if not grams:
        return 0
    gram, times = grams.most_common(1)[0]
    return len(gram) * times


def greedy_ngrams(words: list[str], n: int) -> int:
    """An n-gram seen where the walk came by counts, and the walk steps over it."""
    seen: set[tuple[str, ...]] = set()
    chars = i = 0
    while i < len(words) - n + 1:
        gram = tuple(words[i : i + n])
        if gram in seen:
            chars += sum(map(len, gram))
            i += n
        else:
            seen.add(gram)
            i += 1
    return chars


def datatrove(text: str) -> dict[str, int]:
    words = spacy_tokens(text)
    counted = [w for w in words if any(c not in PUNCTUATION_SET for c in w)]
    lines = text.splitlines()
    paragraphs = re.split(r"\n{2,}", text.strip())
    pieces = re.split("\n+", text) if text else []
    starts = [line.lstrip()[:1] for line in lines]
    ends = [line.rstrip() for line in lines]
    found = {
        "words": len(words),
        "counted_words": len(counted),
        "counted_word_chars": sum(map(len, counted)),
        "alpha_words": sum(any(c.isalpha() for c in w) for w in words),
        "stop_words": len(STOP_WORDS & set(words)),
        "chars": len(text),
        "hash_symbols": text.count("#"),
        "ellipses": text.count("...") + text.count("…"),
        "lines": len(lines),
        "bullet_lines": sum(start in ("•", "-") for start in starts),
        "ellipsis_lines": sum(end.endswith(("...", "…")) for end in ends),
        "split_lines": len(pieces),
        "duplicate_lines": duplicates(pieces)[0],
        "duplicate_line_chars": duplicates(pieces)[1],
        "paragraphs": len(paragraphs),
        "duplicate_paragraphs": duplicates(paragraphs)[0],
        "duplicate_paragraph_chars": duplicates(paragraphs)[1],
        **{f"top_{n}gram_chars": top_ngram(words, n) for n in (2, 3, 4)},
        **{f"duplicate_{n}gram_chars": greedy_ngrams(words, n) for n in range(5, 11)},
    }
    return {f"datatrove_{name}": value for name, value in found.items()}


def fineweb(text: str) -> dict[str, int]:
    lines = [line for line in text.split("\n") if line.strip()]
    found = {
        "words": len(spacy_tokens(text)),
        "newlines": text.count("\n"),
        "chars_in_lines": len(text.replace("\n", "")),
        "nonblank_lines": len(lines),
        "terminal_lines": sum(line.endswith(tuple(TERMINAL_PUNCTUATION)) for line in lines),
        "short_lines": sum(len(line) <= 30 for line in lines),
        "duplicate_nonblank_line_chars": duplicates(lines)[1],
    }
    return {f"datatrove_{name}": value for name, value in found.items()}
