"""Conformance vectors: for every published rule a text that just passes and one that just fails.

ROWS: (rule set, rule, a text that the rule keeps, one that it drops). All texts are made up here.
A new rule needs one row; test_conformance.py says which are missing.
"""

from __future__ import annotations

from itertools import count, islice, product


def _words(length: int, most: int = 4096) -> list[str]:
    """Distinct words of that many letters, none of them English."""
    tails = product("bcdfghjk", repeat=min(length, 4))
    return ["z" * (length - 4) + "".join(tail) for tail in islice(tails, most)]


FIVE = _words(5)


def words(n: int) -> str:
    """n different words of five letters; past 4,096 they come again with a vowel in front."""
    prefixes = ("", "a", "e", "i", "o", "u", *map(str.upper, "aeiou"), *"xyvwqXYVWQstrm")
    endless = (prefix + word for prefix in prefixes for word in FIVE)
    return " ".join(islice(endless, n))


def of_length(*lengths: tuple[int, int]) -> str:
    """`(n, length)`: n different words of that length."""
    return " ".join(" ".join(_words(length, n)) for n, length in lengths)


def twice(n: int, total: int) -> str:
    """`total` words of five letters; the first n come again at the end, no others repeat."""
    return " ".join([*FIVE[: total - n], *FIVE[:n]])


def lines(*parts: tuple[int, str]) -> str:
    """`(n, line)`: n times that line; `{}` in it is another word each time."""
    numbers = count()
    return "\n".join(line.format(FIVE[next(numbers)]) for n, line in parts for _ in range(n))


def paragraphs(*parts: tuple[int, str]) -> str:
    return lines(*parts).replace("\n", "\n\n")


LONG = "{} is a line of more than thirty characters"
CRAMPED = "\n".join
PAPER, DATATROVE, DOLMA = (
    "gopher_quality@paper",
    "gopher_quality@datatrove-0.10",
    "gopher_quality@dolma",
)

QUALITY = [
    (PAPER, "min_words", words(50), words(49)),
    (DATATROVE, "min_words", words(50) + " . , !", words(49) + " . , !"),
    (DOLMA, "min_words", words(49) + " .", words(49)),
    (PAPER, "max_words", words(100_000), words(100_001)),
    (DATATROVE, "max_words", words(100_000) + " . !", words(100_001)),
    (DOLMA, "max_words", words(100_000), words(100_001)),
    (PAPER, "min_mean_word_length", of_length((50, 3)), of_length((49, 3), (1, 2))),
    (DATATROVE, "min_mean_word_length", of_length((50, 3)) + " .", of_length((49, 3), (1, 2))),
    (DOLMA, "min_median_word_length", of_length((8, 3), (6, 2)), of_length((8, 3), (8, 2))),
    (PAPER, "max_mean_word_length", of_length((50, 10)), of_length((49, 10), (1, 11))),
    (DATATROVE, "max_mean_word_length", of_length((50, 10)), of_length((49, 10), (1, 11))),
    (DOLMA, "max_median_word_length", of_length((9, 10), (8, 11)), of_length((8, 10), (8, 11))),
    (PAPER, "max_hash_ratio", words(50) + " #" * 5, words(50) + " #" * 6),
    (DATATROVE, "max_hash_ratio", words(45) + " #" * 5, words(44) + " #" * 5),
    (DOLMA, "max_symbol_words", words(45) + " #a" * 3 + " b…" * 2, words(44) + " #" * 5),
    (PAPER, "max_ellipsis_ratio", words(50) + " ..." * 3 + "…" * 2, words(50) + " ..." * 6),
    (DATATROVE, "max_ellipsis_ratio", words(45) + " ..." * 5, words(44) + " ..." * 5),
    (PAPER, "max_bullet_lines", lines((9, "• {}"), (1, "{}")), lines((10, "* {}"))),
    (DATATROVE, "max_bullet_lines", lines((9, " - {}"), (1, "* {}")), lines((10, "• {}"))),
    (DOLMA, "max_bullet_lines", lines((9, "* {}"), (1, " - {}")), lines((10, "- {}"))),
    (PAPER, "max_ellipsis_lines", lines((3, "{}..."), (7, "{}.")), lines((4, "{}… "), (6, "{}"))),
    (
        DATATROVE,
        "max_ellipsis_lines",
        lines((3, "{}..."), (7, "{}")),
        lines((4, "{}… "), (6, "{}")),
    ),
    (DOLMA, "max_ellipsis_lines", lines((3, "{}…"), (7, "{}...")), lines((4, "{}…"), (6, "{}"))),
    (PAPER, "min_alpha_words", words(40) + " 17" * 10, words(39) + " 17" * 11),
    (DATATROVE, "min_alpha_words", words(40) + " ," * 10, words(39) + " ," * 11),
    (DOLMA, "min_alpha_words", words(40) + " 17" * 10, words(39) + " 17" * 11),
    (PAPER, "min_stop_words", "The mill of stone", "the mill or the stone"),
    (DATATROVE, "min_stop_words", "the mill of stone", "The mill of stone"),
    (DOLMA, "min_stop_words", "the mill the stone", "the mill The stone"),
]

