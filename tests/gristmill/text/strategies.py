"""Random text that finds what goes wrong: scripts, marks, joiners, line ends, repeats, bytes."""

from __future__ import annotations

from hypothesis import strategies as st

# one of each kind that a rule knows, so that short texts meet many pairs of kinds
SPECIAL = (
    "aZéßİǅσΣжŋ", "0٣²Ⅷ१", " \t\u00a0\u3000\u2028", "\n\r\v\f\x85", "\x00\x1b\ufffd",
    "_‿", "'’‘:·.․,;\"״׳", "-–—…!?。！؟।", "()[]{}⟨⟩<>#*•@/%&",
    "你好ㄅ々〇𠀀", "カタひらーｶ゛", "한글각", "אבת", "ابت", "กเาำ่ๆ๑", "ລໂະ", "ខ្មែរ", "မြန်မာ",
    "नमस्ते", "\u0301\u0308\u3099\u20e3", "\u00ad\u200b\u200c\u200d\u2060\ufeff\u202e\ufe0f",
    "🙂👩‍👩‍👧🇩🇪❤️👍🏽ⓂΩℹ", "𝒜𝟘𐐀𐐨",
)  # fmt: skip
WORDS = (
    "the", "The", "be", "of", "and", "with", "mill", "flour", "isn't", "e.g.", "3.14", "1,000",
    "lorem ipsum", "JavaScript", "terms of use", "uses cookies", "Privacy  policy", "http://a.b/c",
    "www.x.org", "...", "…", "{", "don’t", "Größe", "你好", "ภาษาไทย", "- x", "• y",
    "I am.", '"Yes!"',
)  # fmt: skip

chars = st.sampled_from("".join(SPECIAL)) | st.characters()
words = st.sampled_from(WORDS)
gaps = st.sampled_from([" ", " ", " ", "\n", "\n\n", "\r\n", "", ", ", ". ", " \n \n"])


def _joined(parts: list[tuple[str, str]]) -> str:
    return "".join(word + gap for word, gap in parts)


# a small vocabulary repeats words, n-grams, lines and paragraphs
repetitive = st.lists(st.tuples(words | st.sampled_from("ab"), gaps), max_size=60).map(_joined)
mixed = st.lists(words | gaps | chars, max_size=90).map("".join)
raw = st.lists(st.binary(max_size=3) | words.map(str.encode), max_size=40).map(b"".join)


def lossy(text: str) -> str:
    """The text that a kernel sees: no lone surrogates."""
    return text.encode("utf-8", "replace").decode()


texts = (repetitive | mixed | raw.map(lambda b: b.decode("utf-8", "replace"))).map(lossy)
