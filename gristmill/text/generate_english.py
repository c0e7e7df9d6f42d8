"""Write english.npz: character classes and exceptions of spaCy's blank English tokeniser, as data.

In: the installed `spacy` (MIT licence, (c) ExplosionAI) and `datatrove` (Apache-2.0): the constants
    that their English word splitting and filters use.
Out: gristmill/text/english.npz (see spacy_like.py), the same for the same packages and Python.
Shown by: `python -m gristmill.text.generate_english` (needs the `dev` extra; half a minute).
Limit: classes that those packages ask of Python (isspace, isalpha, categories) are those of the
    Python that runs this: 3.11, Unicode 14.
"""

from __future__ import annotations

import platform
import re
import unicodedata
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gristmill.text import english as e

CODE_POINTS = 0x110000


def main() -> None:
    import spacy
    from datatrove.utils.text import PUNCTUATION_SET, TERMINAL_PUNCTUATION
    from spacy.attrs import ORTH
    from spacy.lang import char_classes as cc
    from spacy.pipeline.sentencizer import Sentencizer
    from spacy.tokenizer import Tokenizer

    real = spacy.blank("en").tokenizer
    bare = Tokenizer(
        spacy.blank("en").vocab,
        prefix_search=real.prefix_search,
        suffix_search=real.suffix_search,
        infix_finditer=real.infix_finditer,
        url_match=real.url_match,
    )
    flags = np.zeros(CODE_POINTS, np.uint32)
    tails = [re.sub(r"\\", "", t) for t in (*cc.LIST_UNITS, *cc.LIST_CURRENCY, "+") if t.strip()]
    _mark(flags, e.SPACE, str.isspace)
    _mark(flags, e.LETTER, str.isalpha)
    _mark(flags, e.UPPER, str.isupper)
    _mark(flags, e.DIGIT, str.isdigit)
    _mark(flags, e.PUNCT, lambda c: unicodedata.category(c).startswith("P"))
    _mark(flags, e.LINE_BREAK, lambda c: len(f"a{c}a".splitlines()) == 2)
    _mark(flags, e.WORD, re.compile(r"\w").match)
    _mark(flags, e.ALPHA, re.compile(f"[{cc.ALPHA}]").match)
    _mark(flags, e.ALPHA_LOWER, re.compile(f"[{cc.ALPHA_LOWER}]").match)
    _mark(flags, e.ALPHA_UPPER, re.compile(f"[{cc.ALPHA_UPPER}]").match)
    _mark(flags, e.QUOTE, re.compile(f"[{cc.CONCAT_QUOTES}]").match)
    _mark(flags, e.ICON, re.compile(f"[{cc.CONCAT_ICONS}]").match)
    # "+" is a prefix only where no digit follows; the kernel asks
    _mark(flags, e.PREFIX, lambda c: c != "+" and real.find_prefix(c + "x") == 1)
    # U+0001 belongs to no class, so a match does not depend on what stands before
    _mark(flags, e.SUFFIX, lambda c: real.find_suffix("\x01" + c) == 1)
    _mark(flags, e.BEFORE_DOT, lambda c: c != "." and real.find_suffix(c + ".") == 1)
    _mark(flags, e.TAIL_END, lambda c: c in {t[-1] for t in tails})
    _mark(flags, e.INFIX, lambda c: c in ".…,+-*^:<>=/–—~")
    flags[flags & np.uint32(e.ICON) > 0] |= e.INFIX
    _mark(flags, e.SYMBOL, lambda c: c in PUNCTUATION_SET)
    _mark(flags, e.TERMINAL, lambda c: c in TERMINAL_PUNCTUATION)
    _mark(flags, e.SENTENCE_END, lambda c: c in Sentencizer.default_punct_chars)
    _mark(flags, e.DECIMAL, str.isdecimal)
    _mark(flags, e.URL_EDGE, re.compile("[A-Za-z0-9\u00a1-\uffff]").match)

    blocks, stage1 = np.unique(flags.reshape(-1, 1 << e.BLOCK_BITS), axis=0, return_inverse=True)
    rules = {text: parts for text, parts in real.rules.items() if not text.isspace()}
    texts = sorted(rules)
    parts = [[spec[ORTH] for spec in rules[text]] for text in texts]
    # those that spaCy looks for once more among the tokens, and as which tokens
    again = [
        [t.text for t in bare(text)]
        if real.find_prefix(text) or real.find_infix(text) or real.find_suffix(text)
        else []
        for text in texts
    ]
    blob, offsets = _blob(texts)
    tail_blob, tail_offsets = _blob(sorted(set(tails)))
    target = Path(__file__).with_name("english.npz")
    np.savez_compressed(
        target,
        stage1=stage1.reshape(-1).astype(np.uint16),
        stage2=blocks.reshape(-1),
        rules=blob,
        rule_offsets=offsets,
        rule_parts=_lengths(parts),
        rule_again=_lengths(again),
        tails=tail_blob,
        tail_offsets=tail_offsets,
        made_with=np.array(
            f"spacy {version('spacy')}, datatrove {version('datatrove')}, "
            f"Python {platform.python_version()}, Unicode {unicodedata.unidata_version}"
        ),
    )
    print(f"{target.name}: {len(texts)} exceptions, {len(blocks)} blocks")


def _mark(flags: npt.NDArray[np.uint32], flag: int, has: Any) -> None:
    surrogates = range(0xD800, 0xE000)
    members = [cp for cp in range(CODE_POINTS) if cp not in surrogates and has(chr(cp))]
    flags[np.array(members, np.int64)] |= np.uint32(flag)


def _blob(texts: list[str]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    raw = [text.encode() for text in texts]
    offsets = np.cumsum([0, *map(len, raw)]).astype(np.int64)
    return np.frombuffer(b"".join(raw), np.uint8), offsets


def _lengths(token_lists: list[list[str]]) -> npt.NDArray[np.uint8]:
    """[rules, most tokens] byte lengths of the tokens, 0 after the last."""
    width = max(map(len, token_lists))
    lengths = [[len(token.encode()) for token in tokens] for tokens in token_lists]
    return np.array([row + [0] * (width - len(row)) for row in lengths], np.uint8)


if __name__ == "__main__":
    main()
