"""The word kernel equals the plain definition, whole or resumed; hashes equal the plain hash."""

from __future__ import annotations

import gzip
import json
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.text import words as w
from gristmill.text.unicode import tables
from tests.gristmill.text.strategies import raw, texts

# the definition once more, as a pattern over properties
_OWN = r"[[\p{Ideographic}\p{scx=Hira}\p{scx=Kana}]&&[\p{L}\p{Nl}]]"
_SPACELESS = r"[\p{Line_Break=SA}&&\p{L}]"
_PREPENDED = r"[\p{Logical_Order_Exception}&&\p{Line_Break=SA}&&\p{L}]"
_INVISIBLE = r"[[\p{Default_Ignorable_Code_Point}&&[\p{Mn}\p{Cf}]]--\u200b]"
_TAIL = rf"[\p{{M}}{_INVISIBLE}]"
_WORD = regex.compile(
    rf"{_OWN}{_TAIL}*"
    rf"|(?:{_PREPENDED}{_INVISIBLE}*)*{_SPACELESS}{_TAIL}*"
    rf"(?:(?<=[\p{{InCB=Linker}}&&\p{{M}}]{_INVISIBLE}*)"
    rf"(?:{_PREPENDED}{_INVISIBLE}*)*{_SPACELESS}{_TAIL}*)*"
    rf"|[[\p{{L}}\p{{N}}]--{_OWN}--{_SPACELESS}]"
    rf"[[\p{{L}}\p{{N}}\p{{M}}{_INVISIBLE}]--{_OWN}--{_SPACELESS}]*",
    regex.V1,
)


def _kernel(data: bytes, room: int = 4096) -> list[tuple[int, bytes]]:
    array = np.frombuffer(data, np.uint8)
    hashes = np.zeros(room, np.uint64)
    starts, ends = np.zeros(room, np.int64), np.zeros(room, np.int64)
    found, pos = [], 0
    while pos < len(data):
        count, then = w.words_block(array, pos, len(data), tables(), hashes, starts, ends)
        assert then == len(data) or count == room
        spans = zip(hashes[:count], starts[:count], ends[:count], strict=True)
        found += [(int(h), data[a:b]) for h, a, b in spans]
        assert then > pos or count == 0
        pos = then
    return found


def _check(text: str) -> None:
    data = text.encode()
    plain = w.normalized_words(text)
    found = _kernel(data)
    assert [h for h, _ in found] == [_hash(word) for word in plain]
    assert [_word_of(span) for _, span in found] == plain


@lru_cache(maxsize=1 << 17)  # words come again and again
def _hash(word: str) -> int:
    return w.word_hash(word.encode())


@lru_cache(maxsize=1 << 17)
def _word_of(span: bytes) -> str:
    (word,) = w.normalized_words(span.decode())
    return word


def test_examples() -> None:
    def words(text: str) -> list[str]:
        _check(text)
        return w.normalized_words(text)

    assert words("Don't mill 3,5 Grains—NOW") == ["don", "t", "mill", "3", "5", "grains", "now"]
    assert words("你好 mill世界カナ") == ["你", "好", "mill", "世", "界", "カ", "ナ"]
    assert words("ภาษาไทย") == ["ภ", "า", "ษ", "า", "ไท", "ย"]
    assert words("Zu\u00adsam\u00admen ÅNGSTRÖM") == ["zusammen", "ångström"]
    assert words("❤️ \u0301x") == ["x"]
    assert words("") == words("\x00 \n") == []


@settings(deadline=None)
@given(texts)
def test_kernel_equals_definition(text: str) -> None:
    _check(text)


@settings(deadline=None)
@given(texts)
def test_definition_equals_pattern(text: str) -> None:
    spans = [m.group() for m in _WORD.finditer(text)]
    assert [s for span in spans for s in w.normalized_words(span)] == w.normalized_words(text)
    assert len(spans) == len(w.normalized_words(text))


@settings(deadline=None)
@given(raw, st.integers(1, 5))
def test_any_bytes_whole_or_resumed(data: bytes, room: int) -> None:
    found = _kernel(data)
    assert _kernel(data, room) == found
    text = data.decode("utf-8", "replace")
    assert [h for h, _ in found] == [w.word_hash(x.encode()) for x in w.normalized_words(text)]


@settings(deadline=None)
@given(st.binary(max_size=50), st.integers(0, 20))
def test_hash_of_bytes(data: bytes, pad: int) -> None:
    padded = np.frombuffer(data + bytes(range(pad)), np.uint8)
    assert w.hash_bytes(padded, 0, len(data)) == w.word_hash(data)


def test_rolling_ngrams() -> None:
    words = np.random.default_rng(0).integers(0, 2**64, 30, np.uint64)

    def direct(part: np.ndarray) -> int:
        total = 0
        for word in part:
            total = (total * w.P + int(word)) % 2**64
        return total

    with np.errstate(over="ignore"):
        rolling = np.uint64(direct(words[:4]))
        for i in range(4, 30):
            rolling = w.combine.py_func(rolling - words[i - 4] * w.power.py_func(3), words[i])
            assert rolling == direct(words[i - 3 : i + 1])
    assert direct(words[:2]) != direct(words[1::-1])


@pytest.mark.slow
def test_all_shared_text(shared_data: Path) -> None:
    for path in sorted((shared_data / "text").glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                _check(json.loads(line)["text"][:200_000])


def test_a_sample_of_languages(shared_data: Path) -> None:
    with gzip.open(shared_data / "text" / "udhr2.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            _check(json.loads(line)["text"][:500])
