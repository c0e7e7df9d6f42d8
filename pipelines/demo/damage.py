"""Records that every crawl contains: cut members, empty bodies, lying labels, stray bytes.

In: a seeded `random.Random` and a fault's name; later the page's HTML. Out: a carrier page, then
the `Record`. Shown by: `python -m pipelines.demo.generate demo/web`.
Limit: a truncated member is always the last of its file.
"""

from __future__ import annotations

import random
import re
from dataclasses import replace
from typing import Any

from pipelines.demo.compose import Page, essay
from pipelines.demo.corpus import Host, hosts
from pipelines.demo.sites import encode
from pipelines.demo.warc import Record, http_block

FAULTS = {
    "broken": ("truncated", "empty", "cut_headers", "not_http"),
    "damaged": (
        "latin1_as_utf8",
        "utf8_as_latin1",
        "no_label",
        "invalid_utf8",
        "nul_bytes",
        "junk_header",
    ),
}
_PROBE = re.compile(r"\b\w*[äöüßéèêçñóáíú]\w*\b")


def carrier(rng: random.Random, fault: str) -> tuple[Page, Host, dict[str, Any]]:
    """A page for the fault to happen to. `probe`: a word that only a right decoding gives back."""
    language = rng.choice(["de", "fr", "es"])
    host = rng.choice([h for h in hosts("site", language) if h.charset == "utf-8"])
    page = essay(rng, language)
    words = sorted({w for w in _PROBE.findall(page.text()) if len(w) > 5 and w.isalpha()})
    label = {"latin1_as_utf8": "utf-8", "utf8_as_latin1": "iso-8859-1"}.get(fault, host.charset)
    detail: dict[str, Any] = {"fault": fault}
    if fault in FAULTS["damaged"] and words:
        detail["probe"] = rng.choice(words)
    return page, replace(host, charset=label), detail


def record(url: str, html: str, fault: str, label: str) -> Record:
    """The record as the broken server or the interrupted crawler left it."""
    rng = random.Random(url)
    body = encode(html, "windows-1252" if fault in ("latin1_as_utf8", "no_label") else "utf-8")
    block = http_block(body, f"text/html; charset={label}")
    if fault == "empty":
        body = b""
        block = http_block(body, "text/html")
    elif fault == "cut_headers":
        body, block = b"", b"HTTP/1.1 200 OK\r\nServer: demo\r\nContent-Ty"
    elif fault == "not_http":
        body, block = b"", rng.randbytes(600)
    elif fault == "no_label":
        body = re.sub(rb"<meta[^>]*charset[^>]*>", b"", body, flags=re.I)
        block = http_block(body, "text/html")
    elif fault in ("invalid_utf8", "nul_bytes"):
        body = _sprinkle(rng, body, b"\xff\xc3\x28" if fault == "invalid_utf8" else b"\x00")
        block = http_block(body, f"text/html; charset={label}")
    elif fault == "junk_header":
        block = block.replace(
            b"\r\nConnection", b"\r\nthis line has no colon\r\nX-\xe9\xff: \x80\r\nConnection", 1
        )
    return Record(url, block, body, truncated=fault == "truncated")


def _sprinkle(rng: random.Random, body: bytes, stray: bytes) -> bytes:
    """Stray bytes after three full stops."""
    stops = [m.end() for m in re.finditer(rb"\. (?=[A-Z])", body)]
    for at in sorted(rng.sample(stops, min(3, len(stops))), reverse=True):
        body = body[:at] + stray + body[at:]
    return body