_R = "gopher_repetition@"
REPETITION = [
    (_R + "datatrove-0.10", "min_chars", "a", ""),
    *(
        (
            _R + dialect,
            "max_duplicate_lines",
            lines((4, "mill"), (6, "{}")),
            lines((5, "mill"), (5, "{}")),
        )
        for dialect in ("paper", "datatrove-0.10")
    ),
    (
        _R + "dolma",
        "max_repeated_lines",
        lines((3, "mill"), (7, "{}")),
        lines((4, "mill"), (6, "{}")),
    ),
    *(
        (
            _R + dialect,
            "max_duplicate_paragraphs",
            paragraphs((4, "mill"), (6, "{}")),
            paragraphs((5, "mill"), (5, "{}")),
        )
        for dialect in ("paper", "datatrove-0.10")
    ),
    # five letters a line: 2 of 10 are 0.20 of the line characters, 10 of 59 of the text
    *(
        (
            _R + dialect,
            "max_duplicate_line_chars",
            lines((3, "mills"), (7, "{}")),
            lines((4, "mills"), (6, "{}")),
        )
        for dialect in ("paper", "datatrove-0.10")
    ),
    (
        _R + "dolma",
        "max_repeated_line_chars",
        lines((3, "mills"), (7, "{}")),
        lines((4, "mills"), (6, "{}")),
    ),
    *(
        (
            _R + dialect,
            "max_duplicate_paragraph_chars",
            paragraphs((3, "mills"), (7, "{}")),
            paragraphs((4, "mills"), (6, "{}")),
        )
        for dialect in ("paper", "datatrove-0.10")
    ),
    # a 2-gram twice: 20 of 5n letters; in datatrove with its space 22 of 6n - 1 characters
    *(
        (_R + dialect, f"max_top_{n}gram_chars", twice(n, passes), twice(n, passes - 1))
        for dialect, passing in {
            "paper": (20, 34, 50),
            "datatrove-0.10": (19, 32, 49),
            "dolma": (20, 34, 50),
        }.items()
        for n, passes in zip((2, 3, 4), passing, strict=True)
    ),
    # paper: the words of both occurrences; datatrove: of the second; dolma: 2 of all n-grams
    *(
        (_R + dialect, f"max_{kind}_{n}gram_chars", twice(n, passes), twice(n, passes - 1))
        for dialect, kind, passing in (
            ("paper", "duplicate", (67, 86, 108, 134, 164, 200)),
            ("datatrove-0.10", "duplicate", (28, 36, 46, 56, 69, 84)),
            ("dolma", "repeated", (18, 20, 22, 24, 27, 29)),
        )
        for n, passes in zip(range(5, 11), passing, strict=True)
    ),
]

FIVE_SENTENCES = "He ran home. She sat down. They ate well. We saw it. You knew that."
C4 = [
    ("c4@paper", "max_lorem_ipsum", "Lorem, ipsum.", "So Lorem  ipsum? Lorem Ipsum!"),
    ("c4@paper", "max_curly_brackets", "( [", "{"),
    ("c4@paper", "min_sentences", "It ran. It fell! Why?", "It ran. It fell"),
    # only lines that its line rules keep are asked
    ("c4@datatrove-0.10", "max_lorem_ipsum", "It says Lorem ipsum", "It says Lorem ipsum."),
    ("c4@datatrove-0.10", "max_curly_brackets", "if (x) { y }", 'They wrote "{x}."'),
    ("c4@datatrove-0.10", "min_sentences", FIVE_SENTENCES, FIVE_SENTENCES.replace(". We", ", we")),
    ("c4@dolma", "max_lorem_ipsum", "Lorem, ipsum.", "lorem IPSUM"),
    ("c4@dolma", "max_curly_brackets", "( [", "{"),
    ("c4@dolma", "max_javascript", "Java script", "JavaScripts"),
]

