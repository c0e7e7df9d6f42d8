"""The signals of families `base` and `repetition` once more: slow, plain, written from definitions.

In: a str. Out: the dict that the kernels must equal.
Shown by: `python -m tests.gristmill.text.reference_signals "Some text."`.
Limit: `regex` gives the Unicode properties, so its Unicode version must be that of the tables.
"""

from __future__ import annotations

import sys
from bisect import bisect_left
from collections import Counter
from functools import cache, lru_cache
from itertools import groupby, pairwise

import regex

STOP_WORDS = {"the", "be", "to", "of", "and", "that", "have", "with"}
BULLETS = set("•‣⁃⁌⁍∙○●◘◦⦾⦿▪▫■□·*-")
WIDE_STOPS = set("。．！？｡")
POLICY = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies",
          "use cookies")  # fmt: skip
_WB = (
    "CR", "LF", "Newline", "Extend", "ZWJ", "Format", "Regional_Indicator", "Katakana",
    "Hebrew_Letter", "ALetter", "Single_Quote", "Double_Quote", "MidNumLet", "MidLetter", "MidNum",
    "Numeric", "ExtendNumLet", "WSegSpace",
)  # fmt: skip
_LETTER_OR_NUMBER = regex.compile(r"[\p{L}\p{N}]")
_ALPHABETIC = regex.compile(r"\p{Alphabetic}")
_UPPERCASE = regex.compile(r"\p{Uppercase}")
_DIGIT = regex.compile(r"\p{Nd}")
_SENTENCE_TERMINAL = regex.compile(r"\p{Sentence_Terminal}")
_WHITE_SPACE = "".join(regex.findall(r"\p{White_Space}", "".join(map(chr, range(0x3001)))))
_NEWLINES = {"CR", "LF", "Newline"}
_IGNORED = {"Extend", "Format", "ZWJ"}
_AHLETTER = {"ALetter", "Hebrew_Letter"}
_MIDNUMLETQ = {"MidNumLet", "Single_Quote"}


@cache
def has(char: str, properties: str) -> bool:
    return regex.fullmatch(rf"[{properties}]", char, regex.V1) is not None


@cache
def word_break(char: str) -> str:
    return next((name for name in _WB if has(char, rf"\p{{Word_Break={name}}}")), "Other")


def boundaries(text: str) -> list[int]:
    """Word boundaries of UAX #29, rule by rule, without WB3c."""
    kinds = [word_break(char) for char in text]
    found = [0]
    around = zip(["", *kinds], kinds, kinds[1:], [*kinds[2:], ""], strict=False)
    for i, four in enumerate(around, 1):
        known = _breaks_amid(*four)
        if known or (known is None and _breaks(kinds, i)):
            found.append(i)
    return [*found, len(text)] if text else []


@cache
def _breaks_amid(z: str, a: str, b: str, c: str) -> bool | None:
    """The same between `a` and `b`, once for all texts; None where it takes more than these."""
    far = {z, a, b, c} & (_IGNORED | {"Regional_Indicator"})
    return None if far else _breaks([z, a, b, c], 2)


def _breaks(kinds: list[str], i: int) -> bool:
    if kinds[i - 1] == "CR" and kinds[i] == "LF":  # WB3
        return False
    if kinds[i - 1] in _NEWLINES or kinds[i] in _NEWLINES:  # WB3a, 3b
        return True
    if kinds[i - 1] == kinds[i] == "WSegSpace":  # WB3d
        return False
    if kinds[i] in _IGNORED:  # WB4
        return False

    def back(j: int) -> int:  # the character before j that counts, -1 for none
        j -= 1
        while j >= 0 and kinds[j] in _IGNORED:
            j -= 1
        return -1 if j < 0 or kinds[j] in _NEWLINES else j

    def ahead(j: int) -> str:
        j += 1
        while j < len(kinds) and kinds[j] in _IGNORED:
            j += 1
        return kinds[j] if j < len(kinds) else ""

    at = back(i)
    a, b = kinds[at] if at >= 0 else "", kinds[i]
    before = back(at) if at >= 0 else -1
    z = kinds[before] if before >= 0 else ""
    c = ahead(i)
    if a in _AHLETTER and b in _AHLETTER:  # WB5
        return False
    if a in _AHLETTER and b in {"MidLetter"} | _MIDNUMLETQ and c in _AHLETTER:  # WB6
        return False
    if z in _AHLETTER and a in {"MidLetter"} | _MIDNUMLETQ and b in _AHLETTER:  # WB7
        return False
    if a == "Hebrew_Letter" and b == "Single_Quote":  # WB7a
        return False
    if a == "Hebrew_Letter" and b == "Double_Quote" and c == "Hebrew_Letter":  # WB7b
        return False
    if z == "Hebrew_Letter" and a == "Double_Quote" and b == "Hebrew_Letter":  # WB7c
        return False
    if a in _AHLETTER | {"Numeric"} and b == "Numeric":  # WB8, 9
        return False
    if a == "Numeric" and b in _AHLETTER:  # WB10
        return False
    if z == "Numeric" and a in {"MidNum"} | _MIDNUMLETQ and b == "Numeric":  # WB11
        return False
    if a == "Numeric" and b in {"MidNum"} | _MIDNUMLETQ and c == "Numeric":  # WB12
        return False
    if a == b == "Katakana":  # WB13
        return False
    if a in _AHLETTER | {"Numeric", "Katakana", "ExtendNumLet"} and b == "ExtendNumLet":  # WB13a
        return False
    if a == "ExtendNumLet" and b in _AHLETTER | {"Numeric", "Katakana"}:  # WB13b
        return False
    if a == b == "Regional_Indicator":  # WB15, 16
        run = 0
        while at >= 0 and kinds[at] == "Regional_Indicator":
            run, at = run + 1, back(at)
        return run % 2 == 0
    return True


