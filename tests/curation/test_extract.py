"""Extraction: text and head of pages, typed failures, and nothing that crashes or hangs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.extraction_quality import engine, extraction_quality
from curation.extract import MAX_WORK, Extract
from curation.ops import OpResult, parse_op
from curation.readers import RAW
from gristmill.errors import RecipeError

BODY = "<p>" + "This is a sentence of the article that says something. " * 10 + "</p>"


def raw(*pages: dict[str, Any] | bytes) -> pa.Table:
    rows = [page if isinstance(page, dict) else {"payload": page} for page in pages]
    full = [{"content_type": "text/html", "date": "2024-05-06T07:08:09Z", **row} for row in rows]
    return pa.Table.from_pylist([{name: row.get(name) for name in RAW.names} for row in full], RAW)


def extract(*pages: dict[str, Any] | bytes, **options: Any) -> OpResult:
    return Extract(**options).open()(raw(*pages), {})


def failed(result: OpResult) -> dict[str, list[int]]:
    return {failure.rule: failure.mask.nonzero()[0].tolist() for failure in result.failures}


@pytest.mark.parametrize("engine_name", ["resiliparse", "trafilatura"])
def test_text_and_head(engine_name: str) -> None:
    html = f"""<!doctype html><html lang="de-AT"><head><title> A \n title </title>
    <link rel="canonical" href="/the/page"><meta property="article:published_time"
    content="2020-03-04T05:06:07+01:00"></head><body><nav>Menu entry</nav>
    <article>{BODY}</article><footer>Imprint</footer><script>var x = "<p>no</p>"</script></body>"""
    page = {"payload": html.encode(), "url": "https://site.example/x?y"}
    result = extract(page, engine=engine_name)
    row = {name: column[0].as_py() for name, column in result.columns.items()}
    assert row["text"].startswith("This is a sentence") and "Menu" not in row["text"]
    assert "Imprint" not in row["text"] and "var x" not in row["text"]
    assert row["title"] == "A title" and row["html_lang"] == "de-AT"
    assert row["canonical_url"] == "https://site.example/the/page"
    assert row["date"] == "2020-03-04T05:06:07+01:00"
    assert row["crawl_date"] == "2024-05-06T07:08:09Z"
    assert result.failures == []


@pytest.mark.parametrize(
    ("head", "date"),
    [
        (
            '<script type="application/ld+json">{"datePublished": "2019-02-03"}</script>',
            "2019-02-03",
        ),
        ('<meta name="date" content="20180504">', "2018-05-04"),
        ('<meta name="date" content="yesterday">', "2024-05-06T07:08:09Z"),
        ("", "2024-05-06T07:08:09Z"),
    ],
)
def test_published_dates_or_else_the_crawl_s(head: str, date: str) -> None:
    result = extract(f"<html><head>{head}</head><body>{BODY}".encode())
    assert result.columns["date"][0].as_py() == date


def test_each_failure_has_its_rule_and_value() -> None:
    result = extract(
        f"<html><body>{BODY}".encode(),
        b"x" * 2000,
        {"payload": b"%PDF-1.4 ..."},
        {"payload": b"plain words", "content_type": "text/plain"},
        {"payload": f"<html>{BODY}".encode(), "content_type": None},
        b"<html>" + bytes(range(128, 256)) * 3 + b"\xff\xfe\x81" * 100,
        b"<html><body></body></html>",
        b"",
        max_doc_bytes=1500,
    )
    assert failed(result) == {
        "extract.too_large": [1],
        "extract.not_html": [2, 3],
        "extract.undecodable": [5],
        "extract.empty": [6, 7],
    }
    (large, *_) = result.failures
    assert (large.value[1], large.threshold) == (2000, 1500)
    texts = result.columns["text"].to_pylist()
    assert texts[0] and texts[4] and texts[2] is None
    bad = extract({"payload": b"<html>" + b"\x80\xff\xfe" * 500, "charset": "utf-8"})
    euc = extract({"payload": b"<p>" + b"\x80\xff" * 500, "charset": "euc-jp"})
    assert failed(euc) == {"extract.undecodable": [0]} and euc.failures[0].value[0] > 0.1
    assert bad.columns["text"].type == pa.string()


@pytest.mark.parametrize(
    "html",
    [
        b"<div>" * 100_000 + b"x",
        b"<div>" * 200_000 + b"x" + b"</div>" * 200_000,
        b"<p>" + b"".join(b"<b a=%d>" % i for i in range(3000)) + b"<p>x" * 30_000,
        b"<div " + b" ".join(b"a%d=1" % i for i in range(100_000)) + b">x",
        b"<table><tr><td>" * 60_000,
        b"<div>" * 600 + b"<p>x</p>" * 200_000,
    ],
)
def test_markup_that_blows_up_is_refused_before_it_is_parsed(html: bytes) -> None:
    result = extract(html)
    assert failed(result) == {"extract.too_complex": [0]}
    assert result.failures[0].value[0] > result.failures[0].threshold == MAX_WORK


@pytest.mark.parametrize("engine_name", ["resiliparse", "trafilatura"])
@pytest.mark.parametrize(
    "html",
    [
        b"<div>" * 2000 + BODY.encode(),
        b"<a href=x>" * 5000 + BODY.encode(),
        b"<div class='" + b"a " * 100_000 + b"'>" + BODY.encode(),
        b"<li>item " * 20_000,
        b"<p>nul \0 in \0 text</p>" * 100,
        b"<script>" * 1000 + BODY.encode(),
        b"<" * 100_000,
        b"&amp;" * 100_000,
        b"<!--" * 100_000,
        b"<svg><math><select>" * 1000,
        bytes(range(256)) * 100,
    ],
)
def test_hostile_pages_end_as_text_or_as_a_failure(html: bytes, engine_name: str) -> None:
    result = extract(html, f"<html><body>{BODY}".encode(), engine=engine_name)
    texts = result.columns["text"].to_pylist()
    assert "\0" not in (texts[0] or "") and "\r" not in (texts[0] or "")
    assert texts[0] or 0 in {row for rows in failed(result).values() for row in rows}
    assert texts[1] and texts[1].startswith("This is")


def test_open_items_are_not_taken_for_depth() -> None:
    html = b"<html><body><ul>" + b"<li>an item of a long list without end tags " * 20_000
    assert failed(extract(html)) == {}


def test_utf16_pages_are_bounded_too() -> None:
    page = {"payload": b"\xff\xfe" + ("<div>" * 100_000).encode("utf-16-le")}
    assert failed(extract(page)) == {"extract.too_complex": [0]}


def test_texts_pass_through_normalised() -> None:
    rows = [
        {"text": "one\r\ntwo\rthree\0\x07\tfour"},
        {"text": "unchanged – text"},
        {"text": ""},
        {"text": None, "payload": None},
    ]
    result = extract(*rows)
    assert result.columns["text"].to_pylist() == [
        "one\ntwo\nthree\tfour", "unchanged – text", "", None,
    ]  # fmt: skip
    assert failed(result) == {"extract.empty": [2, 3]}


def test_rows_do_not_depend_on_each_other() -> None:
    pages = [f"<p>{BODY} number {i}".encode() for i in range(20)]
    for name in ("resiliparse", "trafilatura"):
        together = extract(*pages, *pages, engine=name).columns["text"].to_pylist()
        alone = [extract(page, engine=name).columns["text"][0].as_py() for page in pages]
        assert together == alone + alone  # trafilatura's duplicate filter would drop the second


def test_no_rows_give_the_same_columns() -> None:
    some, none = extract(BODY.encode()), extract()
    assert {k: v.type for k, v in some.columns.items()} == {
        k: v.type for k, v in none.columns.items()
    }
    assert len(none.columns["text"]) == 0


def test_options_are_checked() -> None:
    assert parse_op({"extract": "trafilatura"}) == Extract(engine="trafilatura")
    assert "resiliparse" in Extract().packages()
    with pytest.raises(RecipeError, match="engine"):
        parse_op({"extract": "lynx"})


@given(
    st.lists(
        st.sampled_from(
            [
                "<div>",
                "</div>",
                "<p>",
                "text ",
                "<a href='",
                "'>",
                "<script>",
                "</script>",
                "<table>",
                "&#0;",
                "<td>",
                "<!--",
                "-->",
                "\0",
                "ü",
                "<title>",
                "<svg>",
                "]]>",
                "<?xml",
                "<body ",
                "=",
                "\r\n",
            ]
        ),
        max_size=40,
    )
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_markup_gives_clean_text(parts: list[str]) -> None:
    result = extract(("<html>" + "".join(parts)).encode())
    text = result.columns["text"][0].as_py() or ""
    assert not set(text) & {"\0", "\r"}
    assert text or failed(result)


def test_quality_on_gold_pages(shared_data: Path) -> None:
    found = extraction_quality({"ours": engine("resiliparse")}, shared_data, sample=25)
    assert found["full_text"]["ours"][3] > 0.9
    assert found["snippets"]["ours"][3] > 0.85
