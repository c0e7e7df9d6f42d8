"""The datatrove families equal a plain reference that follows datatrove's sources."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.text.chunks import PIECE
from gristmill.text.datatrove_family import FAMILIES
from tests.gristmill.text import reference_datatrove as reference
from tests.gristmill.text.reference_english import any_text, same_unicode


def _check(some: list[str]) -> None:
    column = pa.array(some, pa.string())
    families = (("datatrove", reference.datatrove), ("datatrove_fineweb", reference.fineweb))
    for name, plain in families:
        found = FAMILIES[name].compute(column)
        assert tuple(found) == FAMILIES[name].names
        for i, text in enumerate(some):
            wanted = plain(text)
            assert {key: int(found[key][i]) for key in wanted} == wanted, text[:300]
            assert set(wanted) == set(found)


def test_examples() -> None:
    line = "A line that comes twice, and of which there is enough to count.\n"
    words = "to be or not to be, that is the question of the day. "
    _check(
        [
            "",
            "\n",
            "\n\n",
            " \n a \n\n b",
            "\nfirst\n\nsecond\nsecond\n",
            line * 3,
            f"{line}{line}\n{line}{line}\n\n\n{line}",
            words * 8,
            "a b c d e f g h i j k l m n o p q r s t u v w x y z " * 3,
            "- bullet\n • bullet\n* none\r\n\r• bullet\x0b-x\u2028-y\x85z\n",
            "cut off...\ncut off…\ncut... off\n.......\n… \n....",
            "# ## #x#\n...\n...... .....\n" + "." * 130,
            " \t\n\u00a0\n\u2003\nfull stop.\nno stop\nquote.”\nask？\nit's.'",
            "x" * 30 + "\n" + "x" * 31 + "\n" + "é" * 30 + "\n" + "é" * 31,
            "1 00 0 1 0 00 1 00 0 " * 5,
        ]
    )


@same_unicode
@settings(deadline=None, max_examples=150)
@given(st.lists(any_text, min_size=1, max_size=3))
def test_families_equal_the_reference(some: list[str]) -> None:
    _check(some)


def test_neither_neighbours_nor_pieces_change_a_text() -> None:
    texts = ["Well-known (e.g. in the U.S.): it's so. " * 5, "", "x, y; z.\n" * 40, "e.g. it's"]
    filler = "word (e.g. this) " * (PIECE // 40)
    alone = [FAMILIES["datatrove"].compute(pa.array([text])) for text in texts]
    column = pa.chunked_array([[filler, *texts], [filler, None, *texts, filler]])
    together = FAMILIES["datatrove"].compute(column)
    for start in (1, len(texts) + 3):
        for i, single in enumerate(alone):
            for name, values in single.items():
                assert together[name][start + i] == values[0], (name, texts[i])
    empty = {name: int(values[0]) for name, values in alone[1].items()}
    assert empty["datatrove_paragraphs"] == 1 and sum(empty.values()) == 1
    assert {name: int(v[len(texts) + 2]) for name, v in together.items()} == empty


def test_no_texts() -> None:
    for family in FAMILIES.values():
        assert all(len(v) == 0 for v in family.compute(pa.array([], pa.string())).values())


@pytest.mark.parametrize("byte", [b"\xff", b"\xc3", b"\xe2\x80", b"\xf0\x9f\x98", b"\x80"])
def test_bytes_that_are_no_text_are_survived(byte: bytes) -> None:
    raw = b"word " + byte + b". It's " + byte + b"\n" + byte * 70
    offsets = pa.py_buffer(memoryview(bytes(4) + len(raw).to_bytes(4, "little")))
    column = pa.Array.from_buffers(pa.string(), 1, [None, offsets, pa.py_buffer(raw)])
    for family in FAMILIES.values():
        assert family.compute(column)["datatrove_words"][0] > 0