@lru_cache(maxsize=2)
def words(text: str) -> list[tuple[int, int]]:
    """(start, end) of each word: segments with a letter or number; pieces of scripts without
    spaces."""
    cuts = boundaries(text)
    found: list[tuple[int, int]] = []
    spaceless = False
    for a, b in pairwise(cuts):
        if has(text[a], r"\p{Line_Break=SA}&&\p{L}"):
            if spaceless:
                start = found[-1][0]
                seen = [c for c in text[start:a] if not has(c, _INVISIBLE)]
                glued = has(seen[-1], r"\p{InCB=Linker}\p{Logical_Order_Exception}")
                vowel = has(text[a], r"\p{Logical_Order_Exception}")
                if glued or (a - start < 4 and not vowel):
                    found[-1] = (start, b)
                    continue
            spaceless = True
            found.append((a, b))
        else:
            spaceless = False
            if _has_letter_or_number(text[a:b]):
                found.append((a, b))
    return found


_INVISIBLE = r"[\p{Default_Ignorable_Code_Point}&&[\p{Mn}\p{Cf}]]--\u200b"


def ascii_lower(text: str) -> str:
    return text.encode().lower().decode()  # bytes know no other letters


def strip(line: str) -> str:
    return line.strip(_WHITE_SPACE)


def closes(char: str) -> bool:
    return has(char, r"\p{Pe}\p{Pi}\p{Pf}\"'")


def is_terminal(line: str) -> bool:
    while len(line) > 1 and closes(line[-1]):
        line = line[:-1]
    return line[-1] == "…" or has(line[-1], r"\p{Sentence_Terminal}")


def sentences(line: str) -> int:
    count = begin = 0
    for match in _SENTENCE_TERMINAL.finditer(line):
        if _ends(line, match.start()):
            count += _has_letter_or_number(line[begin : match.end()])
            begin = match.end()
    return count + _has_letter_or_number(line[begin:])


@lru_cache(maxsize=1 << 16)
def _has_letter_or_number(text: str) -> bool:
    return _LETTER_OR_NUMBER.search(text) is not None


def _ends(line: str, at: int) -> bool:
    char, at = line[at], at + 1
    if at < len(line) and has(line[at], r"\p{Sentence_Terminal}"):
        return False
    while at < len(line) and closes(line[at]):
        at += 1
    if at == len(line) or char in WIDE_STOPS:
        return True
    if not has(line[at], r"\p{White_Space}"):
        return False
    while at < len(line) and has(line[at], r"\p{White_Space}"):
        at += 1
    return not (char == "." and at < len(line) and has(line[at], r"\p{Lowercase}"))


