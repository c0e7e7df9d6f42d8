"""Kernel signals equal the plain reference on random Unicode and on all real text."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import regex
from fastwarc.warc import ArchiveIterator, WarcRecordType
from hypothesis import given, settings
from hypothesis import strategies as st
from resiliparse.extract.html2text import extract_plain_text

from gristmill.errors import GristmillError
from gristmill.text import signals
from gristmill.text.lines import BULLETS, POLICY_PHRASES, WIDE_STOPS
from gristmill.text.scan import STOP_WORDS
from gristmill.text.signals import FAMILIES, compute_signals
from tests.gristmill.text import reference_signals as reference
from tests.gristmill.text.strategies import SPECIAL, raw, texts

BOTH = ("base", "repetition")


def _check(some: list[str]) -> None:
    found = compute_signals(pa.array(some, pa.string()), BOTH)
    for i, text in enumerate(some):
        wanted = reference.base(text) | reference.repetition(text)
        assert {name: int(found[name][i]) for name in wanted} == wanted, text[:300]
    assert set(found) == set(wanted) if some else True


def test_examples() -> None:
    _check(
        [
            "",
            "\n",
            "a",
            "It isn't 3.14 or 1,000 o'clock; e.g. U.S.A. don’t can:not a_b __ 4x4",
            "The mill grinds. The mill grinds.\nThe mill grinds.\n\nThe mill grinds.\n",
            "א'ב א\" א\"ב א' 1'2 'a' a'",
            "ภาษาไทยไม่มีช่องว่าง ខ្មែរ មាន អក្សរ မြန်မာ ຫຼວງພະບາງ",
            "カタカナ_a 你好。世界！ｱｲｳ 々〇",
            "x" * 64 + "'" + "y" * 62 + "." + "\u0301" * 70 + "z",
            "a" * 63 + "é" + "b" * 63 + "\n" + "." * 130 + "\n" + "to be " * 40,
            "lorem ipsum " * 20 + "JAVASCRIPT terms of use\nwe use of cookies\nHTTPS://a.b www.c",
            'Dr. Who? (Yes!) "No." i.e. this. That… 3.5 m. “End.”\n12:30 | 5%\nMILL',
        ]
    )


def test_places_of_phrases_against_blocks() -> None:
    phrases = [
        "javascript",
        "Lorem Ipsum",
        *POLICY_PHRASES,
        "http://x",
        "www.x",
        "...",
        "…",
        "don't",
    ]
    _check([" " * pad + phrase + "\n" + phrase for phrase in phrases for pad in range(50, 66)])


@settings(deadline=None, max_examples=300)
@given(st.lists(texts, min_size=1, max_size=4))
def test_kernel_equals_reference(some: list[str]) -> None:
    _check(some)


@settings(deadline=None, max_examples=300)
@given(st.text(st.sampled_from("".join(SPECIAL) + "aab  .'1"), max_size=120))
def test_kernel_equals_reference_on_dense_unicode(text: str) -> None:
    _check([text])


@settings(deadline=None)
@given(raw)
def test_invalid_bytes_count_as_their_lossy_decoding(data: bytes) -> None:
    offsets = pa.array([0, len(data)], pa.int32()).buffers()[1]
    array = pa.Array.from_buffers(pa.string(), 1, [None, offsets, pa.py_buffer(data)])
    wanted = reference.base(data.decode("utf-8", "replace")) | {"bytes": len(data)}
    assert {k: int(v[0]) for k, v in compute_signals(array, ["base"]).items()} == wanted


@settings(deadline=None)
@given(st.text(st.sampled_from("".join(SPECIAL) + "aab  .'1"), max_size=60))
def test_reference_words_are_those_of_regex(text: str) -> None:
    # our pieces differ; and regex has its own rules for marks, flags and apostrophes
    apart = r"\p{Line_Break=SA}\p{WB=Extend}\p{WB=Format}\p{WB=ZWJ}\p{WB=Regional_Indicator}'’"
    text = regex.sub(f"[{apart}]", "", text)
    cuts = [m.start() for m in regex.finditer(r"(?w)\b", text)]
    segments = [text[a:b] for a, b in pairwise(cuts)]
    wanted = [s for s in segments if regex.search(r"[\p{L}\p{N}]", s)]
    assert [text[a:b] for a, b in reference.words(text)] == wanted


def test_names_and_families() -> None:
    column = pa.chunked_array([["the mill", None], ["mill mill mill mill"]])
    both = compute_signals(column, BOTH)
    for family in FAMILIES.values():
        alone = family.compute(column)
        assert tuple(alone) == family.names
        for name, values in alone.items():
            assert values.dtype == np.int64 and len(values) == 3
            if name in both:
                assert np.array_equal(values, both[name])
    assert both["words"].tolist() == [2, 0, 4]
    with pytest.raises(GristmillError, match="did you mean 'repetition'"):
        compute_signals(column, ["repetitions"])


def test_empty_column() -> None:
    assert all(len(v) == 0 for v in compute_signals(pa.array([], pa.string()), BOTH).values())


def test_a_text_over_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "LONGEST_TEXT", 10)  # 2 GiB do not fit a test
    with pytest.raises(GristmillError, match="a text of 11 bytes"):
        compute_signals(pa.array(["x" * 11]), BOTH)


def test_constants_of_kernel_and_reference_agree() -> None:
    assert set(STOP_WORDS) == reference.STOP_WORDS
    assert set(BULLETS) == reference.BULLETS
    assert set(WIDE_STOPS) == reference.WIDE_STOPS
    assert POLICY_PHRASES == reference.POLICY


def _shared_texts(shared_data: Path) -> Iterator[str]:
    for path in sorted((shared_data / "text").glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                yield json.loads(line)["text"]


def test_a_sample_of_real_text(shared_data: Path) -> None:
    _check([text[:1500] for i, text in enumerate(_shared_texts(shared_data)) if i % 150 == 0])


@pytest.mark.slow
def test_all_shared_text(shared_data: Path) -> None:
    for text in _shared_texts(shared_data):
        _check([text[:10_000]])


@pytest.mark.slow
def test_pages_of_a_crawl(shared_data: Path) -> None:
    """Text as extraction leaves it, from pages in many languages, and raw HTML."""
    some = []
    for path in sorted((shared_data / "warc").glob("*.warc.gz")):
        records = ArchiveIterator(gzip.open(path), record_types=WarcRecordType.response)
        for record in islice(records, 0, 600, 10):
            html = record.reader.read().decode("utf-8", "replace")
            some += [extract_plain_text(html)[:10_000], html[:3_000]]
    assert len(some) > 300
    _check(some)


@pytest.mark.slow
@pytest.mark.parametrize(
    "unit", ["a", "to be ", "don't. ", "é", "你", "ก", "'\u0301", ". ", '."', "\n"]
)
def test_one_huge_text(unit: str) -> None:
    count = 20_000_000 // len(unit.encode())
    found = compute_signals(pa.array([unit * count], pa.large_string()), BOTH)
    assert int(found["chars"][0]) == count * len(unit)
    assert int(found["newlines"][0]) == count * unit.count("\n")
