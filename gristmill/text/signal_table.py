"""What each signal of families `base` and `repetition` counts: the definition, one line a signal.

In: nothing. Out: BASE and REPETITION, name -> definition; the order is that of the kernels' output.
Shown by: `python -m gristmill.text.signal_table`.
Limit: phrases, stop words and the rule for abbreviations are English, as in the papers.

Terms. Character: a Unicode code point. Word: a segment between UAX #29 word boundaries that holds a
letter or a number; an ideograph or hiragana is one word; Thai, Lao, Khmer, Myanmar and the other
scripts that need a dictionary are cut as gristmill.text.segments says. Line: what lies between line
feeds; a last empty line does not count. Its characters are those left after stripping White_Space
from both ends, and it is blank if none is left. Paragraph: a run of lines that are not blank.
Terminator: a character with Sentence_Terminal (. ? ! and those of other scripts). Closer: a
closing quote or bracket. Case of ASCII letters does not matter in phrases.
"""

from __future__ import annotations

BASE: dict[str, str] = {
    "bytes": "UTF-8 bytes",
    "chars": "characters",
    "whitespace_chars": "characters with White_Space",
    "alphabetic_chars": "characters with Alphabetic",
    "uppercase_chars": "characters with Uppercase",
    "digit_chars": "decimal digits (category Nd)",
    "non_alphanumeric_chars": "characters that are no letter, mark, number or White_Space",
    "words": "words",
    "word_chars": "characters in words",
    "longest_word": "characters of the longest word",
    "alpha_words": "words with an Alphabetic character",
    "stop_words": "how many of Gopher's eight stop words occur: the be to of and that have with",
    "stop_word_occurrences": "words that are one of Gopher's stop words, in any case",
    "hash_symbols": "characters #",
    "ellipses": "occurrences of ... (not overlapping) and …",
    "curly_brackets": "characters { and }",
    "parentheses": "characters ( ) [ ] { } ⟨ ⟩ (NeMo Curator)",
    "newlines": "line feeds",
    "lines": "lines",
    "nonblank_lines": "lines that are not blank",
    "line_chars": "characters of all lines",
    "longest_line": "characters of the longest line",
    "bullet_lines": "lines that start with one of • ‣ ⁃ ⁌ ⁍ ∙ ○ ● ◘ ◦ ⦾ ⦿ ▪ ▫ ■ □ · * -",
    "ellipsis_lines": "lines that end in ... or …",
    "terminal_lines": "lines that, closers at the end left out, end in a terminator or …",
    "c4_terminal_lines": 'lines that end in . ? ! or " but not in ... (C4)',
    "fineweb_terminal_lines": "lines that end in . ? ! \" or ' (FineWeb v1)",
    "short_lines": "lines of 1 to 30 characters (FineWeb)",
    "one_word_lines": "lines with exactly one word",
    "uppercase_lines": "lines more than half of whose characters are Uppercase (RefinedWeb)",
    "numeric_lines": "lines with a decimal digit and no Alphabetic character (RefinedWeb)",
    "javascript_lines": 'lines with "javascript" (C4)',
    "policy_lines": "lines with one of C4's phrases: terms of use, privacy policy, cookie policy, "
    "uses cookies, use of cookies, use cookies",
    "lorem_ipsum": 'occurrences of "lorem ipsum" (C4)',
    "sentences": "parts of lines that hold a letter or number and end at the line's end, or at a "
    "terminator (the last of its run) that closers and then White_Space follow; no end is a full "
    "stop before a lower-case word; 。．！？｡ end one whatever follows",
    "urls": "occurrences of http:// and https://, and of www. not after an ASCII letter or digit, "
    "outside of another URL",
    "url_chars": "characters of those, up to White_Space",
    "paragraphs": "paragraphs",
}

REPETITION: dict[str, str] = {
    "duplicate_lines": "lines equal to an earlier line",
    "duplicate_line_chars": "their characters",
    "repeated_lines": "lines that occur more than once, all of them (the reading of DCLM)",
    "repeated_line_chars": "their characters",
    "duplicate_paragraphs": "paragraphs whose lines equal those of an earlier paragraph",
    "duplicate_paragraph_chars": "their characters",
    "repeated_paragraphs": "paragraphs that occur more than once, all of them",
    "repeated_paragraph_chars": "their characters",
    **{
        f"top_{n}gram_chars": f"occurrences times characters of the most frequent {n}-gram of "
        "words, of equally frequent ones the longest, without spaces; 0 if none repeats (Gopher)"
        for n in (2, 3, 4)
    },
    **{
        f"duplicate_{n}gram_chars": f"characters of the words in any {n}-gram that occurs more "
        "than once, each word counted once (Gopher)"
        for n in (5, 6, 7, 8, 9, 10)
    },
}

# what repetition's ratios divide by: the same numbers as in `base`
SHARED = ("words", "word_chars", "nonblank_lines", "line_chars", "paragraphs")


if __name__ == "__main__":
    for name, definition in (BASE | REPETITION).items():
        print(f"{name}: {definition}")
