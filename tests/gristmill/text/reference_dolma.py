"""dolma's gopher_v1 and c4_v2 counts in plain Python, as its taggers' sources say them."""

from __future__ import annotations

from collections import Counter
from statistics import median

from tests.gristmill.text.reference_english import STOP_WORDS


def _grams(words: list[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))


def _chars(gram: tuple[str, ...]) -> int:
    return sum(map(len, gram))


def dolma(text: str) -> dict[str, int]:
    words, lower = text.split(), text.lower()
    lines = text.split("\n") if text else []
    stripped = [line.strip() for line in lower.split("\n")] if text else []
    repeated = {line: times for line, times in Counter(lines).items() if times > 1}
    found = {
        "words": len(words),
        "word_chars": _chars(tuple(words)),
        "median_word_length_x2": int(2 * median(map(len, words))) if words else 0,
        "symbol_words": sum("#" in w or "…" in w for w in words),
        "alpha_words": sum(any(c.isalpha() for c in w) for w in words),
        "required_words": sum(w in STOP_WORDS for w in words),
        "chars": len(text),
        "lines": len(lines),
        "bullet_lines": sum(line.startswith(("*", "-")) for line in lines),
        "ellipsis_lines": sum(line.endswith("…") for line in lines),
        "repeated_lines": sum(repeated.values()),
        "repeated_line_chars": sum(len(line) * times for line, times in repeated.items()),
        "unpunctuated_lines": sum(not s.endswith((".", "?", "!", '"')) for s in stripped),
        "few_word_lines": sum(len(s.split()) < 3 for s in stripped),
        "curly_bracket": int("{" in text),
        "javascript": int("javascript" in lower),
        "lorem_ipsum": int("lorem ipsum" in lower),
    }
    for n in (2, 3, 4):
        top = _grams(words, n).most_common(1)
        found[f"top_{n}gram_chars"] = sum(times * _chars(gram) for gram, times in top)
    for n in range(5, 11):
        counts = _grams(words, n).items()
        found[f"repeated_{n}gram_chars"] = sum(t * _chars(g) for g, t in counts if t > 1)
        found[f"all_{n}gram_chars"] = sum(t * _chars(g) for g, t in counts)
    return {f"dolma_{name}": value for name, value in found.items()}