@lru_cache(maxsize=2)
def base(text: str) -> dict[str, int]:
    spans = words(text)
    found = [text[a:b] for a, b in spans]
    lines = text.split("\n")
    begins = [0]
    for line in lines:
        begins.append(begins[-1] + len(line) + 1)
    if lines[-1] == "":  # the text is empty, or a line feed ended the last line
        lines.pop()
    shown = [line for line in map(strip, lines) if line]
    firsts = [a for a, _ in spans]
    in_line = [bisect_left(firsts, b) - bisect_left(firsts, a) for a, b in pairwise(begins)]
    urls = regex.findall(
        r"(?:[Hh][Tt][Tt][Pp][Ss]?://|(?<![A-Za-z0-9])[Ww][Ww][Ww]\.)\P{White_Space}*", text
    )
    lowered = [ascii_lower(line) for line in shown]
    letters, each_word = Counter(text), Counter(found)

    def chars(properties: str) -> int:
        return sum(times for c, times in letters.items() if has(c, properties))

    return {
        "bytes": len(text.encode()),
        "chars": len(text),
        "whitespace_chars": chars(r"\p{White_Space}"),
        "alphabetic_chars": chars(r"\p{Alphabetic}"),
        "uppercase_chars": chars(r"\p{Uppercase}"),
        "digit_chars": chars(r"\p{Nd}"),
        "non_alphanumeric_chars": chars(r"^\p{L}\p{M}\p{N}\p{White_Space}"),
        "words": len(found),
        "word_chars": sum(map(len, found)),
        "longest_word": max(map(len, found), default=0),
        "alpha_words": sum(n for w, n in each_word.items() if _ALPHABETIC.search(w)),
        "stop_words": len(STOP_WORDS & {ascii_lower(w) for w in each_word}),
        "stop_word_occurrences": sum(
            n for w, n in each_word.items() if ascii_lower(w) in STOP_WORDS
        ),
        "hash_symbols": text.count("#"),
        "ellipses": text.count("...") + text.count("…"),
        "curly_brackets": text.count("{") + text.count("}"),
        "parentheses": sum(map(text.count, "()[]{}⟨⟩")),
        "newlines": text.count("\n"),
        "lines": len(lines),
        "nonblank_lines": len(shown),
        "line_chars": sum(map(len, shown)),
        "longest_line": max(map(len, shown), default=0),
        "bullet_lines": sum(line[0] in BULLETS for line in shown),
        "ellipsis_lines": sum(line.endswith(("...", "…")) for line in shown),
        "terminal_lines": sum(map(is_terminal, shown)),
        "c4_terminal_lines": sum(
            line.endswith((".", "?", "!", '"')) and not line.endswith("...") for line in shown
        ),
        "fineweb_terminal_lines": sum(line.endswith((".", "'", '"', "!", "?")) for line in shown),
        "short_lines": sum(len(line) <= 30 for line in shown),
        "one_word_lines": sum(n == 1 for n in in_line),
        "uppercase_lines": sum(2 * len(_UPPERCASE.findall(line)) > len(line) for line in shown),
        "numeric_lines": sum(
            _DIGIT.search(line) is not None and _ALPHABETIC.search(line) is None for line in shown
        ),
        "javascript_lines": sum("javascript" in line for line in lowered),
        "policy_lines": sum(any(p in line for p in POLICY) for line in lowered),
        "lorem_ipsum": ascii_lower(text).count("lorem ipsum"),
        "sentences": sum(map(sentences, lines)),
        "urls": len(urls),
        "url_chars": sum(map(len, urls)),
        "paragraphs": len(paragraphs(text)),
    }


def paragraphs(text: str) -> list[tuple[str, ...]]:
    """Runs of lines that are not blank, each line stripped."""
    lines = [strip(line) for line in text.split("\n")]
    return [tuple(run) for shown, run in groupby(lines, key=bool) if shown]


def repetition(text: str) -> dict[str, int]:
    shared = ("words", "word_chars", "nonblank_lines", "line_chars", "paragraphs")
    totals = base(text)
    parts = paragraphs(text)
    lines = [line for part in parts for line in part]
    found = [text[a:b] for a, b in words(text)]
    result = {}
    for name, items in (("line", [(x,) for x in lines]), ("paragraph", parts)):
        times = Counter(items)
        seen: set[tuple[str, ...]] = set()
        later = [item for item in items if item in seen or seen.add(item)]
        every = [item for item in items if times[item] > 1]
        for prefix, some in (("duplicate", later), ("repeated", every)):
            result[f"{prefix}_{name}s"] = len(some)
            result[f"{prefix}_{name}_chars"] = sum(len(x) for item in some for x in item)
    for n in range(2, 11):
        grams = list(zip(*(found[i:] for i in range(n)), strict=False))
        times = Counter(grams)
        if n <= 4:
            most = max(times.values(), default=0)
            longest = max(sum(map(len, g)) for g in times if times[g] == most) if most > 1 else 0
            result[f"top_{n}gram_chars"] = most * longest
        else:
            inside = {i + k for i, g in enumerate(grams) if times[g] > 1 for k in range(n)}
            result[f"duplicate_{n}gram_chars"] = sum(len(found[i]) for i in inside)
    return result | {name: totals[name] for name in shared}


if __name__ == "__main__":
    for name, value in (base(sys.argv[1]) | repetition(sys.argv[1])).items():
        print(f"{value:8} {name}")
