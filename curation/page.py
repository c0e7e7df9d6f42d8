"""One HTML page by either engine: a parse, and from it the text and what the head says.

In: HTML as a string, and the URL it came from. Out: `Page`.
Shown by: `python -m bench.extraction_quality --sample 8`. Limit: a page without main content by the
engine's rules comes out empty or nearly so.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin

from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.html import HTMLTree

_HTML_TYPES = {"text/html", "application/xhtml+xml"}
_BINARY = (
    b"%PDF-",
    b"\x89PNG",
    b"GIF8",
    b"\xff\xd8\xff",
    b"PK\x03\x04",
    b"\x1f\x8b\x08",
    b"RIFF",
    b"\x7fELF",
    b"wOF",
)
_MARKUP = re.compile(rb"<(?:!doctype\s+html|html|head|body|title|meta|div|p)\b", re.IGNORECASE)
# Measured on the gold pages (bench.extraction_quality): without alt texts and comments, and without
# <nav>, <footer> and <header>, mean token F1 of full texts rises from .92 to .94.
_OPTIONS: dict[str, Any] = {
    "main_content": True,
    "preserve_formatting": True,
    "comments": False,
    "alt_texts": False,
    "skip_elements": ["nav", "footer", "header"],
}
# Main content may be all that there is: 21 of 1,555 pages came out empty. Shorter than _SHORT
# (which is trafilatura's MIN_EXTRACTED_SIZE), the whole page is taken where it has _MORE times as
# much: F1 on snippets .880 -> .893, other gold unchanged.
_SHORT, _MORE = 250, 4
_KEEP_ALL: dict[str, Any] = {
    key: value for key, value in _OPTIONS.items() if key != "skip_elements"
}
_WHOLE: dict[str, Any] = {
    "preserve_formatting": True,
    "alt_texts": False,
    "skip_elements": ["nav", "footer"],
}
# Trafilatura's fallback (jusText) takes time with the square of a page's paragraphs: 2 s for 3,000,
# a minute for 20,000. Pages of more tags, 1 % of real ones, go without it.
_MANY_TAGS = 8000
_CANONICAL = 'link[rel="canonical"]'
_PUBLISHED = (
    'meta[property="article:published_time"]',
    'meta[itemprop="datePublished"]',
    'meta[name="pubdate"]',
    'meta[name="publish-date"]',
    'meta[name="publishdate"]',
    'meta[name="date"]',
    'meta[name="parsely-pub-date"]',
    'meta[name="dcterms.created"]',
    'meta[name="DC.date.issued"]',
    'meta[name="dc.date"]',
)
_PUBLISHED_CSS = ", ".join(_PUBLISHED)
_JSON_DATE = '"datePublished"'
_TIME = r"(?:[T ][0-2]\d:[0-5]\d(?::[0-5]\d)?[\d.:Z+-]{0,12})?"
_DATE = re.compile(rf"\s*((?:19|20)\d\d-[01]\d-[0-3]\d{_TIME})")
_COMPACT = re.compile(r"\s*((?:19|20)\d\d)([01]\d)([0-3]\d)\b")
_MAX_TITLE, _MAX_URL, _MAX_LANGUAGE = 1000, 2000, 35


@dataclass(frozen=True, slots=True)
class Page:
    """What a page gives; None for what it does not say."""

    text: str | None
    title: str | None
    date: str | None  # when published, ISO 8601 as the page writes it
    canonical_url: str | None
    language: str | None  # `<html lang>`


def is_html(content_type: str | None, head: bytes) -> bool:
    """Whether a body is HTML: by its declared type, unless its first bytes say otherwise."""
    if head.startswith(_BINARY):
        return False
    return content_type in _HTML_TYPES or _MARKUP.search(head) is not None


def resiliparse_page(html: str, url: str | None) -> Page:
    """One lexbor parse for text and head."""
    tree = HTMLTree.parse(html)
    text = extract_plain_text(tree, **_OPTIONS)
    if len(text) < _SHORT:
        text = max(text, extract_plain_text(tree, **_KEEP_ALL), key=len)
    if len(text) < _SHORT:
        whole = extract_plain_text(tree, **_WHOLE)
        text = whole if len(whole) > _MORE * len(text) else text
    head = tree.head
    link = head.query_selector(_CANONICAL) if head is not None else None
    meta = head.query_selector(_PUBLISHED_CSS) if head is not None else None
    root = tree.document.document_element if tree.document is not None else None
    language = None
    if root is not None:
        language = root.getattr("lang") or root.getattr("xml:lang")
    return Page(
        text or None,
        _title(tree.title),
        _date(meta.getattr("content") if meta is not None else None, html),
        _url(link.getattr("href") if link is not None else None, url),
        _language(language),
    )


def trafilatura_page(precision: bool) -> Callable[[str, str | None], Page]:
    """A function like `resiliparse_page`, by trafilatura on one lxml parse.

    Its duplicate filter stays off: it remembers earlier pages, so output would depend on order. It
    has no clock when called as a library.
    """
    import trafilatura

    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)  # it reports every odd page

    def page(html: str, url: str | None) -> Page:
        tree = trafilatura.load_html(html)
        if tree is None:
            return Page(None, None, None, None, None)
        link = _first(tree, ".//link[@rel='canonical']", "href")
        meta = None
        for css in _PUBLISHED:
            name, value = css[5:-2].split('="')
            meta = meta or _first(tree, f".//meta[@{name}='{value}']", "content")
        title = tree.findtext(".//title")
        language = tree.get("lang")
        text = trafilatura.extract(
            tree,
            fast=html.count("<") > _MANY_TAGS,
            favor_precision=precision,
            include_comments=False,
            deduplicate=False,
        )
        return Page(text, _title(title), _date(meta, html), _url(link, url), _language(language))

    return page


def _first(tree: Any, path: str, attribute: str) -> str | None:
    found = tree.find(path)
    return None if found is None else found.get(attribute)


def _title(title: str | None) -> str | None:
    return " ".join(title[: 4 * _MAX_TITLE].split())[:_MAX_TITLE] or None if title else None


def _language(value: str | None) -> str | None:
    return value.strip()[:_MAX_LANGUAGE] or None if value else None


def _url(href: str | None, base: str | None) -> str | None:
    """An absolute http(s) URL, or None."""
    href = (href or "").strip()
    if not href or len(href) > _MAX_URL:
        return None
    if not href.startswith(("http://", "https://")):
        try:
            href = urljoin(base or "", href)
        except ValueError:
            return None
    return href if href.startswith(("http://", "https://")) else None


def _date(meta: str | None, html: str) -> str | None:
    """The published date of a `<meta>`, or of JSON-LD."""
    if not meta:
        at = html.find(_JSON_DATE)
        if at < 0:
            return None
        meta = html[at + len(_JSON_DATE) : at + 80].lstrip(" \t\r\n:").lstrip('"')
        meta = meta.split('"')[0]
    found = _DATE.match(meta)
    if found:
        return found[1]
    compact = _COMPACT.match(meta)
    return f"{compact[1]}-{compact[2]}-{compact[3]}" if compact else None
