"""Family `dolma` equals a plain reference that follows dolma's taggers."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.text.dolma_family import FAMILIES
from tests.gristmill.text.reference_dolma import dolma
from tests.gristmill.text.reference_english import any_text, same_unicode


def _check(some: list[str]) -> None:
    found = FAMILIES["dolma"].compute(pa.array(some, pa.string()))
    assert tuple(found) == FAMILIES["dolma"].names
    for i, text in enumerate(some):
        wanted = dolma(text)
        assert {key: int(found[key][i]) for key in wanted} == wanted, text[:300]
        assert set(wanted) == set(found)


def test_examples() -> None:
    _check(
        [
            "",
            " ",
            "\n",
            "to be or not to be " * 6,
            "a\n\na\n\nb\n\n* x\n- y\n… z…\n",
            'Say it. \nSay it \n"Say it"\nno more\nthree little words\n\t\n',
            "# tag x# … a…b été Ünï 123 中文 \u00a0 z",
            "Lorem\nipsum lorem IPSUM JavaScript {",
            "x" * 1500 + " y " + "z" * 2000,
            "x" * 1500 + " " + "é" * 1600 + " b",
            "a" * 63 + " " + "é" * 40 + " " + "#" * 64 + "b the the",
            "the",
            "with\u2003have\x1cthat\x85of",
        ]
    )


@same_unicode
@settings(deadline=None, max_examples=200)
@given(st.lists(any_text, min_size=1, max_size=3))
def test_family_equals_the_reference(some: list[str]) -> None:
    _check(some)
