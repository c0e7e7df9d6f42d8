"""Bounds on what markup asks of a parser."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from resiliparse.parse.html import HTMLTree, traverse_dom

from curation.html_shape import OPEN, REBUILT, SQUARES, TAGS, html_shape


def shape(*pages: bytes) -> np.ndarray:
    offsets = np.cumsum([0, *map(len, pages)]).astype(np.int64)
    data = np.frombuffer(b"".join(pages), np.uint8)
    offsets.flags.writeable = False
    return html_shape(data, offsets)


def test_counts() -> None:
    pages = [
        b"<div><p>one</p><br><img src=x></div>",
        b"<div>" * 1000,
        b"<script>if (a<b) '<div><div>'</script><style><p></style><i>",
        b"<!-- <div><div> --><!doctype html><p",
        b"<a x=1 y='2 > 3' z=\"a b\">",
        b"",
        b"<",
        b"</",
        b"<!--",
        b"<script>",
        b"<p x='",
    ]
    found = shape(*pages)
    assert found[:, TAGS].tolist() == [4, 1000, 3, 1, 1, 0, 0, 0, 0, 1, 1]
    assert found[:2, OPEN].tolist() == [2, 1000]
    assert found[4, SQUARES] == 9


def test_formatting_elements_that_are_built_again() -> None:
    unclosed = b"<p>" + b"".join(b"<b a=%d>" % i for i in range(100)) + b"<p>x" * 1000
    same = b"<p>" + b"<font color=red>" * 100 + b"<p>x" * 1000
    closed = b"<p><b>x</b><p>" * 1000
    found = shape(unclosed, same, closed)[:, REBUILT]
    assert found[0] >= 100 * 1000
    assert found[1] < 5000  # the parser keeps three of a kind
    assert found[2] <= 1000


_TAGS = st.sampled_from(
    "div p b i a li ul td tr table span br img font select option svg path h1 script".split()
)


@given(st.lists(st.tuples(_TAGS, st.sampled_from(["<{}>", "</{}>", "<{} a=1 b>", "<{}/>x"]))))
@settings(max_examples=200, deadline=None)
def test_open_is_never_below_the_depth_of_the_tree(parts: list[tuple[str, str]]) -> None:
    html = "".join(form.format(tag) for tag, form in parts)
    deepest = 0

    def note(context: object) -> None:
        nonlocal deepest
        deepest = max(deepest, context.depth)  # type: ignore[attr-defined]

    body = HTMLTree.parse(html).body
    if body is not None:
        traverse_dom(body, note, elements_only=True)
    _, opened, _, rebuilt = shape(html.encode())[0]
    # Void elements are leaves; tables get a body and a row; formatting comes back in blocks.
    assert deepest <= 1 + 2 * opened + 3 * html.count("<t") + rebuilt + html.count("</")


@given(st.binary(max_size=400))
@settings(max_examples=200, deadline=None)
def test_any_bytes_have_a_shape(page: bytes) -> None:
    assert (shape(page, b"<p>" + page, page[::-1]) >= 0).all()
