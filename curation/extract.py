"""Op `extract`: HTML bodies to text, title, dates, canonical URL and declared language.

In: RAW columns (payload, content_type, charset, url, date, text). Out: text, title, date,
crawl_date, canonical_url, html_lang; typed failures. Shown by: `python -m
bench.extraction_quality --sample 8`.
Limit: what a page draws by script is not there; a page is bounded by bytes and by the work that
its markup asks for, never by a clock, so the outcome is the same on any machine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from curation.charset import decode
from curation.html_shape import OPEN, REBUILT, SQUARES, TAGS, html_shape
from curation.ops import Apply, Failure, Op, OpResult, Signals, register_op
from curation.page import Page, is_html, resiliparse_page, trafilatura_page
from curation.readers.schema import MAX_RECORD_BYTES
from gristmill import marker
from gristmill.text.buffers import string_buffers

# Elements x ancestors, squared attributes and rebuilt elements that one page may ask of a parser; a
# unit is 20 to 60 ns, the heaviest of 5,847 real pages asks 9 million.
MAX_WORK = 100_000_000
MAX_BAD = 0.1  # of a page's characters that no charset could decode
_REBUILD = 50
_RULES = ("too_large", "not_html", "undecodable", "too_complex", "extraction_error", "empty")


@register_op("extract")
class Extract(Op):
    """Text of HTML pages. Rows that have text already keep it, with line ends normalised."""

    EDITS: ClassVar[bool] = True

    engine: Literal["resiliparse", "trafilatura"] = "resiliparse"
    max_doc_bytes: int | None = Field(None, gt=0)  # of a body, where less than the step's
    precision: bool = True  # trafilatura's favor_precision, as in FineWeb

    def packages(self) -> list[str]:
        if self.engine == "resiliparse":
            return ["resiliparse"]
        return ["trafilatura", "lxml", "justext", "resiliparse"]

    def open(self) -> Apply:
        most = self.max_doc_bytes or MAX_RECORD_BYTES
        lexbor = self.engine == "resiliparse"
        parse = resiliparse_page if lexbor else trafilatura_page(self.precision)
        thresholds = {
            "too_large": float(most),
            "undecodable": MAX_BAD,
            "too_complex": float(MAX_WORK),
        }

        def apply(table: pa.Table, signals: Signals) -> OpResult:
            return _extract(table, parse, most, thresholds)

        return apply


@dataclass(slots=True)
class _Outcome:
    """Columns in the making, and the rule that each row fails."""

    rule: np.ndarray  # index into _RULES, -1: none
    value: np.ndarray

    def fail(self, row: int, rule: str, value: float = np.nan) -> None:
        self.rule[row] = _RULES.index(rule)
        self.value[row] = value


def _extract(
    table: pa.Table,
    parse: Callable[[str, str | None], Page],
    max_doc_bytes: int,
    thresholds: dict[str, float],
) -> OpResult:
    size = table.num_rows
    payload = _one(table["payload"], pa.large_binary())
    data, offsets = string_buffers(payload.cast(pa.large_binary()).view(pa.large_string()))
    view, bounds = data.data, offsets.tolist()
    has_body = payload.is_valid().to_numpy(zero_copy_only=False)
    has_text = table["text"].is_valid().to_numpy()
    types, charsets = table["content_type"].to_pylist(), table["charset"].to_pylist()
    urls = table["url"].to_pylist()
    shape = html_shape(data, offsets)
    work = shape[:, TAGS] * shape[:, OPEN] + shape[:, SQUARES] + _REBUILD * shape[:, REBUILT]
    outcome = _Outcome(np.full(size, -1), np.full(size, np.nan))
    pages: list[Page] = [_NOTHING] * size
    marks = marker.record_marks(table)
    for row in np.flatnonzero(has_body & ~has_text).tolist():
        marker.mark(marks[row])
        body = view[bounds[row] : bounds[row + 1]]
        if len(body) > max_doc_bytes:
            outcome.fail(row, "too_large", len(body))
        elif not len(body):
            outcome.fail(row, "empty", 0)
        elif not is_html(types[row], bytes(body[:1024])):
            outcome.fail(row, "not_html")
        else:
            pages[row] = _page(row, body, charsets[row], urls[row], work, parse, outcome)
    marker.mark()
    texts = normalise(_texts(table, pages, has_text))
    data, offsets = string_buffers(texts)
    hollow = (np.diff(offsets) == 0) & (outcome.rule < 0)
    outcome.rule[hollow], outcome.value[hollow] = _RULES.index("empty"), 0
    return OpResult(_columns(table, texts, pages), _failures(outcome, thresholds))


_NOTHING = Page(None, None, None, None, None)


def _page(
    row: int,
    body: memoryview,
    charset: str | None,
    url: str | None,
    work: np.ndarray,
    parse: Callable[[str, str | None], Page],
    outcome: _Outcome,
) -> Page:
    """Decode and parse one page; a failure is noted, never raised."""
    html, codec, bad = decode(body, charset)
    if bad > MAX_BAD:
        outcome.fail(row, "undecodable", bad)
        return _NOTHING
    asked = int(work[row])
    if codec.startswith("utf-16"):
        asked = _work_of(html)
    try:
        if asked > MAX_WORK:
            asked = _work_of(html, exact=True)
        if asked > MAX_WORK:
            outcome.fail(row, "too_complex", asked)
            return _NOTHING
        return parse(html, url)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:  # Rust panics are no Exception
        outcome.fail(row, "extraction_error")
        return _NOTHING


def _work_of(html: str, exact: bool = False) -> int:
    """Work of one page; exact: with the depth of its tree, where parsing it is safe."""
    data = np.frombuffer(html.encode("utf-8", "replace"), np.uint8)
    offsets = np.array([0, len(data)], np.int64)
    offsets.flags.writeable = False
    tags, opened, squares, rebuilt = html_shape(data, offsets)[0].tolist()
    if exact and squares + _REBUILD * rebuilt <= MAX_WORK:
        opened = min(opened, tree_depth(html))
    return int(tags * opened + squares + _REBUILD * rebuilt)


def tree_depth(html: str) -> int:
    """Depth of the parsed tree: markup that leaves `<li>` and `<p>` open only looks deep."""
    from resiliparse.parse.html import HTMLTree, traverse_dom

    deepest = 0

    def note(context: Any) -> None:
        nonlocal deepest
        deepest = max(deepest, context.depth)

    root = HTMLTree.parse(html).body
    if root is not None:
        traverse_dom(root, note, elements_only=True)
    return deepest + 2


def normalise(texts: pa.Array) -> pa.Array:
    """Line ends as \\n, and no control characters but tab and line feed."""
    data, offsets = string_buffers(texts)
    odd = np.flatnonzero(_ODD[data[offsets[0] : offsets[-1]]]) + offsets[0]
    if not len(odd):
        return texts
    rows = np.unique(np.searchsorted(offsets, odd, side="right") - 1).tolist()
    mended = texts.to_pylist()
    for row in rows:
        text = mended[row].replace("\r\n", "\n").replace("\r", "\n")
        mended[row] = text.translate(_DROPPED)
    return pa.array(mended, pa.string())


_ODD = np.zeros(256, bool)
_ODD[:32] = True
_ODD[[9, 10]] = False
_ODD[127] = True
_DROPPED = {code: None for code in np.flatnonzero(_ODD).tolist()}


def _texts(table: pa.Table, pages: list[Page], has_text: np.ndarray) -> pa.Array:
    if has_text.all():
        return _one(table["text"], pa.string())
    given = table["text"].to_pylist() if has_text.any() else [None] * len(pages)
    rows = zip(given, pages, strict=True)
    return pa.array([page.text if text is None else text for text, page in rows], pa.string())


def _columns(table: pa.Table, texts: pa.Array, pages: list[Page]) -> dict[str, pa.Array]:
    crawled = table["date"].to_pylist()
    dates = [page.date or date for page, date in zip(pages, crawled, strict=True)]
    return {
        "text": texts,
        "title": pa.array([page.title for page in pages], pa.string()),
        "date": pa.array(dates, pa.string()),
        "crawl_date": pa.array(crawled, pa.string()),
        "canonical_url": pa.array([page.canonical_url for page in pages], pa.string()),
        "html_lang": pa.array([page.language for page in pages], pa.string()),
    }


def _failures(outcome: _Outcome, thresholds: dict[str, float]) -> list[Failure]:
    out = []
    for index, rule in enumerate(_RULES):
        mask = outcome.rule == index
        if mask.any():
            value = np.where(mask, outcome.value, np.nan)
            out.append(Failure(f"extract.{rule}", mask, value, thresholds.get(rule, np.nan)))
    return out


def _one(column: pa.ChunkedArray | pa.Array, kind: pa.DataType) -> pa.Array:
    if isinstance(column, pa.ChunkedArray):
        column = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    return column if column.type == kind else column.cast(kind)