_F = "fineweb@"
FINEWEB = [
    (
        _F + "paper",
        "min_terminal_lines",
        lines((4, "{}."), (21, "{}")),
        lines((3, "{}."), (22, "{}")),
    ),
    (
        _F + "datatrove-0.10",
        "min_terminal_lines",
        lines((3, "{}."), (22, "{}")),
        lines((2, "{}."), (23, "{}")),
    ),
    (_F + "paper", "max_short_lines", lines((66, "{}"), (34, LONG)), lines((67, "{}"), (33, LONG))),
    (
        _F + "datatrove-0.10",
        "max_short_lines",
        lines((67, "{}"), (33, LONG)),
        lines((68, "{}"), (32, LONG)),
    ),
    (
        _F + "paper",
        "max_duplicate_line_chars",
        lines((2, "mills"), (9, "{}")),
        lines((2, "mills"), (8, "{}")),
    ),
    (
        _F + "datatrove-0.10",
        "max_duplicate_line_chars",
        lines((2, "mills"), (98, "{}")),
        lines((2, "mills"), (97, "{}")),
    ),
    *(
        (_F + dialect, "max_newlines", words(7) + lines((4, " {}")), words(6) + lines((5, " {}")))
        for dialect in ("paper", "datatrove-0.10")
    ),
]

_N = "nemotron@curator"
_COOKIES = "this site uses cookies"
NEMOTRON = [
    (_N, "max_non_alphanumeric", "abc!", "ab!"),
    (_N, "max_hash_ratio", words(50) + " #" * 5, words(50) + " #" * 6),
    (_N, "max_ellipsis_ratio", words(50) + " ..." * 5, words(50) + " ..." * 6),
    (_N, "max_digits", "a" * 17 + "123", "a" * 16 + "1234"),
    (_N, "max_url_chars", "http://a.b " + "a" * 39, "http://a.b " + "a" * 38),
    (_N, "max_whitespace", "abc ", "ab "),
    (_N, "max_parentheses", "(" + "a" * 9, "(" + "a" * 8),
    (_N, "max_policy_lines", lines((2, _COOKIES), (3, "{}")), lines((3, _COOKIES), (2, "{}"))),
    (_N, "max_duplicate_lines", lines((4, "mill"), (6, "{}")), lines((5, "mill"), (5, "{}"))),
    (
        _N,
        "max_duplicate_paragraphs",
        paragraphs((4, "a"), (6, "{}")),
        paragraphs((5, "a"), (5, "{}")),
    ),
    (
        _N,
        "max_duplicate_line_chars",
        lines((3, "mills"), (7, "{}")),
        lines((4, "mills"), (6, "{}")),
    ),
    (
        _N,
        "max_duplicate_paragraph_chars",
        paragraphs((3, "mills"), (7, "{}")),
        paragraphs((4, "mills"), (6, "{}")),
    ),
    (_N, "min_words", words(50), words(49)),
    (_N, "max_words", words(100_000), words(100_001)),
    (_N, "min_terminal_lines", lines((3, "{}."), (17, "{}")), lines((2, "{}."), (18, "{}"))),
    (_N, "min_alpha_words", words(40) + " 17" * 10, words(39) + " 17" * 11),
    (_N, "min_stop_words", "the mill the stone", "the mill"),
    (_N, "min_mean_word_length", of_length((50, 3)), of_length((49, 3), (1, 2))),
    (_N, "max_mean_word_length", of_length((50, 10)), of_length((49, 10), (1, 11))),
    (_N, "max_word_length", "a" * 1000, "a" * 1001),
    (_N, "max_ellipsis_lines", lines((3, "{}..."), (7, "{}.")), lines((4, "{}…"), (6, "{}"))),
    *(
        (_N, f"max_{kind}_{n}gram_chars", twice(n, passes), twice(n, passes - 1))
        for kind, n, passes in (
            ("top", 2, 17),
            ("top", 3, 28),
            ("top", 4, 42),
            ("duplicate", 5, 56),
            ("duplicate", 6, 72),
            ("duplicate", 7, 90),
            ("duplicate", 8, 112),
            ("duplicate", 9, 137),
            ("duplicate", 10, 167),
        )
    ),
    (_N, "max_bullet_lines", lines((9, "• {}"), (1, "{}")), lines((10, "* {}"))),
]

REFINEDWEB = [
    ("refinedweb@dclm", "max_removed_words", "menu\n" + words(19), "menu\n" + words(18)),
]

ROWS = [*QUALITY, *REPETITION, *C4, *FINEWEB, *NEMOTRON, *REFINEDWEB]
